#include "attach/lock_holder.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/types.h>

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

void lock_holder_describe(const char *proc_dir, int fd, struct buf *out)
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
	buf_printf(out, ": pid %d%s%s%s", (int)pid, *name ? " (" : "", name, *name ? ")" : "");
}
