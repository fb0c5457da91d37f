#include "pci/obstacle.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "model/gpu_state.h"

enum { NAMED_DEVICES = 4 }; /* in the way, named one by one */

/* Call in the order of model/gpu_state.h. */
static void add(struct obstacles *obstacles, const char *state, const char *format, ...)
	PRINTF_LIKE(3, 4);

static void add(struct obstacles *obstacles, const char *state, const char *format, ...)
{
	struct obstacle *obstacle = &obstacles->items[obstacles->n++];
	char text[2 * LIMIT_TEXT_BYTES];
	va_list args;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	obstacle->state = state;
	pci_copy_text(obstacle->text, sizeof(obstacle->text), text);
}

const char *obstacles_state(const struct obstacles *obstacles)
{
	return obstacles->n ? obstacles->items[0].state : GPU_STATE_AVAILABLE;
}

void obstacles_reason(const struct obstacles *obstacles, char text[LIMIT_TEXT_BYTES + 1])
{
	*text = '\0';
	for (size_t i = 0; i < obstacles->n; i++) {
		char all[2 * LIMIT_TEXT_BYTES + 4];
		snprintf(all, sizeof(all), "%s%s%s", text, i ? "; " : "", obstacles->items[i].text);
		pci_copy_text(text, LIMIT_TEXT_BYTES + 1, all);
	}
}

/* "0000:07:02.0 (GD 5446, another GPU)" */
static void name_device(const struct pci_device *device, char *text, size_t size)
{
	char address[PCI_ADDRESS_TEXT_BYTES], what[PCI_NAME_BYTES + 16];
	pci_address_format(device->address, address);
	if (*device->device_name)
		snprintf(what, sizeof(what), "%s", device->device_name);
	else if (device->vendor_id != ABSENT && device->device_id != ABSENT)
		snprintf(what, sizeof(what), "device %04x:%04x", (unsigned)device->vendor_id,
			 (unsigned)device->device_id);
	else
		snprintf(what, sizeof(what), "unknown device");

	if (device->class_id == ABSENT)
		snprintf(text, size, "%s (%s, its class cannot be read)", address, what);
	else if (pci_device_is_gpu(device))
		snprintf(text, size, "%s (%s, another GPU)", address, what);
	else
		snprintf(text, size, "%s (%s%s%s, which the host uses with driver %s)", address,
			 device->class_name, *device->class_name ? " " : "", what, device->driver);
}

static void add_group(const struct pci_device *gpu, const struct pci_device *const *in_the_way,
		      size_t n, struct obstacles *obstacles)
{
	char list[LIMIT_TEXT_BYTES] = "";
	for (size_t i = 0; i < n && i < NAMED_DEVICES; i++) {
		char one[PCI_NAME_BYTES + PCI_CLASS_NAME_BYTES + PCI_DRIVER_BYTES + 80];
		name_device(in_the_way[i], one, sizeof(one));
		size_t len = strlen(list);
		snprintf(list + len, sizeof(list) - len, "%s%s", i ? ", " : "", one);
	}
	if (n > NAMED_DEVICES) {
		size_t len = strlen(list);
		snprintf(list + len, sizeof(list) - len, " and %zu more", n - NAMED_DEVICES);
	}
	add(obstacles, GPU_STATE_GROUP_SHARED,
	    "IOMMU group %d is shared with %s: a group goes to one VM as a whole; give the card a "
	    "slot "
	    "of its own, or switch on ACS in the firmware",
	    gpu->iommu_group, list);
}

static void add_driver(const struct pci_device *gpu, struct obstacles *obstacles)
{
	if (strcmp(gpu->driver, "pci-stub") == 0 || strcmp(gpu->driver, "xen-pciback") == 0)
		add(obstacles, GPU_STATE_IN_USE_BY_HOST,
		    "driver %s holds it back from other drivers: bind it to vfio-pci to give it to "
		    "VMs",
		    gpu->driver);
	else
		add(obstacles, GPU_STATE_IN_USE_BY_HOST,
		    "driver %s holds it, so the host uses this GPU: bind it to vfio-pci to give it "
		    "to VMs, or let the agent take it from that driver "
		    "(--passthrough-drivers)",
		    gpu->driver);
}

void obstacles_find(const struct pci_device *gpu, const char *passthrough_drivers,
		    const struct pci_device *const *in_the_way, size_t n_in_the_way,
		    size_t n_functions, struct obstacles *ret_obstacles)
{
	ret_obstacles->n = 0;

	if (*gpu->problem)
		add(ret_obstacles, GPU_STATE_UNREADABLE, "it cannot be read: %s", gpu->problem);
	if (gpu->n_virtual_functions > 0)
		add(ret_obstacles, GPU_STATE_HAS_VIRTUAL_FUNCTIONS,
		    "it is divided into virtual functions (SR-IOV): give those to VMs, or write 0 "
		    "to its "
		    "sriov_numvfs");
	/* On vfio-pci already, somebody has decided that the host does without its console. */
	if (gpu->boot_vga == 1 && !pci_device_is_on_vfio(gpu))
		add(ret_obstacles, GPU_STATE_BOOT_DISPLAY,
		    "the host's console is on it (boot display): make another GPU the primary "
		    "display "
		    "in the firmware");
	if (pci_device_is_held_by_host(gpu, passthrough_drivers))
		add_driver(gpu, ret_obstacles);
	/* Without its files nobody can say whether the link was there, so that is no obstacle of its own. */
	if (gpu->iommu_group == ABSENT && !*gpu->problem)
		add(ret_obstacles, GPU_STATE_NO_IOMMU,
		    "the kernel shows no IOMMU group for it: switch on VT-d or AMD-Vi (SMMU on "
		    "Arm) in the "
		    "firmware, and on Intel boot with intel_iommu=on");
	if (n_in_the_way)
		add_group(gpu, in_the_way, n_in_the_way, ret_obstacles);
	else if (n_functions > LIMIT_FUNCTIONS_PER_UNIT)
		add(ret_obstacles, GPU_STATE_GROUP_SHARED,
		    "%zu functions of IOMMU group %d would have to go along, more than the %d of a "
		    "unit",
		    n_functions - 1, gpu->iommu_group, LIMIT_FUNCTIONS_PER_UNIT);
}
