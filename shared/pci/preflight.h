/*
 * What a host must have before its GPUs can be given to VMs, and how large it is. Reads files of sysfs and
 * proc, of this machine or a recorded tree; call it off the loop.
 */
#pragma once

#include "base/arena.h"
#include "pci/scan.h"

/* 1, 0, or ABSENT: not known; unknown sizes are 0. */
struct preflight {
	const char *boot_id; /* "unknown" when the host does not say */
	int64_t cpu_cores;
	int64_t ram_gb;
	int64_t iommu;
	int64_t interrupt_remapping;
	int64_t vfio; /* 1: loaded; ABSENT: it may be loaded when it is needed */
};

/* Texts live in `arena`. */
void preflight_read(const char *sysfs_dir, const char *proc_dir, const struct pci_scan *scan,
		    struct arena *arena, struct preflight *ret_preflight);

const char *preflight_boot_id(const char *proc_dir, struct arena *arena);

/* Does the IOMMU remap interrupts? 1, 0 or ABSENT, by /proc/interrupts and by its content. */
int64_t preflight_read_interrupt_remapping(const char *proc_dir);
int64_t preflight_interrupt_remapping(const char *interrupts);
