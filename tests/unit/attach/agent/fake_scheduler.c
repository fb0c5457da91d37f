#include "fake_scheduler.h"

#include <stdlib.h>
#include <string.h>

#include "model/codes.h"
#include "model/pci_address.h"

void fake_scheduler_init(struct fake_scheduler *scheduler)
{
	*scheduler = (struct fake_scheduler){ 0 };
	arena_init(&scheduler->arena);
	for (int i = 0; i < FAKE_GPUS; i++)
		scheduler->gpus[i] = GPU_FREE;
}

void fake_scheduler_deinit(struct fake_scheduler *scheduler)
{
	arena_deinit(&scheduler->arena);
}

static const char *address_of(struct fake_scheduler *scheduler, int gpu, int function)
{
	struct unit unit = fake_unit(gpu);
	char text[PCI_ADDRESS_TEXT_BYTES];
	pci_address_format(unit.functions[function], text);
	return arena_strdup(&scheduler->arena, text);
}

const char *fake_gpu_id(struct fake_scheduler *scheduler, int gpu)
{
	return arena_printf(&scheduler->arena, "%s/%s", FAKE_HOST, address_of(scheduler, gpu, 0));
}

int fake_gpu_by_id(const char *gpu_id)
{
	struct pci_address address;
	if (pci_address_parse(strchr(gpu_id, '/') + 1, &address) != 0)
		abort();
	return address.bus - 1;
}

int fake_assignment_of_vm(const struct fake_scheduler *scheduler, int vm)
{
	for (int i = 0; i < scheduler->n_assignments; i++)
		if (!scheduler->assignments[i].ended && scheduler->assignments[i].vm == vm)
			return i;
	return -1;
}

void fake_write(struct fake_scheduler *scheduler, const struct record *record)
{
	struct record *copy = arena_alloc(&scheduler->arena, sizeof(*copy));
	*copy = *record;
	if (scheduler->n_log == FAKE_LOG_MAX)
		abort();
	scheduler->log[scheduler->n_log++] = copy;
}

static struct assigned_gpu *list_gpus(struct fake_scheduler *scheduler,
				      const struct fake_assignment *assignment)
{
	struct assigned_gpu *gpus =
		arena_array(&scheduler->arena, (size_t)assignment->n, sizeof(*gpus));
	for (int i = 0; i < assignment->n; i++) {
		int gpu = assignment->gpus[i];
		const char **functions =
			arena_array(&scheduler->arena, FAKE_FUNCTIONS, sizeof(*functions));
		for (int k = 0; k < FAKE_FUNCTIONS; k++)
			functions[k] = address_of(scheduler, gpu, k);
		gpus[i] = (struct assigned_gpu){ .gpu_id = fake_gpu_id(scheduler, gpu),
						 .pci_address = functions[0],
						 .functions = functions,
						 .n_functions = FAKE_FUNCTIONS };
	}
	return gpus;
}

struct gpu_assigned fake_assigned_record(struct fake_scheduler *scheduler, int number)
{
	const struct fake_assignment *assignment = &scheduler->assignments[number];
	return (struct gpu_assigned){ .assignment_id = assignment->id,
				      .request_id = "r",
				      .vm_id = fake_vm_id(assignment->vm),
				      .pool_id = FAKE_POOL,
				      .host = assignment->here ? FAKE_HOST : "h2",
				      .state = assignment->releasing ? "RELEASING" : "ASSIGNED",
				      .gpus = list_gpus(scheduler, assignment),
				      .n_gpus = (size_t)assignment->n,
				      .attach_state = assignment->attach_state,
				      .attach_code = assignment->attach_code,
				      .after_release =
					      assignment->gives_back ? "give-back" : "keep-vfio" };
}

static void write_assigned(struct fake_scheduler *scheduler, int number)
{
	struct record record = { .type = RECORD_GPU_ASSIGNED,
				 .gpu_assigned = fake_assigned_record(scheduler, number) };
	fake_write(scheduler, &record);
}

static int add(struct fake_scheduler *scheduler, int vm, const int *gpus, int n)
{
	int number = scheduler->n_assignments++;
	struct fake_assignment *assignment = &scheduler->assignments[number];
	*assignment = (struct fake_assignment){ .vm = vm, .n = n };
	assignment->id = arena_printf(&scheduler->arena, "r-%d/1", number);
	for (int i = 0; i < n; i++)
		assignment->gpus[i] = gpus[i];
	return number;
}

int fake_assign(struct fake_scheduler *scheduler, int vm, const int *gpus, int n, bool gives_back)
{
	int number = add(scheduler, vm, gpus, n);
	scheduler->assignments[number].here = true;
	scheduler->assignments[number].gives_back = gives_back;
	for (int i = 0; i < n; i++)
		scheduler->gpus[gpus[i]] = number;
	write_assigned(scheduler, number);
	return number;
}

