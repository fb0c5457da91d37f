/*
 * From devices to GPUs: pure, so that every rule can be tested with a few lines of data. Who goes along
 * with a GPU (its passthrough unit), what stands in the way, and the sentence that tells a person what
 * to do about it.
 */
#pragma once

#include <stddef.h>

#include "base/arena.h"
#include "model/record.h"
#include "pci/device.h"
#include "pci/obstacle.h"

struct pci_units_options {
	const char *host;
	const char *pool_id;
	const char *boot_id;
	int64_t now_us; /* becomes observed_at */
	/* Kernel drivers that a device may be taken from when it is assigned (pci/driver_list.h): they hold
	 * nothing back. NULL: none but those of the vfio-pci family. */
	const char *passthrough_drivers;
};

/*
 * `devices` are all functions of the host in the order of their addresses. *ret_gpus and all it points to
 * live in `arena`, except the options' strings, which stay the caller's. At most LIMIT_GPUS_PER_HOST;
 * returns how many GPUs there are, so more than *ret_n when some were left out.
 */
size_t pci_units(const struct pci_units_options *options, const struct pci_device *devices,
		 size_t n_devices, struct arena *arena, struct gpu_discovered **ret_gpus,
		 size_t *ret_n);

/* One GPU and what is handed over with it. */
struct pci_unit {
	const struct pci_device **functions; /* the GPU first; in `arena` */
	size_t n_functions;		     /* may exceed LIMIT_FUNCTIONS_PER_UNIT: an obstacle */
	struct obstacles obstacles;
};

/* `gpu` is one of `devices`. */
void pci_unit_inspect(const struct pci_units_options *options, const struct pci_device *gpu,
		      const struct pci_device *devices, size_t n_devices, struct arena *arena,
		      struct pci_unit *ret_unit);
