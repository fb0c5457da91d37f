#include "pci/device.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"
#include "pci/driver_list.h"

void pci_device_init(struct pci_device *device, struct pci_address address)
{
	/* memset, because the whole struct, padding too, is written to a pipe. */
	memset(device, 0, sizeof(*device));
	device->address = address;
	device->class_id = ABSENT;
	device->vendor_id = ABSENT;
	device->device_id = ABSENT;
	device->subsystem_vendor_id = ABSENT;
	device->subsystem_device_id = ABSENT;
	device->iommu_group = ABSENT;
	device->numa_node = ABSENT;
	device->boot_vga = ABSENT;
	device->n_virtual_functions = ABSENT;
}

/* How many bytes the character at `text` has; 0 when it is not UTF-8, or a control character. */
static size_t character_bytes(const char *text)
{
	enum { BYTES_MAX = 4 };
	if ((unsigned char)*text < 0x20 || *text == 0x7f)
		return 0;
	return utf8_sequence(text, BYTES_MAX);
}

void pci_copy_text(char *to, size_t size, const char *from)
{
	size_t len = 0;
	while (*from) {
		size_t bytes = character_bytes(from);
		size_t room = bytes ? bytes : 1;
		if (len + room >= size)
			break;
		if (bytes)
			memcpy(to + len, from, bytes);
		else
			to[len] = '?';
		len += room;
		from += room;
	}
	memset(to + len, 0, size - len);
}

void pci_device_add_problem(struct pci_device *device, const char *format, ...)
{
	char text[PCI_PROBLEM_BYTES];
	va_list args;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);

	char all[2 * PCI_PROBLEM_BYTES + 2];
	snprintf(all, sizeof(all), "%s%s%s", device->problem, *device->problem ? "; " : "", text);
	pci_copy_text(device->problem, sizeof(device->problem), all);
}

bool pci_device_is_gpu(const struct pci_device *device)
{
	if (device->class_id == ABSENT)
		return true;
	int32_t base = device->class_id >> 16, both = device->class_id >> 8;
	return base == 0x03 || base == 0x12 || both == 0x0b40;
}

bool pci_device_is_bridge(const struct pci_device *device)
{
	int32_t class = device->class_id >> 8;
	return device->class_id != ABSENT && (class == 0x0604 || class == 0x0607);
}

bool pci_driver_is_vfio(const char *driver)
{
	size_t len = strlen(driver), n = strlen("vfio-pci");
	return len >= n && (strcmp(driver + len - n, "vfio-pci") == 0 ||
			    strcmp(driver + len - n, "vfio_pci") == 0);
}

bool pci_device_is_on_vfio(const struct pci_device *device)
{
	return pci_driver_is_vfio(device->driver);
}

bool pci_device_is_held_by_host(const struct pci_device *device, const char *passthrough_drivers)
{
	return *device->driver && !pci_driver_is_vfio(device->driver) &&
	       !driver_list_has(passthrough_drivers, device->driver);
}

static bool is_text(const char *text, size_t size)
{
	if (!memchr(text, '\0', size))
		return false;
	while (*text) {
		size_t bytes = character_bytes(text);
		if (bytes == 0)
			return false;
		text += bytes;
	}
	return true;
}

static bool is_address(struct pci_address address)
{
	return address.device <= 0x1f && address.function <= 7;
}

static bool in_range(int32_t value, int32_t max)
{
	return value >= ABSENT && value <= max;
}

bool pci_device_is_sane(const struct pci_device *device)
{
	if (!is_address(device->address) || !is_address(device->physical_function))
		return false;
	if (device->n_bridges < 0 || device->n_bridges > PCI_BRIDGES_MAX)
		return false;
	for (int32_t i = 0; i < device->n_bridges; i++)
		if (!is_address(device->bridges[i]))
			return false;
	return in_range(device->class_id, 0xffffff) && in_range(device->vendor_id, 0xffff) &&
	       in_range(device->device_id, 0xffff) &&
	       in_range(device->subsystem_vendor_id, 0xffff) &&
	       in_range(device->subsystem_device_id, 0xffff) &&
	       in_range(device->iommu_group, INT32_MAX) && in_range(device->numa_node, INT32_MAX) &&
	       in_range(device->boot_vga, 1) && in_range(device->n_virtual_functions, 0xffff) &&
	       (device->is_virtual_function == 0 || device->is_virtual_function == 1) &&
	       is_text(device->driver, sizeof(device->driver)) &&
	       is_text(device->vendor_name, sizeof(device->vendor_name)) &&
	       is_text(device->device_name, sizeof(device->device_name)) &&
	       is_text(device->class_name, sizeof(device->class_name)) &&
	       is_text(device->problem, sizeof(device->problem));
}
