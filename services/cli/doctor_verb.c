/*
 * `gpubus doctor`: what stops passthrough on this host, and what to change. Needs neither Kafka nor Redis.
 */
#include <stdio.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/doctor.h"
#include "cli/exit_status.h"
#include "cli/scan.h"
#include "cli/settings.h"

struct doctor {
	struct settings settings;
	struct doctor_place place;
	struct pci_scan_options options;
};

static const char epilog[] =
	"A line each: \"stop\" (no GPU reaches a VM before that is changed), \"warn\" (it works "
	"without, "
	"or\nother GPUs are ready) or \"ok\"; then what it is about, and what to do.\n"
	"\n"
	"Examples:\n"
	"  gpubus doctor\n"
	"  gpubus doctor --passthrough-drivers nouveau,snd_hda_intel\n"
	"  gpubus doctor --sysfs /host/sys -o json | jq '.findings[] | select(.severity == "
	"\"stop\")'\n"
	"\n"
	"Exit status: 0 when GPUs of this host can be given to VMs; 1 when something stops that, "
	"or the "
	"PCI\nbus cannot be read; 2 when the command line is wrong.\n";

static bool parse(struct doctor *doctor, int argc, char **argv, int *ret_status)
{
	const struct option_spec own[] = {
		{ .name = "sysfs",
		  .argument = "DIR",
		  .help = "look at DIR (default: /sys, this machine); of a container, or a "
			  "recorded "
			  "tree",
		  .set = option_set_string,
		  .target = &doctor->options.sysfs_dir },
		{ .name = "proc",
		  .argument = "DIR",
		  .help = "its proc (default: /proc; with --sysfs: the directory proc beside it)",
		  .set = option_set_string,
		  .target = &doctor->place.proc_dir },
		{ .name = "pci-ids",
		  .argument = "FILE",
		  .help = "PCI id list with the names (default: the system's)",
		  .set = option_set_string,
		  .target = &doctor->options.pci_ids_path },
		{ .name = "passthrough-drivers",
		  .argument = "LIST",
		  .help = "as gpubus-inventory has it: drivers that GPUs may be taken from",
		  .set = scan_set_drivers,
		  .target = &doctor->options.passthrough_drivers },
	};
	struct verb_options options = { 0 };
	for (size_t i = 0; i < sizeof(own) / sizeof(*own); i++)
		verb_options_add(&options, own[i]);
	settings_add_options(&doctor->settings, 0, &options);
	struct program program = {
		.name = "gpubus doctor",
		.summary =
			"Says what stops GPUs of this host from reaching VMs, and what to change.",
		.epilog = epilog,
	};
	int operands;
	return settings_parse(&doctor->settings, &program, &options, argc, argv, &operands,
			      ret_status);
}

static void complete_place(struct doctor *doctor, struct arena *arena)
{
	struct doctor_place *place = &doctor->place;
	const char *sysfs = doctor->options.sysfs_dir ? doctor->options.sysfs_dir : "/sys";
	bool here = strcmp(sysfs, "/sys") == 0;
	place->sysfs_dir = sysfs;
	place->is_this_machine = here;
	place->modules_dir =
		here ? "/lib/modules" : arena_printf(arena, "%s/../lib/modules", sysfs);
	if (!place->proc_dir)
		place->proc_dir = here ? "/proc" : arena_printf(arena, "%s/../proc", sysfs);
}

static int look(struct doctor *doctor, struct arena *arena)
{
	struct pci_scan scan;
	struct doctor_facts facts;
	struct findings findings;
	const char *error = NULL;

	int r = pci_scan(&doctor->options, arena, &scan, &error);
	if (r) {
		complain("%s", error ? error : strerror(-r));
		return STATUS_ERROR;
	}
	for (size_t i = 0; i < scan.n_warnings; i++)
		complain("%s", scan.warnings[i]);

	doctor_read_facts(&doctor->place, &scan, arena, &facts);
	findings_init(&findings, arena);
	doctor_look_at_host(&facts, &findings);
	doctor_look_at_gpus(&doctor->options, &scan, &facts, &findings);
	if (doctor->settings.json) {
		json_t *json = findings_to_json(&findings);
		json_dumpf(json, stdout, JSON_INDENT(2));
		putchar('\n');
		json_decref(json);
	} else {
		cleanup(buf_deinit) struct buf text = { 0 };
		findings_print(&findings, &text);
		fwrite(text.data, 1, text.len, stdout);
	}
	int status = findings_stop(&findings) ? STATUS_ERROR : STATUS_OK;
	findings_deinit(&findings);
	return status;
}

int cli_doctor(int argc, char **argv)
{
	struct doctor doctor = { .options = { .host = "", .pool_id = "", .boot_id = "" } };
	struct arena arena;
	int status;

	arena_init(&arena);
	settings_init(&doctor.settings);
	doctor.options.reader_args = scan_reader_args;
	if (parse(&doctor, argc, argv, &status)) {
		complete_place(&doctor, &arena);
		status = look(&doctor, &arena);
	}
	settings_deinit(&doctor.settings);
	arena_deinit(&arena);
	return status;
}
