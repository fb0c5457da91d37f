#include "pci/scan.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/memory.h"
#include "pci/child.h"
#include "pci/units.h"

enum {
	DEVICE_DEADLINE_MS = 2000,
	DEADLINE_MS = 30000,
	GRACE_MS = 1000, /* for a reader that closed its pipe and is about to end */
	WARNINGS_MAX = 64,
	READER_ARGS_MAX = 8
};

/*
 * One scan is one reader process, or several: a reader that hangs or crashes at a device is followed by
 * one that goes on behind that device. `step` says what the reader was at when it was last heard of.
 */
struct scan {
	const struct pci_scan_options *options;
	struct arena *arena;
	int64_t deadline_ms;

	enum frame_kind step; /* the last BEGIN; FRAME_END: between two steps; 0: not heard of */
	struct pci_address current; /* with FRAME_BEGIN_DEVICE */
	bool names;		    /* false: loading the names failed before */
	bool has_after;
	struct pci_address after; /* devices up to here are done */

	struct pci_device *devices; /* owned */
	size_t n_devices;
	size_t devices_size;
	const char *warnings[WARNINGS_MAX];
	size_t n_warnings;
	const char *failure; /* FRAME_FAILED came */
};

static void warn(struct scan *scan, const char *text)
{
	for (size_t i = 0; i < scan->n_warnings; i++) /* the reader before this one said it too */
		if (strcmp(scan->warnings[i], text) == 0)
			return;
	if (scan->n_warnings < WARNINGS_MAX)
		scan->warnings[scan->n_warnings++] = arena_strdup(scan->arena, text);
}

static struct pci_device *add_device(struct scan *scan, struct pci_address address)
{
	if (scan->n_devices == scan->devices_size) {
		scan->devices_size = scan->devices_size ? 2 * scan->devices_size : 64;
		scan->devices =
			memory_resize(scan->devices, scan->devices_size, sizeof(*scan->devices));
	}
	scan->after = address;
	scan->has_after = true;
	scan->step = FRAME_END;
	return &scan->devices[scan->n_devices++];
}

/* ---- one reader ---------------------------------------------------------------------------- */

static int start_reader(struct scan *scan, struct child *ret_child)
{
	const struct pci_scan_options *options = scan->options;
	char after[PCI_ADDRESS_TEXT_BYTES] = "";
	if (scan->has_after)
		pci_address_format(scan->after, after);
	const char *pci_ids = options->pci_ids_path ? options->pci_ids_path : "";
	const char *sysfs = options->sysfs_dir ? options->sysfs_dir : "/sys";

	const char *argv[READER_ARGS_MAX + 5] = { "gpubus" };
	size_t n = 1;
	for (size_t i = 0; options->reader_args && options->reader_args[i]; i++) {
		if (i == READER_ARGS_MAX)
			return -E2BIG;
		argv[n++] = options->reader_args[i];
	}
	argv[n++] = sysfs;
	argv[n++] = scan->names ? pci_ids : "-";
	argv[n++] = after;

	const char *path = options->reader_path ? options->reader_path : "/proc/self/exe";
	scan->step = 0;
	/* posix_spawn takes argv without const for historical reasons and changes nothing. */
	return child_start(path, (char *const *)argv, ret_child);
}

/* Positive: a frame that cannot come now. */
static int take_frame(struct scan *scan, const struct frame *frame)
{
	switch (frame->kind) {
	case FRAME_BEGIN_DEVICE:
		if (scan->has_after && pci_address_compare(frame->address, scan->after) <= 0)
			return 1;
		scan->current = frame->address;
		scan->step = FRAME_BEGIN_DEVICE;
		return 0;
	case FRAME_DEVICE:
		if (scan->step != FRAME_BEGIN_DEVICE || scan->n_devices == LIMIT_PCI_DEVICES ||
		    pci_address_compare(frame->device.address, scan->current) != 0)
			return 1;
		*add_device(scan, scan->current) = frame->device;
		return 0;
	case FRAME_WARNING:
		warn(scan, frame->text);
		if (scan->step == FRAME_BEGIN_DEVICE) { /* instead of the device */
			scan->after = scan->current;
			scan->has_after = true;
			scan->step = FRAME_END;
		}
		return 0;
	case FRAME_FAILED:
		scan->failure = arena_strdup(scan->arena, frame->text);
		return 0;
	default:
		scan->step = frame->kind;
		return 0;
	}
}

enum reader_outcome { READER_DONE = 1, READER_HUNG, READER_CRASHED, READER_OUT_OF_TIME };

