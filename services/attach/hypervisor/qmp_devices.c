#include "attach/hypervisor/qmp_session.h"

#include <stdio.h>
#include <string.h>

/* Devices with an id, and those without: QEMU keeps them apart. */
static const char *const containers[] = { "/machine/peripheral", "/machine/peripheral-anon" };

void qmp_device_id(struct pci_address function, char id[QMP_ID_BYTES])
{
	snprintf(id, QMP_ID_BYTES, "gpubus-%04x-%02x-%02x.%x", function.domain, function.bus,
		 function.device, function.function);
}

int qmp_list(const struct qmp_session *session, const char *path, json_t **ret_list)
{
	json_t *list = NULL;
	int r = qmp_execute(session->monitor, "qom-list", json_pack("{s:s}", "path", path),
			    session->deadline_us, &list, session->reason);
	if (r)
		return r;
	if (!json_is_array(list)) {
		/* Taken for an empty list it would say that the VM has no devices. */
		json_decref(list);
		buf_printf(session->reason, "QEMU's answer to qom-list of %s is no list", path);
		return HYPERVISOR_SILENT;
	}
	*ret_list = list;
	return 0;
}

/* A property as text; "" when there is none or it is no text. */
static int get_text(const struct qmp_session *session, const char *path, const char *property,
		    char text[QMP_ID_BYTES])
{
	cleanup(buf_deinit) struct buf words = { 0 };
	json_t *value = NULL;
	int r = qmp_execute(session->monitor, "qom-get",
			    json_pack("{s:s,s:s}", "path", path, "property", property),
			    session->deadline_us, &value, &words);
	if (r && r != HYPERVISOR_REFUSED) {
		buf_puts(session->reason, words.data);
		return r;
	}
	const char *got = r ? NULL : json_string_value(value);
	int len = snprintf(text, QMP_ID_BYTES, "%s", got ? got : "");
	if (len >= QMP_ID_BYTES)
		text[0] = '\0';
	json_decref(value);
	return 0;
}

/* "0000:01:00.0", or the last part of a path in sysfs. */
static int parse_address(const char *text, struct pci_address *ret_address)
{
	const char *slash = strrchr(text, '/');
	return pci_address_parse(slash ? slash + 1 : text, ret_address);
}

/* Which function of the host a device is; positive outcome NOT_KNOWN is not an error. */
enum { NOT_KNOWN = 64 };

static int host_address(const struct qmp_session *session, const char *path,
			struct pci_address *ret_address)
{
	/* A device that was given by `host` has both; by `sysfsdev` only that. */
	static const char *const properties[] = { "host", "sysfsdev" };
	for (size_t i = 0; i < 2; i++) {
		char text[QMP_ID_BYTES];
		int r = get_text(session, path, properties[i], text);
		if (r)
			return r;
		if (parse_address(text, ret_address) == 0)
			return 0;
	}
	return NOT_KNOWN;
}

static void remember(const struct qmp_session *session, struct qmp_devices *devices,
		     struct pci_address address, const char *path)
{
	for (size_t i = 0; i < session->unit->n; i++)
		if (!devices->names[i][0] &&
		    pci_address_compare(session->unit->functions[i], address) == 0) {
			snprintf(devices->names[i], QMP_ID_BYTES, "%s", path);
			devices->n++;
			return;
		}
}

static bool is_ours(const struct qmp_session *session, const char *id,
		    struct pci_address *ret_address)
{
	for (size_t i = 0; i < session->unit->n; i++) {
		char ours[QMP_ID_BYTES];
		qmp_device_id(session->unit->functions[i], ours);
		if (strcmp(id, ours) == 0) {
			*ret_address = session->unit->functions[i];
			return true;
		}
	}
	return false;
}

static int look_at(const struct qmp_session *session, const char *container, const json_t *entry,
		   struct qmp_devices *devices)
{
	const char *name = json_string_value(json_object_get(entry, "name"));
	const char *type = json_string_value(json_object_get(entry, "type"));
	static const char vfio[] = "child<vfio-pci"; /* also -nohotplug, and those to come */
	if (!name || !type)
		return 0;
	char path[QMP_ID_BYTES];
	int len = snprintf(path, sizeof(path), "%s/%s", container, name);
	struct pci_address address;
	if (is_ours(session, name, &address)) {
		remember(session, devices, address, path);
		return 0;
	}
	if (strncmp(type, vfio, strlen(vfio)) != 0 || len >= (int)sizeof(path))
		return 0;
	int r = host_address(session, path, &address);
	if (r == 0)
		remember(session, devices, address, path);
	return r == NOT_KNOWN ? 0 : r;
}

int qmp_find_devices(const struct qmp_session *session, struct qmp_devices *ret_devices)
{
	struct qmp_devices found = { 0 };
	for (size_t i = 0; i < sizeof(containers) / sizeof(containers[0]); i++) {
		json_t *list = NULL;
		int r = qmp_list(session, containers[i], &list);
		for (size_t j = 0; r == 0 && j < json_array_size(list); j++)
			r = look_at(session, containers[i], json_array_get(list, j), &found);
		json_decref(list);
		if (r)
			return r;
	}
	*ret_devices = found;
	return 0;
}

int qmp_bus_of(const struct qmp_session *session, const char *device, char bus[QMP_ID_BYTES])
{
	char path[QMP_ID_BYTES];
	int r = get_text(session, device, "parent_bus", path);
	if (r)
		return r;
	const char *slash = strrchr(path, '/');
	if (!slash) {
		buf_printf(session->reason, "QEMU does not say on which bus %s is", device);
		return HYPERVISOR_REFUSED;
	}
	snprintf(bus, QMP_ID_BYTES, "%s", slash + 1);
	return 0;
}
