/* Does a device answer, and is it the one that it should be? */
#pragma once

#include "attach/vfio/vfio.h"

/*
 * Reads the header of the configuration space: ids as the kernel read them at the start, a header of an
 * endpoint, a command register that is not all ones. A device that has fallen off the bus, or does not
 * come out of its reset, reads as all ones. Positive: CONFIG_UNREADABLE or DEVICE_GONE.
 */
int config_space_check(const struct vfio_host *host, struct pci_address address,
		       struct vfio_problem *problem) MUST_CHECK;
