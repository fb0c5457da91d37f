#include "layout.h"

#include <string.h>

enum { FUNCTIONS_MAX = 16384, SWITCHES_MAX = 16, NODE_BUSES = 0x40, FIRST_PORT = 4 };

struct switch_port {
	int upstream; /* index of the upstream port; 0: the switch is not there yet */
	uint8_t bus;  /* its internal bus */
	uint8_t n_downstream;
};

struct layout {
	const struct host *host;
	struct arena *arena;
	struct function *functions;
	size_t n;
	bool bus_used[256]; /* of domain 0 */
	uint8_t ports[256]; /* root ports per root bus of domain 0 */
	uint32_t other_ports;
	struct switch_port switches[SWITCHES_MAX + 1];
	int next_group;
	const char *error;
};

static int fail(struct layout *layout, const char *what)
{
	layout->error = arena_printf(layout->arena, "host %s: %s", layout->host->name, what);
	return -1;
}

static int add(struct layout *layout, struct pci_address address, int parent, uint16_t vendor,
	       uint16_t device, uint32_t class_id)
{
	if (layout->n == FUNCTIONS_MAX)
		return fail(layout, "it has too many functions");
	for (size_t i = 0; i < layout->n; i++)
		if (pci_address_compare(layout->functions[i].address, address) == 0)
			return fail(layout, "two functions have one address");
	layout->functions[layout->n] = (struct function){
		.address = address,
		.parent = parent,
		.physical_function = NO_PARENT,
		.n_virtual_functions = -1,
		.vendor = vendor,
		.device = device,
		.sub_vendor = vendor,
		.class_id = class_id,
		.group = NO_GROUP,
		.numa = NUMA_UNKNOWN,
		.boot_vga = class_id >> 8 == 0x0300 ? 0 : -1,
		.driver = "",
	};
	return (int)layout->n++;
}

static int own_group(struct layout *layout)
{
	return layout->host->iommu ? layout->next_group++ : NO_GROUP;
}

static int free_bus(struct layout *layout, int numa)
{
	int first = numa > 0 ? numa * NODE_BUSES : 0;
	for (int bus = first + 1; bus < first + NODE_BUSES; bus++)
		if (!layout->bus_used[bus]) {
			layout->bus_used[bus] = true;
			return bus;
		}
	return fail(layout, "it has more cards than a NUMA node has buses");
}

/* A bridge with its own group and port driver. */
static int add_bridge(struct layout *layout, struct pci_address address, int parent,
		      uint16_t vendor, uint16_t device, int numa)
{
	int bridge = add(layout, address, parent, vendor, device, 0x060400);
	if (bridge < 0)
		return -1;
	layout->functions[bridge].driver = "pcieport";
	layout->functions[bridge].group = own_group(layout);
	layout->functions[bridge].numa = numa;
	return bridge;
}

/* The root port above `bus`, on the root bus of that part of the domain. */
static int add_root_port(struct layout *layout, uint32_t domain, int bus, int numa)
{
	uint8_t root = (uint8_t)(bus / NODE_BUSES * NODE_BUSES);
	unsigned port = domain ? layout->other_ports++ : layout->ports[root]++;
	if (port >= (32 - FIRST_PORT) * 8)
		return fail(layout, "it has more cards than root ports");
	struct pci_address address = { .domain = domain,
				       .bus = root,
				       .device = (uint8_t)(FIRST_PORT + port / 8),
				       .function = (uint8_t)(port % 8) };
	return add_bridge(layout, address, NO_PARENT, 0x8086, 0x347a, numa);
}

/* The downstream port for one more card behind a switch; the switch appears with its first card. */
static int add_downstream_port(struct layout *layout, const struct card *card, int numa)
{
	struct switch_port *port = &layout->switches[card->switch_number];
	if (port->upstream == 0) {
		int bus = free_bus(layout, numa);
		int root = bus < 0 ? -1 : add_root_port(layout, 0, bus, numa);
		int internal = root < 0 ? -1 : free_bus(layout, numa);
		if (internal < 0)
			return -1;
		struct pci_address address = { .bus = (uint8_t)bus };
		port->upstream = add_bridge(layout, address, root, 0x10b5, 0x9797, numa);
		port->bus = (uint8_t)internal;
		if (port->upstream < 0)
			return -1;
	}
	if (port->n_downstream == 32)
		return fail(layout, "a switch has more than 32 cards");
	struct pci_address address = { .bus = port->bus, .device = port->n_downstream++ };
	return add_bridge(layout, address, port->upstream, 0x10b5, 0x9797, numa);
}

