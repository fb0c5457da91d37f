/*
 * `gpubus host cordon|uncordon` and `gpubus gpu quarantine|return`: an operator takes a host or a GPU out of
 * service, or back in.
 */
#include <string.h>

#include "cli/actor.h"
#include "cli/ask.h"
#include "cli/commands.h"
#include "cli/exit_status.h"
#include "model/pci_address.h"

struct operation {
	const char *verb;
	const char *command; /* as in OperatorCommand */
	bool needs_reason;
};

/* What is operated on: a host or a GPU. */
struct subject {
	const char *name; /* of the program */
	const char *summary;
	const char *usage; /* the operands */
	const char *epilog;
	struct operation operations[2];
};

static const struct subject host_subject = {
	.name = "gpubus host",
	.summary = "Takes a host out of service, or back in.",
	.usage = "cordon|uncordon HOST",
	.epilog = "A host that is cordoned gets no new VMs; those that are there stay, and keep "
		  "their GPUs.\n"
		  "cordon needs --reason.\n"
		  "\n"
		  "Examples:\n"
		  "  gpubus host cordon h3 --pool 1 --reason 'new power supply on Friday' --wait\n"
		  "  gpubus host uncordon h3 --pool 1 --wait\n"
		  "\n" STATUS_TEXT,
	.operations = { { "cordon", "CORDON_HOST", true }, { "uncordon", "UNCORDON_HOST", false } },
};

static const struct subject gpu_subject = {
	.name = "gpubus gpu",
	.summary = "Puts a GPU into quarantine, or returns it from there.",
	.usage = "quarantine|return GPU_ID",
	.epilog =
		"GPU_ID is HOST/PCI-ADDRESS. A GPU in quarantine goes to no VM; one that holds it "
		"keeps it.\n"
		"GPUs that could not be reset after use are in quarantine, too: return them after "
		"repair.\n"
		"quarantine needs --reason.\n"
		"\n"
		"Examples:\n"
		"  gpubus gpu quarantine h3/0000:41:00.0 --pool 1 --reason 'ECC errors' --wait\n"
		"  gpubus gpu return h3/0000:41:00.0 --pool 1 --reason 'card swapped' --wait\n"
		"\n" STATUS_TEXT,
	.operations = { { "quarantine", "QUARANTINE_GPU", true },
			{ "return", "RETURN_GPU", false } },
};

static const struct operation *find_operation(const struct subject *subject, const char *verb)
{
	for (size_t i = 0; i < 2; i++)
		if (strcmp(subject->operations[i].verb, verb) == 0)
			return &subject->operations[i];
	return NULL;
}

/* As ids are written: the address in full. False: it is no GPU's id. */
static bool spell_gpu(struct ask *ask, const char **id)
{
	const char *slash = strrchr(*id, '/');
	struct pci_address address;
	char text[PCI_ADDRESS_TEXT_BYTES];
	if (!slash || slash == *id || pci_address_parse(slash + 1, &address)) {
		complain("%s: a GPU is named HOST/PCI-ADDRESS, like h3/0000:41:00.0", *id);
		return false;
	}
	pci_address_format(address, text);
	*id = arena_printf(&ask->arena, "%.*s/%s", (int)(slash - *id), *id, text);
	return true;
}

static bool parse(const struct subject *subject, struct ask *ask, struct operator_command *body,
		  const char **ret_id, int argc, char **argv, int *ret_status)
{
	const struct option_spec own[] = {
		ask_text("reason", "TEXT", "why; kept in the log, and shown by gpubus get",
			 &body->reason),
		actor_option(&body->actor),
	};
	struct program program = {
		.name = subject->name,
		.summary = subject->summary,
		.usage = subject->usage,
		.epilog = subject->epilog,
	};
	if (!ask_parse(ask, &program, own, sizeof(own) / sizeof(*own), argc, argv, ret_status))
		return false;

	*ret_status = STATUS_USAGE;
	const struct operation *operation =
		argc - ask->operands == 2 ? find_operation(subject, argv[ask->operands]) : NULL;
	if (!operation) {
		complain("expected %s; see --help", subject->usage);
		return false;
	}
	if (operation->needs_reason && !ask_needs("--reason", body->reason))
		return false;
	body->command = operation->command;
	*ret_id = argv[ask->operands + 1];
	return subject == &host_subject || spell_gpu(ask, ret_id);
}

static int operate(const struct subject *subject, int argc, char **argv)
{
	struct record record = { .type = RECORD_OPERATOR_COMMAND };
	struct operator_command *body = &record.operator_command;
	struct ask ask;
	const char *id;
	int status;

	ask_init(&ask);
	if (parse(subject, &ask, body, &id, argc, argv, &status)) {
		*(subject == &host_subject ? &body->host : &body->gpu_id) = id;
		if (!body->actor)
			body->actor = actor_default(&ask.arena);
		status = ask_run(&ask, &record);
	}
	ask_deinit(&ask);
	return status;
}

int cli_host(int argc, char **argv)
{
	return operate(&host_subject, argc, argv);
}

int cli_gpu(int argc, char **argv)
{
	return operate(&gpu_subject, argc, argv);
}
