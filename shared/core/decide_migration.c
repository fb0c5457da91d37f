/* MigrationCheck: would the GPUs that a VM holds now be had on another host? Nothing is reserved. */
#include <string.h>

#include "base/limits.h"
#include "core/decide_internal.h"
#include "core/reasons.h"

/* By vendor:device; returns the number of asks. */
static size_t list_models(struct deciding *deciding, const struct assignment *assignment,
			  struct gpu_ask *asks)
{
	const struct fleet *fleet = &deciding->state->fleet;
	const struct model_table *models =
		&fleet_pool_of(fleet, &fleet->hosts[assignment->host])->models;
	size_t n = 0;
	for (uint32_t i = 0; i < assignment->n; i++) {
		char id[MODEL_ID_BYTES];
		model_format_id(&models->models[assignment->gpus[i].model].identity, false, id);
		size_t a = 0;
		while (a < n && strcmp(asks[a].name, id) != 0)
			a++;
		if (a == n)
			asks[n++].name = arena_strdup(deciding->arena, id);
		asks[a].count++;
	}
	return n;
}

bool decide_ask_for_the_same(struct deciding *deciding, const struct assignment *assignment,
			     struct placement_request *ret_wanted)
{
	struct shard_state *state = deciding->state;
	const char *pool_id = record_pool_id(deciding->event);
	struct gpu_ask asks[LIMIT_GPUS_PER_REQUEST] = { { 0 } };

	*ret_wanted = (struct placement_request){
		.fleet = &state->fleet,
		.pool = fleet_find_pool(&state->fleet, pool_id),
		.cpu_cores = assignment->cpu_cores,
		.ram_gb = assignment->ram_gb,
		.spread = decide_spreads(catalog_pool(state->catalog, pool_id)),
	};
	/* The VM's own GPUs are registered, so every ask finds its selector. */
	size_t n_asks = list_models(deciding, assignment, asks);
	return n_asks <= LIMIT_ASKS && placement_resolve(ret_wanted, asks, n_asks) == n_asks;
}

static struct host_verdict verdict_of(struct deciding *deciding,
				      const struct placement_request *wanted,
				      struct fleet_host *host, const struct fleet_host *current)
{
	struct host_refusal refusal = { CODE_CURRENT_HOST, "the VM runs there now" };
	if (host != current)
		refusal = reasons_of_host(wanted, host, deciding->now_us, deciding->arena);
	return (struct host_verdict){
		.host = arena_strdup(deciding->arena, host->name),
		.allowed = refusal.code == CODE_FITS,
		.code = host_code_name(refusal.code),
		.message = refusal.message,
	};
}

/* Hosts that fit come first, best first; the others tell why they do not. */
static void list_all(struct deciding *deciding, const struct placement_request *wanted,
		     struct fleet_host *current, struct migration_verdict *verdict)
{
	struct placement fits[LIMIT_REJECTION_HOSTS];
	struct fleet_host *others[LIMIT_REJECTION_HOSTS];
	size_t n_fits = placement_list(wanted, fits, LIMIT_REJECTION_HOSTS);
	size_t n_others = reasons_pick_hosts(wanted, others, LIMIT_REJECTION_HOSTS);

	verdict->hosts =
		arena_array(deciding->arena, LIMIT_REJECTION_HOSTS, sizeof(*verdict->hosts));
	for (size_t i = 0; i < n_fits; i++)
		verdict->hosts[verdict->n_hosts++] =
			verdict_of(deciding, wanted, fits[i].host, current);
	for (size_t i = 0; i < n_others && verdict->n_hosts < LIMIT_REJECTION_HOSTS; i++) {
		bool told = false;
		for (size_t f = 0; f < n_fits && !told; f++)
			told = fits[f].host == others[i];
		if (!told)
			verdict->hosts[verdict->n_hosts++] =
				verdict_of(deciding, wanted, others[i], current);
	}
	if (n_fits > 0) {
		verdict->allowed = 1;
		verdict->target_host = verdict->hosts[0].host;
		verdict->gpus = decide_list_gpus(deciding, &fits[0]);
		verdict->n_gpus = fits[0].choice.n;
	}
}

static void look_at_target(struct deciding *deciding, const struct placement_request *wanted,
			   struct fleet_host *target, const struct fleet_host *current,
			   struct migration_verdict *verdict)
{
	struct placement placement;
	verdict->hosts = arena_array(deciding->arena, 1, sizeof(*verdict->hosts));
	verdict->n_hosts = 1;
	verdict->hosts[0] = verdict_of(deciding, wanted, target, current);
	verdict->target_host = verdict->hosts[0].host;
	if (target != current && placement_on_host(wanted, target, &placement)) {
		verdict->allowed = 1;
		verdict->gpus = decide_list_gpus(deciding, &placement);
		verdict->n_gpus = placement.choice.n;
	}
}

void decide_migration_check(struct deciding *deciding)
{
	const struct migration_check *check = &deciding->event->migration_check;
	struct shard_state *state = deciding->state;
	struct arena *arena = deciding->arena;

	const struct ledger_vm *vm = ledger_find_vm(&state->ledger, check->pool_id, check->vm_id);
	if (!vm) {
		decide_reject(deciding, CODE_VM_HAS_NO_GPUS,
			      arena_printf(arena, "VM %s holds no GPUs in pool %s", check->vm_id,
					   check->pool_id));
		return;
	}
	if (vm->assignment->release_request_id) {
		decide_reject(deciding, CODE_VM_HAS_NO_GPUS,
			      arena_printf(arena,
					   "the GPUs of VM %s are being released (request %s)",
					   check->vm_id, vm->assignment->release_request_id));
		return;
	}
	if (check->reserve == 1) {
		decide_reject(deciding, CODE_NOT_SUPPORTED,
			      "reserve: this version checks but does not hold the GPUs");
		return;
	}

	struct fleet_pool *pool = fleet_find_pool(&state->fleet, check->pool_id);
	struct fleet_host *current = &state->fleet.hosts[vm->assignment->host];
	struct fleet_host *target = NULL;
	if (check->target_host) {
		target = fleet_find_host(&state->fleet, pool, check->target_host);
		if (!target) {
			decide_reject(deciding, CODE_HOST_UNKNOWN,
				      arena_printf(arena, "pool %s has no host %s%s",
						   check->pool_id, check->target_host,
						   reasons_host_names(&state->fleet, pool, arena)));
			return;
		}
	}

	struct migration_verdict verdict = {
		.request_id = check->request_id,
		.vm_id = check->vm_id,
		.pool_id = check->pool_id,
		.decided_at = deciding->now_us,
	};
	struct placement_request wanted;
	if (!decide_ask_for_the_same(deciding, vm->assignment, &wanted)) {
		decide_reject(deciding, CODE_NOT_SUPPORTED,
			      "the VM holds GPUs of too many models, or of models that are gone");
		return;
	}
	wanted.excluded = &current;
	wanted.n_excluded = 1;
	if (target)
		look_at_target(deciding, &wanted, target, current, &verdict);
	else
		list_all(deciding, &wanted, current, &verdict);
	if (!verdict.allowed && !deciding->known && target != current) {
		deciding->decision->kind = DECISION_UNKNOWN; /* the host may just not be read yet */
		return;
	}
	deciding->decision->kind = DECISION_RECORD;
	deciding->decision->record =
		(struct record){ .type = RECORD_MIGRATION_VERDICT, .migration_verdict = verdict };
}
