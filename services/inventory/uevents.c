#include "inventory/uevents.h"

#include <errno.h>
#include <linux/netlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#include "base/log.h"
#include "base/memory.h"

enum { SETTLE_MS = 300, SOCKET_BYTES = 1024 * 1024, KERNEL_GROUP = 1 };

struct uevents {
	uv_poll_t poll;		   /* freed in its close callback */
	struct loop_timer *settle; /* owned */
	loop_fn fn;
	void *context; /* the owner's */
	int fd;
};

bool uevent_is_about_pci(const char *message, size_t len)
{
	static const char wanted[] = "SUBSYSTEM=pci";
	const char *end = message + len;
	while (message < end) {
		size_t n = strnlen(message, (size_t)(end - message));
		if (n == sizeof(wanted) - 1 && memcmp(message, wanted, n) == 0)
			return true;
		message += n + 1;
	}
	return false;
}

static void on_settled(void *context)
{
	struct uevents *uevents = context;
	uevents->fn(uevents->context);
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
	struct uevents *uevents = poll->data;
	bool about_pci = false;
	char message[8192];
	(void)status;
	(void)events;
	for (;;) {
		struct sockaddr_nl from = { 0 };
		socklen_t size = sizeof(from);
		ssize_t n = recvfrom(uevents->fd, message, sizeof(message), 0,
				     (struct sockaddr *)&from, &size);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == ENOBUFS) { /* events were lost: perhaps one of ours */
			about_pci = true;
			continue;
		}
		if (n <= 0)
			break;
		/* Other processes may send to this group too. */
		if (from.nl_pid == 0 && uevent_is_about_pci(message, (size_t)n))
			about_pci = true;
	}
	if (about_pci)
		loop_timer_start(uevents->settle, SETTLE_MS, 0);
}

static int open_socket(void)
{
	int fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
			NETLINK_KOBJECT_UEVENT);
	if (fd < 0)
		return -errno;
	int size = SOCKET_BYTES;
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	struct sockaddr_nl address = { .nl_family = AF_NETLINK, .nl_groups = KERNEL_GROUP };
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		int r = -errno;
		close(fd);
		return r;
	}
	return fd;
}

int uevents_new(struct loop *loop, loop_fn fn, void *context, struct uevents **ret_uevents)
{
	int fd = open_socket();
	if (fd < 0) {
		log_info("no kernel events, only periodic scans: %s", strerror(-fd));
		return 1;
	}
	struct uevents *uevents = memory_zeroed(1, sizeof(*uevents));
	uevents->fd = fd;
	uevents->fn = fn;
	uevents->context = context;
	if (uv_poll_init(loop_uv(loop), &uevents->poll, fd) < 0) {
		close(fd);
		free(uevents);
		return 1;
	}
	uevents->poll.data = uevents;
	uevents->settle = loop_timer_new(loop, on_settled, uevents);
	uv_poll_start(&uevents->poll, UV_READABLE, on_readable);
	*ret_uevents = uevents;
	return 0;
}

static void on_closed(uv_handle_t *handle)
{
	struct uevents *uevents = handle->data;
	close(uevents->fd);
	free(uevents);
}

void uevents_free(struct uevents *uevents)
{
	if (!uevents)
		return;
	loop_timer_free(uevents->settle);
	uv_close((uv_handle_t *)&uevents->poll, on_closed);
}
