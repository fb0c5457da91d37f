/* Can the IOMMU groups of a unit go to a VM, and has one let go of them? */
#pragma once

#include "attach/vfio/vfio.h"

/* Positive: GROUP_NOT_VIABLE. */
int group_check(const struct vfio_host *host, const struct unit *unit,
		struct vfio_problem *problem) MUST_CHECK;

/* Positive: UNPLUG_PENDING; a process has a group open, or a node or BAR of a function on vfio-pci. */
int group_check_let_go(const struct vfio_host *host, const struct unit *unit,
		       struct vfio_problem *problem) MUST_CHECK;
