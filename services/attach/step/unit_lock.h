/*
 * Nobody but this process acts on a unit: flock() on the directory in sysfs of each of its functions, kept until the
 * process ends.
 *
 * An agent's death is its steps' death (main.c), but a process that the kernel has in its hands ("D" state) only
 * ends when the kernel lets go of it, and by then its last write has come to pass. Whoever acts for the next agent
 * waits for that here: the kernel gives up the locks of a process when it is really gone.
 */
#pragma once

#include <stdint.h>

#include "attach/unit.h"
#include "attach/vfio/vfio.h"
#include "base/buf.h"
#include "base/error.h"

/* Functions that are not there have no lock. Positive: another process still has one after `deadline_ms`, and is named
 * in `reason`. */
int unit_lock_take(const struct vfio_host *host, const struct unit *unit, int64_t deadline_ms,
		   struct buf *reason) MUST_CHECK;
