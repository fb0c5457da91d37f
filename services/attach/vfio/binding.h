/*
 * The writes that change which driver a function has, each read again: the kernel takes writes that change
 * nothing (a probe while another driver owns the function, an override that names no driver, a probe that
 * fails). What counts is what is so afterwards, not what the write said. Positive: the problem is set,
 * with `code` or DEVICE_GONE.
 */
#pragma once

#include "attach/vfio/function.h"

/* "" clears it. */
int binding_set_override(const struct vfio_host *host, struct pci_address address,
			 const char *driver, enum attach_code code,
			 struct vfio_problem *problem) MUST_CHECK;
/* "" when there is none. Positive: it cannot be read. */
int binding_override(const struct vfio_host *host, struct pci_address address,
		     char ret_driver[UNIT_DRIVER_BYTES]) MUST_CHECK;

/* 0: no driver is bound. */
int binding_unbind(const struct vfio_host *host, struct pci_address address, enum attach_code code,
		   struct vfio_problem *problem) MUST_CHECK;

/* Lets the kernel look for a driver. `expected`: the one that must have it afterwards; NULL: any or none. */
int binding_probe(const struct vfio_host *host, struct pci_address address, const char *expected,
		  enum attach_code code, struct vfio_problem *problem) MUST_CHECK;

/*
 * From vfio-pci to `driver` ("": none, NULL: whichever the kernel chooses), leaving `override`. Every part
 * is tried even when one has failed, and the override never stays at vfio-pci.
 */
int binding_return(const struct vfio_host *host, struct pci_address address, const char *driver,
		   const char *override, enum attach_code code,
		   struct vfio_problem *problem) MUST_CHECK;
