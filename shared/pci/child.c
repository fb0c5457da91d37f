#include "pci/child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <time.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

int64_t child_clock_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* posix_spawn, not fork: the caller may have threads that hold locks. */
static int spawn(const char *path, char *const *argv, int output, pid_t *ret_pid)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	posix_spawn_file_actions_init(&actions);
	posix_spawnattr_init(&attributes);

	sigset_t none, defaults;
	sigemptyset(&none);
	sigemptyset(&defaults);
	sigaddset(&defaults, SIGPIPE);
	sigaddset(&defaults, SIGTERM);
	sigaddset(&defaults, SIGINT);
	posix_spawnattr_setsigmask(&attributes, &none);
	posix_spawnattr_setsigdefault(&attributes, &defaults);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);

	/* Nothing of the service's (sockets, its state directory) goes to the child. */
	posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
	posix_spawn_file_actions_addclosefrom_np(&actions, STDERR_FILENO + 1);
	int r = posix_spawn(ret_pid, path, &actions, &attributes, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	posix_spawnattr_destroy(&attributes);
	return -r;
}

int child_start(const char *path, char *const *argv, struct child *ret_child)
{
	int ends[2];
	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;

	pid_t pid;
	int r = spawn(path, argv, ends[1], &pid);
	close(ends[1]);
	if (r < 0) {
		close(ends[0]);
		return r;
	}
	*ret_child = (struct child){ .pid = pid, .fd = ends[0] };
	return 0;
}

/* 0: readable, or its end. */
static int wait_readable(int fd, int64_t deadline_ms)
{
	for (;;) {
		int64_t left = deadline_ms - child_clock_ms();
		struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
		int n = left > 0 ? poll(&poll_fd, 1, (int)left) : 0;
		if (n > 0)
			return 0;
		if (n == 0)
			return CHILD_TIMEOUT;
		if (errno != EINTR)
			return -errno;
	}
}

int child_receive(struct child *child, int64_t deadline_ms, struct frame *ret_frame)
{
	struct frame frame;
	size_t len = 0;
	while (len < sizeof(frame)) {
		int r = wait_readable(child->fd, deadline_ms);
		if (r)
			return r;
		ssize_t n = read(child->fd, (char *)&frame + len, sizeof(frame) - len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return CHILD_ENDED;
		len += (size_t)n;
	}
	if (frame_check(&frame))
		return CHILD_GARBAGE;
	*ret_frame = frame;
	return 0;
}

/* Did it end, within this time? One that is not ours any more (SIGCHLD is ignored, so the kernel took it)
 * has: its pid must not be touched again. */
static bool reap(pid_t pid, int64_t wait_ms, int *ret_status)
{
	int64_t deadline = child_clock_ms() + wait_ms;
	for (;;) {
		pid_t r = waitpid(pid, ret_status, WNOHANG);
		if (r == pid || (r < 0 && errno == ECHILD))
			return true;
		if (child_clock_ms() >= deadline)
			return false;
		(void)poll(NULL, 0, 2);
	}
}

int child_end(struct child *child, int64_t grace_ms)
{
	/* A read that the kernel does not end ("D" state) survives SIGKILL until the device gives up: then
	 * the process is left to init or to this process's end, and not waited for. */
	enum { KILLED_MS = 500 };
	int status = 0, signal_number = 0;
	if (child->fd >= 0)
		close(child->fd);
	child->fd = -1;
	if (reap(child->pid, grace_ms, &status)) {
		signal_number = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
	} else {
		kill(child->pid, SIGKILL);
		(void)reap(child->pid, KILLED_MS, &status);
	}
	child->pid = -1;
	return signal_number;
}
