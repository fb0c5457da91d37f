/*
 * Reading what libvirt says of a domain, and writing what it is to attach. Source: libvirt,
 * docs/formatdomain.rst, "Host device assignment".
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "attach/unit.h"
#include "base/buf.h"
#include "base/error.h"

enum {
	DOMAIN_ALIAS_BYTES = 128,
	DOMAIN_BUSES = 256,
};

struct domain_devices {
	/* The functions of a unit that the domain has as host devices, whoever attached them. */
	bool has[LIMIT_FUNCTIONS_PER_UNIT];
	char aliases[LIMIT_FUNCTIONS_PER_UNIT]
		    [DOMAIN_ALIAS_BYTES]; /* "": none (a domain that does not
								     * run) */
	size_t n;
	/* By the number of the bus behind it: a PCIe port with nothing on it that takes devices while
	 * the VM runs. */
	bool has_free_port[DOMAIN_BUSES];
};

/* Positive: not a domain's XML, or larger than LIMIT_DOMAIN_XML_BYTES. */
int domain_xml_find(const char *xml, const struct unit *unit,
		    struct domain_devices *ret_devices) MUST_CHECK;

/*
 * The <hostdev> of one function. Its driver is bound already (managed='no'). `bus`: of a port in the guest; 0:
 * libvirt chooses the place, which for functions without PCI Express is none of a port's.
 *
 * libvirt plugs function 0 only ("Only PCI device addresses with function=0 are supported", 9.0), so each
 * function has a port of its own.
 */
void domain_xml_hostdev(struct pci_address function, unsigned int bus, struct buf *xml);
