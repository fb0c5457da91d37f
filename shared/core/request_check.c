#include "core/request_check.h"

#include <string.h>

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
	check_that(check, release->force != 1 || (release->reason && *release->reason),
		   "force needs a reason");
}

static void check_migration(struct check *check, const struct migration_check *migration)
{
	check_id(check, "vm_id", migration->vm_id);
	check_optional_id(check, "target_host", migration->target_host);
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
	return check.problem;
}
