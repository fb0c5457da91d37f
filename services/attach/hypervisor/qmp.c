/*
 * QEMU by its monitor. The agent needs one of its own (-qmp may be given several times): see
 * qmp_monitor.h. Devices are known by ids derived from their addresses (qmp_session.h), so nothing has to
 * be remembered.
 *
 * A QEMU that answers is a VM that runs, whatever its status: a paused one has its devices, too. Whether
 * the memory of a device fits behind a port cannot be seen here (the guest assigns it): that is up to the
 * VM's owner (mem-reserve, pref64-reserve of the port).
 */
#include <poll.h>
#include <stdlib.h>

#include "attach/hypervisor/deadline.h"
#include "attach/hypervisor/kinds.h"
#include "attach/hypervisor/qmp_session.h"
#include "attach/hypervisor/qmp_socket.h"
#include "base/memory.h"

enum {
	/* While the guest takes its time, other agents' steps about the same VM get their turn at the
	 * monitor. */
	UNPLUG_TURN_MS = 1000,
	UNPLUG_PAUSE_MS = 50,
};

struct qmp {
	struct hypervisor base;
	char *target; /* owned */
};

static const struct qmp *qmp_of(const struct hypervisor *hypervisor)
{
	return (const struct qmp *)hypervisor;
}

static int look(struct hypervisor *hypervisor, const char *vm_id, const struct unit *unit,
		int64_t deadline_ms, enum vm_presence *ret_vm, size_t *ret_n_plugged,
		struct buf *reason)
{
	char path[QMP_PATH_BYTES];
	if (qmp_socket_path(qmp_of(hypervisor)->target, vm_id, path, sizeof(path), reason))
		return HYPERVISOR_SILENT;

	struct qmp_session session = { .unit = unit,
				       .deadline_us = deadline_in_ms(deadline_ms),
				       .reason = reason };
	cleanup(qmp_monitor_closep) struct qmp_monitor *monitor = NULL;
	struct qmp_devices devices = { .n = 0 };
	int r = qmp_monitor_open(path, session.deadline_us, &monitor, reason);
	session.monitor = monitor;
	if (r == 0)
		r = qmp_execute(monitor, "query-status", NULL, session.deadline_us, NULL, reason);
	if (r == 0)
		r = qmp_find_devices(&session, &devices);
	if (r != 0 && r != HYPERVISOR_VM_ABSENT)
		return r == HYPERVISOR_REFUSED ? HYPERVISOR_SILENT : r;
	*ret_vm = r == 0 ? VM_RUNNING : VM_ABSENT;
	*ret_n_plugged = r == 0 ? devices.n : 0;
	buf_clear(reason);
	return 0;
}

static int plug(struct hypervisor *hypervisor, const char *vm_id, const struct unit *unit,
		int64_t deadline_ms, struct buf *reason)
{
	char path[QMP_PATH_BYTES];
	if (qmp_socket_path(qmp_of(hypervisor)->target, vm_id, path, sizeof(path), reason))
		return HYPERVISOR_REFUSED;

	struct qmp_session session = { .unit = unit,
				       .deadline_us = deadline_in_ms(deadline_ms),
				       .reason = reason };
	cleanup(qmp_monitor_closep) struct qmp_monitor *monitor = NULL;
	int r = qmp_monitor_open(path, session.deadline_us, &monitor, reason);
	if (r)
		return r;
	session.monitor = monitor;
	return qmp_plug(&session);
}

static int unplug_turn(const char *path, const struct unit *unit, struct qmp_unplug *unplug,
		       int64_t deadline_us, struct buf *reason)
{
	cleanup(qmp_monitor_closep) struct qmp_monitor *monitor = NULL;
	int r = qmp_monitor_open(path, deadline_us, &monitor, reason);
	if (r)
		return r;
	struct qmp_session session = {
		.monitor = monitor, .unit = unit, .deadline_us = deadline_us, .reason = reason
	};
	return qmp_unplug(&session, unplug,
			  deadline_earlier(deadline_us, deadline_in_ms(UNPLUG_TURN_MS)));
}

/* Turn by turn. Who was told once that the guest takes its time, and then does not get the monitor again
 * because others have it, still knows that. */
static int unplug_until(const char *path, const struct unit *unit, int64_t deadline_us,
			struct buf *reason)
{
	struct qmp_unplug progress = { .declined = false };
	for (size_t i = 0; i < unit->n; i++)
		progress.selected[i] = true;
	cleanup(buf_deinit) struct buf pending = { 0 };
	for (;;) {
		cleanup(buf_deinit) struct buf words = { 0 };
		int r = unplug_turn(path, unit, &progress, deadline_us, &words);
		if (r == HYPERVISOR_SILENT && pending.len) {
			buf_puts(reason, pending.data);
			return HYPERVISOR_PENDING;
		}
		if (r != HYPERVISOR_PENDING || progress.declined ||
		    deadline_left_ms(deadline_us) <= UNPLUG_PAUSE_MS) {
			buf_append(reason, words.data, words.len);
			return r;
		}
		buf_clear(&pending);
		buf_puts(&pending, words.data);
		poll(NULL, 0, UNPLUG_PAUSE_MS);
	}
}

static int unplug(struct hypervisor *hypervisor, const char *vm_id, const struct unit *unit,
		  int64_t deadline_ms, struct buf *reason)
{
	char path[QMP_PATH_BYTES];
	int r = qmp_socket_path(qmp_of(hypervisor)->target, vm_id, path, sizeof(path), reason);
	if (r == QMP_PATH_TOO_LONG)
		return HYPERVISOR_SILENT;
	/* A VM that nobody could ever be asked about was never given anything, and what a VM had goes
	 * with it. */
	if (r == 0)
		r = unplug_until(path, unit, deadline_in_ms(deadline_ms), reason);
	if (r != QMP_PATH_NO_ID && r != HYPERVISOR_VM_ABSENT)
		return r;
	buf_clear(reason);
	return 0;
}

static void qmp_free(struct hypervisor *hypervisor)
{
	free(((struct qmp *)hypervisor)->target);
	free(hypervisor);
}

static const struct hypervisor_ops qmp_ops = {
	.name = "qmp",
	.look = look,
	.plug = plug,
	.unplug = unplug,
	.free = qmp_free,
};

int qmp_new(const char *target, struct hypervisor **ret_hypervisor, struct buf *error)
{
	int r = qmp_socket_check_target(target, error);
	if (r)
		return r;
	struct qmp *qmp = memory_zeroed(1, sizeof(*qmp));
	qmp->base.ops = &qmp_ops;
	qmp->target = memory_strdup(target);
	*ret_hypervisor = &qmp->base;
	return 0;
}
