#include "pci/units.h"

#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "model/gpu_state.h"
#include "pci/obstacle.h"

static const char *address_text(struct arena *arena, struct pci_address address)
{
	char text[PCI_ADDRESS_TEXT_BYTES];
	pci_address_format(address, text);
	return arena_strdup(arena, text);
}

static const char *hex_text(struct arena *arena, int32_t number, int digits)
{
	return number == ABSENT ? NULL : arena_printf(arena, "%0*x", digits, (unsigned)number);
}

/* ---- who goes along ------------------------------------------------------------------------ */

static bool same_group(const struct pci_device *a, const struct pci_device *b)
{
	return a->iommu_group != ABSENT && a->iommu_group == b->iommu_group;
}

/*
 * A companion: another function of the GPU's own card, e.g. the audio of its HDMI port or the controller
 * of its USB-C port. Virtual functions live in the same slot without being companions. In the slot of an
 * integrated GPU other parts of the processor may sit (USB, crypto): they are told apart by a group of
 * their own and another vendor.
 */
static bool is_companion(const struct pci_device *gpu, const struct pci_device *other)
{
	if (!pci_address_same_slot(gpu->address, other->address) || gpu->is_virtual_function ||
	    other->is_virtual_function || pci_device_is_gpu(other) || pci_device_is_bridge(other))
		return false;
	bool apart = gpu->iommu_group != ABSENT && other->iommu_group != ABSENT &&
		     gpu->iommu_group != other->iommu_group;
	return !apart || gpu->vendor_id == other->vendor_id;
}

/*
 * A bridge of any kind that no driver holds stays where it is: it is never handed to a VM and keeps
 * nobody from it. (PCI-to-PCI bridges may even have their port driver; a host or ISA bridge with a
 * driver is in the way like any other device. Source: Linux, drivers/iommu, the DMA ownership of groups.)
 */
static bool stays_behind(const struct pci_device *other)
{
	return pci_device_is_bridge(other) ||
	       (other->class_id >> 16 == 0x06 && !pci_device_is_held_by_host(other, NULL));
}

/* Another member of the GPU's IOMMU group that keeps the group on the host. */
static bool is_in_the_way(const struct pci_device *gpu, const struct pci_device *other,
			  const char *drivers)
{
	if (!same_group(gpu, other) || stays_behind(other) || is_companion(gpu, other))
		return false;
	return pci_device_is_gpu(other) || pci_device_is_held_by_host(other, drivers);
}

static bool goes_along(const struct pci_device *gpu, const struct pci_device *other,
		       const char *drivers)
{
	if (is_companion(gpu, other))
		return true;
	return same_group(gpu, other) && !stays_behind(other) &&
	       !is_in_the_way(gpu, other, drivers);
}

struct neighbours {
	const struct pci_device *gpu;
	const char *drivers;		     /* options.passthrough_drivers */
	const struct pci_device **functions; /* the unit, the GPU first */
	size_t n_functions; /* may exceed what a unit may have: see LIMIT_FUNCTIONS_PER_UNIT */
	const char **members;
	size_t n_members;
	const struct pci_device **in_the_way;
	size_t n_in_the_way;
};

static void find_neighbours(const struct pci_device *devices, size_t n_devices,
			    struct neighbours *found, struct arena *arena)
{
	const struct pci_device *gpu = found->gpu;
	size_t n_functions = 1, n_members = 0, n_in_the_way = 0;
	for (size_t i = 0; i < n_devices; i++) {
		const struct pci_device *other = &devices[i];
		n_members += same_group(gpu, other);
		if (other == gpu)
			continue;
		n_functions += goes_along(gpu, other, found->drivers);
		n_in_the_way += is_in_the_way(gpu, other, found->drivers);
	}
	found->functions = arena_array(arena, n_functions, sizeof(struct pci_device *));
	found->members = arena_array(arena, n_members, sizeof(*found->members));
	found->in_the_way = arena_array(arena, n_in_the_way, sizeof(struct pci_device *));

	found->functions[found->n_functions++] = gpu;
	for (size_t i = 0; i < n_devices; i++) {
		const struct pci_device *other = &devices[i];
		if (same_group(gpu, other))
			found->members[found->n_members++] = address_text(arena, other->address);
		if (other == gpu)
			continue;
		if (goes_along(gpu, other, found->drivers))
			found->functions[found->n_functions++] = other;
		else if (is_in_the_way(gpu, other, found->drivers))
			found->in_the_way[found->n_in_the_way++] = other;
	}
}

/* ---- where it sits ------------------------------------------------------------------------- */

/*
 * The upstream ports of the PCIe switches above a device, the uppermost first, from its path alone:
 *
 *	root port / upstream / downstream / upstream / downstream / device
 *
 * Below the root port the ports of switches come in pairs. A bridge that is left over at the end is a
 * PCIe-to-PCI bridge.
 */
static size_t switches_above(const struct pci_device *device)
{
	return device->n_bridges < 3 ? 0 : (size_t)(device->n_bridges - 1) / 2;
}

static struct pci_address switch_above(const struct pci_device *device, size_t i)
{
	return device->bridges[1 + 2 * i];
}

static bool is_below(const struct pci_device *device, struct pci_address bridge)
{
	for (int32_t i = 0; i < device->n_bridges; i++)
		if (pci_address_compare(device->bridges[i], bridge) == 0)
			return true;
	return false;
}

/*
 * The nearest switch that another GPU shares, because that is what placement asks for: many cards have
 * a switch of their own, which says nothing. When it shares none, the nearest.
 */
