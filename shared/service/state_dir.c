#include "service/state_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "base/memory.h"

static int make_dirs(const char *dir)
{
	char path[PATH_MAX];
	if ((size_t)snprintf(path, sizeof(path), "%s", dir) >= sizeof(path))
		return -ENAMETOOLONG;
	for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		if (mkdir(path, 0755) < 0 && errno != EEXIST)
			return -errno;
		*slash = '/';
	}
	return mkdir(path, 0755) < 0 && errno != EEXIST ? -errno : 0;
}

int state_dir_take(const char *dir, struct buf *error)
{
	int r = make_dirs(dir);
	if (r < 0) {
		buf_printf(error, "%s cannot be made (--state-dir): %s", dir, strerror(-r));
		return 1;
	}
	char path[PATH_MAX];
	snprintf(path, sizeof(path), "%s/lock", dir);
	/* Left open on purpose: the kernel lets go of it when the process ends, however that comes. */
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0) {
		bool taken = fd >= 0 && errno == EWOULDBLOCK;
		buf_printf(error, "%s: %s", path,
			   taken ? "another process has this state directory" : strerror(errno));
		if (fd >= 0)
			close(fd);
		return 1;
	}
	return 0;
}

/* A file that was renamed is there after a power cut only when its directory is on the disk, too. */
static int sync_dir_of(const char *path)
{
	char dir[PATH_MAX];
	const char *slash = strrchr(path, '/');
	snprintf(dir, sizeof(dir), "%.*s", slash ? (int)(slash - path + 1) : 1, slash ? path : ".");
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	int r = fsync(fd) < 0 ? -errno : 0;
	close(fd);
	return r;
}

int state_file_write(const char *path, const char *text, size_t len)
{
	char fresh[PATH_MAX];
	if ((size_t)snprintf(fresh, sizeof(fresh), "%s.new", path) >= sizeof(fresh))
		return -ENAMETOOLONG;
	int fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (fd < 0)
		return -errno;
	int r = 0;
	while (len && r == 0) {
		ssize_t n = write(fd, text, len);
		if (n < 0 && errno != EINTR)
			r = -errno;
		if (n > 0) {
			text += n;
			len -= (size_t)n;
		}
	}
	if (r == 0 && fsync(fd) < 0)
		r = -errno;
	if (close(fd) < 0 && r == 0)
		r = -errno;
	if (r == 0 && rename(fresh, path) < 0)
		r = -errno;
	return r < 0 ? r : sync_dir_of(path);
}

/* NULL: none is remembered. Negative: -errno. */
static int read_pool(const char *path, char **ret_pool)
{
	FILE *file = fopen(path, "re");
	if (!file)
		return errno == ENOENT ? 0 : -errno;
	char line[LIMIT_ID_BYTES + 2];
	int r = 0;
	if (fgets(line, sizeof(line), file)) {
		line[strcspn(line, "\n")] = '\0';
		*ret_pool = memory_strdup(line);
	} else if (ferror(file)) {
		r = -EIO;
	}
	fclose(file);
	return r;
}

static int write_pool(const char *path, const char *pool_id)
{
	cleanup(buf_deinit) struct buf text = { 0 };
	buf_printf(&text, "%s\n", pool_id);
	return state_file_write(path, text.data, text.len);
}

int pool_claimed(const char *host_dir, char **ret_pool)
{
	char path[PATH_MAX];
	snprintf(path, sizeof(path), "%s/pool", host_dir);
	char *pool = NULL;
	int r = read_pool(path, &pool);
	if (r == 0)
		*ret_pool = pool;
	return r;
}

int pool_claim(const char *host_dir, const char *host, const char *pool_id, bool move,
	       struct buf *error)
{
	char path[PATH_MAX];
	snprintf(path, sizeof(path), "%s/pool", host_dir);
	cleanup(freep) char *pool = NULL;
	int r = mkdir(host_dir, 0755) < 0 && errno != EEXIST ? -errno : read_pool(path, &pool);
	bool is_other = pool && strcmp(pool, pool_id) != 0;
	if (r == 0 && is_other && !move) {
		buf_printf(error,
			   "host %s belongs to pool %s (%s), not to pool %s. Take all VMs off it; "
			   "then "
			   "--move-pool moves it",
			   host, pool, path, pool_id);
		return 1;
	}
	if (r == 0 && (!pool || is_other))
		r = write_pool(path, pool_id);
	if (r < 0) {
		buf_printf(error, "%s: %s", path, strerror(-r));
		return 1;
	}
	return 0;
}
