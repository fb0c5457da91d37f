/*
 * All functions or none: ports for all slots are found before anything is added, and what was added is
 * taken back when one fails.
 *
 * While this conversation lasts no other agent's can, so nobody of gpubus takes the ports in between.
 */
#include "attach/hypervisor/qmp_session.h"

#include <string.h>

#include "attach/hypervisor/deadline.h"
#include "attach/hypervisor/guest_slots.h"
#include "attach/hypervisor/words.h"

struct plan {
	struct guest_slots slots;
	char buses[LIMIT_FUNCTIONS_PER_UNIT][QMP_ID_BYTES]; /* by slot; "": nothing to be done */
	bool added[LIMIT_FUNCTIONS_PER_UNIT];		    /* by function */
};

static bool has(const struct qmp_devices *devices, size_t function)
{
	return devices->names[function][0] != '\0';
}

/* A VM that is being received has no devices to change yet. */
static int check_status(const struct qmp_session *session)
{
	json_t *status = NULL;
	int r = qmp_execute(session->monitor, "query-status", NULL, session->deadline_us, &status,
			    session->reason);
	if (r)
		return r;
	const char *text = json_string_value(json_object_get(status, "status"));
	if (text && (strcmp(text, "inmigrate") == 0 || strcmp(text, "postmigrate") == 0)) {
		buf_printf(session->reason, "the VM is on its way from one host to another (%s)",
			   text);
		r = HYPERVISOR_VM_ABSENT;
	}
	json_decref(status);
	return r;
}

/* An earlier attempt that was cut off has left some: go on beside them, if the guest has not seen the slot
 * yet. It sees it with function 0, and takes no more functions afterwards. */
static int join_half_done(const struct qmp_session *session, struct plan *plan, size_t slot,
			  const struct qmp_devices *devices)
{
	const struct guest_slot *guest_slot = &plan->slots.slots[slot];
	if (has(devices, guest_slot->functions[guest_slot->n - 1])) {
		buf_puts(session->reason, "the VM has some functions of the device and not the "
					  "others, which it takes only "
					  "together: they have to be unplugged first");
		return HYPERVISOR_REFUSED;
	}
	size_t present = 0;
	while (!has(devices, guest_slot->functions[present]))
		present++;
	return qmp_bus_of(session, devices->names[guest_slot->functions[present]],
			  plan->buses[slot]);
}

static int make_plan(const struct qmp_session *session, const struct qmp_devices *devices,
		     struct plan *plan)
{
	size_t fresh[LIMIT_FUNCTIONS_PER_UNIT], n_fresh = 0;
	guest_slots_of(session->unit, &plan->slots);
	for (size_t i = 0; i < plan->slots.n; i++) {
		const struct guest_slot *slot = &plan->slots.slots[i];
		size_t n = 0;
		for (size_t j = 0; j < slot->n; j++)
			n += has(devices, slot->functions[j]);
		if (n == 0) {
			fresh[n_fresh++] = i;
		} else if (n < slot->n) {
			int r = join_half_done(session, plan, i, devices);
			if (r)
				return r;
		}
	}
	char buses[LIMIT_FUNCTIONS_PER_UNIT][QMP_ID_BYTES];
	int r = n_fresh ? qmp_find_ports(session, n_fresh, buses) : 0;
	for (size_t i = 0; r == 0 && i < n_fresh; i++)
		memcpy(plan->buses[fresh[i]], buses[i], QMP_ID_BYTES);
	return r;
}

static json_t *arguments(struct pci_address function, const char *bus, uint8_t number,
			 bool is_multifunction)
{
	char id[QMP_ID_BYTES], address[PCI_ADDRESS_TEXT_BYTES];
	qmp_device_id(function, id);
	pci_address_format(function, address);
	json_t *object = json_pack("{s:s,s:s,s:s}", "driver", "vfio-pci", "id", id, "bus", bus);
	json_object_set_new(object, "addr", json_sprintf("0.%d", number));
	/* `host` takes domains of four digits only. */
	if (function.domain <= 0xffff)
		json_object_set_new(object, "host", json_string(address));
	else
		json_object_set_new(object, "sysfsdev",
				    json_sprintf("/sys/bus/pci/devices/%s", address));
	if (is_multifunction)
		json_object_set_new(object, "multifunction", json_true());
	return object;
}

static int add(const struct qmp_session *session, struct plan *plan, size_t slot, size_t i)
{
	const struct guest_slot *guest_slot = &plan->slots.slots[slot];
	size_t function = guest_slot->functions[i];
	uint8_t number = guest_slot->numbers[i];
	cleanup(buf_deinit) struct buf words = { 0 };
	int r = qmp_execute(session->monitor, "device_add",
			    arguments(session->unit->functions[function], plan->buses[slot], number,
				      number == 0 && guest_slot->n > 1),
			    session->deadline_us, NULL, &words);
	if (r == 0)
		plan->added[function] = true;
	else if (r == HYPERVISOR_REFUSED)
		r = words_explain("QEMU", words.data, session->unit->functions[function],
				  session->reason);
	else if (r > 0)
		buf_puts(session->reason, words.data);
	return r;
}

static int add_all(const struct qmp_session *session, const struct qmp_devices *devices,
		   struct plan *plan)
{
	for (size_t i = 0; i < plan->slots.n; i++) {
		const struct guest_slot *slot = &plan->slots.slots[i];
		for (size_t j = 0; j < slot->n; j++) {
			if (has(devices, slot->functions[j]))
				continue;
			int r = add(session, plan, i, j);
			if (r)
				return r;
		}
	}
	return 0;
}

/* The first failure is what counts; what cannot be taken back is said with it. */
static void take_back(const struct qmp_session *session, const struct plan *plan)
{
	cleanup(buf_deinit) struct buf why = { 0 };
	struct qmp_session back = *session;
	back.reason = &why;
	struct qmp_unplug unplug = { 0 };
	memcpy(unplug.selected, plan->added, sizeof(unplug.selected));
	if (qmp_unplug(&back, &unplug, session->deadline_us))
		buf_printf(session->reason,
			   "; functions added before could not be taken back yet: %s", why.data);
}

int qmp_plug(struct qmp_session *session)
{
	int r = check_status(session);
	struct qmp_devices devices;
	if (r == 0)
		r = qmp_find_devices(session, &devices);
	struct plan plan = { 0 };
	if (r == 0)
		r = make_plan(session, &devices, &plan);
	if (r)
		return r;

	/* The rest of the time is for taking back. */
	struct qmp_session adding = *session;
	int64_t now_us = deadline_now_us();
	adding.deadline_us = now_us + (session->deadline_us - now_us) / 4 * 3;
	r = add_all(&adding, &devices, &plan);
	if (r == HYPERVISOR_HELD || r == HYPERVISOR_REFUSED)
		take_back(session, &plan);
	return r;
}
