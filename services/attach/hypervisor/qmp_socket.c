#include "attach/hypervisor/qmp_socket.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "attach/hypervisor/deadline.h"
#include "attach/hypervisor/hypervisor.h"

static const char placeholder[] = "{vm}";

int qmp_socket_check_target(const char *target, struct buf *error)
{
	if (target[0] != '/' || !strstr(target, placeholder)) {
		buf_printf(
			error,
			"\"%.256s\" is not the path of a VM's QMP socket: it begins with / and has "
			"{vm} where the VM's id stands, like /run/vms/{vm}.qmp",
			target);
		return 1;
	}
	return 0;
}

static bool is_file_name(const char *vm_id)
{
	if (vm_id[0] == '\0' || vm_id[0] == '.')
		return false;
	for (const char *c = vm_id; *c; c++)
		if (*c == '/' || (unsigned char)*c < ' ')
			return false;
	return true;
}

int qmp_socket_path(const char *target, const char *vm_id, char *path, size_t size,
		    struct buf *reason)
{
	if (!is_file_name(vm_id)) {
		buf_printf(reason,
			   "the VM id \"%.255s\" cannot stand in the path of a socket (%.256s): no "
			   "'/', no "
			   "control characters, no '.' at its beginning",
			   vm_id, target);
		return QMP_PATH_NO_ID;
	}
	cleanup(buf_deinit) struct buf text = { 0 };
	const char *from = target, *at;
	while ((at = strstr(from, placeholder))) {
		buf_append(&text, from, (size_t)(at - from));
		buf_puts(&text, vm_id);
		from = at + strlen(placeholder);
	}
	buf_puts(&text, from);
	if (text.len >= size) {
		buf_printf(reason,
			   "the path of VM %.255s's monitor has %zu bytes, and a socket's path may "
			   "have "
			   "%zu: use a shorter directory, or a shorter id",
			   vm_id, text.len, size - 1);
		return QMP_PATH_TOO_LONG;
	}
	memcpy(path, text.data, text.len + 1);
	return 0;
}

/* 0 or -errno. */
static int try_connect(const char *path, int *ret_fd)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		int error = errno;
		close(fd);
		return -error;
	}
	*ret_fd = fd;
	return 0;
}

static bool nobody_listens(int error)
{
	return error == -ENOENT || error == -ECONNREFUSED;
}

int qmp_socket_connect(const char *path, int64_t deadline_us, int *ret_fd, struct buf *reason)
{
	int r;
	/* EAGAIN: so many clients wait for this monitor that not even waiting is possible. */
	while ((r = try_connect(path, ret_fd)) == -EAGAIN && deadline_left_ms(deadline_us))
		poll(NULL, 0, 20);
	if (r == 0)
		return 0;
	if (nobody_listens(r)) {
		buf_printf(reason, "no VM listens on %s (%s)", path, strerror(-r));
		return HYPERVISOR_VM_ABSENT;
	}
	buf_printf(
		reason, "cannot connect to %s: %s", path,
		r == -EAGAIN
			? "other programs have this monitor; give gpubus one of its own (-qmp may "
			  "be given several times)"
			: strerror(-r));
	return HYPERVISOR_SILENT;
}

bool qmp_socket_is_deserted(const char *path, int64_t deadline_us)
{
	int64_t until = deadline_earlier(deadline_us, deadline_in_ms(1000));
	for (;;) {
		int fd;
		int r = try_connect(path, &fd);
		if (r)
			return nobody_listens(r);
		/* Somebody accepts, or nobody has yet closed what listens. */
		struct pollfd readable = { .fd = fd, .events = POLLIN };
		char first;
		bool hung_up = poll(&readable, 1, deadline_left_ms(until)) > 0 &&
			       recv(fd, &first, 1, MSG_DONTWAIT) <= 0;
		close(fd);
		if (!hung_up || !deadline_left_ms(until))
			return false;
	}
}
