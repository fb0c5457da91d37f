/*
 * Which hosts this process speaks for: this machine, a recorded tree, or all hosts below a directory.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"
#include "inventory/options.h"

struct host_place {
	const char *name;
	const char *pool_id;
	const char *sysfs_dir;
	const char *proc_dir;	  /* may not exist */
	const char *pci_ids_path; /* NULL: the system's */
	const char *state_dir;	  /* of this host */
	/* NULL: none, see pci/units.h */
	const char *passthrough_drivers;
	const char *boot_id; /* NULL: as proc_dir says */
	int64_t cpu_cores;   /* 0: as proc_dir says */
	int64_t ram_gb;
	bool is_this_machine; /* the kernel's events are about it */
};

/* Sorted by name; everything lives in `arena` or where the options do. Positive: a mistake of the
 * operator's, a sentence in `error`. */
int host_list(const struct inventory_options *options, struct arena *arena,
	      struct host_place **ret_hosts, size_t *ret_n, struct buf *error) MUST_CHECK;

/* A name that can be a key and a file name: 1 to LIMIT_ID_BYTES printable ASCII characters but no
 * slash or blank, and no dot in front. */
bool host_name_is_valid(const char *name);
