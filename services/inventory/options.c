#include "inventory/options.h"

#include <stdio.h>

#include "service/options.h"

static int check(const struct inventory_options *options)
{
	const char *mistake = NULL;
	if (!options->pool_id && !options->hosts_dir)
		mistake = "--pool is missing: which VM pool does this host belong to?";
	else if (options->hosts_dir && (options->host || options->sysfs_dir || options->proc_dir))
		mistake = "--hosts-dir brings its own --host, --sysfs and --proc";
	else if (options->heartbeat_ms < 1 || options->rescan_ms < 1)
		mistake = "--heartbeat and --rescan must be longer than nothing";
	if (!mistake)
		return 0;
	fprintf(stderr, "gpubus-inventory: %s\n", mistake);
	return OPTIONS_WRONG;
}

int inventory_options_parse(struct inventory_options *options, int argc, char **argv)
{
	const struct option_spec specs[] = {
		{ .name = "pool",
		  .argument = "ID",
		  .help = "the VM pool that this host belongs to; with --hosts-dir: of hosts that "
			  "do not say",
		  .set = option_set_string,
		  .target = &options->pool_id },
		{ .name = "host",
		  .argument = "NAME",
		  .help = "this host's name, unique over all pools (default: its host name)",
		  .set = option_set_string,
		  .target = &options->host },
		BUS_CONFIG_OPTIONS(options->bus),
		{ .name = "state-dir",
		  .argument = "DIR",
		  .fallback = "/var/lib/gpubus/inventory",
		  .help = "remembers the host's pool and its GPUs",
		  .set = option_set_string,
		  .target = &options->state_dir },
		{ .name = "move-pool",
		  .help = "the host belongs to another pool than it did; it must be empty",
		  .set = option_set_flag,
		  .target = &options->move_pool },
		{ .name = "heartbeat",
		  .argument = "TIME",
		  .fallback = "10s",
		  .help = "HostSeen this often",
		  .set = option_set_duration_ms,
		  .target = &options->heartbeat_ms },
		{ .name = "rescan",
		  .argument = "TIME",
		  .fallback = "60s",
		  .help = "the PCI bus is read this often, besides when the kernel says that it "
			  "changed",
		  .set = option_set_duration_ms,
		  .target = &options->rescan_ms },
		{ .name = "passthrough-drivers",
		  .argument = "LIST",
		  .help = "kernel drivers, with commas between, that a GPU and what goes along "
			  "with it may be\n"
			  "taken from when it is assigned, e.g. nouveau,snd_hda_intel (default: "
			  "only "
			  "what is\n"
			  "on vfio-pci, or on no driver, is available)",
		  .set = option_set_string,
		  .target = &options->passthrough_drivers },
		{ .name = "once",
		  .help = "publish what is there now, and end",
		  .set = option_set_flag,
		  .target = &options->once },
		{ .name = "sysfs",
		  .argument = "DIR",
		  .help = "read DIR/bus/pci (default: /sys); of a container, or a recorded tree",
		  .set = option_set_string,
		  .target = &options->sysfs_dir },
		{ .name = "proc",
		  .argument = "DIR",
		  .help = "CPU, memory and boot of the host (default: /proc; with --sysfs: the\n"
			  "directory proc beside it)",
		  .set = option_set_string,
		  .target = &options->proc_dir },
		{ .name = "pci-ids",
		  .argument = "FILE",
		  .help = "PCI id list with the names (default: the system's)",
		  .set = option_set_string,
		  .target = &options->pci_ids_path },
		{ .name = "cpu-cores",
		  .argument = "N",
		  .fallback = "0",
		  .help = "instead of what the kernel says",
		  .set = option_set_count,
		  .target = &options->cpu_cores },
		{ .name = "ram-gb",
		  .argument = "N",
		  .fallback = "0",
		  .help = "instead of what the kernel says",
		  .set = option_set_count,
		  .target = &options->ram_gb },
		{ .name = "boot-id",
		  .argument = "ID",
		  .help = "instead of what the kernel says",
		  .set = option_set_string,
		  .target = &options->boot_id },
		{ .name = "hosts-dir",
		  .argument = "DIR",
		  .help = "speak for many hosts, to play and test: DIR/HOST/sys, DIR/HOST/proc "
			  "and\n"
			  "DIR/HOST/host.conf, as gpubus-hostgen makes them",
		  .set = option_set_string,
		  .target = &options->hosts_dir },
	};
	const struct program program = {
		.name = "gpubus-inventory",
		.summary = "publishes the GPUs of this host, and that it is alive",
		.options = specs,
		.n_options = sizeof(specs) / sizeof(*specs),
	};

	int operands;
	int r = options_parse(&program, argc, argv, &operands);
	return r ? r : check(options);
}