/* Listens to one reader to its end, however that comes. Negative: no reader can be started. */
static int run_reader(struct scan *scan, int *ret_signal)
{
	struct child child;
	int r = start_reader(scan, &child);
	if (r < 0)
		return r;

	int device_ms = scan->options->device_deadline_ms;
	if (device_ms <= 0)
		device_ms = DEVICE_DEADLINE_MS;
	struct frame frame = { 0 };
	do {
		int64_t deadline = child_clock_ms() + device_ms;
		if (deadline > scan->deadline_ms)
			deadline = scan->deadline_ms;
		r = child_receive(&child, deadline, &frame);
		if (r == 0)
			r = take_frame(scan, &frame) ? CHILD_GARBAGE : 0;
	} while (r == 0 && frame.kind != FRAME_END && frame.kind != FRAME_FAILED);

	bool by_itself = r == 0 || r == CHILD_ENDED;
	*ret_signal = child_end(&child, by_itself ? GRACE_MS : 0);
	if (r < 0)
		return r;
	if (r == 0)
		return READER_DONE;
	if (r == CHILD_TIMEOUT)
		return child_clock_ms() >= scan->deadline_ms ? READER_OUT_OF_TIME : READER_HUNG;
	return READER_CRASHED;
}

/* ---- all of them --------------------------------------------------------------------------- */

/* What the reader was at stands between us and the rest. Positive: nothing can be done about it. */
static int step_over(struct scan *scan, int outcome, int signal_number)
{
	char how[64] = "did not end in time";
	if (outcome == READER_CRASHED && signal_number)
		snprintf(how, sizeof(how), "ended the reader with signal %d", signal_number);
	else if (outcome == READER_CRASHED)
		snprintf(how, sizeof(how), "made the reader fail");

	if (scan->step == FRAME_BEGIN_DEVICE && scan->n_devices < LIMIT_PCI_DEVICES) {
		struct pci_device *device = add_device(scan, scan->current);
		pci_device_init(device, scan->after);
		pci_device_add_problem(device, "reading it %s", how);
		return 0;
	}
	if (scan->step == FRAME_BEGIN_NAMES && scan->names) {
		char text[128];
		snprintf(text, sizeof(text),
			 "loading the PCI id list %s: devices are shown by number", how);
		warn(scan, text);
		scan->names = false;
		return 0;
	}
	if (!scan->n_devices)
		scan->failure = arena_printf(
			scan->arena, "reading the PCI bus below %s %s",
			scan->options->sysfs_dir ? scan->options->sysfs_dir : "/sys", how);
	return 1;
}

static int read_all(struct scan *scan, bool *ret_complete)
{
	for (;;) {
		int signal_number = 0;
		int r = run_reader(scan, &signal_number);
		if (r < 0)
			return r;
		if (r == READER_DONE) {
			*ret_complete = !scan->failure;
			return 0;
		}
		if (step_over(scan, r, signal_number) || r == READER_OUT_OF_TIME) {
			warn(scan, "the PCI bus was not read to its end");
			*ret_complete = false;
			return 0;
		}
	}
}

static void make_gpus(struct scan *scan, struct pci_scan *ret_scan)
{
	const struct pci_scan_options *options = scan->options;
	struct pci_units_options units = { .host = options->host,
					   .pool_id = options->pool_id,
					   .boot_id = options->boot_id,
					   .now_us = options->now_us,
					   .passthrough_drivers = options->passthrough_drivers };
	size_t all = pci_units(&units, scan->devices, scan->n_devices, scan->arena, &ret_scan->gpus,
			       &ret_scan->n_gpus);
	if (all > ret_scan->n_gpus)
		warn(scan,
		     "the host has more GPUs than can be announced: the last ones are left out");

	struct pci_device *devices =
		arena_array(scan->arena, scan->n_devices, sizeof(*scan->devices));
	if (devices)
		memcpy(devices, scan->devices, scan->n_devices * sizeof(*devices));
	ret_scan->devices = devices;
	ret_scan->n_devices = scan->n_devices;
	ret_scan->warnings = arena_array(scan->arena, scan->n_warnings, sizeof(const char *));
	for (size_t i = 0; i < scan->n_warnings; i++)
		ret_scan->warnings[i] = scan->warnings[i];
	ret_scan->n_warnings = scan->n_warnings;
}

int pci_scan(const struct pci_scan_options *options, struct arena *arena, struct pci_scan *ret_scan,
	     const char **ret_error)
{
	int deadline_ms = options->deadline_ms > 0 ? options->deadline_ms : DEADLINE_MS;
	struct scan scan = {
		.options = options,
		.arena = arena,
		.deadline_ms = child_clock_ms() + deadline_ms,
		.names = true,
	};
	struct pci_scan result = { 0 };
	int r = read_all(&scan, &result.complete);
	if (r == 0 && scan.failure && !scan.n_devices) {
		*ret_error = scan.failure;
		r = 1;
	}
	if (r == 0) {
		make_gpus(&scan, &result);
		*ret_scan = result;
	}
	free(scan.devices);
	return r;
}
