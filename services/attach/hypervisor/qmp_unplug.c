/*
 * A device leaves when the guest lets go of it, and the guest lets go of a slot: asking for function 0
 * takes all of its functions along. So of each slot one device is asked for, and what remains after it is
 * gone (devices that somebody put elsewhere) is asked for then.
 */
#include "attach/hypervisor/qmp_session.h"

#include <stdio.h>
#include <string.h>

#include "attach/hypervisor/deadline.h"
#include "attach/hypervisor/guest_slots.h"

enum {
	SETTLE_MS = 500, /* between a device's end in the object tree and DEVICE_DELETED */
};

struct wish {
	struct qmp_devices devices;
	size_t n_news;		     /* events about devices that leave or do not */
	size_t n_deleted;	     /* events, of any device */
	char declined[QMP_ID_BYTES]; /* QOM path of what the guest keeps */
};

static void on_event(void *context, const char *event, const json_t *data)
{
	struct wish *wish = context;
	bool is_deleted = strcmp(event, "DEVICE_DELETED") == 0;
	bool is_declined = strcmp(event, "DEVICE_UNPLUG_GUEST_ERROR") == 0;
	const char *path = json_string_value(json_object_get(data, "path"));
	wish->n_deleted += is_deleted;
	wish->n_news += is_deleted || is_declined;
	if (is_declined && path)
		snprintf(wish->declined, sizeof(wish->declined), "%s", path);
}

static int find(const struct qmp_session *session, const struct qmp_unplug *unplug,
		struct qmp_devices *devices)
{
	int r = qmp_find_devices(session, devices);
	for (size_t i = 0; r == 0 && i < session->unit->n; i++)
		if (devices->names[i][0] && !unplug->selected[i]) {
			devices->names[i][0] = '\0';
			devices->n--;
		}
	return r;
}

/* Asked for already, by us or by somebody else. */
static bool is_on_its_way(const char *words)
{
	return strstr(words, "in the process of unplug") || strstr(words, "guest is busy");
}

static int ask(const struct qmp_session *session, const char *path)
{
	cleanup(buf_deinit) struct buf words = { 0 };
	/* device_del takes a QOM path as well as an id. */
	int r = qmp_execute(session->monitor, "device_del", json_pack("{s:s}", "id", path),
			    session->deadline_us, NULL, &words);
	if (r == HYPERVISOR_REFUSED &&
	    (strcmp(qmp_monitor_error_class(session->monitor), "DeviceNotFound") == 0 ||
	     is_on_its_way(words.data)))
		return 0;
	if (r == HYPERVISOR_REFUSED)
		buf_printf(session->reason, "QEMU does not unplug %s: \"%s\"", path, words.data);
	else if (r > 0)
		buf_puts(session->reason, words.data);
	return r;
}

static int ask_slots(const struct qmp_session *session, struct qmp_unplug *unplug,
		     const struct qmp_devices *devices, const struct guest_slots *slots)
{
	for (size_t i = 0; i < slots->n; i++) {
		const struct guest_slot *slot = &slots->slots[i];
		size_t lead = slot->n; /* function 0 is the last one */
		while (lead && !devices->names[slot->functions[lead - 1]][0])
			lead--;
		if (!lead || unplug->asked[slot->functions[lead - 1]])
			continue;
		unplug->asked[slot->functions[lead - 1]] = true;
		int r = ask(session, devices->names[slot->functions[lead - 1]]);
		if (r)
			return r;
	}
	return 0;
}

static int still_there(const struct qmp_session *session, const struct qmp_unplug *unplug,
		       const struct wish *wish)
{
	buf_printf(session->reason,
		   unplug->declined ? "the guest declines to let go of %zu function%s"
				    : "the guest has not yet let go of %zu function%s",
		   wish->devices.n, wish->devices.n == 1 ? "" : "s");
	return HYPERVISOR_PENDING;
}

/* A device vanishes from the object tree a moment before QEMU closes what it has open on the host. */
static int settle(const struct qmp_session *session, struct wish *wish, size_t n_before)
{
	int64_t until = deadline_earlier(session->deadline_us, deadline_in_ms(SETTLE_MS));
	int r = 0;
	while (r == 0 && wish->n_deleted < n_before)
		r = qmp_monitor_wait(session->monitor, until, session->reason);
	return r == HYPERVISOR_PENDING ? 0 : r;
}

static bool declines(const struct wish *wish, const struct unit *unit)
{
	for (size_t i = 0; i < unit->n; i++)
		if (wish->declined[0] && strcmp(wish->declined, wish->devices.names[i]) == 0)
			return true;
	return false;
}

static int converse(struct qmp_session *session, struct qmp_unplug *unplug, int64_t until_us,
		    struct wish *wish)
{
	struct guest_slots slots;
	guest_slots_of(session->unit, &slots);
	size_t n_before = 0;
	for (bool in_time = true;; in_time = deadline_left_ms(until_us) > 0) {
		size_t n_news = wish->n_news;
		int r = find(session, unplug, &wish->devices);
		if (r)
			return r;
		if (!wish->devices.n)
			return settle(session, wish, n_before);
		if (n_before == 0)
			n_before = wish->devices.n;
		r = ask_slots(session, unplug, &wish->devices, &slots);
		if (r)
			return r;
		unplug->declined = declines(wish, session->unit);
		if (!in_time || unplug->declined)
			return still_there(session, unplug, wish);
		/* A quick guest's events come before the answer to device_del. */
		if (wish->n_news == n_news)
			r = qmp_monitor_wait(session->monitor, until_us, session->reason);
		if (r == HYPERVISOR_PENDING)
			return still_there(session, unplug, wish);
		if (r)
			return r;
	}
}

int qmp_unplug(struct qmp_session *session, struct qmp_unplug *unplug, int64_t until_us)
{
	struct wish wish = { 0 };
	qmp_monitor_on_event(session->monitor, on_event, &wish);
	int r = converse(session, unplug, until_us, &wish);
	qmp_monitor_on_event(session->monitor, NULL, NULL);
	return r;
}
