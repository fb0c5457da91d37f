/*
 * Which ports are free is asked from QEMU's object tree, not from query-pci: before the guest's firmware
 * has numbered the buses, query-pci shows every port as empty.
 */
#include "attach/hypervisor/qmp_session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

/* Ports that take PCIe devices while the VM runs. pcie.0 does not, and PCI bridges are for PCI devices. */
static bool is_port(const char *type)
{
	static const char *const types[] = { "child<pcie-root-port>", "child<xio3130-downstream>",
					     "child<ioh3420>" };
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (strcmp(type, types[i]) == 0)
			return true;
	return false;
}

static bool starts_with(const json_t *entry, const char *key, const char *start)
{
	const char *text = json_string_value(json_object_get(entry, key));
	return text && strncmp(text, start, strlen(start)) == 0;
}

/* The name of the bus behind the port; "": it has none. */
static int bus_behind(const struct qmp_session *session, const char *path, char bus[QMP_ID_BYTES])
{
	json_t *properties = NULL;
	int r = qmp_list(session, path, &properties);
	if (r)
		return r;
	bus[0] = '\0';
	for (size_t i = 0; i < json_array_size(properties); i++) {
		const json_t *entry = json_array_get(properties, i);
		const char *name = json_string_value(json_object_get(entry, "name"));
		if (name && strlen(name) < QMP_ID_BYTES && starts_with(entry, "type", "child<PCI"))
			snprintf(bus, QMP_ID_BYTES, "%s", name);
	}
	json_decref(properties);
	return 0;
}

static int is_empty(const struct qmp_session *session, const char *port, const char *bus,
		    bool *ret_empty)
{
	char path[2 * QMP_ID_BYTES + 2];
	snprintf(path, sizeof(path), "%s/%s", port, bus);
	json_t *children = NULL;
	int r = qmp_list(session, path, &children);
	if (r)
		return r;
	*ret_empty = true;
	for (size_t i = 0; i < json_array_size(children); i++)
		if (starts_with(json_array_get(children, i), "name", "child["))
			*ret_empty = false;
	json_decref(children);
	return 0;
}

/* The owner of a VM may switch hot-plug off for a port (hotplug=off). */
static int takes_hotplug(const struct qmp_session *session, const char *path, bool *ret_takes)
{
	cleanup(buf_deinit) struct buf words = { 0 };
	json_t *value = NULL;
	int r = qmp_execute(session->monitor, "qom-get",
			    json_pack("{s:s,s:s}", "path", path, "property", "hotplug"),
			    session->deadline_us, &value, &words);
	if (r && r != HYPERVISOR_REFUSED) {
		buf_puts(session->reason, words.data);
		return r;
	}
	*ret_takes = r || !json_is_false(value);
	json_decref(value);
	return 0;
}

static int is_free(const struct qmp_session *session, const char *name, char bus[QMP_ID_BYTES],
		   bool *ret_free)
{
	char path[QMP_ID_BYTES];
	if (snprintf(path, sizeof(path), "/machine/peripheral/%s", name) >= (int)sizeof(path)) {
		*ret_free = false;
		return 0;
	}
	bool yes = false;
	int r = takes_hotplug(session, path, &yes);
	if (r == 0 && yes)
		r = bus_behind(session, path, bus);
	if (r == 0 && yes)
		yes = bus[0] != '\0';
	if (r == 0 && yes)
		r = is_empty(session, path, bus, &yes);
	if (r == 0)
		*ret_free = yes;
	return r;
}

static int by_name(const void *a, const void *b)
{
	return strverscmp(*(const char *const *)a, *(const char *const *)b);
}

/* Ports without an id are left alone: the names of their buses (pcie.1) need not be unique. */
static const char **ports_of(const json_t *peripherals, size_t *ret_n)
{
	const char **names = memory_zeroed(json_array_size(peripherals) + 1, sizeof(*names));
	size_t n = 0;
	for (size_t i = 0; i < json_array_size(peripherals); i++) {
		const json_t *entry = json_array_get(peripherals, i);
		const char *type = json_string_value(json_object_get(entry, "type"));
		const char *name = json_string_value(json_object_get(entry, "name"));
		if (name && type && is_port(type))
			names[n++] = name;
	}
	qsort(names, n, sizeof(*names), by_name);
	*ret_n = n;
	return names;
}

static int too_few(const struct qmp_session *session, size_t n_ports, size_t n_free,
		   size_t n_wanted)
{
	buf_printf(session->reason,
		   "the device needs %zu free PCIe port%s, and %zu of the VM's %zu %s free: start "
		   "it with "
		   "more of them (-device pcie-root-port,id=…,chassis=…; mem-reserve or "
		   "pref64-reserve "
		   "make room for the memory of a GPU)",
		   n_wanted, n_wanted == 1 ? "" : "s", n_free, n_ports, n_free == 1 ? "is" : "are");
	return HYPERVISOR_NO_PORT;
}

int qmp_find_ports(const struct qmp_session *session, size_t n, char ret_buses[][QMP_ID_BYTES])
{
	json_t *peripherals = NULL;
	int r = qmp_list(session, "/machine/peripheral", &peripherals);
	if (r)
		return r;
	size_t n_ports, n_free = 0;
	cleanup(freep) const char **names = ports_of(peripherals, &n_ports);
	for (size_t i = 0; r == 0 && n_free < n && i < n_ports; i++) {
		bool is = false;
		r = is_free(session, names[i], ret_buses[n_free], &is);
		if (is)
			n_free++;
	}
	json_decref(peripherals);
	if (r)
		return r;
	return n_free < n ? too_few(session, n_ports, n_free, n) : 0;
}
