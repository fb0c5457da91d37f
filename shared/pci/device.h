/*
 * What was read of one PCI device: raw facts, before anybody judges them. A plain value without pointers
 * and of bounded size, so that it can cross a pipe from a process that may be killed at any moment. All
 * texts are NUL-terminated UTF-8; ABSENT (-1) stands for a number that the kernel does not show.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/pci_address.h"
#include "model/record.h"

enum {
	PCI_NAME_BYTES = 256,	  /* of the PCI id list, cut at a character */
	PCI_DRIVER_BYTES = 64,	  /* a kernel module's name is shorter (MODULE_NAME_LEN) */
	PCI_PROBLEM_BYTES = 384,  /* sentences about what could not be read */
	PCI_BRIDGES_MAX = 32,	  /* bridges above one device */
	PCI_CLASS_NAME_BYTES = 96 /* "VGA compatible controller" */
};

struct pci_device {
	struct pci_address address;
	int32_t class_id; /* 24 bits: base class, subclass, programming interface */
	int32_t vendor_id;
	int32_t device_id;
	int32_t subsystem_vendor_id;
	int32_t subsystem_device_id;
	int32_t iommu_group;
	int32_t numa_node;
	int32_t boot_vga;		      /* 1, 0, or ABSENT: not a VGA controller */
	int32_t n_virtual_functions;	      /* switched on; ABSENT: no SR-IOV */
	int32_t is_virtual_function;	      /* 1 or 0 */
	struct pci_address physical_function; /* with is_virtual_function */

	/* The bridges between the host bridge and the device, the uppermost first. */
	int32_t n_bridges;
	struct pci_address bridges[PCI_BRIDGES_MAX];

	char driver[PCI_DRIVER_BYTES];	  /* "": none bound */
	char vendor_name[PCI_NAME_BYTES]; /* "": not in the list, or no list */
	char device_name[PCI_NAME_BYTES];
	char class_name[PCI_CLASS_NAME_BYTES];
	char problem[PCI_PROBLEM_BYTES]; /* "": everything that matters was read */
};

/* Nothing known but the address. */
void pci_device_init(struct pci_device *device, struct pci_address address);

/* Adds a sentence to device->problem; what does not fit any more is cut at a character. */
void pci_device_add_problem(struct pci_device *device, const char *format, ...) PRINTF_LIKE(2, 3);

/* A display controller (03xx), processing accelerator (12xx) or co-processor (0b40), or a device whose
 * class nobody knows: it may be one. */
bool pci_device_is_gpu(const struct pci_device *device);

/* A PCI-to-PCI or CardBus bridge: part of the path, never of a passthrough unit, and its port driver
 * does not stand in the way. */
bool pci_device_is_bridge(const struct pci_device *device);

/* A driver holds it that is neither of the vfio-pci family nor in `passthrough_drivers`
 * (pci/driver_list.h; may be NULL). */
bool pci_device_is_held_by_host(const struct pci_device *device, const char *passthrough_drivers);

/* vfio-pci, or a driver made of it for one kind of device ("nvgrace-gpu-vfio-pci", "mlx5_vfio_pci"): whoever
 * has such a one is given away from the host on purpose, and can go to a VM. */
bool pci_driver_is_vfio(const char *driver);
bool pci_device_is_on_vfio(const struct pci_device *device);

/* Copies UTF-8 text; control characters and bytes that are not UTF-8 become '?', and what does not fit is
 * cut at a character. */
void pci_copy_text(char *to, size_t size, const char *from);

/* False for a value that pci_device_init and the readers cannot have made: a text without an end, a
 * number out of its range. What comes over the pipe is trusted only after this. */
bool pci_device_is_sane(const struct pci_device *device);
