#include "attach/host_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/types.h>
#include <unistd.h>

#include "base/cleanup.h"

/* The process that has the lock on this inode; 0: not known. Source: proc(5), /proc/locks. */
static pid_t find_holder(const char *proc_dir, int fd)
{
	struct stat stat;
	char path[PATH_MAX];
	snprintf(path, sizeof(path), "%s/locks", proc_dir);
	FILE *file = fopen(path, "re");
	if (!file)
		return 0;
	pid_t holder = 0;
	char line[256];
	while (fstat(fd, &stat) == 0 && !holder && fgets(line, sizeof(line), file)) {
		int pid;
		unsigned major_number, minor_number;
		unsigned long long inode;
		if (sscanf(line, "%*d: FLOCK %*s %*s %d %x:%x:%llu", &pid, &major_number,
			   &minor_number, &inode) == 4 &&
		    inode == stat.st_ino && major_number == major(stat.st_dev) &&
		    minor_number == minor(stat.st_dev))
			holder = pid;
	}
	fclose(file);
	return holder > 0 ? holder : 0;
}

static void describe_holder(const char *proc_dir, int fd, struct buf *error)
{
	pid_t pid = find_holder(proc_dir, fd);
	if (!pid)
		return;
	char path[PATH_MAX], name[64] = "";
	snprintf(path, sizeof(path), "%s/%d/comm", proc_dir, (int)pid);
	FILE *file = fopen(path, "re");
	if (file) {
		if (fgets(name, sizeof(name), file))
			name[strcspn(name, "\n")] = '\0';
		fclose(file);
	}
	buf_printf(error, ": pid %d%s%s%s", (int)pid, *name ? " (" : "", name, *name ? ")" : "");
}

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
		describe_holder(proc_dir, fd, error);
	} else {
		buf_printf(error, "%s cannot be locked: %s", path, strerror(errno));
	}
	close(fd);
	return 1;
}
