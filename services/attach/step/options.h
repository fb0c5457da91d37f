/* The command line of gpubus-attach-step. Strings are borrowed from argv. */
#pragma once

#include <stdint.h>

#include "attach/vfio/vfio.h"
#include "base/error.h"

struct step_options {
	struct vfio_host host;
	const char *hypervisor; /* kind and target as in hypervisor_new() */
	const char *target;
	int64_t hypervisor_deadline_ms;
};

/* Positive: the program ends here, with *ret_status: something was printed, or is wrong. */
int step_options_parse(struct step_options *ret_options, int argc, char **argv,
		       int *ret_status) MUST_CHECK;
