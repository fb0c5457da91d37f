/*
 * A conversation over QEMU's monitor protocol (QMP; docs/interop/qmp-spec.txt of QEMU): connect, greeting,
 * commands one after the other, events in between. Blocking, up to the deadline of each call
 * (deadline.h). Everything QEMU says is checked: a monitor that speaks nonsense is HYPERVISOR_SILENT.
 *
 * QEMU talks to one client of a monitor at a time, and lets others wait without a word. So a conversation
 * excludes other agents' ones about the same VM, and should not be kept open for nothing.
 */
#pragma once

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "attach/hypervisor/hypervisor.h"

struct qmp_monitor;

enum { QMP_PATH_BYTES = 108 }; /* sun_path, NUL included */

/* 0, HYPERVISOR_VM_ABSENT (nobody listens on the socket), HYPERVISOR_SILENT. */
int qmp_monitor_open(const char *path, int64_t deadline_us, struct qmp_monitor **ret_monitor,
		     struct buf *reason) MUST_CHECK;
void qmp_monitor_close(struct qmp_monitor *monitor);
DEFINE_CLEANUP(struct qmp_monitor *, qmp_monitor_close);

/* `data` is an object, borrowed during the call. Called within the two functions below. */
typedef void (*qmp_event_fn)(void *context, const char *event, const json_t *data);
void qmp_monitor_on_event(struct qmp_monitor *monitor, qmp_event_fn on_event, void *context);

/*
 * `arguments` is consumed, NULL: none; `ret_value` NULL: not wanted, otherwise the caller owns it.
 * HYPERVISOR_REFUSED: QEMU answered with an error; `reason` gets its words and nothing else, the class is
 * qmp_monitor_error_class() until the next command.
 * HYPERVISOR_SILENT, HYPERVISOR_VM_ABSENT (QEMU ended): the conversation is over.
 */
int qmp_execute(struct qmp_monitor *monitor, const char *command, json_t *arguments,
		int64_t deadline_us, json_t **ret_value, struct buf *reason) MUST_CHECK;
const char *qmp_monitor_error_class(const struct qmp_monitor *monitor);

/* 0: an event came and was passed on. HYPERVISOR_PENDING: none until the deadline. Else as above. */
int qmp_monitor_wait(struct qmp_monitor *monitor, int64_t deadline_us,
		     struct buf *reason) MUST_CHECK;
