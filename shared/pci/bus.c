#include "pci/bus.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/memory.h"
#include "pci/attribute.h"
#include "pci/libpci.h"

struct pci_bus {
	char *devices_dir;     /* owned: DIR/bus/pci/devices */
	struct libpci *libpci; /* owned */
};

static int fail(struct pci_bus_error *error, const char *format, ...) PRINTF_LIKE(2, 3);

static int fail(struct pci_bus_error *error, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	vsnprintf(error->text, sizeof(error->text), format, args);
	va_end(args);
	return 1;
}

static char *path_of(const char *dir, const char *below)
{
	size_t size = strlen(dir) + strlen(below) + 2;
	char *path = memory_alloc(size);
	snprintf(path, size, "%s/%s", dir, below);
	return path;
}

int pci_bus_open(const char *sysfs_dir, struct pci_bus **ret_bus, struct pci_bus_error *error)
{
	cleanup(pci_bus_closep) struct pci_bus *bus = memory_zeroed(1, sizeof(*bus));
	bus->devices_dir = path_of(sysfs_dir, "bus/pci/devices");
	if (access(bus->devices_dir, R_OK | X_OK) < 0)
		return fail(error, "%s: %s", bus->devices_dir,
			    errno == ENOENT ? "there is no such directory" : strerror(errno));

	cleanup(freep) char *bus_dir = path_of(sysfs_dir, "bus/pci");
	if (libpci_open(bus_dir, &bus->libpci))
		return fail(error, "libpci cannot read %s: %s", bus_dir, libpci_error());
	*ret_bus = steal(&bus);
	return 0;
}

void pci_bus_close(struct pci_bus *bus)
{
	if (!bus)
		return;
	libpci_close(bus->libpci);
	free(bus->devices_dir);
	free(bus);
}

int pci_bus_load_names(struct pci_bus *bus, const char *pci_ids_path, struct pci_bus_error *error)
{
	if (libpci_load_names(bus->libpci, pci_ids_path))
		return fail(error, "PCI id list: %s", libpci_error());
	return 0;
}

/* ---- listing ------------------------------------------------------------------------------- */

static int compare_addresses(const void *a, const void *b)
{
	return pci_address_compare(*(const struct pci_address *)a, *(const struct pci_address *)b);
}

/* Only the spelling that the kernel and libpci use is a device's name. */
static bool is_device_name(const char *name, struct pci_address *ret_address)
{
	struct pci_address address;
	char text[PCI_ADDRESS_TEXT_BYTES];
	if (pci_address_parse(name, &address))
		return false;
	pci_address_format(address, text);
	if (strcmp(text, name) != 0)
		return false;
	*ret_address = address;
	return true;
}

int pci_bus_list(struct pci_bus *bus, pci_bus_warning_fn on_warning, void *context,
		 struct pci_address **ret_addresses, size_t *ret_n, struct pci_bus_error *error)
{
	DIR *dir = opendir(bus->devices_dir);
	if (!dir)
		return fail(error, "%s: %s", bus->devices_dir, strerror(errno));

	cleanup(freep) struct pci_address *addresses =
		memory_alloc(LIMIT_PCI_DEVICES * sizeof(*addresses));
	size_t n = 0, n_unnamed = 0;
	char warning[512];
	struct dirent *entry;
	while ((entry = readdir(dir))) {
		struct pci_address address;
		if (entry->d_name[0] == '.')
			continue;
		if (!is_device_name(entry->d_name, &address)) {
			char name[64];
			pci_copy_text(name, sizeof(name), entry->d_name);
			snprintf(warning, sizeof(warning),
				 "%s/%s is not named by a PCI address: left out", bus->devices_dir,
				 name);
			if (n_unnamed++ < 8)
				on_warning(context, warning);
			continue;
		}
		if (n == LIMIT_PCI_DEVICES) {
			snprintf(warning, sizeof(warning),
				 "%s has more than %d devices: the others are left out",
				 bus->devices_dir, LIMIT_PCI_DEVICES);
			on_warning(context, warning);
			break;
		}
		addresses[n++] = address;
	}
	closedir(dir);

	qsort(addresses, n, sizeof(*addresses), compare_addresses);
	*ret_addresses = steal(&addresses);
	*ret_n = n;
	return 0;
}

/* ---- one device ---------------------------------------------------------------------------- */

/*
 * Reads the class where else the kernel shows it. A device whose file `class` is broken is a GPU, or not,
 * by what these say; when they say nothing either it stays ABSENT, and pci_device_is_gpu takes the side
 * of caution.
 */
static int32_t class_from_elsewhere(int device_fd)
{
	char text[1024], digits[12];
	struct attribute_error ignored;
	int32_t number;

	if (attribute_read_text(device_fd, "uevent", text, sizeof(text), &ignored) == 0) {
		const char *found = strstr(text, "PCI_CLASS=");
		if (found && sscanf(found, "PCI_CLASS=%8[0-9A-Fa-f]", digits + 2) == 1) {
			memcpy(digits, "0x", 2);
			if (attribute_parse_number(digits, 0, 0xffffff, &number) == 0)
				return number;
		}
	}
	if (attribute_read_text(device_fd, "modalias", text, sizeof(text), &ignored) == 0) {
		const char *found = strstr(text, "bc");
		unsigned base, sub, interface;
		if (found && sscanf(found, "bc%2xsc%2xi%2x", &base, &sub, &interface) == 3)
			return (int32_t)(base << 16 | sub << 8 | interface);
	}
	return ABSENT;
}

