/* VmReleased: what it frees at once, and what its agent has to detach first. */
#include <string.h>

#include "core/decide_internal.h"

/* ---- what is held, as records say it ---- */

static const char **copy_names(struct arena *arena, const char *names, size_t n)
{
	const char **list = arena_array(arena, n, sizeof(*list));
	for (size_t i = 0; i < n; i++) {
		list[i] = arena_strdup(arena, names);
		names += strlen(names) + 1;
	}
	return list;
}

struct gpu_assigned decide_present(struct deciding *deciding, const struct assignment *assignment,
				   const char *vm_id)
{
	struct arena *arena = deciding->arena;
	const char *release = assignment->release_request_id;
	return (struct gpu_assigned){
		.assignment_id = decide_copy(arena, assignment->assignment_id),
		.request_id = decide_copy(arena, assignment->request_id),
		.vm_id = vm_id,
		.vm_instance_id = decide_copy(arena, assignment->vm_instance_id),
		.pool_id = record_pool_id(deciding->event),
		.vm_type_id = decide_copy(arena, assignment->vm_type_id),
		.host = decide_copy(arena, decide_host_of(deciding, assignment)),
		.state = release ? "RELEASING" : "ASSIGNED",
		.cpu_cores = assignment->cpu_cores,
		.ram_gb = assignment->ram_gb,
		.gpus = ledger_list_gpus(&deciding->state->ledger, assignment, arena),
		.n_gpus = assignment->n,
		.release_request_id = release && *release ? decide_copy(arena, release) : NULL,
		.attach_state = decide_copy(arena, assignment->attach_state),
		.attach_code = decide_copy(arena, assignment->attach_code),
		.attach_reason = decide_copy(arena, assignment->attach_reason),
		.after_release = assignment->after_release
					 ? decide_copy(arena, assignment->after_release)
					 : decide_after_release(NULL),
		.pinned = assignment->pinned,
		.failed_hosts =
			copy_names(arena, assignment->failed_hosts, assignment->n_failed_hosts),
		.n_failed_hosts = assignment->n_failed_hosts,
		.decided_at = deciding->now_us,
	};
}

struct gpu_released decide_ended(struct deciding *deciding, const struct assignment *assignment,
				 const char *vm_id, enum released_code code)
{
	struct arena *arena = deciding->arena;
	const char *release = assignment->release_request_id;
	return (struct gpu_released){
		.assignment_id = decide_copy(arena, assignment->assignment_id),
		.request_id = release ? decide_copy(arena, release) : "",
		.vm_id = vm_id,
		.pool_id = record_pool_id(deciding->event),
		.host = decide_copy(arena, decide_host_of(deciding, assignment)),
		.gpus = ledger_list_gpus(&deciding->state->ledger, assignment, arena),
		.n_gpus = assignment->n,
		.code = released_code_name(code),
		.decided_at = deciding->now_us,
	};
}

/* ---- VmReleased ---- */

static void free_at_once(struct deciding *deciding, const struct ledger_vm *vm,
			 enum released_code code)
{
	const struct vm_released *request = &deciding->event->vm_released;
	struct gpu_released released = decide_ended(deciding, vm->assignment, request->vm_id, code);
	released.request_id = request->request_id;
	if (code == CODE_FORCED) {
		released.reason = request->reason;
		released.actor = request->actor;
	}
	decide_set_record(deciding,
			  (struct record){ .type = RECORD_GPU_RELEASED, .gpu_released = released });
}

static void start_release(struct deciding *deciding, const struct ledger_vm *vm,
			  const struct vm_pool_defined *pool)
{
	const struct vm_released *request = &deciding->event->vm_released;
	struct gpu_assigned assigned = decide_present(deciding, vm->assignment, request->vm_id);
	assigned.state = "RELEASING";
	assigned.release_request_id = request->request_id;
	assigned.after_release = decide_after_release(pool);
	decide_set_record(deciding,
			  (struct record){ .type = RECORD_GPU_ASSIGNED, .gpu_assigned = assigned });
}

void decide_vm_released(struct deciding *deciding)
{
	const struct vm_released *request = &deciding->event->vm_released;
	struct shard_state *state = deciding->state;
	const struct ledger_vm *vm =
		ledger_find_vm(&state->ledger, request->pool_id, request->vm_id);

	if (!vm) {
		decide_complete(deciding, CODE_NOTHING_HELD,
				arena_printf(deciding->arena, "VM %s holds no GPUs in pool %s",
					     request->vm_id, request->pool_id));
		return;
	}
	if (request->force == 1) {
		free_at_once(deciding, vm, CODE_FORCED);
		return;
	}
	const struct vm_pool_defined *pool = catalog_pool(state->catalog, request->pool_id);
	if (!pool && !deciding->known) {
		/* Its definition may say that there are no agents. */
		deciding->decision->kind = DECISION_UNKNOWN;
		return;
	}
	if (pool && strcmp(pool->attach, "external") == 0)
		free_at_once(deciding, vm, CODE_RELEASED);
	else if (vm->assignment->release_request_id)
		decide_complete(
			deciding, CODE_ALREADY_RELEASING,
			arena_printf(deciding->arena,
				     "the GPUs of VM %s are being released already (request %s)",
				     request->vm_id, vm->assignment->release_request_id));
	else
		start_release(deciding, vm, pool);
}
