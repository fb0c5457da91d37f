#include "core/request_check.h"

#include <string.h>

#include "base/limits.h"
#include "core/gpu_parse.h"
#include "core/id_check.h"

struct check {
	struct arena *arena;
	const char *problem;
};

static void check_id(struct check *check, const char *field, const char *id)
{
	const char *problem = check->problem ? NULL : id_problem(id);
	if (problem)
		check->problem = arena_printf(check->arena, "%s %s", field, problem);
}

static void check_optional_id(struct check *check, const char *field, const char *id)
{
	if (id)
		check_id(check, field, id);
}

static void check_text(struct check *check, const char *field, const char *text)
{
	const char *problem = check->problem ? NULL : text_problem(text);
	if (problem)
		check->problem = arena_printf(check->arena, "%s %s", field, problem);
}

static void check_that(struct check *check, bool holds, const char *problem)
{
	if (!check->problem && !holds)
		check->problem = problem;
}

static bool is_one_of(const char *text, const char *const *words)
{
	for (; text && *words; words++)
		if (strcmp(text, *words) == 0)
			return true;
	return false;
}

static bool is_given(const char *text)
{
	return text && *text;
}

static bool is_gpu_id(const char *text)
{
	char host[LIMIT_ID_BYTES + 1];
	uint64_t address;
	return gpu_id_parse(text, host, &address) == 0;
}

static void check_vm_requested(struct check *check, const struct vm_requested *request)
{
	check_id(check, "vm_id", request->vm_id);
	check_optional_id(check, "vm_instance_id", request->vm_instance_id);
	check_optional_id(check, "vm_type_id", request->vm_type_id);
	check_optional_id(check, "host", request->host);
	check_that(check,
		   !request->policy || strcmp(request->policy, "pack") == 0 ||
			   strcmp(request->policy, "spread") == 0,
		   "policy is neither \"pack\" nor \"spread\"");
	check_that(check, !request->vm_type_id || request->n_gpus == 0,
		   "vm_type_id and gpus are both given: only one of them says what is wanted");
	check_that(check, request->vm_type_id || request->n_gpus > 0,
		   "neither vm_type_id nor gpus is given: say what is wanted");
	if (!check->problem && !request->vm_type_id)
		check->problem = asks_problem(request->gpus, request->n_gpus);
}

static void check_vm_released(struct check *check, const struct vm_released *release)
{
	check_id(check, "vm_id", release->vm_id);
	check_text(check, "reason", release->reason);
	check_optional_id(check, "actor", release->actor);
	check_that(check, release->force != 1 || is_given(release->reason), "force needs a reason");
	check_that(check, release->force != 1 || is_given(release->actor), "force needs an actor");
}

static void check_migration(struct check *check, const struct migration_check *migration)
{
	check_id(check, "vm_id", migration->vm_id);
	check_optional_id(check, "target_host", migration->target_host);
}

static void check_command(struct check *check, const struct operator_command *command)
{
	static const char *const of_hosts[] = { "CORDON_HOST", "UNCORDON_HOST", NULL };
	static const char *const of_gpus[] = { "QUARANTINE_GPU", "RETURN_GPU", NULL };
	static const char *const with_reason[] = { "CORDON_HOST", "QUARANTINE_GPU", NULL };
	bool host = is_one_of(command->command, of_hosts);

	check_that(check, host || is_one_of(command->command, of_gpus),
		   "command is none of CORDON_HOST, UNCORDON_HOST, QUARANTINE_GPU and RETURN_GPU");
	check_id(check, "actor", command->actor);
	check_text(check, "reason", command->reason);
	check_that(check, is_given(command->reason) || !is_one_of(command->command, with_reason),
		   "this command needs a reason");
	if (host)
		check_id(check, "host", command->host);
	else
		check_that(check, is_gpu_id(command->gpu_id),
			   "gpu_id is not HOST/PCI-ADDRESS, e.g. h1/0000:3b:00.0");
}

const char *request_problem(const struct record *request, struct arena *arena)
{
	struct check check = { .arena = arena };
	if (request->type == RECORD_VM_REQUESTED)
		check_vm_requested(&check, &request->vm_requested);
	else if (request->type == RECORD_VM_RELEASED)
		check_vm_released(&check, &request->vm_released);
	else if (request->type == RECORD_MIGRATION_CHECK)
		check_migration(&check, &request->migration_check);
	else
		check_command(&check, &request->operator_command);
	return check.problem;
}

/* ---- reports ---- */

/* Agents may be newer than we are: a code that is not known is passed on. */
static void check_code(struct check *check, const char *code)
{
	if (!is_given(code))
		return;
	check_that(check, strnlen(code, LIMIT_CODE_BYTES + 1) <= LIMIT_CODE_BYTES,
		   "a code is longer than 64 bytes");
	check_text(check, "a code", code);
}

const char *report_problem(const struct gpu_attachment *report, struct arena *arena)
{
	static const char *const states[] = { "BOUND", "ATTACHED", "FAILED", "DETACHED", NULL };
	static const char *const gpu_states[] = { "BOUND", "ATTACHED", "CLEAN",
						  "DIRTY", "STUCK",    NULL };
	struct check check = { .arena = arena };
	const char *assignment = assignment_id_problem(report->assignment_id);

	if (assignment)
		return arena_printf(arena, "assignment_id %s", assignment);
	check_id(&check, "vm_id", report->vm_id);
	check_id(&check, "host", report->host);
	check_that(&check, is_one_of(report->state, states),
		   "state is none of BOUND, ATTACHED, FAILED and DETACHED");
	check_code(&check, report->code);
	check_text(&check, "reason", report->reason);
	check_that(&check, report->n_gpus <= LIMIT_GPUS_PER_REQUEST,
		   "gpus lists more than 64 GPUs, the most that one assignment can have");
	for (size_t i = 0; i < report->n_gpus && !check.problem; i++) {
		const struct attached_gpu *gpu = &report->gpus[i];
		check_that(&check, is_gpu_id(gpu->gpu_id),
			   "gpus: a gpu_id is not HOST/PCI-ADDRESS, e.g. h1/0000:3b:00.0");
		check_that(&check, is_one_of(gpu->state, gpu_states),
			   "gpus: a state is none of BOUND, ATTACHED, CLEAN, DIRTY and STUCK");
		check_code(&check, gpu->code);
		check_text(&check, "gpus: a reason", gpu->reason);
	}
	return check.problem;
}

_Static_assert(LIMIT_CODE_BYTES == 64 && LIMIT_GPUS_PER_REQUEST == 64,
	       "the texts above name the limits");
