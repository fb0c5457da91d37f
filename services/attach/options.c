#include "attach/options.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/id_check.h"
#include "service/options.h"

enum { STEP_DEADLINE_MS_MAX = 24 * 3600 * 1000 };

/* Where --target points when nobody says: as the hypervisor's own tools have it. */
static const struct {
	const char *hypervisor;
	const char *target;
} kinds[] = {
	{ "qmp", "/run/gpubus/qmp/{vm}.sock" },
	{ "libvirt", "qemu:///system" },
	{ "none", "" },
};

static int complain(const char *option, const char *value, const char *problem)
{
	fprintf(stderr, "gpubus-attach: %s \"%s\" %s\n", option, value, problem);
	return OPTIONS_WRONG;
}

static int complete_hypervisor(struct attach_options *options)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++)
		if (strcmp(options->hypervisor, kinds[i].hypervisor) == 0) {
			if (!options->target)
				options->target = kinds[i].target;
			return 0;
		}
	return complain("--hypervisor", options->hypervisor, "is not qmp, libvirt or none");
}

static int complete(struct attach_options *options)
{
	if (!options->pool_id)
		return complain("--pool", "",
				"is missing: which VM pool does this host belong to?");
	const char *problem = id_problem(options->pool_id);
	if (problem)
		return complain("--pool", options->pool_id, problem);
	if (!options->host && gethostname(options->machine_name, LIMIT_ID_BYTES) == 0)
		options->host = options->machine_name;
	if (!options->host)
		return complain("--host", "", "is missing, and this machine has no name");
	if ((problem = id_problem(options->host)))
		return complain("--host", options->host, problem);
	if (options->look_every_ms < 1 || options->step_deadline_ms < 1 || options->max_steps < 1)
		return complain("--look-every, --step-deadline or --steps", "0", "is too little");
	if (options->step_deadline_ms > STEP_DEADLINE_MS_MAX)
		return complain("--step-deadline", "", "is more than 24h");
	return complete_hypervisor(options);
}

int attach_options_parse(struct attach_options *options, int argc, char **argv)
{
	const struct option_spec specs[] = {
		{ .name = "pool",
		  .argument = "ID",
		  .help = "the VM pool that this host belongs to",
		  .set = option_set_string,
		  .target = &options->pool_id },
		{ .name = "host",
		  .argument = "NAME",
		  .help = "this host's name, as gpubus-inventory has it (default: its host name)",
		  .set = option_set_string,
		  .target = &options->host },
		BUS_CONFIG_OPTIONS(options->bus),
		{ .name = "hypervisor",
		  .argument = "KIND",
		  .fallback = "libvirt",
		  .help = "qmp (QEMU's monitor), libvirt, or none: devices are bound to vfio-pci, "
			  "and\n"
			  "somebody else gives them to VMs",
		  .set = option_set_string,
		  .target = &options->hypervisor },
		{ .name = "target",
		  .argument = "TEXT",
		  .help = "qmp: the monitor's socket with {vm} for the VM's id (default:\n"
			  "/run/gpubus/qmp/{vm}.sock); libvirt: the connection URI (default:\n"
			  "qemu:///system)",
		  .set = option_set_string,
		  .target = &options->target },
		{ .name = "state-dir",
		  .argument = "DIR",
		  .fallback = "/var/lib/gpubus/attach",
		  .help = "remembers the host's pool, what was done for whom, and each device's "
			  "first\n"
			  "driver",
		  .set = option_set_string,
		  .target = &options->state_dir },
		{ .name = "move-pool",
		  .help = "the host belongs to another pool than it did; it must be empty",
		  .set = option_set_flag,
		  .target = &options->move_pool },
		{ .name = "look-every",
		  .argument = "TIME",
		  .fallback = "2s",
		  .help = "how often devices and their VMs are looked at",
		  .set = option_set_duration_ms,
		  .target = &options->look_every_ms },
		{ .name = "step-deadline",
		  .argument = "TIME",
		  .fallback = "30s",
		  .help = "a step on a device that takes longer is killed, and the device is "
			  "STUCK; calls\n"
			  "to the hypervisor get half of it",
		  .set = option_set_duration_ms,
		  .target = &options->step_deadline_ms },
		{ .name = "steps",
		  .argument = "N",
		  .fallback = "4",
		  .help = "steps that run at the same time, at most; one a device",
		  .set = option_set_count,
		  .target = &options->max_steps },
		{ .name = "allow-no-interrupt-remapping",
		  .help = "give devices away although the IOMMU does not remap interrupts: a VM "
			  "can then\n"
			  "disturb the host",
		  .set = option_set_flag,
		  .target = &options->allow_no_interrupt_remapping },
		{ .name = "allow-no-reset",
		  .help = "a GPU that the kernel cannot reset is free again all the same: the next "
			  "VM may\n"
			  "read what the last one left in it",
		  .set = option_set_flag,
		  .target = &options->allow_no_reset },
		{ .name = "sysfs",
		  .argument = "DIR",
		  .fallback = "/sys",
		  .help = "the host's, as a container sees it",
		  .set = option_set_string,
		  .target = &options->sysfs_dir },
		{ .name = "proc",
		  .argument = "DIR",
		  .fallback = "/proc",
		  .help = "the host's",
		  .set = option_set_string,
		  .target = &options->proc_dir },
		{ .name = "dev",
		  .argument = "DIR",
		  .fallback = "/dev",
		  .help = "the host's",
		  .set = option_set_string,
		  .target = &options->dev_dir },
		{ .name = "boot-id",
		  .argument = "ID",
		  .help = "instead of what the kernel says",
		  .set = option_set_string,
		  .target = &options->boot_id },
		{ .name = "step-program",
		  .argument = "FILE",
		  .help = "instead of gpubus-attach-step beside this program",
		  .set = option_set_string,
		  .target = &options->step_program },
	};
	const struct program program = {
		.name = "gpubus-attach",
		.summary = "gives the GPUs of this host to its VMs, and takes them back clean",
		.options = specs,
		.n_options = sizeof(specs) / sizeof(*specs),
		.built_with = "libvirt: " GPUBUS_LIBVIRT,
	};

	int operands;
	int r = options_parse(&program, argc, argv, &operands);
	return r ? r : complete(options);
}
