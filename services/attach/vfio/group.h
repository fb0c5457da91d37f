/* Can the IOMMU groups of a unit go to a VM? */
#pragma once

#include "attach/vfio/vfio.h"

/* Positive: GROUP_NOT_VIABLE. */
int group_check(const struct vfio_host *host, const struct unit *unit,
		struct vfio_problem *problem) MUST_CHECK;
