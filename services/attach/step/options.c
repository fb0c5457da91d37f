#include "attach/step/options.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "attach/step/crash.h"

enum { EXIT_USAGE = 2, DEADLINE_MS = 30000, DEADLINE_MS_MAX = 24 * 3600 * 1000 };

static const char help[] =
	"Usage: gpubus-attach-step [OPTION...] < STEP\n"
	"\n"
	"Does one step of handing a GPU to a VM or taking it back, and prints its result. The "
	"agent\n"
	"(gpubus-attach) starts it for every step; by hand it shows what stops one.\n"
	"\n"
	"  --hypervisor KIND  qmp, libvirt or none (default: none)\n"
	"  --target TEXT      qmp: path of the monitor's socket with {vm} for the VM's id; "
	"libvirt: URI\n"
	"  --deadline MS      for each call to the hypervisor (default: 30000)\n"
	"  --sysfs DIR, --proc DIR, --dev DIR\n"
	"                     instead of /sys, /proc and /dev\n"
	"  --allow-no-interrupt-remapping\n"
	"                     although a VM can then disturb the host with forged interrupts\n"
	"  --allow-no-reset   clean: take a GPU as it is for which the kernel knows no reset, "
	"although the\n"
	"                     next VM may read what the last one left in it\n"
	"  --crash-points     print the names for GPUBUS_CRASH_AT (test builds)\n"
	"  --help, --version\n"
	"\n"
	"Steps, one JSON object:\n"
	"  {\"step\": \"look\", \"functions\": [\"0000:01:00.0\", \"0000:01:00.1\"], \"vm\": "
	"\"vm-1\"}\n"
	"  {\"step\": \"bind\", \"functions\": [...]}              every function to vfio-pci\n"
	"  {\"step\": \"plug\", \"functions\": [...], \"vm\": \"vm-1\"}\n"
	"  {\"step\": \"unplug\", \"functions\": [...], \"vm\": \"vm-1\"}\n"
	"  {\"step\": \"clean\", \"functions\": [...]}             reset, and see that it answers\n"
	"  {\"step\": \"give-back\", \"functions\": [...], \"drivers\": [\"nouveau\", \"?\"]}\n"
	"                                                  \"\": no driver, \"?\": the kernel "
	"chooses\n"
	"\n"
	"Exit status: 0, the result was printed (it may be a failure); 1, it could not be; 2, the "
	"step or\n"
	"an option cannot be understood, and nothing was done.\n"
	"\n"
	"Example:\n"
	"  echo '{\"step\": \"bind\", \"functions\": [\"0000:01:00.0\"]}' | gpubus-attach-step\n";

enum {
	OPTION_HYPERVISOR = 1,
	OPTION_TARGET,
	OPTION_DEADLINE,
	OPTION_SYSFS,
	OPTION_PROC,
	OPTION_DEV,
	OPTION_NO_REMAPPING,
	OPTION_NO_RESET,
	OPTION_CRASH_POINTS,
	OPTION_HELP,
	OPTION_VERSION
};

static const struct option words[] = {
	{ "hypervisor", required_argument, NULL, OPTION_HYPERVISOR },
	{ "target", required_argument, NULL, OPTION_TARGET },
	{ "deadline", required_argument, NULL, OPTION_DEADLINE },
	{ "sysfs", required_argument, NULL, OPTION_SYSFS },
	{ "proc", required_argument, NULL, OPTION_PROC },
	{ "dev", required_argument, NULL, OPTION_DEV },
	{ "allow-no-interrupt-remapping", no_argument, NULL, OPTION_NO_REMAPPING },
	{ "allow-no-reset", no_argument, NULL, OPTION_NO_RESET },
	{ "crash-points", no_argument, NULL, OPTION_CRASH_POINTS },
	{ "help", no_argument, NULL, OPTION_HELP },
	{ "version", no_argument, NULL, OPTION_VERSION },
	{ 0 },
};

static int end_with(int *ret_status, int status)
{
	*ret_status = status;
	return 1;
}

static int print_crash_points(int *ret_status)
{
	unsigned int n = 0;
	for (; step_crash_point(n); n++)
		puts(step_crash_point(n));
	if (n == 0)
		fputs("gpubus-attach-step: built without crash points\n", stderr);
	return end_with(ret_status, n ? EXIT_SUCCESS : EXIT_FAILURE);
}

static int set_deadline(struct step_options *options, const char *text, int *ret_status)
{
	char *end;
	long long ms = strtoll(text, &end, 10);
	if (end == text || *end || ms < 1 || ms > DEADLINE_MS_MAX) {
		fprintf(stderr, "gpubus-attach-step: --deadline must be 1 to %d ms, not \"%s\"\n",
			DEADLINE_MS_MAX, text);
		return end_with(ret_status, EXIT_USAGE);
	}
	options->hypervisor_deadline_ms = ms;
	return 0;
}

static int take(struct step_options *options, int option, int *ret_status)
{
	switch (option) {
	case OPTION_HYPERVISOR:
		options->hypervisor = optarg;
		return 0;
	case OPTION_TARGET:
		options->target = optarg;
		return 0;
	case OPTION_DEADLINE:
		return set_deadline(options, optarg, ret_status);
	case OPTION_SYSFS:
		options->host.sysfs_dir = optarg;
		return 0;
	case OPTION_PROC:
		options->host.proc_dir = optarg;
		return 0;
	case OPTION_DEV:
		options->host.dev_dir = optarg;
		return 0;
	case OPTION_NO_REMAPPING:
		options->host.allow_no_interrupt_remapping = true;
		return 0;
	case OPTION_NO_RESET:
		options->host.allow_no_reset = true;
		return 0;
	case OPTION_CRASH_POINTS:
		return print_crash_points(ret_status);
	case OPTION_HELP:
		fputs(help, stdout);
		return end_with(ret_status, EXIT_SUCCESS);
	case OPTION_VERSION:
		puts("gpubus-attach-step " GPUBUS_VERSION);
		return end_with(ret_status, EXIT_SUCCESS);
	default:
		/* getopt has said what is wrong. */
		fputs("Try gpubus-attach-step --help.\n", stderr);
		return end_with(ret_status, EXIT_USAGE);
	}
}

int step_options_parse(struct step_options *ret_options, int argc, char **argv, int *ret_status)
{
	struct step_options options = {
		.host = { .sysfs_dir = "/sys", .proc_dir = "/proc", .dev_dir = "/dev" },
		.hypervisor = "none",
		.target = "",
		.hypervisor_deadline_ms = DEADLINE_MS,
	};
	int option;
	while ((option = getopt_long(argc, argv, "", words, NULL)) != -1) {
		int r = take(&options, option, ret_status);
		if (r)
			return r;
	}
	if (optind < argc) {
		fprintf(stderr,
			"gpubus-attach-step: \"%s\" is no option; the step comes on the "
			"standard input\n",
			argv[optind]);
		return end_with(ret_status, EXIT_USAGE);
	}
	*ret_options = options;
	return 0;
}
