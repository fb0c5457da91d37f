/*
 * `gpubus request`: GPUs for a VM.
 */
#include <string.h>

#include "cli/ask.h"
#include "cli/commands.h"
#include "cli/exit_status.h"
#include "cli/gpu_option.h"
#include "cli/random_id.h"

struct request {
	struct ask ask;
	struct gpu_asks gpus;
	struct vm_requested body;
};

static const char epilog[] =
	"A GPU model is its name in the PCI id list as `gpubus get gpus` shows it, or its PCI "
	"identity\n"
	"(\"10de:1bb3\"). All GPUs of a VM come from one host, all or none.\n"
	"\n"
	"Examples:\n"
	"  gpubus request --pool 1 --vm vm-1 --gpu 'GP104GL [Tesla P4]=2' --wait\n"
	"  gpubus request --pool 1 --vm vm-2 --gpu 10de:1bb3=1 --gpu 10de:20b0=1 --host h3 --wait\n"
	"  gpubus request --pool 1 --vm vm-3 --type small --request-id order-4711 --wait=10 -o "
	"json\n"
	"\n" STATUS_TEXT;

static int set_policy(void *target, const char *value, struct buf *error)
{
	if (strcmp(value, "pack") != 0 && strcmp(value, "spread") != 0) {
		buf_puts(error, "must be pack or spread");
		return 1;
	}
	*(const char **)target = value;
	return 0;
}

static bool parse(struct request *request, int argc, char **argv, int *ret_status)
{
	struct vm_requested *body = &request->body;
	const struct option_spec own[] = {
		ask_text("vm", "ID", "the VM (default: a new id)", &body->vm_id),
		{ .name = "gpu",
		  .letter = 'g',
		  .argument = "MODEL=N",
		  .help = "so many GPUs of this model; also \"N x MODEL\"; again for other models",
		  .set = gpu_asks_add,
		  .target = &request->gpus },
		ask_text("type", "ID",
			 "the VM type that says which GPUs, CPU cores and RAM; instead of --gpu",
			 &body->vm_type_id),
		ask_text("host", "NAME", "only this host will do", &body->host),
		{ .name = "policy",
		  .argument = "POLICY",
		  .help = "pack or spread (default: the pool's)",
		  .set = set_policy,
		  .target = &body->policy },
		ask_text("vm-instance", "ID",
			 "the VM instance, if the requester has one; it comes back in the answer",
			 &body->vm_instance_id),
	};
	struct program program = {
		.name = "gpubus request",
		.summary = "Asks for the GPUs of a VM.",
		.epilog = epilog,
	};
	if (!ask_parse(&request->ask, &program, own, sizeof(own) / sizeof(*own), argc, argv,
		       ret_status))
		return false;

	*ret_status = STATUS_USAGE;
	if (!body->vm_type_id == !request->gpus.n) {
		complain(body->vm_type_id ? "--type and --gpu exclude each other"
					  : "which GPUs? --gpu MODEL=N or --type ID is missing");
		return false;
	}
	return true;
}

int cli_request(int argc, char **argv)
{
	struct request request = { .body = { .requested_at = ABSENT } };
	char vm_id[RANDOM_UUID_BYTES];
	int status;

	ask_init(&request.ask);
	gpu_asks_init(&request.gpus);
	if (parse(&request, argc, argv, &status)) {
		random_uuid(vm_id);
		if (!request.body.vm_id)
			request.body.vm_id = vm_id;
		request.body.gpus = request.gpus.items;
		request.body.n_gpus = request.gpus.n;
		struct record record = { .type = RECORD_VM_REQUESTED,
					 .vm_requested = request.body };
		status = ask_run(&request.ask, &record);
	}
	gpu_asks_deinit(&request.gpus);
	ask_deinit(&request.ask);
	return status;
}
