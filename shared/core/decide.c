#include "core/decide.h"

#include <string.h>

#include "base/limits.h"
#include "core/decide_internal.h"
#include "core/id_check.h"
#include "core/reasons.h"
#include "core/request_check.h"

/* ---- outcomes ---- */

void decide_set_record(struct deciding *deciding, struct record record)
{
	deciding->decision->kind = DECISION_RECORD;
	deciding->decision->record = record;
}

static const char *vm_id_of(const struct record *event)
{
	switch (event->type) {
	case RECORD_VM_REQUESTED:
		return event->vm_requested.vm_id;
	case RECORD_VM_RELEASED:
		return event->vm_released.vm_id;
	case RECORD_MIGRATION_CHECK:
		return event->migration_check.vm_id;
	default:
		return NULL;
	}
}

static bool rests_on_absence(enum rejected_code code)
{
	return code == CODE_POOL_UNKNOWN || code == CODE_VM_TYPE_UNKNOWN ||
	       code == CODE_MODEL_UNKNOWN || code == CODE_HOST_UNKNOWN ||
	       code == CODE_GPU_UNKNOWN || code == CODE_NO_CAPACITY;
}

void decide_reject_hosts(struct deciding *deciding, enum rejected_code code, const char *message,
			 struct host_reason *hosts, size_t n_hosts)
{
	if (rests_on_absence(code) && !deciding->known) {
		deciding->decision->kind = DECISION_UNKNOWN;
		return;
	}
	const char *vm_id = vm_id_of(deciding->event);
	struct request_rejected rejected = {
		.request_id = record_request_id(deciding->event),
		.request_type = record_info(deciding->event->type)->name,
		.vm_id = id_problem(vm_id) ? NULL : vm_id, /* an absurd one is not repeated */
		.pool_id = record_pool_id(deciding->event),
		.code = rejected_code_name(code),
		.message = message,
		.hosts = hosts,
		.n_hosts = n_hosts,
		.decided_at = deciding->now_us,
	};
	decide_set_record(deciding, (struct record){ .type = RECORD_REQUEST_REJECTED,
						     .request_rejected = rejected });
}

void decide_reject(struct deciding *deciding, enum rejected_code code, const char *message)
{
	decide_reject_hosts(deciding, code, message, NULL, 0);
}

void decide_complete(struct deciding *deciding, enum completed_code code, const char *message)
{
	struct request_completed completed = {
		.request_id = record_request_id(deciding->event),
		.request_type = record_info(deciding->event->type)->name,
		.pool_id = record_pool_id(deciding->event),
		.vm_id = vm_id_of(deciding->event),
		.code = completed_code_name(code),
		.message = message,
		.decided_at = deciding->now_us,
	};
	decide_set_record(deciding, (struct record){ .type = RECORD_REQUEST_COMPLETED,
						     .request_completed = completed });
}

struct assigned_gpu *decide_list_gpus(struct deciding *deciding, const struct placement *placement)
{
	const struct fleet *fleet = &deciding->state->fleet;
	const struct fleet_host *host = placement->host;
	const struct model_table *models = &fleet_pool_of(fleet, host)->models;
	struct assigned_gpu *list =
		arena_array(deciding->arena, placement->choice.n, sizeof(*list));

	for (uint32_t i = 0; i < placement->choice.n; i++) {
		const struct gpu *gpu = &host->gpus[placement->choice.gpus[i]];
		fleet_describe_gpu(fleet, host, gpu->address, &models->models[gpu->model].identity,
				   gpu->functions, gpu->other_functions, deciding->arena, &list[i]);
		list[i].iommu_group = gpu->iommu_group;
		list[i].numa_node = gpu->numa_node;
	}
	return list;
}

