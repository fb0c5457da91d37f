/*
 * What changes the host, or what only a kernel can say: all that vfio/ does to a kernel goes through these, so
 * that a test can put a kernel of its own behind a tree of files. Reading needs no such place: trees of
 * files can be read.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "attach/unit.h"
#include "base/buf.h"
#include "base/error.h"

struct vfio_host;

struct vfio_kernel {
	void *context;
	/* 0, or the errno of opening or writing, positive. That it is 0 does not say that anything
	 * happened. */
	int (*write)(void *context, const char *path, const char *text);
	/* modprobe. Whether it worked is to be seen in sysfs. */
	void (*load_module)(void *context, const char *name);
	/* Has somebody an IOMMU group's node in /dev/vfio open, or a device of the group? */
	bool (*group_is_taken)(void *context, const char *node);
	/* As vfio_hot_reset(). */
	int (*hot_reset)(void *context, const struct vfio_host *host, const struct unit *unit,
			 size_t function, bool was_reset[], struct buf *why);
};

/* The host's, or the real one. */
const struct vfio_kernel *vfio_kernel_of(const struct vfio_host *host);
