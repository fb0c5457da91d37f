#include "attach/hypervisor/qmp_monitor.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "attach/hypervisor/deadline.h"
#include "attach/hypervisor/qmp_socket.h"
#include "base/limits.h"
#include "base/memory.h"

struct qmp_monitor {
	int fd;
	char path[QMP_PATH_BYTES];
	struct buf input; /* what came and is not yet a whole line */
	size_t scanned;	  /* of it: has no end of line */
	json_int_t last_id;
	char error_class[64];
	qmp_event_fn on_event;
	void *context; /* of on_event, borrowed */
};

static int nonsense(struct qmp_monitor *monitor, const char *what, struct buf *reason)
{
	buf_printf(reason, "what listens on %s is no QEMU monitor: it says %s", monitor->path,
		   what);
	return HYPERVISOR_SILENT;
}

static int closed(struct qmp_monitor *monitor, int64_t deadline_us, struct buf *reason)
{
	if (qmp_socket_is_deserted(monitor->path, deadline_us)) {
		buf_printf(reason, "QEMU has ended (nobody listens on %s any more)", monitor->path);
		return HYPERVISOR_VM_ABSENT;
	}
	buf_printf(reason, "QEMU closed the connection to %s", monitor->path);
	return HYPERVISOR_SILENT;
}

