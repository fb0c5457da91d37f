/*
 * One function of a unit as sysfs shows it now. Nothing is remembered between calls: drivers and devices
 * come and go.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "attach/vfio/vfio.h"

/* What a function has for its name in sentences and in what is written to the kernel. */
struct function_name {
	char text[PCI_ADDRESS_TEXT_BYTES];
};
struct function_name function_name(struct pci_address address);

/* Sets code and reason (made fit for people: what is no UTF-8 becomes '?'); returns 1. */
int vfio_problem_set(struct vfio_problem *problem, enum attach_code code, const char *format, ...)
	PRINTF_LIKE(3, 4);

/* SYSFS/bus/pci/devices/ADDRESS, with "/NAME" behind it unless `name` is NULL. */
void function_path(const struct vfio_host *host, struct pci_address address, const char *name,
		   struct buf *out);
/* The directory's file descriptor, or -1. */
int function_open(const struct vfio_host *host, struct pci_address address);
bool function_is_present(const struct vfio_host *host, struct pci_address address);

/* Its driver, "" when none is bound. Positive: that cannot be read, also because the function is not there
 * (any more). */
int function_driver(const struct vfio_host *host, struct pci_address address,
		    char ret_driver[UNIT_DRIVER_BYTES]) MUST_CHECK;
bool function_is_on_vfio(const struct vfio_host *host, struct pci_address address);

/* Positive: there is none, or none that can be read. */
int function_text(const struct vfio_host *host, struct pci_address address, const char *name,
		  char *text, size_t size) MUST_CHECK;
/* ABSENT (model/record.h): there is no such number. */
int32_t function_number(const struct vfio_host *host, struct pci_address address, const char *name,
			int32_t max);
/* The IOMMU group's number, or ABSENT. */
int32_t function_group(const struct vfio_host *host, struct pci_address address);
