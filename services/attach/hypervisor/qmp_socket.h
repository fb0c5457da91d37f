/* The unix socket of a QEMU monitor: its path, and whether anybody listens there. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"

enum qmp_path {
	QMP_PATH_NO_ID =
		1,	   /* the id is not the name of a file, so no VM of this id has a monitor */
	QMP_PATH_TOO_LONG, /* for a socket */
};

/*
 * `target` with {vm} replaced. A VM's id comes from the bus: one with '/' or with '.' at its beginning
 * never becomes a path, so that nobody is led to a socket elsewhere. `size`: sizeof(sun_path).
 */
int qmp_socket_path(const char *target, const char *vm_id, char *path, size_t size,
		    struct buf *reason) MUST_CHECK;
/* Positive: not absolute, or without {vm} (then all VMs would be one). */
int qmp_socket_check_target(const char *target, struct buf *error) MUST_CHECK;

/* 0, HYPERVISOR_VM_ABSENT (no socket, or nobody listens), HYPERVISOR_SILENT. */
int qmp_socket_connect(const char *path, int64_t deadline_us, int *ret_fd,
		       struct buf *reason) MUST_CHECK;
/* After QEMU hung up: has it ended? The kernel closes the files of a process one after the other, so that
 * this may take a moment. */
bool qmp_socket_is_deserted(const char *path, int64_t deadline_us);
