/* VmReleased, and the agents' reports that end a release. */
#include <string.h>

#include "core/decide_internal.h"
#include "core/id_check.h"

static void release(struct deciding *deciding, const struct vm_released *request,
		    const struct ledger_vm *vm, const char *request_id, const char *reason)
{
	struct arena *arena = deciding->arena;
	const struct assignment *assignment = vm->assignment;
	struct gpu_released released = {
		.assignment_id = decide_copy(arena, assignment->assignment_id),
		.request_id = request_id,
		.vm_id = request->vm_id,
		.pool_id = request->pool_id,
		.host = decide_copy(arena, decide_host_of(deciding, assignment)),
		.gpus = ledger_list_gpus(&deciding->state->ledger, assignment, arena),
		.n_gpus = assignment->n,
		.reason = reason,
		.decided_at = deciding->now_us,
	};
	decide_set_record(deciding,
			  (struct record){ .type = RECORD_GPU_RELEASED, .gpu_released = released });
}

static void start_release(struct deciding *deciding, const struct vm_released *request,
			  const struct ledger_vm *vm)
{
	struct arena *arena = deciding->arena;
	const struct assignment *assignment = vm->assignment;
	struct gpu_assigned assigned = {
		.assignment_id = decide_copy(arena, assignment->assignment_id),
		.request_id = decide_copy(arena, assignment->request_id),
		.vm_id = request->vm_id,
		.vm_instance_id = decide_copy(arena, assignment->vm_instance_id),
		.pool_id = request->pool_id,
		.vm_type_id = decide_copy(arena, assignment->vm_type_id),
		.host = decide_copy(arena, decide_host_of(deciding, assignment)),
		.state = "RELEASING",
		.cpu_cores = assignment->cpu_cores,
		.ram_gb = assignment->ram_gb,
		.gpus = ledger_list_gpus(&deciding->state->ledger, assignment, arena),
		.n_gpus = assignment->n,
		.release_request_id = request->request_id,
		.decided_at = deciding->now_us,
	};
	decide_set_record(deciding,
			  (struct record){ .type = RECORD_GPU_ASSIGNED, .gpu_assigned = assigned });
}

void decide_vm_released(struct deciding *deciding)
{
	const struct vm_released *request = &deciding->event->vm_released;
	struct shard_state *state = deciding->state;
	const struct ledger_vm *vm =
		ledger_find_vm(&state->ledger, request->pool_id, request->vm_id);
	bool force = request->force == 1;

	if (!vm) {
		decide_complete(deciding, CODE_NOTHING_HELD,
				arena_printf(deciding->arena, "VM %s holds no GPUs in pool %s",
					     request->vm_id, request->pool_id));
		return;
	}
	if (force) {
		release(deciding, request, vm, request->request_id, request->reason);
		return;
	}
	const struct vm_pool_defined *pool = catalog_pool(state->catalog, request->pool_id);
	if (!pool && !deciding->known) {
		/* Its definition may say that there are no agents. */
		deciding->decision->kind = DECISION_UNKNOWN;
		return;
	}
	if (pool && strcmp(pool->attach, "external") == 0)
		release(deciding, request, vm, request->request_id, NULL);
	else if (vm->assignment->release_request_id)
		decide_complete(
			deciding, CODE_ALREADY_RELEASING,
			arena_printf(deciding->arena,
				     "the GPUs of VM %s are being released already (request %s)",
				     request->vm_id, vm->assignment->release_request_id));
	else
		start_release(deciding, request, vm);
}

/* ---- GpuAttachment ---- */

/* Only a clean detach of the very assignment that is being released frees anything. */
void decide_attachment(struct deciding *deciding)
{
	const struct gpu_attachment *report = &deciding->event->gpu_attachment;
	deciding->decision->kind = DECISION_NOTHING;
	if (id_problem(report->vm_id) || strcmp(report->state, "DETACHED") != 0)
		return;
	const struct ledger_vm *vm =
		ledger_find_vm(&deciding->state->ledger, report->pool_id, report->vm_id);
	if (!vm || !vm->assignment->release_request_id || !report->assignment_id ||
	    strcmp(vm->assignment->assignment_id, report->assignment_id) != 0)
		return;
	const struct vm_released request = { .vm_id = report->vm_id, .pool_id = report->pool_id };
	release(deciding, &request, vm,
		decide_copy(deciding->arena, vm->assignment->release_request_id), NULL);
}
