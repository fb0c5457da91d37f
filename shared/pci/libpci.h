/*
 * libpci, tamed. Its error callback must not return and its default ends the process, also when a device
 * vanishes while it is read: here every call comes back, with the library's words when it failed. What
 * libpci had allocated when it failed is lost until libpci_close, so use it in a process that ends soon.
 * Not thread-safe (libpci passes its callbacks no user pointer).
 *
 * libpci reads numbers with strtol: garbage reads as 0. Callers check the files first (pci/attribute.h).
 */
#pragma once

#include <stdbool.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "pci/device.h"

struct libpci;

/* `bus_dir`: DIR/bus/pci. Nothing is read yet. Positive: libpci refused, see libpci_error(). */
int libpci_open(const char *bus_dir, struct libpci **ret_libpci) MUST_CHECK;
void libpci_close(struct libpci *libpci);
DEFINE_CLEANUP(struct libpci *, libpci_close);

/* Loads the PCI id list; NULL: libpci's own place. Positive: it cannot be opened or has a line that is
 * not right; names that were read before that line are used. */
int libpci_load_names(struct libpci *libpci, const char *path) MUST_CHECK;

struct libpci_wanted {
	bool ids, class, subsystem, numa_node;
};

/* Fills the ids, class, subsystem and NUMA node that are wanted, and the names for them if
 * libpci_load_names was called. Positive: the device went away or its files changed under us. */
int libpci_fill(struct libpci *libpci, const struct libpci_wanted *wanted,
		struct pci_device *device) MUST_CHECK;

/* What libpci said when the last call was positive. */
const char *libpci_error(void);
