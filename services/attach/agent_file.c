#include "attach/agent_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/limits.h"
#include "base/log.h"
#include "loop/clock.h"
#include "service/state_dir.h"

enum { SLOW_US = 250 * 1000, READ_BYTES = 64 * 1024 };

int agent_file_save(const char *path, const char *text, size_t len)
{
	int64_t start_us = clock_monotonic_us();
	int r = state_file_write(path, text, len);
	int64_t took_us = clock_monotonic_us() - start_us;
	if (r < 0)
		log_error("%s cannot be written, and nothing is done that must not be forgotten: "
			  "%s",
			  path, strerror(-r));
	else if (took_us > SLOW_US)
		log_warning("saved bytes=%zu us=%lld: the disk under %s is slow", len,
			    (long long)took_us, path);
	else
		log_debug("saved bytes=%zu us=%lld", len, (long long)took_us);
	return r;
}

/* Positive: larger than anything that an agent has written. Negative: -errno. */
static int read_whole(int fd, struct buf *text)
{
	while (text->len <= LIMIT_AGENT_FILE_BYTES) {
		ssize_t n = read(fd, buf_reserve(text, READ_BYTES), READ_BYTES);
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n == 0)
			return 0;
		if (n > 0)
			text->len += (size_t)n;
	}
	return 1;
}

static void put_aside(const char *path, const char *why)
{
	char aside[PATH_MAX];
	snprintf(aside, sizeof(aside), "%s.unusable", path);
	bool is_kept = rename(path, aside) == 0;
	log_warning("%s cannot be used (%s), and the agent starts without a memory%s%s", path, why,
		    is_kept ? "; it is kept as " : "", is_kept ? aside : "");
}

int agent_file_load(const char *path, struct agent *agent)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	cleanup(buf_deinit) struct buf text = { 0 };
	cleanup(buf_deinit) struct buf why = { 0 };
	int r = read_whole(fd, &text);
	close(fd);
	if (r < 0)
		return r;
	if (r > 0)
		buf_puts(&why, "too large");
	else if (text.len == 0)
		buf_puts(&why, "empty");
	else
		r = agent_load(agent, text.data, text.len, &why);
	if (r < 0)
		return r;
	if (why.len)
		put_aside(path, why.data);
	return 0;
}