/* A file that every device has. */
static int32_t read_required(int fd, const char *name, int32_t max, struct pci_device *device)
{
	struct attribute_error error;
	int32_t number = ABSENT;
	int r = attribute_read_number(fd, name, 0, max, &number, &error);
	if (r == ATTRIBUTE_MISSING)
		pci_device_add_problem(device, "the file %s is missing", name);
	else if (r)
		pci_device_add_problem(device, "the file %s", error.text);
	return number;
}

/* A file that only some devices have, but that must be right where it is. */
static int32_t read_optional(int fd, const char *name, int32_t max, struct pci_device *device)
{
	struct attribute_error error;
	int32_t number = ABSENT;
	if (attribute_read_number(fd, name, 0, max, &number, &error) == ATTRIBUTE_MALFORMED)
		pci_device_add_problem(device, "the file %s", error.text);
	return number;
}

static bool is_number(int fd, const char *name, int32_t max)
{
	struct attribute_error ignored;
	int32_t number;
	return attribute_read_number(fd, name, ABSENT, max, &number, &ignored) == 0;
}

static void read_identity(struct pci_bus *bus, int fd, struct pci_device *device)
{
	int32_t vendor = read_required(fd, "vendor", 0xffff, device);
	int32_t device_id = read_required(fd, "device", 0xffff, device);
	int32_t class = read_required(fd, "class", 0xffffff, device);

	struct libpci_wanted wanted = {
		.ids = vendor != ABSENT && device_id != ABSENT,
		.class = class != ABSENT,
		.subsystem = is_number(fd, "subsystem_vendor", 0xffff) &&
			     is_number(fd, "subsystem_device", 0xffff),
		.numa_node = is_number(fd, "numa_node", INT32_MAX),
	};
	if (libpci_fill(bus->libpci, &wanted, device))
		pci_device_add_problem(device, "it changed while it was read (%s)", libpci_error());

	if (device->class_id != ABSENT)
		device->class_id |= class & 0xff; /* libpci keeps the upper 16 bits only */
	else
		device->class_id = class_from_elsewhere(fd);
	/* All ones is what a bus gives when nobody answers. Source: PCI 3.0, 6.2.1. */
	if (device->vendor_id == 0xffff)
		pci_device_add_problem(device, "it does not answer (its vendor reads as ffff): "
					       "power the host off and on, reseat the card");
}

static void read_links(int fd, struct pci_device *device)
{
	char text[256];
	struct attribute_error error;

	int r = attribute_read_link(fd, "driver", text, sizeof(text), &error);
	if (r == 0)
		pci_copy_text(device->driver, sizeof(device->driver), text);
	else if (r == ATTRIBUTE_MALFORMED)
		pci_device_add_problem(device, "the link %s", error.text);

	r = attribute_read_link(fd, "iommu_group", text, sizeof(text), &error);
	if (r == ATTRIBUTE_MALFORMED)
		pci_device_add_problem(device, "the link %s", error.text);
	else if (r == 0 && attribute_parse_number(text, 0, INT32_MAX, &device->iommu_group))
		pci_device_add_problem(device, "the link iommu_group does not lead to a number");

	r = attribute_read_link(fd, "physfn", text, sizeof(text), &error);
	if (r == 0 && pci_address_parse(text, &device->physical_function) == 0)
		device->is_virtual_function = 1;
	else if (r != ATTRIBUTE_MISSING)
		pci_device_add_problem(device, "the link physfn does not lead to a PCI address");

	device->n_virtual_functions = read_optional(fd, "sriov_numvfs", 0xffff, device);
	r = attribute_read_link(fd, "virtfn0", text, sizeof(text), &error);
	if (r != ATTRIBUTE_MISSING && device->n_virtual_functions <= 0)
		device->n_virtual_functions = 1; /* at least */
}

/* The device's resolved path names the bridges above it: .../pci0000:00/BRIDGE/BRIDGE/DEVICE. */
static void read_bridges(char *path, struct pci_device *device)
{
	struct pci_address upwards[PCI_BRIDGES_MAX];
	int32_t n = 0;
	char *slash = strrchr(path, '/');
	while (slash && n < PCI_BRIDGES_MAX) {
		*slash = '\0';
		slash = strrchr(path, '/');
		if (!slash || !is_device_name(slash + 1, &upwards[n]))
			break;
		n++;
	}
	for (int32_t i = 0; i < n; i++)
		device->bridges[i] = upwards[n - 1 - i];
	device->n_bridges = n;
}

int pci_bus_read(struct pci_bus *bus, struct pci_address address, struct pci_device *ret_device)
{
	char name[PCI_ADDRESS_TEXT_BYTES];
	pci_address_format(address, name);
	cleanup(freep) char *path = path_of(bus->devices_dir, name);
	cleanup(freep) char *resolved = realpath(path, NULL);
	if (!resolved && (errno == ENOENT || errno == ENODEV))
		return 1;

	pci_device_init(ret_device, address);
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 && (errno == ENOENT || errno == ENODEV))
		return 1;
	if (fd < 0) {
		pci_device_add_problem(ret_device, "its directory cannot be opened: %s",
				       strerror(errno));
		return 0;
	}

	read_identity(bus, fd, ret_device);
	read_links(fd, ret_device);
	ret_device->boot_vga = read_optional(fd, "boot_vga", 1, ret_device);
	close(fd);
	if (resolved)
		read_bridges(resolved, ret_device);

	/* Removed while it was read: what was missing says nothing about the device. */
	if (*ret_device->problem && access(path, F_OK) < 0)
		return 1;
	return 0;
}