static int receive(struct qmp_monitor *monitor, int64_t deadline_us, struct buf *reason)
{
	enum { CHUNK = 16 * 1024 };
	struct pollfd readable = { .fd = monitor->fd, .events = POLLIN };
	int n = poll(&readable, 1, deadline_left_ms(deadline_us));
	if (n < 0)
		return errno == EINTR ? 0 : -errno;
	if (n == 0)
		return HYPERVISOR_PENDING;

	ssize_t len = recv(monitor->fd, buf_reserve(&monitor->input, CHUNK), CHUNK, MSG_DONTWAIT);
	if (len < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (len <= 0)
		return closed(monitor, deadline_us, reason);
	monitor->input.len += (size_t)len;
	monitor->input.data[monitor->input.len] = '\0';
	return 0;
}

/* The next line as an object. HYPERVISOR_PENDING: not until the deadline. */
static int next_message(struct qmp_monitor *monitor, int64_t deadline_us, json_t **ret_message,
			struct buf *reason)
{
	struct buf *input = &monitor->input;
	const char *end = NULL;
	while (!input->len || !(end = memchr(input->data + monitor->scanned, '\n',
					     input->len - monitor->scanned))) {
		monitor->scanned = input->len;
		if (input->len > LIMIT_MONITOR_LINE_BYTES)
			return nonsense(monitor, "a line without an end", reason);
		int r = receive(monitor, deadline_us, reason);
		if (r)
			return r;
	}

	size_t len = (size_t)(end - input->data) + 1;
	json_t *message = json_loadb(input->data, len, 0, NULL);
	input->len -= len;
	memmove(input->data, input->data + len, input->len + 1);
	monitor->scanned = 0;
	if (!json_is_object(message)) {
		json_decref(message);
		return nonsense(monitor, "something that is not a JSON object", reason);
	}
	*ret_message = message;
	return 0;
}

static bool pass_event(struct qmp_monitor *monitor, const json_t *message)
{
	const char *event = json_string_value(json_object_get(message, "event"));
	if (!event)
		return false;
	if (monitor->on_event)
		monitor->on_event(monitor->context, event, json_object_get(message, "data"));
	return true;
}

static int send_text(struct qmp_monitor *monitor, const char *text, int64_t deadline_us,
		     struct buf *reason)
{
	size_t left = strlen(text);
	while (left) {
		struct pollfd writable = { .fd = monitor->fd, .events = POLLOUT };
		int n = poll(&writable, 1, deadline_left_ms(deadline_us));
		if (n == 0)
			return HYPERVISOR_PENDING;
		ssize_t len = send(monitor->fd, text, left, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (len < 0 && errno != EAGAIN && errno != EINTR)
			return closed(monitor, deadline_us, reason);
		if (len > 0) {
			text += len;
			left -= (size_t)len;
		}
	}
	return 0;
}

static int send_command(struct qmp_monitor *monitor, const char *command, json_t *arguments,
			int64_t deadline_us, struct buf *reason)
{
	json_t *message = json_pack("{s:s,s:I,s:o*}", "execute", command, "id", ++monitor->last_id,
				    "arguments", arguments);
	cleanup(freep) char *text = message ? json_dumps(message, JSON_COMPACT) : NULL;
	json_decref(message);
	/* Ids of VMs and addresses are checked; nothing else from outside goes into a command. */
	if (!text)
		memory_exhausted();
	int r = send_text(monitor, text, deadline_us, reason);
	return r ? r : send_text(monitor, "\n", deadline_us, reason);
}

static int on_answer(struct qmp_monitor *monitor, json_t *message, json_t **ret_value,
		     struct buf *reason)
{
	json_t *value = json_object_get(message, "return");
	if (value) {
		if (ret_value)
			*ret_value = json_incref(value);
		return 0;
	}
	const json_t *error = json_object_get(message, "error");
	const char *class = json_string_value(json_object_get(error, "class"));
	const char *words = json_string_value(json_object_get(error, "desc"));
	if (!words)
		return nonsense(monitor, "neither an answer nor an error", reason);
	snprintf(monitor->error_class, sizeof(monitor->error_class), "%s", class ? class : "");
	buf_printf(reason, "%.300s", words);
	return HYPERVISOR_REFUSED;
}

static int await_answer(struct qmp_monitor *monitor, int64_t deadline_us, json_t **ret_value,
			struct buf *reason)
{
	for (;;) {
		json_t *message;
		int r = next_message(monitor, deadline_us, &message, reason);
		if (r)
			return r;
		bool ours = false;
		if (!pass_event(monitor, message)) {
			const json_t *id = json_object_get(message, "id");
			ours = !id || json_integer_value(id) == monitor->last_id;
			/* Without an id QEMU only complains about a line that it could not read. */
			if (!id)
				r = nonsense(monitor, "something that is no answer", reason);
			else if (ours)
				r = on_answer(monitor, message, ret_value, reason);
		}
		json_decref(message);
		if (ours)
			return r;
	}
}

int qmp_execute(struct qmp_monitor *monitor, const char *command, json_t *arguments,
		int64_t deadline_us, json_t **ret_value, struct buf *reason)
{
	monitor->error_class[0] = '\0';
	int r = send_command(monitor, command, arguments, deadline_us, reason);
	if (r == 0)
		r = await_answer(monitor, deadline_us, ret_value, reason);
	if (r != HYPERVISOR_PENDING)
		return r;
	buf_printf(reason, "QEMU does not answer %s on %s", command, monitor->path);
	return HYPERVISOR_SILENT;
}

const char *qmp_monitor_error_class(const struct qmp_monitor *monitor)
{
	return monitor->error_class;
}

int qmp_monitor_wait(struct qmp_monitor *monitor, int64_t deadline_us, struct buf *reason)
{
	for (;;) {
		json_t *message;
		int r = next_message(monitor, deadline_us, &message, reason);
		if (r)
			return r;
		bool is_event = pass_event(monitor, message);
		json_decref(message);
		if (is_event)
			return 0;
	}
}

void qmp_monitor_on_event(struct qmp_monitor *monitor, qmp_event_fn on_event, void *context)
{
	monitor->on_event = on_event;
	monitor->context = context;
}

static int greet(struct qmp_monitor *monitor, int64_t deadline_us, struct buf *reason)
{
	json_t *greeting;
	int r = next_message(monitor, deadline_us, &greeting, reason);
	if (r == HYPERVISOR_PENDING) {
		buf_printf(
			reason,
			"QEMU does not greet on %s: it hangs, or another program has this monitor, "
			"and QEMU talks to one at a time; give gpubus a monitor of its own (-qmp "
			"may "
			"be given several times)",
			monitor->path);
		return HYPERVISOR_SILENT;
	}
	if (r)
		return r;
	bool is_greeting = json_is_object(json_object_get(greeting, "QMP"));
	json_decref(greeting);
	if (!is_greeting)
		return nonsense(monitor, "something else than a greeting", reason);

	r = qmp_execute(monitor, "qmp_capabilities", NULL, deadline_us, NULL, reason);
	/* Who does not take part in the negotiation has nothing to say afterwards. */
	return r == HYPERVISOR_REFUSED ? HYPERVISOR_SILENT : r;
}

int qmp_monitor_open(const char *path, int64_t deadline_us, struct qmp_monitor **ret_monitor,
		     struct buf *reason)
{
	int fd = -1;
	int r = qmp_socket_connect(path, deadline_us, &fd, reason);
	if (r)
		return r;
	cleanup(qmp_monitor_closep) struct qmp_monitor *monitor =
		memory_zeroed(1, sizeof(*monitor));
	monitor->fd = fd;
	snprintf(monitor->path, sizeof(monitor->path), "%s", path);
	r = greet(monitor, deadline_us, reason);
	if (r)
		return r;
	*ret_monitor = steal(&monitor);
	return 0;
}

void qmp_monitor_close(struct qmp_monitor *monitor)
{
	if (!monitor)
		return;
	close(monitor->fd);
	buf_deinit(&monitor->input);
	free(monitor);
}
