/*
 * A PCI address, DDDD:BB:DD.F in lower-case hex. The domain has at least four digits and may have up to
 * eight (VMD and Hyper-V make such). Source: Linux, Documentation/PCI and pci_dev_name().
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

struct pci_address {
	uint32_t domain;
	uint8_t bus;
	uint8_t device;	  /* 0-31 */
	uint8_t function; /* 0-7 */
};

enum { PCI_ADDRESS_TEXT_BYTES = 17 }; /* "ffffffff:ff:1f.7" and NUL */

/* Positive: not a PCI address (wrong shape, device above 1f, function above 7, trailing text). */
int pci_address_parse(const char *text, struct pci_address *ret_address) MUST_CHECK;
void pci_address_format(struct pci_address address, char text[PCI_ADDRESS_TEXT_BYTES]);
bool pci_address_same_slot(struct pci_address a, struct pci_address b);
/* <0, 0, >0 in the order of domain, bus, device, function. */
int pci_address_compare(struct pci_address a, struct pci_address b);
/* All four parts in one word (domain highest), and back. */
uint64_t pci_address_pack(struct pci_address address);
struct pci_address pci_address_unpack(uint64_t packed);
