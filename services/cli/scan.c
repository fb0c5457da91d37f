#include "cli/scan.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/limits.h"
#include "cli/exit_status.h"
#include "cli/table.h"
#include "codec/json.h"
#include "pci/driver_list.h"
#include "pci/reader.h"
#include "pci/scan.h"
#include "service/options.h"

/* Makes this program read the bus and write what it finds to pci_scan(); never typed by people. */
#define READER_OPTION "--read-bus"

const char *const scan_reader_args[] = { "scan", READER_OPTION, NULL };

struct settings {
	const char *sysfs_dir;
	const char *pci_ids_path;
	const char *passthrough_drivers;
	const char *host;
	const char *pool_id;
	const char *output;
};

static int64_t now_us(void)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* A recorded tree was not recorded in this boot. */
static void read_boot_id(const struct settings *settings, char *text, size_t size)
{
	*text = '\0';
	if (settings->sysfs_dir)
		return;
	FILE *file = fopen("/proc/sys/kernel/random/boot_id", "re");
	if (!file)
		return;
	if (!fgets(text, (int)size, file))
		*text = '\0';
	text[strcspn(text, "\n")] = '\0';
	fclose(file);
}

/* ---- output -------------------------------------------------------------------------------- */

static const char *number_or_dash(struct arena *arena, int64_t number)
{
	return number == ABSENT ? "-" : arena_printf(arena, "%lld", (long long)number);
}

/* The unit's functions; those of the GPU's own slot by their last digit: "0000:01:00.0 .1". */
static const char *unit_text(struct arena *arena, const struct gpu_discovered *gpu)
{
	const char *text = gpu->functions[0];
	size_t slot = strlen(gpu->pci_address) - 1;
	for (size_t i = 1; i < gpu->n_functions; i++) {
		bool same = strncmp(gpu->functions[i], gpu->pci_address, slot) == 0;
		text = arena_printf(arena, "%s %s", text,
				    gpu->functions[i] + (same ? slot - 1 : 0));
	}
	return text;
}

static void print_table(const struct pci_scan *scan, const struct settings *settings,
			struct arena *arena)
{
	const char *dir = settings->sysfs_dir ? settings->sysfs_dir : "/sys";
	if (scan->n_gpus == 0) {
		printf("%s has no GPU: none of its %zu PCI functions is a display controller or an "
		       "accelerator.\n",
		       settings->sysfs_dir ? dir : "This machine", scan->n_devices);
		return;
	}
	static const char *const titles[] = { "ADDRESS", "MODEL", "VENDOR", "STATE",
					      "DRIVER",	 "GROUP", "NUMA",   "UNIT" };
	enum { COLUMNS = sizeof(titles) / sizeof(*titles) };
	struct table table;
	table_init(&table, titles, COLUMNS);
	for (size_t i = 0; i < scan->n_gpus; i++) {
		const struct gpu_discovered *gpu = &scan->gpus[i];
		table_add(&table, (const char *[COLUMNS]){ gpu->pci_address, gpu->model,
							   gpu->vendor, gpu->state, gpu->driver,
							   number_or_dash(arena, gpu->iommu_group),
							   number_or_dash(arena, gpu->numa_node),
							   unit_text(arena, gpu) });
	}
	cleanup(buf_deinit) struct buf out = { 0 };
	table_print(&table, &out);
	table_deinit(&table);
	fwrite(out.data, 1, out.len, stdout);

	bool first = true;
	for (size_t i = 0; i < scan->n_gpus; i++) {
		const struct gpu_discovered *gpu = &scan->gpus[i];
		if (gpu->reason)
			printf("%s%s: %s\n", first ? "\n" : "", gpu->pci_address, gpu->reason);
		first = first && !gpu->reason;
	}
}

static void print_json(const struct pci_scan *scan)
{
	json_t *gpus = json_array();
	for (size_t i = 0; i < scan->n_gpus; i++) {
		struct record record = { .type = RECORD_GPU_DISCOVERED,
					 .gpu_discovered = scan->gpus[i] };
		json_array_append_new(gpus, record_to_json(&record));
	}
	json_dumpf(gpus, stdout, JSON_INDENT(2));
	putchar('\n');
	json_decref(gpus);
}

