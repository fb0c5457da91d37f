/*
 * Reads the GPUs of a host. The bus is read by a process of its own (pci/reader.h) with a deadline for
 * every device: a device that hangs, crashes the reader or is malformed becomes UNREADABLE, one that
 * vanishes is left out, and the others are read all the same. Blocks for as long as that takes, at most
 * options.deadline_ms; call it from a worker thread where that matters. Starts a process without fork()
 * in the caller's memory, so it may be called in a program with threads.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/error.h"
#include "model/record.h"
#include "pci/device.h"

struct pci_scan_options {
	const char *sysfs_dir;	  /* NULL: /sys */
	const char *pci_ids_path; /* NULL: the system's */
	const char *host;
	const char *pool_id;
	const char *boot_id;
	int64_t now_us;
	const char *passthrough_drivers; /* as in pci/units.h */

	/* The arguments that make the program call pci_reader_main(); NULL-terminated. */
	const char *const *reader_args;
	const char *reader_path; /* the program; NULL: /proc/self/exe */
	int device_deadline_ms;	 /* 0: 2 s without progress */
	int deadline_ms;	 /* 0: 30 s for all of it */
};

struct pci_scan {
	struct gpu_discovered *gpus;
	size_t n_gpus;
	const struct pci_device *devices; /* all functions, by address */
	size_t n_devices;
	const char **warnings; /* sentences for people */
	size_t n_warnings;
	/* False: the time was up or the reader could not go on, and a device that is not in the lists may
	 * be there all the same. */
	bool complete;
};

/*
 * Everything in *ret_scan lives in `arena`, except the options' strings. Positive: there is no bus to
 * read below sysfs_dir, or its listing hung; *ret_error (in `arena`) says why. Negative: -errno, no
 * process can be started.
 */
int pci_scan(const struct pci_scan_options *options, struct arena *arena, struct pci_scan *ret_scan,
	     const char **ret_error) MUST_CHECK;