/* Counts never less than the codec writes; all that is beside the GPUs takes 16 KiB at most. */
size_t decide_record_bytes(const struct assigned_gpu *gpus, size_t n_gpus)
{
	size_t bytes = 16 * 1024;
	for (size_t i = 0; i < n_gpus; i++)
		bytes += 64 + strlen(gpus[i].gpu_id) + strlen(gpus[i].name) +
			 strlen(gpus[i].vendor) + strlen(gpus[i].device) +
			 strlen(gpus[i].pci_address) + gpus[i].n_functions * PCI_ADDRESS_TEXT_BYTES;
	return bytes;
}

bool decide_fits_record(const struct assigned_gpu *gpus, size_t n_gpus)
{
	size_t bytes = decide_record_bytes(gpus, n_gpus);
	for (size_t i = 0; i < n_gpus; i++)
		bytes += DECIDE_QUARANTINED_BYTES + strlen(gpus[i].gpu_id);
	return bytes <= LIMIT_VALUE_BYTES;
}

const char *decide_copy(struct arena *arena, const char *text)
{
	return text ? arena_strdup(arena, text) : NULL;
}

const char *decide_host_of(const struct deciding *deciding, const struct assignment *assignment)
{
	return deciding->state->fleet.hosts[assignment->host].name;
}

/* ---- VmRequested ---- */

/* One of `n` names so far: the first ones are told, the others counted. */
static void put_name(struct buf *text, size_t *n, const char *intro, const char *name)
{
	if (*n < LIMIT_REJECTION_NAMES)
		buf_printf(text, "%s%s", *n ? ", " : intro, name);
	(*n)++;
}

static const char *finish_names(struct deciding *deciding, struct buf *text, size_t n)
{
	if (n > LIMIT_REJECTION_NAMES)
		buf_printf(text, " (and %zu more)", n - LIMIT_REJECTION_NAMES);
	return arena_strndup(deciding->arena, text->data, text->len);
}

const char *decide_list_pools(struct deciding *deciding)
{
	cleanup(buf_deinit) struct buf text = { 0 };
	const struct fleet *fleet = &deciding->state->fleet;
	const struct catalog *catalog = deciding->state->catalog;
	const struct vm_pool_defined *defined;
	size_t n = 0;

	for (size_t i = 0; (defined = catalog_pool_at(catalog, i)); i++)
		put_name(&text, &n, "; pools here: ", defined->pool_id);
	for (uint32_t i = 0; i < fleet->n_pool_slots; i++)
		if (fleet->pools[i] && !catalog_pool(catalog, fleet->pools[i]->id))
			put_name(&text, &n, "; pools here: ", fleet->pools[i]->id);
	return n ? finish_names(deciding, &text, n) : "; there is no pool at all";
}

static const char *list_types(struct deciding *deciding, const char *pool_id)
{
	cleanup(buf_deinit) struct buf text = { 0 };
	const struct vm_type_defined *type;
	size_t n = 0;

	for (size_t i = 0; (type = catalog_type_at(deciding->state->catalog, i)); i++)
		if (strcmp(type->pool_id, pool_id) == 0)
			put_name(&text, &n, "; its VM types: ", type->vm_type_id);
	return n ? finish_names(deciding, &text, n) : "; it has no VM types at all";
}

static void reject_vm_has_gpus(struct deciding *deciding, const struct assignment *assignment)
{
	const struct vm_requested *request = &deciding->event->vm_requested;
	decide_reject(deciding, CODE_VM_HAS_GPUS,
		      arena_printf(deciding->arena,
				   "VM %s already holds %u GPU%s on host %s (assignment %s)%s",
				   request->vm_id, assignment->n, assignment->n == 1 ? "" : "s",
				   decide_host_of(deciding, assignment), assignment->assignment_id,
				   assignment->release_request_id
					   ? ", which is being released: wait until it is"
					   : ": release it first"));
}

static void reject_no_capacity(struct deciding *deciding, const struct placement_request *wanted,
			       struct fleet_host *pinned)
{
	struct arena *arena = deciding->arena;
	struct fleet_host *hosts[LIMIT_REJECTION_HOSTS] = { pinned };
	if (!deciding->known) {
		deciding->decision->kind = DECISION_UNKNOWN;
		return;
	}

