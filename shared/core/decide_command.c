/*
 * OperatorCommand: hosts and GPUs out of service, and back in. What is marked may be taken back though
 * the host or the GPU is gone; to be marked it has to be there.
 */
#include <string.h>

#include "core/decide_internal.h"
#include "core/gpu_parse.h"
#include "core/reasons.h"

/* False: refused. */
static bool pool_is_there(struct deciding *deciding, const struct fleet_pool *pool)
{
	const char *pool_id = record_pool_id(deciding->event);
	if (pool || catalog_pool(deciding->state->catalog, pool_id))
		return true;
	decide_reject(deciding, CODE_POOL_UNKNOWN,
		      arena_printf(deciding->arena, "there is no pool %s%s", pool_id,
				   decide_list_pools(deciding)));
	return false;
}

/* "host h1 is cordoned already (alice: the fan rattles)" */
static void change_nothing(struct deciding *deciding, const char *what, const char *id,
			   const char *how, const struct ledger_mark *mark)
{
	const char *why = mark ? mark->why : "";
	decide_complete(deciding, CODE_NOTHING_CHANGED,
			arena_printf(deciding->arena, "%s %s is %s%s%s%s", what, id, how,
				     *why ? " (" : "", why, *why ? ")" : ""));
}

/* ---- hosts ---- */

static void mark_host(struct deciding *deciding, bool cordon)
{
	const struct operator_command *command = &deciding->event->operator_command;
	struct shard_state *state = deciding->state;
	const struct fleet_pool *pool = fleet_find_pool(&state->fleet, command->pool_id);
	const struct ledger_mark *mark =
		ledger_find_mark(&state->ledger, command->pool_id, MARK_HOST, command->host);

	if (!mark && !pool_is_there(deciding, pool))
		return;
	if (!mark && !fleet_find_host(&state->fleet, pool, command->host)) {
		decide_reject(
			deciding, CODE_HOST_UNKNOWN,
			arena_printf(deciding->arena, "pool %s has no host %s%s", command->pool_id,
				     command->host,
				     reasons_host_names(&state->fleet, pool, deciding->arena)));
		return;
	}
	if (cordon == (mark != NULL)) {
		bool elsewhere = fleet_is_marked(&state->fleet, command->host, FLEET_WHOLE_HOST);
		change_nothing(deciding, "host", command->host,
			       cordon	   ? "cordoned already"
			       : elsewhere ? "cordoned under another pool only: open it there"
					   : "not cordoned",
			       mark);
		return;
	}
	struct host_marked marked = {
		.request_id = command->request_id,
		.pool_id = command->pool_id,
		.host = command->host,
		.mark = cordon ? "CORDONED" : "OPEN",
		.reason = command->reason,
		.actor = command->actor,
		.decided_at = deciding->now_us,
	};
	decide_set_record(deciding,
			  (struct record){ .type = RECORD_HOST_MARKED, .host_marked = marked });
}

/* ---- GPUs ---- */

/* As ids are written, whatever the command's spelling. */
static const char *canonical_id(struct arena *arena, const char *host, uint64_t address)
{
	char text[PCI_ADDRESS_TEXT_BYTES];
	pci_address_format(pci_address_unpack(address), text);
	return arena_printf(arena, "%s/%s", host, text);
}

static void reject_gpu(struct deciding *deciding, const struct fleet_pool *pool,
		       const struct fleet_host *host, const char *gpu_id)
{
	const struct fleet *fleet = &deciding->state->fleet;
	struct arena *arena = deciding->arena;
	decide_reject(deciding, CODE_GPU_UNKNOWN,
		      arena_printf(arena, "pool %s has no GPU %s%s",
				   record_pool_id(deciding->event), gpu_id,
				   host ? reasons_gpu_names(host, arena)
					: reasons_host_names(fleet, pool, arena)));
}

static void mark_gpu(struct deciding *deciding, bool quarantine)
{
	const struct operator_command *command = &deciding->event->operator_command;
	struct shard_state *state = deciding->state;
	char name[LIMIT_ID_BYTES + 1];
	uint64_t address = 0;
	if (gpu_id_parse(command->gpu_id, name, &address) != 0)
		return; /* request_check.c has looked at it */
	const char *gpu_id = canonical_id(deciding->arena, name, address);
	const struct fleet_pool *pool = fleet_find_pool(&state->fleet, command->pool_id);
	const struct fleet_host *host = fleet_find_host(&state->fleet, pool, name);
	const struct ledger_mark *mark =
		ledger_find_mark(&state->ledger, command->pool_id, MARK_GPU, gpu_id);

	if (!mark && !pool_is_there(deciding, pool))
		return;
	if (!mark && (!host || !fleet_find_gpu(host, address))) {
		reject_gpu(deciding, pool, host, gpu_id);
		return;
	}
	if (quarantine == (mark != NULL)) {
		bool elsewhere = fleet_is_marked(&state->fleet, name, address);
		change_nothing(deciding, "GPU", gpu_id,
			       quarantine ? "in quarantine already"
			       : elsewhere
				       ? "in quarantine under another pool only: return it there"
				       : "not in quarantine",
			       mark);
		return;
	}
	struct gpu_marked marked = {
		.request_id = command->request_id,
		.pool_id = command->pool_id,
		.host = decide_copy(deciding->arena, name),
		.gpu_id = gpu_id,
		.mark = quarantine ? "QUARANTINED" : "RETURNED",
		.reason = command->reason,
		.actor = command->actor,
		.decided_at = deciding->now_us,
	};
	decide_set_record(deciding,
			  (struct record){ .type = RECORD_GPU_MARKED, .gpu_marked = marked });
}

void decide_operator_command(struct deciding *deciding)
{
	const char *command = deciding->event->operator_command.command;
	if (strcmp(command, "CORDON_HOST") == 0 || strcmp(command, "UNCORDON_HOST") == 0)
		mark_host(deciding, *command == 'C');
	else
		mark_gpu(deciding, *command == 'Q');
}
