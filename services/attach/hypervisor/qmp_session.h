/* What every question about one unit of one VM needs, and the questions. Results as in hypervisor.h. */
#pragma once

#include <stdbool.h>

#include "attach/hypervisor/qmp_monitor.h"
#include "attach/unit.h"

struct qmp_session {
	struct qmp_monitor *monitor; /* borrowed, as all here */
	const struct unit *unit;
	int64_t deadline_us;
	struct buf *reason;
};

enum {
	QMP_ID_BYTES = 128, /* of devices and buses; longer ones are not ours to use */
};

/* "gpubus-0000-01-00.0": derived from the address alone, so that a device of ours is recognised without a
 * memory. */
void qmp_device_id(struct pci_address function, char id[QMP_ID_BYTES]);

/* ---- what the VM has (qmp_devices.c) ---- */

/* The properties of an object: an array that the caller owns. */
int qmp_list(const struct qmp_session *session, const char *path, json_t **ret_list) MUST_CHECK;

/*
 * The devices of the VM that are the unit's functions: by our id, or vfio-pci devices of the same host
 * address that somebody else plugged, with whatever id. The latter count as well, and unplugging takes
 * them, too: a function that is to leave the VM leaves it, whoever brought it.
 */
struct qmp_devices {
	char names[LIMIT_FUNCTIONS_PER_UNIT][QMP_ID_BYTES]; /* QOM path, or "": the VM does not have
							     * this function */
	size_t n;					    /* that it has */
};

int qmp_find_devices(const struct qmp_session *session, struct qmp_devices *ret_devices) MUST_CHECK;
/* The bus that a device is on; `bus` gets its name. */
int qmp_bus_of(const struct qmp_session *session, const char *device,
	       char bus[QMP_ID_BYTES]) MUST_CHECK;

/* ---- where it has room (qmp_ports.c) ---- */

/*
 * Buses of `n` free hot-pluggable PCIe ports, in the order of their names (rp2 before rp10), so that the
 * same is chosen each time. HYPERVISOR_NO_PORT: there are fewer.
 */
int qmp_find_ports(const struct qmp_session *session, size_t n,
		   char ret_buses[][QMP_ID_BYTES]) MUST_CHECK;

/* ---- plug and unplug (qmp_plug.c, qmp_unplug.c) ---- */

int qmp_plug(struct qmp_session *session) MUST_CHECK;

/* Asking, and waiting for the guest. May be gone on with, also in another session. */
struct qmp_unplug {
	bool selected[LIMIT_FUNCTIONS_PER_UNIT]; /* the others stay */
	bool asked
		[LIMIT_FUNCTIONS_PER_UNIT]; /* once is enough: to some guests a second request is a
					       * change of mind */
	bool declined; /* with PENDING: the guest has said that it keeps the device */
};

/* HYPERVISOR_PENDING: not all are gone at `until_us`, which is before the session's deadline. */
int qmp_unplug(struct qmp_session *session, struct qmp_unplug *unplug, int64_t until_us) MUST_CHECK;
