#include "pci/libpci.h"

#include <pci/pci.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"

struct libpci {
	struct pci_access *access; /* owned */
	char *bus_dir;		   /* owned */
	bool names; /* a list was asked for: without it libpci would load one by itself */
};

/*
 * Where on_error jumps to: set by each function below for the time of its call into libpci, and only
 * then. The functions between are libpci's own, which hold nothing of ours.
 */
static jmp_buf recovery;
static char last_error[256];

static _Noreturn void on_error(char *format, ...)
{
	va_list args;
	va_start(args, format);
	vsnprintf(last_error, sizeof(last_error), format, args);
	va_end(args);
	last_error[strcspn(last_error, "\n")] = '\0';
	longjmp(recovery, 1);
}

/* Warnings are about things that callers look at themselves (pci/attribute.h). */
static void on_warning(char *format, ...)
{
	(void)format;
}

int libpci_open(const char *bus_dir, struct libpci **ret_libpci)
{
	struct libpci *libpci = memory_zeroed(1, sizeof(*libpci));
	libpci->bus_dir = memory_strdup(bus_dir);
	libpci->access = pci_alloc();

	struct pci_access *access = libpci->access;
	access->method = PCI_ACCESS_SYS_BUS_PCI;
	access->error = on_error;
	access->warning = on_warning;
	access->debug = on_warning;
	if (setjmp(recovery)) {
		libpci_close(libpci);
		return 1;
	}
	pci_set_param(access, (char *)"sysfs.path", libpci->bus_dir);
	/* Names come from the id list alone: no udev database, no DNS, no cache in a home directory.
	 * A parameter that this libpci does not have is refused with -1, which is as good. */
	(void)pci_set_param(access, (char *)"hwdb.disable", (char *)"1");
	(void)pci_set_param(access, (char *)"net.cache_name", (char *)"");
	pci_init(access);
	*ret_libpci = libpci;
	return 0;
}

void libpci_close(struct libpci *libpci)
{
	if (!libpci)
		return;
	if (!setjmp(recovery))
		pci_cleanup(libpci->access);
	free(libpci->bus_dir);
	free(libpci);
}

int libpci_load_names(struct libpci *libpci, const char *path)
{
	libpci->names = true;
	if (path)
		pci_set_name_list_path(libpci->access, memory_strdup(path), 1);
	if (setjmp(recovery))
		return 1;
	if (!pci_load_name_list(libpci->access)) {
		snprintf(last_error, sizeof(last_error), "cannot open %s",
			 path ? path : "the system's list");
		return 1;
	}
	return 0;
}

/* An unknown id leaves `to` as it is. */
static void look_up(struct libpci *libpci, int what, int first, int second, char *to, size_t size)
{
	char name[1024];
	if (!libpci->names || setjmp(recovery))
		return;
	char *found =
		pci_lookup_name(libpci->access, name, sizeof(name),
				what | PCI_LOOKUP_NO_NUMBERS | PCI_LOOKUP_NO_HWDB, first, second);
	if (found)
		pci_copy_text(to, size, found);
}

static int fill(const struct libpci_wanted *wanted, struct pci_dev *from)
{
	int flags = 0;
	flags |= wanted->ids ? PCI_FILL_IDENT : 0;
	flags |= wanted->class ? PCI_FILL_CLASS : 0;
	flags |= wanted->subsystem ? PCI_FILL_SUBSYS : 0;
	flags |= wanted->numa_node ? PCI_FILL_NUMA_NODE : 0;
	if (setjmp(recovery))
		return 1;
	pci_fill_info(from, flags);
	return 0;
}

int libpci_fill(struct libpci *libpci, const struct libpci_wanted *wanted,
		struct pci_device *device)
{
	/* Not pci_scan_bus: it gives up the whole bus at the first name that it cannot read. */
	struct pci_address address = device->address;
	struct pci_dev *from = pci_get_dev(libpci->access, (int)address.domain, address.bus,
					   address.device, address.function);
	if (fill(wanted, from)) {
		pci_free_dev(from);
		return 1;
	}

	if (wanted->ids) {
		device->vendor_id = from->vendor_id;
		device->device_id = from->device_id;
		look_up(libpci, PCI_LOOKUP_VENDOR, device->vendor_id, 0, device->vendor_name,
			sizeof(device->vendor_name));
		look_up(libpci, PCI_LOOKUP_DEVICE, device->vendor_id, device->device_id,
			device->device_name, sizeof(device->device_name));
	}
	if (wanted->class) {
		device->class_id = from->device_class << 8;
		look_up(libpci, PCI_LOOKUP_CLASS, from->device_class, 0, device->class_name,
			sizeof(device->class_name));
	}
	if (wanted->subsystem) {
		device->subsystem_vendor_id = from->subsys_vendor_id;
		device->subsystem_device_id = from->subsys_id;
	}
	if (wanted->numa_node && from->numa_node >= 0)
		device->numa_node = from->numa_node;
	pci_free_dev(from);
	return 0;
}

const char *libpci_error(void)
{
	return last_error;
}
