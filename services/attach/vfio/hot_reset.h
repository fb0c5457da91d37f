/*
 * A reset of the bus or slot that a function is on, by VFIO. It reaches all functions there, so the kernel
 * does it only for somebody who has the groups of all of them, and restores their configuration space.
 * Source: Linux, include/uapi/linux/vfio.h, VFIO_DEVICE_PCI_HOT_RESET.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "attach/vfio/vfio.h"

/* `function`: index in the unit. 0: was_reset[] is set for those that were. Positive: it cannot be done,
 * or it would reach functions outside the unit; `why` says which. */
int vfio_hot_reset(const struct vfio_host *host, const struct unit *unit, size_t function,
		   bool was_reset[], struct buf *why) MUST_CHECK;