	size_t n = pinned ? 1 : reasons_pick_hosts(wanted, hosts, LIMIT_REJECTION_HOSTS);
	struct host_reason *reasons = arena_array(arena, n, sizeof(*reasons));
	for (size_t i = 0; i < n; i++) {
		struct host_refusal refusal =
			reasons_of_host(wanted, hosts[i], deciding->now_us, arena);
		reasons[i] = (struct host_reason){ .host = decide_copy(arena, hosts[i]->name),
						   .code = host_code_name(refusal.code),
						   .message = refusal.message };
	}
	const char *message =
		pinned ? arena_printf(arena, "host %s: %s", reasons[0].host, reasons[0].message)
		       : reasons_of_pool(wanted, arena);
	decide_reject_hosts(deciding, CODE_NO_CAPACITY, message, reasons, n);
}

static const char *first_attempt(struct arena *arena, const char *request_id)
{
	size_t len = strlen(request_id);
	char *id = arena_alloc(arena, len + sizeof("/1"));
	memcpy(id, request_id, len);
	memcpy(id + len, "/1", sizeof("/1"));
	return id;
}

static void grant(struct deciding *deciding, const struct placement_request *wanted,
		  const struct placement *placement)
{
	const struct vm_requested *request = &deciding->event->vm_requested;
	struct gpu_assigned assigned = {
		.assignment_id = first_attempt(deciding->arena, request->request_id),
		.request_id = request->request_id,
		.vm_id = request->vm_id,
		.vm_instance_id = request->vm_instance_id,
		.pool_id = request->pool_id,
		.vm_type_id = request->vm_type_id,
		.host = decide_copy(deciding->arena, placement->host->name),
		.state = "ASSIGNED",
		.cpu_cores = wanted->cpu_cores,
		.ram_gb = wanted->ram_gb,
		.gpus = decide_list_gpus(deciding, placement),
		.n_gpus = placement->choice.n,
		.after_release = decide_after_release(
			catalog_pool(deciding->state->catalog, request->pool_id)),
		.pinned = request->host != NULL,
		.decided_at = deciding->now_us,
	};
	if (!decide_fits_record(assigned.gpus, assigned.n_gpus)) {
		decide_reject(deciding, CODE_INVALID_REQUEST,
			      "the names and functions of so many GPUs do not fit into one record: "
			      "ask for fewer");
		return;
	}
	decide_set_record(deciding,
			  (struct record){ .type = RECORD_GPU_ASSIGNED, .gpu_assigned = assigned });
}

bool decide_spreads(const struct vm_pool_defined *pool)
{
	return pool && strcmp(pool->policy, "spread") == 0;
}

const char *decide_after_release(const struct vm_pool_defined *pool)
{
	return pool ? pool->after_release : "keep-vfio";
}

static bool wants_spread(const struct vm_requested *request, const struct vm_pool_defined *pool)
{
	return request->policy ? strcmp(request->policy, "spread") == 0 : decide_spreads(pool);
}

