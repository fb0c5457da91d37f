/*
 * What keeps a GPU from being given to a VM: the state (model/gpu_state.h) and the sentence for people,
 * which names every obstacle and what to do about each. Pure.
 */
#pragma once

#include <stddef.h>

#include "base/limits.h"
#include "pci/device.h"

struct obstacles {
	const char *state;		   /* a GPU_STATE, static */
	char reason[LIMIT_TEXT_BYTES + 1]; /* "" when AVAILABLE */
};

/* `passthrough_drivers`: as in pci/units.h; `in_the_way`: members of the GPU's IOMMU group that cannot go
 * along; `n_functions`: of its unit. */
void obstacles_find(const struct pci_device *gpu, const char *passthrough_drivers,
		    const struct pci_device *const *in_the_way, size_t n_in_the_way,
		    size_t n_functions, struct obstacles *ret_obstacles);