static const char *shared_switch(const struct pci_device *gpu, const struct pci_device *devices,
				 size_t n_devices, struct arena *arena)
{
	size_t n = switches_above(gpu);
	if (n == 0)
		return NULL;
	for (size_t i = n; i-- > 0;) {
		struct pci_address port = switch_above(gpu, i);
		for (size_t j = 0; j < n_devices; j++)
			if (&devices[j] != gpu && pci_device_is_gpu(&devices[j]) &&
			    !pci_address_same_slot(devices[j].address, gpu->address) &&
			    is_below(&devices[j], port))
				return address_text(arena, port);
	}
	return address_text(arena, switch_above(gpu, n - 1));
}

/* ---- the record ---------------------------------------------------------------------------- */

static const char *name_or_number(struct arena *arena, const char *name, const char *what,
				  int32_t vendor_id, int32_t device_id)
{
	if (*name)
		return arena_strdup(arena, name);
	if (vendor_id == ABSENT)
		return arena_printf(arena, "unknown %s", *what == 'D' ? "device" : "vendor");
	if (device_id == ABSENT)
		return arena_printf(arena, "%s %04x", what, (unsigned)vendor_id);
	return arena_printf(arena, "%s %04x:%04x", what, (unsigned)vendor_id, (unsigned)device_id);
}

static const char *or_empty(const char *text)
{
	return text ? text : "";
}

static void describe(const struct pci_units_options *options, const struct pci_device *gpu,
		     const struct pci_device *devices, size_t n_devices, struct arena *arena,
		     struct gpu_discovered *ret_gpu)
{
	struct neighbours found = { .gpu = gpu, .drivers = options->passthrough_drivers };
	find_neighbours(devices, n_devices, &found, arena);

	struct obstacles obstacles;
	char reason[LIMIT_TEXT_BYTES + 1];
	obstacles_find(gpu, found.drivers, found.in_the_way, found.n_in_the_way, found.n_functions,
		       &obstacles);
	obstacles_reason(&obstacles, reason);

	size_t n_functions = found.n_functions, n_members = found.n_members;
	if (n_functions > LIMIT_FUNCTIONS_PER_UNIT)
		n_functions = LIMIT_FUNCTIONS_PER_UNIT;
	if (n_members > LIMIT_LIST_ITEMS)
		n_members = LIMIT_LIST_ITEMS;

	const char **functions = arena_array(arena, n_functions, sizeof(*functions));
	for (size_t i = 0; i < n_functions; i++)
		functions[i] = address_text(arena, found.functions[i]->address);
	const char *address = functions[0];
	*ret_gpu = (struct gpu_discovered){
		.gpu_id = arena_printf(arena, "%s/%s", options->host, address),
		.host = options->host,
		.pool_id = options->pool_id,
		.pci_address = address,
		.model = name_or_number(arena, gpu->device_name, "Device", gpu->vendor_id,
					gpu->device_id),
		.vendor = name_or_number(arena, gpu->vendor_name, "Vendor", gpu->vendor_id, ABSENT),
		.vendor_id = or_empty(hex_text(arena, gpu->vendor_id, 4)),
		.device_id = or_empty(hex_text(arena, gpu->device_id, 4)),
		.subsystem_vendor_id = hex_text(arena, gpu->subsystem_vendor_id, 4),
		.subsystem_device_id = hex_text(arena, gpu->subsystem_device_id, 4),
		.class_id = or_empty(hex_text(arena, gpu->class_id, 6)),
		.driver = *gpu->driver ? arena_strdup(arena, gpu->driver) : NULL,
		.iommu_group = gpu->iommu_group,
		.numa_node = gpu->numa_node,
		.pcie_switch = shared_switch(gpu, devices, n_devices, arena),
		.functions = functions,
		.n_functions = n_functions,
		.group_members = found.members,
		.n_group_members = n_members,
		.state = obstacles_state(&obstacles),
		.reason = *reason ? arena_strdup(arena, reason) : NULL,
		.boot_id = options->boot_id,
		.observed_at = options->now_us,
	};
}

size_t pci_units(const struct pci_units_options *options, const struct pci_device *devices,
		 size_t n_devices, struct arena *arena, struct gpu_discovered **ret_gpus,
		 size_t *ret_n)
{
	size_t n_gpus = 0, n = 0;
	for (size_t i = 0; i < n_devices; i++)
		n_gpus += pci_device_is_gpu(&devices[i]);

	size_t room = n_gpus < LIMIT_GPUS_PER_HOST ? n_gpus : LIMIT_GPUS_PER_HOST;
	struct gpu_discovered *gpus = arena_array(arena, room, sizeof(*gpus));
	for (size_t i = 0; i < n_devices && n < room; i++)
		if (pci_device_is_gpu(&devices[i]))
			describe(options, &devices[i], devices, n_devices, arena, &gpus[n++]);
	*ret_gpus = gpus;
	*ret_n = n;
	return n_gpus;
}

void pci_unit_inspect(const struct pci_units_options *options, const struct pci_device *gpu,
		      const struct pci_device *devices, size_t n_devices, struct arena *arena,
		      struct pci_unit *ret_unit)
{
	struct neighbours found = { .gpu = gpu, .drivers = options->passthrough_drivers };
	find_neighbours(devices, n_devices, &found, arena);
	ret_unit->functions = found.functions;
	ret_unit->n_functions = found.n_functions;
	obstacles_find(gpu, found.drivers, found.in_the_way, found.n_in_the_way, found.n_functions,
		       &ret_unit->obstacles);
}
