#include "random_events.h"

#include <stdio.h>
#include <string.h>

enum { VMS = 12, REQUESTS = 400 };

static uint64_t seed;

void random_seed(uint64_t with_seed)
{
	seed = with_seed;
}

unsigned random_below(unsigned n)
{
	seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (unsigned)(seed >> 33) % n;
}

static struct operator_command random_command(struct world *w, const char *id)
{
	static const char *const commands[] = { "CORDON_HOST",	  "UNCORDON_HOST", "UNCORDON_HOST",
						"QUARANTINE_GPU", "RETURN_GPU",	   "RETURN_GPU",
						"RETURN_GPU",	  "RETURN_GPU" };
	unsigned host = 1 + random_below(3), bus = 1 + random_below(8);
	return (struct operator_command){
		.request_id = arena_strdup(&w->arena, id),
		.pool_id = "1",
		.command = commands[random_below(8)],
		.host = arena_printf(&w->arena, "h%u", host),
		.gpu_id = arena_printf(&w->arena, "h%u/0000:%02x:00.0", host, bus),
		.reason = "test",
		.actor = "tester",
	};
}

/* Mostly of the right assignment, and mostly all is well. */
static struct gpu_attachment random_report(struct world *w, const char *vm)
{
	static const char *const states[] = { "BOUND",	  "ATTACHED", "FAILED",	 "FAILED",
					      "DETACHED", "DETACHED", "DETACHED" };
	static const char *const codes[] = { "VM_ABSENT", "UNPLUG_PENDING", NULL };
	struct gpu_attachment report = {
		.assignment_id = arena_printf(&w->arena, "r%u/1", random_below(REQUESTS)),
		.vm_id = arena_strdup(&w->arena, vm),
		.pool_id = "1",
		.host = "h1",
		.state = states[random_below(7)],
		.code = codes[random_below(3)],
	};
	for (size_t i = w->n_log; i > 0; i--) {
		const struct record *r = &w->log[i - 1].record;
		if (r->type != RECORD_GPU_ASSIGNED || strcmp(r->gpu_assigned.vm_id, vm) != 0)
			continue;
		report.assignment_id = r->gpu_assigned.assignment_id;
		report.host = r->gpu_assigned.host;
		report.gpus = arena_array(&w->arena, r->gpu_assigned.n_gpus, sizeof(*report.gpus));
		for (size_t k = 0; k < r->gpu_assigned.n_gpus; k++)
			if (random_below(6) > 0)
				report.gpus[report.n_gpus++] = (struct attached_gpu){
					.gpu_id = r->gpu_assigned.gpus[k].gpu_id,
					.state = random_below(12) ? "CLEAN" : "STUCK",
				};
		break;
	}
	return report;
}

struct logged *random_decision(struct world *w)
{
	char id[16], vm[16];
	struct gpu_ask ask = { "10de:1bb3", 1 + random_below(3) };
	struct record event = { 0 };
	snprintf(id, sizeof(id), "r%u", random_below(REQUESTS));
	snprintf(vm, sizeof(vm), "vm%u", random_below(VMS));
	switch (random_below(10)) {
	case 0:
	case 1:
	case 2:
		event.type = RECORD_VM_REQUESTED;
		event.vm_requested = (struct vm_requested){
			.request_id = id, .vm_id = vm, .pool_id = "1", .gpus = &ask, .n_gpus = 1
		};
		break;
	case 3:
	case 4:
		event.type = RECORD_VM_RELEASED;
		event.vm_released = (struct vm_released){ .request_id = id,
							  .vm_id = vm,
							  .pool_id = "1",
							  .force = random_below(3) == 0,
							  .reason = "test",
							  .actor = "tester" };
		break;
	case 5:
		event.type = RECORD_MIGRATION_CHECK;
		event.migration_check = (struct migration_check){
			.request_id = id, .vm_id = vm, .pool_id = "1", .reserve = ABSENT
		};
		break;
	case 6:
		event.type = RECORD_OPERATOR_COMMAND;
		event.operator_command = random_command(w, id);
		break;
	default:
		event.type = RECORD_GPU_ATTACHMENT;
		event.gpu_attachment = random_report(w, vm);
	}
	/* Time passes, and now and then goes back: owners have different clocks. */
	w->now += random_below(10) == 0 ? -(int64_t)random_below(20 * SECOND)
					: (int64_t)random_below(3 * SECOND);
	arena_reset(&w->deciding);
	decide(w->state, &event, w->now, true, &w->deciding, &w->decision);
	return w->decision.kind == DECISION_RECORD ? world_log(w, &w->decision.record) : NULL;
}
