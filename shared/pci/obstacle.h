/*
 * What keeps a GPU from being given to a VM: each obstacle as a state (model/gpu_state.h) and a sentence for
 * people that says what to do about it. Pure.
 */
#pragma once

#include <stddef.h>

#include "base/limits.h"
#include "pci/device.h"

struct obstacle {
	const char *state; /* a GPU_STATE, static */
	char text[LIMIT_TEXT_BYTES + 1];
};

enum { OBSTACLES_MAX = 6 };

/* In the order of model/gpu_state.h: the first one is the GPU's state. */
struct obstacles {
	struct obstacle items[OBSTACLES_MAX];
	size_t n; /* 0: it is available */
};

/* `passthrough_drivers`: as in pci/units.h; `in_the_way`: members of the GPU's IOMMU group that cannot go
 * along; `n_functions`: of its unit. */
void obstacles_find(const struct pci_device *gpu, const char *passthrough_drivers,
		    const struct pci_device *const *in_the_way, size_t n_in_the_way,
		    size_t n_functions, struct obstacles *ret_obstacles);

/* GPU_STATE_AVAILABLE when there are none. */
const char *obstacles_state(const struct obstacles *obstacles);
/* All sentences as one, cut to LIMIT_TEXT_BYTES; "" when there are none. `text` has room for them and NUL. */
void obstacles_reason(const struct obstacles *obstacles, char text[LIMIT_TEXT_BYTES + 1]);
