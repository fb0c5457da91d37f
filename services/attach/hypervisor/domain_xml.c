#include "attach/hypervisor/domain_xml.h"

#include <expat.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"

/* Where devices are: the same elements elsewhere (in somebody's <metadata>) mean nothing. */
static const char *const devices_path[] = { "domain", "devices" };

/* How many elements there are above one. */
enum {
	DEVICE_DEPTH = 2,
	PART_DEPTH = 3,	   /* of a device: its <source>, <alias>, <address> in the guest */
	ADDRESS_DEPTH = 4, /* on the host, in <source> */
};

struct scan {
	const struct unit *unit;
	struct domain_devices found;
	bool is_domain;
	bool is_used[DOMAIN_BUSES];
	size_t depth;
	size_t on_path; /* elements of devices_path, from the root, that we are in */

	/* The device that we are in. */
	bool is_hostdev; /* a PCI one */
	bool in_source;
	bool has_address;
	struct pci_address address; /* on the host */
	char alias[DOMAIN_ALIAS_BYTES];
	unsigned long port; /* the bus behind it; 0: it is no PCIe port, or takes nothing */
};

static const char *attribute(const XML_Char **attributes, const char *name)
{
	for (size_t i = 0; attributes[i]; i += 2)
		if (strcmp(attributes[i], name) == 0)
			return attributes[i + 1];
	return "";
}

/* libvirt writes numbers in hex with 0x; other writers of the same XML may not. */
static bool number(const char *text, unsigned long limit, unsigned long *ret_number)
{
	char *end;
	unsigned long value = strtoul(text, &end, 0);
	if (end == text || *end || value > limit)
		return false;
	*ret_number = value;
	return true;
}

static void read_address(struct scan *scan, const XML_Char **attributes)
{
	unsigned long domain = 0, bus, device, function;
	const char *domain_text = attribute(attributes, "domain");
	scan->has_address = (!domain_text[0] || number(domain_text, UINT32_MAX, &domain)) &&
			    number(attribute(attributes, "bus"), 255, &bus) &&
			    number(attribute(attributes, "slot"), 31, &device) &&
			    number(attribute(attributes, "function"), 7, &function);
	if (scan->has_address)
		scan->address = (struct pci_address){ .domain = (uint32_t)domain,
						      .bus = (uint8_t)bus,
						      .device = (uint8_t)device,
						      .function = (uint8_t)function };
}

static void on_device(struct scan *scan, const char *name, const XML_Char **attributes)
{
	const char *type = attribute(attributes, "type"), *model = attribute(attributes, "model");
	bool is_pci = strcmp(type, "pci") == 0;
	scan->is_hostdev = is_pci && strcmp(name, "hostdev") == 0;
	scan->has_address = false;
	scan->alias[0] = '\0';
	scan->port = 0;
	if (is_pci && strcmp(name, "controller") == 0 &&
	    (strcmp(model, "pcie-root-port") == 0 ||
	     strcmp(model, "pcie-switch-downstream-port") == 0) &&
	    !number(attribute(attributes, "index"), DOMAIN_BUSES - 1, &scan->port))
		scan->port = 0;
}

static void on_part(struct scan *scan, const char *name, const XML_Char **attributes)
{
	unsigned long bus;
	if (strcmp(name, "source") == 0)
		scan->in_source = true;
	else if (strcmp(name, "alias") == 0)
		snprintf(scan->alias, sizeof(scan->alias), "%s", attribute(attributes, "name"));
	else if (strcmp(name, "target") == 0 &&
		 strcmp(attribute(attributes, "hotplug"), "off") == 0)
		scan->port = 0;
	else if (strcmp(name, "address") == 0 &&
		 strcmp(attribute(attributes, "type"), "pci") == 0 &&
		 number(attribute(attributes, "bus"), DOMAIN_BUSES - 1, &bus))
		scan->is_used[bus] = true;
}

static void on_start(void *context, const XML_Char *name, const XML_Char **attributes)
{
	struct scan *scan = context;
	size_t depth = scan->depth++;
	if (depth == 0)
		scan->is_domain = strcmp(name, devices_path[0]) == 0;
	if (depth < DEVICE_DEPTH) {
		if (scan->on_path == depth && strcmp(name, devices_path[depth]) == 0)
			scan->on_path++;
	} else if (scan->on_path < DEVICE_DEPTH) {
		return;
	} else if (depth == DEVICE_DEPTH) {
		on_device(scan, name, attributes);
	} else if (depth == PART_DEPTH) {
		on_part(scan, name, attributes);
	} else if (depth == ADDRESS_DEPTH && scan->in_source && strcmp(name, "address") == 0) {
		read_address(scan, attributes);
	}
}

static void take(struct scan *scan)
{
	struct domain_devices *found = &scan->found;
	for (size_t i = 0; i < scan->unit->n; i++)
		if (!found->has[i] &&
		    pci_address_compare(scan->unit->functions[i], scan->address) == 0) {
			found->has[i] = true;
			found->n++;
			memcpy(found->aliases[i], scan->alias, sizeof(scan->alias));
			return;
		}
}

static void on_end(void *context, const XML_Char *name)
{
	(void)name;
	struct scan *scan = context;
	size_t depth = --scan->depth;
	if (depth == PART_DEPTH)
		scan->in_source = false;
	if (depth == DEVICE_DEPTH && scan->on_path == DEVICE_DEPTH) {
		if (scan->is_hostdev && scan->has_address)
			take(scan);
		if (scan->port)
			scan->found.has_free_port[scan->port] = true;
	}
	if (depth < scan->on_path)
		scan->on_path = depth;
}

int domain_xml_find(const char *xml, const struct unit *unit, struct domain_devices *ret_devices)
{
	size_t len = strlen(xml);
	if (len > LIMIT_DOMAIN_XML_BYTES)
		return 1;
	struct scan scan = { .unit = unit };
	XML_Parser parser = XML_ParserCreate("UTF-8");
	XML_SetUserData(parser, &scan);
	XML_SetElementHandler(parser, on_start, on_end);
	bool is_xml = XML_Parse(parser, xml, (int)len, 1) == XML_STATUS_OK;
	XML_ParserFree(parser);
	if (!is_xml || !scan.is_domain)
		return 1;
	for (size_t i = 0; i < DOMAIN_BUSES; i++)
		scan.found.has_free_port[i] &= !scan.is_used[i];
	*ret_devices = scan.found;
	return 0;
}

void domain_xml_hostdev(struct pci_address function, unsigned int bus, struct buf *xml)
{
	/* User aliases begin with "ua-" and have no dots. */
	buf_printf(xml,
		   "<hostdev mode='subsystem' type='pci' managed='no'>"
		   "<driver name='vfio'/>"
		   "<source><address domain='0x%04x' bus='0x%02x' slot='0x%02x' "
		   "function='0x%x'/></source>"
		   "<alias name='ua-gpubus-%04x-%02x-%02x-%x'/>",
		   function.domain, function.bus, function.device, function.function,
		   function.domain, function.bus, function.device, function.function);
	if (bus)
		buf_printf(xml,
			   "<address type='pci' domain='0x0000' bus='0x%02x' slot='0x00' "
			   "function='0x0'/>",
			   bus);
	buf_puts(xml, "</hostdev>");
}
