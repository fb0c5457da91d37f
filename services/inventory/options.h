/*
 * The command line of gpubus-inventory. Texts are borrowed from argv and the environment.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "bus/config.h"

struct inventory_options {
	struct bus_config *bus; /* borrowed */
	const char *host;	/* NULL: this machine's name */
	const char *pool_id;	/* NULL: hosts_dir says it */
	const char *sysfs_dir;	/* NULL: /sys */
	const char *proc_dir;	/* NULL: /proc, or the one beside sysfs_dir */
	const char *pci_ids_path;
	const char *hosts_dir; /* NULL: one host */
	const char *state_dir;
	const char *passthrough_drivers; /* NULL: none */
	const char *boot_id;		 /* NULL: the kernel's */
	int64_t cpu_cores;		 /* 0: as proc_dir says */
	int64_t ram_gb;			 /* 0: as proc_dir says */
	int64_t heartbeat_ms;
	int64_t rescan_ms;
	bool move_pool;
	bool once;
};

/* As options_parse(). */
int inventory_options_parse(struct inventory_options *options, int argc, char **argv) MUST_CHECK;
