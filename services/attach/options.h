/*
 * The command line of gpubus-attach. Texts are borrowed from argv and the environment.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/limits.h"
#include "bus/config.h"

struct attach_options {
	struct bus_config *bus; /* borrowed */
	const char *host;	/* never NULL after parsing; may be machine_name */
	const char *pool_id;
	const char *state_dir;
	const char *hypervisor; /* "qmp", "libvirt" or "none" */
	const char *target;	/* never NULL after parsing; "" with none */
	const char *sysfs_dir;
	const char *proc_dir;
	const char *dev_dir;
	const char *step_program; /* NULL: beside this program */
	const char *boot_id;	  /* NULL: the kernel's */
	int64_t look_every_ms;
	int64_t step_deadline_ms;
	int64_t max_steps;
	bool allow_no_interrupt_remapping;
	bool allow_no_reset;
	bool move_pool;
	char machine_name[LIMIT_ID_BYTES + 1];
};

/* As options_parse(). */
int attach_options_parse(struct attach_options *options, int argc, char **argv) MUST_CHECK;
