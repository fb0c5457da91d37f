/*
 * A PCI bus as sysfs shows it: DIR/bus/pci/devices, of this machine or of a recorded tree, where devices
 * may be links or real directories and most files may be missing. Used in the reader process only, see
 * pci/reader.h. Not thread-safe.
 */
#pragma once

#include <stddef.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "pci/device.h"

struct pci_bus;

struct pci_bus_error {
	char text[512];
};

/* Positive: there is no readable DIR/bus/pci/devices; `error` says why. */
int pci_bus_open(const char *sysfs_dir, struct pci_bus **ret_bus,
		 struct pci_bus_error *error) MUST_CHECK;
void pci_bus_close(struct pci_bus *bus);
DEFINE_CLEANUP(struct pci_bus *, pci_bus_close);

typedef void (*pci_bus_warning_fn)(void *context, const char *text);

/* Loads the PCI id list, NULL: the system's. Positive: it could not be read whole; devices then have no
 * names, or fewer. */
int pci_bus_load_names(struct pci_bus *bus, const char *pci_ids_path,
		       struct pci_bus_error *error) MUST_CHECK;

/* The addresses on the bus, sorted; the caller frees the array. Entries that are no PCI address, and those
 * beyond LIMIT_PCI_DEVICES, are left out with a warning. Positive: the directory cannot be read. */
int pci_bus_list(struct pci_bus *bus, pci_bus_warning_fn on_warning, void *context,
		 struct pci_address **ret_addresses, size_t *ret_n,
		 struct pci_bus_error *error) MUST_CHECK;

/* Everything about one device. What cannot be read is ABSENT, and device->problem says so when it matters
 * for who may have the device. Positive: it is not there (any more). */
int pci_bus_read(struct pci_bus *bus, struct pci_address address,
		 struct pci_device *ret_device) MUST_CHECK;
