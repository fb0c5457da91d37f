/*
 * One agent acts on a host, wherever its state directory is: it holds a lock on the directory
 * SYSFS/bus/pci of the kernel's tree as long as it lives. Containers exclude each other when they mount the
 * host's /sys (of network namespaces of their own each has a tree of its own).
 */
#pragma once

#include "base/buf.h"
#include "base/error.h"

/* The lock lasts as long as the process. Positive: another agent has it - `error` says which, as far as
 * PROC/locks tells - or the directory cannot be opened. */
int host_lock_take(const char *sysfs_dir, const char *proc_dir, struct buf *error) MUST_CHECK;
