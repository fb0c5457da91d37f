/*
 * Writes a laid-out host as the kernel would show it: DIR/sys with the devices, their links, the IOMMU
 * groups and drivers, DIR/proc with what inventory reads of it, and DIR/host.conf with its pool.
 */
#pragma once

#include <stddef.h>

#include "base/error.h"
#include "layout.h"

/* `dir` must not exist. Negative: -errno, and the tree is not whole. `name` is the host's. */
int tree_write(const char *dir, const char *name, const struct host *host,
	       const struct function *functions, size_t n) MUST_CHECK;
