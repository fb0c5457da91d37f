/*
 * The description that host trees are made of. Lines; what follows "# " is a comment; words are separated
 * by blanks:
 *
 *	host NAME [count=N] [pool=ID] [cores=N] [ram-gb=N] [iommu=off] [vfio=off] [remapping=off]
 *		begins a host; the lines up to the next "host" are its cards. With count=N there are N hosts
 *		NAME1 ... NAMEN, all alike. Defaults: pool=1 cores=64 ram-gb=512.
 *
 *	gpu VENDOR:DEVICE[:SUBVENDOR:SUBDEVICE] [OPTION...]	a display card, class 030200
 *	device VENDOR:DEVICE[:...] class=CCCCCC [OPTION...]	any other card
 *		count=N		N such cards
 *		slot=[DDDD:]BB:DD	its address (with count: the bus counts up); default: the next free bus
 *		class=CCCCCC	class, subclass, programming interface
 *		audio usb usb-c	companion functions .1, .2, .3 of these kinds
 *		driver=NAME	of function 0; companions have it too when it is vfio-pci
 *		companion-driver=NAME
 *		group=N		IOMMU group (cards with one number share it); group=none; default: its own
 *		port-in-group	its root port is in its group too, as on boards without ACS
 *		numa=N		NUMA node; default: the kernel does not say
 *		switch=N	behind PCIe switch N of the host, which appears with its first card
 *		boot-vga	the boot display (class 030000)
 *		vfs=N		N virtual functions, switched on, each in a group of its own
 *		vf-driver=NAME
 *		without=FILE	the file or link is missing in function 0
 *
 * Ids and classes are hex. The same description always gives the same trees.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "model/pci_address.h"

enum { GROUP_OWN = -1, GROUP_NONE = -2, NUMA_UNKNOWN = -1 };

struct card {
	uint16_t vendor, device, sub_vendor, sub_device;
	uint32_t class_id;
	int count;
	bool has_slot;
	struct pci_address slot;
	bool audio, usb, usb_c, port_in_group, boot_vga;
	const char *driver; /* "": none */
	const char *companion_driver;
	const char *vf_driver;
	int vfs;
	int group;	     /* or GROUP_OWN, GROUP_NONE */
	int numa;	     /* or NUMA_UNKNOWN */
	int switch_number;   /* 0: none */
	const char *without; /* NULL: nothing */
};

struct host {
	const char *name;
	int count; /* 0: one, called `name` */
	const char *pool;
	int cores;
	int ram_gb;
	bool iommu, vfio, remapping;
	struct card *cards;
	size_t n_cards;
};

/* Texts live in `arena` and in `text`, which is written to. Positive: a mistake, in *ret_error. */
int description_parse(char *text, struct arena *arena, struct host **ret_hosts, size_t *ret_n,
		      const char **ret_error) MUST_CHECK;
