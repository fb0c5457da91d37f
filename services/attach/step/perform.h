/*
 * Does one step: the host's side by attach/vfio, the VM's side by a hypervisor. Blocks for as long as that
 * takes; see step.h.
 */
#pragma once

#include <stdint.h>

#include "attach/hypervisor/hypervisor.h"
#include "attach/step/step.h"
#include "attach/vfio/vfio.h"

struct step_means {
	const struct vfio_host *host;
	struct hypervisor *hypervisor;
	int64_t hypervisor_deadline_ms; /* of one call */
};

void step_perform(const struct step_means *means, const struct step *step,
		  struct step_result *ret_result);