static void decide_vm_requested(struct deciding *deciding)
{
	const struct vm_requested *request = &deciding->event->vm_requested;
	struct shard_state *state = deciding->state;
	struct arena *arena = deciding->arena;
	const struct gpu_ask *asks = request->gpus;
	size_t n_asks = request->n_gpus;

	const struct ledger_vm *vm =
		ledger_find_vm(&state->ledger, request->pool_id, request->vm_id);
	if (vm) {
		reject_vm_has_gpus(deciding, vm->assignment);
		return;
	}

	const struct vm_pool_defined *defined = catalog_pool(state->catalog, request->pool_id);
	struct placement_request wanted = {
		.fleet = &state->fleet,
		.pool = fleet_find_pool(&state->fleet, request->pool_id),
		.spread = wants_spread(request, defined),
	};
	if (!defined && !wanted.pool) {
		decide_reject(deciding, CODE_POOL_UNKNOWN,
			      arena_printf(arena, "there is no pool %s%s", request->pool_id,
					   decide_list_pools(deciding)));
		return;
	}
	if (request->vm_type_id) {
		const struct vm_type_defined *type =
			catalog_type(state->catalog, request->pool_id, request->vm_type_id);
		if (!type) {
			decide_reject(deciding, CODE_VM_TYPE_UNKNOWN,
				      arena_printf(arena, "pool %s has no VM type %s%s",
						   request->pool_id, request->vm_type_id,
						   list_types(deciding, request->pool_id)));
			return;
		}
		asks = type->gpus;
		n_asks = type->n_gpus;
		wanted.cpu_cores = type->cpu_cores;
		wanted.ram_gb = type->ram_gb;
	}
	struct fleet_host *pinned = NULL;
	if (request->host) {
		pinned = fleet_find_host(&state->fleet, wanted.pool, request->host);
		if (!pinned) {
			decide_reject(deciding, CODE_HOST_UNKNOWN,
				      arena_printf(arena, "pool %s has no host %s%s",
						   request->pool_id, request->host,
						   reasons_host_names(&state->fleet, wanted.pool,
								      arena)));
			return;
		}
	}
	size_t resolved = wanted.pool ? placement_resolve(&wanted, asks, n_asks) : 0;
	if (resolved < n_asks) {
		decide_reject(deciding, CODE_MODEL_UNKNOWN,
			      arena_printf(arena, "pool %s has no GPU \"%s\"%s", request->pool_id,
					   asks[resolved].name,
					   reasons_model_names(wanted.pool, arena)));
		return;
	}

	struct placement placement;
	if (pinned ? placement_on_host(&wanted, pinned, &placement)
		   : placement_find(&wanted, &placement))
		grant(deciding, &wanted, &placement);
	else
		reject_no_capacity(deciding, &wanted, pinned);
}

/* ---- any event ---- */

const char *decide_unusable(const struct record *event, struct arena *arena)
{
	const char *pool = id_problem(record_pool_id(event));
	switch (event->type) {
	case RECORD_VM_REQUESTED:
	case RECORD_VM_RELEASED:
	case RECORD_MIGRATION_CHECK:
	case RECORD_OPERATOR_COMMAND:
	case RECORD_GPU_ATTACHMENT:
		break;
	default:
		return "nothing is decided about a record of this type";
	}
	if (pool)
		return arena_printf(arena, "pool_id %s", pool);
	if (event->type == RECORD_GPU_ATTACHMENT)
		return report_problem(&event->gpu_attachment, arena);
	const char *request = id_problem(record_request_id(event));
	return request ? arena_printf(arena, "request_id %s", request) : NULL;
}

void decide(struct shard_state *state, const struct record *event, int64_t now_us, bool known,
	    struct arena *arena, struct decision *ret_decision)
{
	struct deciding deciding = {
		.state = state,
		.event = event,
		.now_us = now_us,
		.known = known,
		.arena = arena,
		.decision = ret_decision,
	};
	*ret_decision = (struct decision){ 0 };
	fleet_advance(&state->fleet, now_us);

	ret_decision->error = decide_unusable(event, arena);
	if (ret_decision->error) {
		ret_decision->kind = DECISION_UNUSABLE;
		return;
	}
	if (event->type == RECORD_GPU_ATTACHMENT) {
		decide_attachment(&deciding);
		return;
	}
	ret_decision->answer = ledger_find_answer(&state->ledger, record_pool_id(event),
						  event->type, record_request_id(event));
	if (ret_decision->answer) {
		ret_decision->kind = DECISION_TELL;
		return;
	}
	const char *problem = request_problem(event, arena);
	if (problem) {
		decide_reject(&deciding, CODE_INVALID_REQUEST, problem);
		return;
	}
	switch (event->type) {
	case RECORD_VM_REQUESTED:
		decide_vm_requested(&deciding);
		break;
	case RECORD_VM_RELEASED:
		decide_vm_released(&deciding);
		break;
	case RECORD_MIGRATION_CHECK:
		decide_migration_check(&deciding);
		break;
	default:
		decide_operator_command(&deciding);
		break;
	}
}
