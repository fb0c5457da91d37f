#include "attach/step/unit_lock.h"

#include <errno.h>
#include <poll.h>
#include <sys/file.h>
#include <unistd.h>

#include "attach/hypervisor/deadline.h"
#include "attach/lock_holder.h"
#include "attach/vfio/function.h"

enum { RETRY_MS = 10 };

/* Left open on purpose. Without a lock (a file system that has none) things are as they were without this file. */
static int lock_function(const struct vfio_host *host, struct pci_address address,
			 int64_t deadline_us, struct buf *reason)
{
	int fd = function_open(host, address);
	if (fd < 0)
		return 0;
	while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		if (errno != EWOULDBLOCK && errno != EINTR)
			return 0;
		if (deadline_left_ms(deadline_us)) {
			(void)poll(NULL, 0, RETRY_MS);
			continue;
		}
		buf_printf(reason, "an earlier step on %s has not ended yet",
			   function_name(address).text);
		lock_holder_describe(host->proc_dir, fd, reason);
		close(fd);
		return 1;
	}
	return 0;
}

int unit_lock_take(const struct vfio_host *host, const struct unit *unit, int64_t deadline_ms,
		   struct buf *reason)
{
	int64_t deadline_us = deadline_in_ms(deadline_ms);
	int r = 0;
	for (size_t i = 0; i < unit->n && r == 0; i++)
		r = lock_function(host, unit->functions[i], deadline_us, reason);
	return r;
}
