/*
 * Where the cards of a described host sit: every PCI function with its address, its parent and its
 * IOMMU group, in an order in which parents come first. Pure.
 *
 * NUMA node N has the root bus N * 0x40 of domain 0, and its cards the buses behind that.
 */
#pragma once

#include <stddef.h>

#include "base/arena.h"
#include "description.h"

enum { NO_PARENT = -1, NO_GROUP = -1 };

struct function {
	struct pci_address address;
	int parent; /* index of the bridge above, or NO_PARENT: directly on the root bus */
	int physical_function;	 /* index, for a virtual function; NO_PARENT otherwise */
	int n_virtual_functions; /* these follow it; -1: it cannot have any */
	uint16_t vendor, device, sub_vendor, sub_device;
	uint32_t class_id;
	int group; /* or NO_GROUP */
	int numa;
	int boot_vga; /* -1: no such file */
	const char *driver;
	const char *without;
};

/* Positive: the host has too many cards for its buses, or two cards at one address. */
int layout_host(const struct host *host, struct arena *arena, struct function **ret_functions,
		size_t *ret_n, const char **ret_error) MUST_CHECK;
