#include "attach/host_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "attach/lock_holder.h"

int host_lock_take(const char *sysfs_dir, const char *proc_dir, struct buf *error)
{
	char path[PATH_MAX];
	snprintf(path, sizeof(path), "%s/bus/pci", sysfs_dir);
	/* Left open on purpose: the kernel lets go of it when the process ends, however that comes. */
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0) {
		buf_printf(error, "%s: %s", path, strerror(errno));
		return 1;
	}
	if (flock(fd, LOCK_EX | LOCK_NB) == 0)
		return 0;
	if (errno == EWOULDBLOCK) {
		buf_printf(error, "another agent acts on this host (it has locked %s)", path);
		lock_holder_describe(proc_dir, fd, error);
	} else {
		buf_printf(error, "%s cannot be locked: %s", path, strerror(errno));
	}
	close(fd);
	return 1;
}
