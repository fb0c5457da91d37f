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

enum { DOMAIN_ALIAS_BYTES = 128 };

/* The functions of a unit that a domain has as host devices, whoever attached them. */
struct domain_functions {
	bool has[LIMIT_FUNCTIONS_PER_UNIT];
	char aliases[LIMIT_FUNCTIONS_PER_UNIT]
		    [DOMAIN_ALIAS_BYTES]; /* "": none (a domain that does not
								     * run) */
	size_t n;
};

/* Positive: not a domain's XML, or larger than LIMIT_DOMAIN_XML_BYTES. */
int domain_xml_find(const char *xml, const struct unit *unit,
		    struct domain_functions *ret_functions) MUST_CHECK;

/*
 * The <hostdev> of one function. Its driver is bound already (managed='no'). It has no address in the
 * guest: libvirt (9.0) plugs function 0 only ("Only PCI device addresses with function=0 are supported"),
 * so each function goes to a port of its own, and libvirt chooses a free one.
 */
void domain_xml_hostdev(struct pci_address function, struct buf *xml);
