/*
 * `gpubus migrate-check`: where could this VM go?
 */
#include "cli/ask.h"
#include "cli/commands.h"
#include "cli/exit_status.h"

static const char epilog[] =
	"Nothing is reserved or moved. The answer names, host by host, what speaks against it.\n"
	"\n"
	"Examples:\n"
	"  gpubus migrate-check --pool 1 --vm vm-1 --wait\n"
	"  gpubus migrate-check --pool 1 --vm vm-1 --host h2 --wait && echo possible\n"
	"\n" STATUS_TEXT;

static bool parse(struct ask *ask, struct migration_check *body, int argc, char **argv,
		  int *ret_status)
{
	const struct option_spec own[] = {
		ask_text("vm", "ID", "the VM", &body->vm_id),
		ask_text("host", "NAME", "the host to migrate to (default: any)",
			 &body->target_host),
	};
	struct program program = {
		.name = "gpubus migrate-check",
		.summary = "Asks whether a VM could migrate to another host, with its GPUs' like.",
		.epilog = epilog,
	};
	if (!ask_parse(ask, &program, own, sizeof(own) / sizeof(*own), argc, argv, ret_status))
		return false;
	*ret_status = STATUS_USAGE;
	return ask_needs("--vm", body->vm_id);
}

int cli_migrate_check(int argc, char **argv)
{
	struct migration_check body = { .reserve = ABSENT, .requested_at = ABSENT };
	struct ask ask;
	int status;

	ask_init(&ask);
	if (parse(&ask, &body, argc, argv, &status)) {
		struct record record = { .type = RECORD_MIGRATION_CHECK, .migration_check = body };
		status = ask_run(&ask, &record);
	}
	ask_deinit(&ask);
	return status;
}