/* ---- the command --------------------------------------------------------------------------- */

int scan_set_drivers(void *target, const char *value, struct buf *error)
{
	if (*value && driver_list_check(value, error))
		return 1;
	*(const char **)target = value;
	return 0;
}

static int set_output(void *target, const char *value, struct buf *error)
{
	if (strcmp(value, "table") != 0 && strcmp(value, "json") != 0) {
		buf_puts(error, "must be table or json");
		return 1;
	}
	*(const char **)target = value;
	return 0;
}

static int parse(int argc, char **argv, struct settings *settings)
{
	const struct option_spec options[] = {
		{ .name = "sysfs",
		  .argument = "DIR",
		  .help = "read DIR/bus/pci/devices (default: /sys, this machine)",
		  .set = option_set_string,
		  .target = &settings->sysfs_dir },
		{ .name = "output",
		  .letter = 'o',
		  .argument = "FORMAT",
		  .fallback = "table",
		  .help = "table, or json: an array of GpuDiscovered",
		  .set = set_output,
		  .target = &settings->output },
		{ .name = "pci-ids",
		  .argument = "FILE",
		  .help = "PCI id list with the names (default: the system's)",
		  .set = option_set_string,
		  .target = &settings->pci_ids_path },
		{ .name = "passthrough-drivers",
		  .argument = "LIST",
		  .help = "as gpubus-inventory has it: drivers that GPUs may be taken from",
		  .set = scan_set_drivers,
		  .target = &settings->passthrough_drivers },
		{ .name = "host",
		  .argument = "NAME",
		  .help = "the host's name in the output (default: this host's)",
		  .set = option_set_string,
		  .target = &settings->host },
		{ .name = "pool",
		  .argument = "ID",
		  .fallback = "default",
		  .help = "the VM pool in the output",
		  .set = option_set_string,
		  .target = &settings->pool_id },
	};
	const struct program program = {
		.name = "gpubus scan",
		.summary = "Shows the GPUs of this machine, or of a recorded tree, and whether VMs "
			   "can have "
			   "them.",
		.epilog = "Exit status: 0, also when there is no GPU; 1 when the PCI bus cannot be "
			  "read, or "
			  "not to\nits end; 2 when the command line is wrong.\n",
		.options = options,
		.n_options = sizeof(options) / sizeof(*options),
	};
	int operands;
	if (argc > 0)
		argv[0] = (char *)(uintptr_t)program.name; /* getopt's complaints begin with it */
	return options_parse(&program, argc, argv, &operands);
}

static int scan(const struct settings *settings)
{
	char host[LIMIT_ID_BYTES + 1] = "localhost", boot_id[64];
	if (!settings->host)
		(void)gethostname(host, sizeof(host) - 1);
	read_boot_id(settings, boot_id, sizeof(boot_id));

	const struct pci_scan_options options = {
		.sysfs_dir = settings->sysfs_dir,
		.pci_ids_path = settings->pci_ids_path,
		.host = settings->host ? settings->host : host,
		.pool_id = settings->pool_id,
		.boot_id = boot_id,
		.now_us = now_us(),
		.passthrough_drivers = settings->passthrough_drivers,
		.reader_args = scan_reader_args,
	};
	cleanup(arena_deinit) struct arena arena;
	arena_init(&arena);
	struct pci_scan found;
	const char *error = NULL;
	int r = pci_scan(&options, &arena, &found, &error);
	if (r) {
		fprintf(stderr, "gpubus scan: %s\n", error ? error : strerror(-r));
		return STATUS_ERROR;
	}
	for (size_t i = 0; i < found.n_warnings; i++)
		fprintf(stderr, "gpubus scan: %s\n", found.warnings[i]);
	if (strcmp(settings->output, "json") == 0)
		print_json(&found);
	else
		print_table(&found, settings, &arena);
	return found.complete ? STATUS_OK : STATUS_ERROR;
}

int cli_scan(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], READER_OPTION) == 0)
		return pci_reader_main(argc - 2, argv + 2);

	struct settings settings = { 0 };
	int r = parse(argc, argv, &settings);
	if (r == OPTIONS_HELP)
		return STATUS_OK;
	return r ? STATUS_USAGE : scan(&settings);
}