void fake_release(struct fake_scheduler *scheduler, int number)
{
	scheduler->assignments[number].releasing = true;
	write_assigned(scheduler, number);
}

/* What is not in the report as CLEAN goes into quarantine; without a report, nothing. */
static size_t free_gpus(struct fake_scheduler *scheduler, struct fake_assignment *assignment,
			const struct gpu_attachment *report, struct quarantined_gpu **ret_list)
{
	size_t n = 0;
	*ret_list = arena_array(&scheduler->arena, FAKE_GPUS, sizeof(**ret_list));
	assignment->ended = true;
	for (int i = 0; i < assignment->n; i++)
		scheduler->gpus[assignment->gpus[i]] = GPU_FREE;
	for (size_t i = 0; report && i < report->n_gpus; i++) {
		const struct attached_gpu *gpu = &report->gpus[i];
		if (strcmp(gpu->state, "CLEAN") == 0)
			continue;
		scheduler->gpus[fake_gpu_by_id(gpu->gpu_id)] = GPU_IN_QUARANTINE;
		scheduler->n_quarantined++;
		(*ret_list)[n++] =
			(struct quarantined_gpu){ .gpu_id = arena_strdup(&scheduler->arena,
									 gpu->gpu_id),
						  .code = gpu->code ? gpu->code : "RESET_FAILED",
						  .reason = "" };
	}
	return n;
}

static void write_released(struct fake_scheduler *scheduler, int number, enum released_code code,
			   const struct gpu_attachment *report)
{
	struct fake_assignment *assignment = &scheduler->assignments[number];
	struct record record = {
		.type = RECORD_GPU_RELEASED,
		.gpu_released = { .assignment_id = assignment->id,
				  .request_id = "r",
				  .vm_id = fake_vm_id(assignment->vm),
				  .pool_id = FAKE_POOL,
				  .host = FAKE_HOST,
				  .gpus = list_gpus(scheduler, assignment),
				  .n_gpus = (size_t)assignment->n,
				  .code = released_code_name(code) },
	};
	record.gpu_released.n_quarantined =
		free_gpus(scheduler, assignment, report, &record.gpu_released.quarantined);
	fake_write(scheduler, &record);
}

void fake_force(struct fake_scheduler *scheduler, int number)
{
	write_released(scheduler, number, CODE_FORCED, NULL);
}

void fake_return(struct fake_scheduler *scheduler, int gpu)
{
	struct record record = { .type = RECORD_GPU_MARKED,
				 .gpu_marked = { .request_id = "r",
						 .pool_id = FAKE_POOL,
						 .host = FAKE_HOST,
						 .gpu_id = fake_gpu_id(scheduler, gpu),
						 .mark = "RETURNED",
						 .actor = "me" } };
	scheduler->gpus[gpu] = GPU_FREE;
	fake_write(scheduler, &record);
}

/* To other GPUs on another host, in one record that ends the assignment here. */
static void reschedule(struct fake_scheduler *scheduler, int number,
		       const struct gpu_attachment *report)
{
	struct fake_assignment *failed = &scheduler->assignments[number];
	int next = add(scheduler, failed->vm, NULL, 0);
	struct record record = { .type = RECORD_GPU_ASSIGNED };
	record.gpu_assigned = fake_assigned_record(scheduler, next);
	record.gpu_assigned.replaces = failed->id;
	record.gpu_assigned.n_quarantined =
		free_gpus(scheduler, failed, report, &record.gpu_assigned.quarantined);
	fake_write(scheduler, &record);
	/* What becomes of it there is not of interest here: the VM may ask again. */
	scheduler->assignments[next].ended = true;
}

void fake_heed(struct fake_scheduler *scheduler, const struct gpu_attachment *report)
{
	int number = fake_assignment_of_vm(scheduler, fake_vm_of(report->vm_id));
	if (number < 0 || strcmp(scheduler->assignments[number].id, report->assignment_id) != 0)
		return;
	struct fake_assignment *assignment = &scheduler->assignments[number];
	if (strcmp(report->state, "DETACHED") == 0) {
		if (assignment->releasing)
			write_released(scheduler, number, CODE_RELEASED, report);
	} else if (strcmp(report->state, "FAILED") == 0) {
		scheduler->n_failed++;
		if (scheduler->reschedules && !assignment->releasing)
			reschedule(scheduler, number, report);
		else
			write_released(scheduler, number, CODE_ATTACH_FAILED, report);
	} else {
		assignment->attach_state = arena_strdup(&scheduler->arena, report->state);
		assignment->attach_code =
			report->code ? arena_strdup(&scheduler->arena, report->code) : NULL;
		write_assigned(scheduler, number);
	}
}