static int card_group(struct layout *layout, const struct card *card)
{
	if (!layout->host->iommu || card->group == GROUP_NONE)
		return NO_GROUP;
	return card->group == GROUP_OWN ? own_group(layout) : card->group;
}

static int add_companion(struct layout *layout, const struct card *card, int first,
			 uint8_t function, uint16_t device, uint32_t class_id)
{
	struct pci_address address = layout->functions[first].address;
	address.function = function;
	int companion = add(layout, address, layout->functions[first].parent, card->vendor, device,
			    class_id);
	if (companion < 0)
		return -1;
	layout->functions[companion].group = layout->functions[first].group;
	layout->functions[companion].numa = card->numa;
	layout->functions[companion].driver = card->companion_driver;
	return companion;
}

static int add_virtual_functions(struct layout *layout, const struct card *card, int first)
{
	struct pci_address base = layout->functions[first].address;
	for (int i = 0; i < card->vfs; i++) {
		int routing = base.device * 8 + 4 + i; /* behind the companions */
		struct pci_address address = base;
		address.device = (uint8_t)(routing / 8);
		address.function = (uint8_t)(routing % 8);
		int vf = routing > 0xff ? fail(layout, "too many virtual functions")
					: add(layout, address, layout->functions[first].parent,
					      card->vendor, card->device, card->class_id);
		if (vf < 0)
			return -1;
		layout->functions[vf].physical_function = first;
		layout->functions[vf].group = own_group(layout);
		layout->functions[vf].numa = card->numa;
		layout->functions[vf].driver = card->vf_driver;
		layout->functions[vf].boot_vga = -1;
	}
	return 0;
}

static int add_card(struct layout *layout, const struct card *card, int i)
{
	struct pci_address slot = card->slot;
	int numa = card->numa;
	if (card->has_slot)
		slot.bus = (uint8_t)(slot.bus + i);
	int bus = card->has_slot ? slot.bus : free_bus(layout, numa);
	if (bus < 0)
		return -1;
	slot.bus = (uint8_t)bus;

	int parent = NO_PARENT;
	if (card->switch_number)
		parent = add_downstream_port(layout, card, numa);
	else if (bus % NODE_BUSES != 0)
		parent = add_root_port(layout, slot.domain, bus, numa);
	if (layout->error)
		return -1;
	int first = add(layout, slot, parent, card->vendor, card->device, card->class_id);
	if (first < 0)
		return -1;
	struct function *function = &layout->functions[first];
	function->sub_vendor = card->sub_vendor;
	function->sub_device = card->sub_device;
	function->group = card_group(layout, card);
	function->numa = numa;
	function->driver = card->driver;
	function->without = card->without;
	function->n_virtual_functions = card->vfs ? card->vfs : -1;
	if (card->boot_vga)
		function->boot_vga = 1;
	if (card->port_in_group && parent != NO_PARENT)
		layout->functions[parent].group = function->group;

	if (card->audio && add_companion(layout, card, first, 1, 0x10f0, 0x040300) < 0)
		return -1;
	if (card->usb && add_companion(layout, card, first, 2, 0x1ad6, 0x0c0330) < 0)
		return -1;
	if (card->usb_c && add_companion(layout, card, first, 3, 0x1ad7, 0x0c8000) < 0)
		return -1;
	return add_virtual_functions(layout, card, first);
}

int layout_host(const struct host *host, struct arena *arena, struct function **ret_functions,
		size_t *ret_n, const char **ret_error)
{
	struct layout layout = { .host = host, .arena = arena };
	layout.functions = arena_array(arena, FUNCTIONS_MAX, sizeof(*layout.functions));

	for (size_t i = 0; i < host->n_cards; i++) {
		const struct card *card = &host->cards[i];
		if (card->group >= layout.next_group)
			layout.next_group = card->group + 1;
		for (int j = 0; card->has_slot && !card->slot.domain && j < card->count; j++)
			layout.bus_used[(card->slot.bus + j) & 0xff] = true;
	}
	/* The host bridge: every machine has one, and it never counts. */
	int r = add(&layout, (struct pci_address){ 0 }, NO_PARENT, 0x8086, 0x09a2, 0x060000);
	if (r >= 0)
		layout.functions[r].group = own_group(&layout);
	for (size_t i = 0; i < host->n_cards && r >= 0; i++)
		for (int j = 0; j < host->cards[i].count && r >= 0; j++)
			r = add_card(&layout, &host->cards[i], j);
	if (r < 0) {
		*ret_error = layout.error;
		return 1;
	}
	*ret_functions = layout.functions;
	*ret_n = layout.n;
	return 0;
}
