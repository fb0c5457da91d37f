#include "attach/vfio/kernel.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "attach/vfio/hot_reset.h"
#include "attach/vfio/vfio.h"

extern char **environ;

static int real_write(void *context, const char *path, const char *text)
{
	(void)context;
	int fd = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		return errno;
	/* One write: each is a command to the kernel. */
	ssize_t n = write(fd, text, strlen(text));
	int r = n < 0 ? errno : 0;
	close(fd);
	return r;
}

/* The standard output is the result's (step/main.c): modprobe gets neither. */
static void real_load_module(void *context, const char *name)
{
	(void)context;
	posix_spawn_file_actions_t actions;
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
	posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
	char *const argv[] = { (char *)"/sbin/modprobe", (char *)"-q", (char *)"--", (char *)name,
			       NULL };
	pid_t pid;
	if (posix_spawn(&pid, argv[0], &actions, NULL, argv, environ) == 0)
		while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
			;
	posix_spawn_file_actions_destroy(&actions);
}

/* The kernel gives a group to one opener at a time. Source: Linux, drivers/vfio/group.c, vfio_group_fops_open(). */
static bool real_group_is_taken(void *context, const char *node)
{
	(void)context;
	int fd = open(node, O_RDWR | O_CLOEXEC | O_NOCTTY);
	bool is_taken = fd < 0 && errno == EBUSY;
	if (fd >= 0)
		close(fd);
	return is_taken;
}

static int real_hot_reset(void *context, const struct vfio_host *host, const struct unit *unit,
			  size_t function, bool was_reset[], struct buf *why)
{
	(void)context;
	return vfio_hot_reset(host, unit, function, was_reset, why);
}

/* A tree that is not the machine's has modules of its own, if any. */
static void load_no_module(void *context, const char *name)
{
	(void)context;
	(void)name;
}

const struct vfio_kernel *vfio_kernel_of(const struct vfio_host *host)
{
	static const struct vfio_kernel machine = {
		.write = real_write,
		.load_module = real_load_module,
		.group_is_taken = real_group_is_taken,
		.hot_reset = real_hot_reset,
	};
	static const struct vfio_kernel elsewhere = {
		.write = real_write,
		.load_module = load_no_module,
		.group_is_taken = real_group_is_taken,
		.hot_reset = real_hot_reset,
	};
	if (host->kernel)
		return host->kernel;
	return strcmp(host->sysfs_dir, "/sys") == 0 ? &machine : &elsewhere;
}
