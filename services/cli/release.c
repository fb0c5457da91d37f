/*
 * `gpubus release`: a VM gives its GPUs back.
 */
#include "cli/actor.h"
#include "cli/ask.h"
#include "cli/commands.h"
#include "cli/exit_status.h"

static const char epilog[] =
	"--wait waits until the GPUs are free again (exit status 0). A VM that holds none is "
	"answered\n"
	"with a completion that says so (0, too).\n"
	"\n"
	"Examples:\n"
	"  gpubus release --pool 1 --vm vm-1 --wait\n"
	"  gpubus release --pool 1 --vm vm-1 --force --reason 'host h3 burnt down' --wait\n"
	"\n" STATUS_TEXT;

static bool parse(struct ask *ask, struct vm_released *body, bool *force, int argc, char **argv,
		  int *ret_status)
{
	const struct option_spec own[] = {
		ask_text("vm", "ID", "the VM", &body->vm_id),
		{ .name = "force",
		  .help = "end the assignment without the word of the host's agent that they are\n"
			  "detached and clean; needs --reason",
		  .set = option_set_flag,
		  .target = force },
		ask_text("reason", "TEXT", "why; kept in the log", &body->reason),
		actor_option(&body->actor),
	};
	struct program program = {
		.name = "gpubus release",
		.summary = "Asks that a VM's GPUs are taken back.",
		.epilog = epilog,
	};
	if (!ask_parse(ask, &program, own, sizeof(own) / sizeof(*own), argc, argv, ret_status))
		return false;
	*ret_status = STATUS_USAGE;
	if (!ask_needs("--vm", body->vm_id))
		return false;
	return !*force || ask_needs("--reason (with --force)", body->reason);
}

int cli_release(int argc, char **argv)
{
	struct vm_released body = { .force = ABSENT, .requested_at = ABSENT };
	struct ask ask;
	bool force = false;
	int status;

	ask_init(&ask);
	if (parse(&ask, &body, &force, argc, argv, &status)) {
		body.force = force ? 1 : ABSENT;
		if (force && !body.actor)
			body.actor = actor_default(&ask.arena);
		struct record record = { .type = RECORD_VM_RELEASED, .vm_released = body };
		status = ask_run(&ask, &record);
	}
	ask_deinit(&ask);
	return status;
}
