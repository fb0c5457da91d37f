/*
 * What a host says of itself that matters for passthrough, beyond its PCI devices. Read from sysfs and proc, of
 * this machine or of a recorded tree, where most of it may be missing: what is not known is told from what is
 * not there.
 */
#pragma once

#include "base/arena.h"
#include "pci/preflight.h"

enum cpu_vendor {
	CPU_UNKNOWN, /* neither of the others, or it does not say */
	CPU_INTEL,
	CPU_AMD,
};

enum module_state {
	MODULE_UNKNOWN, /* it is not loaded; there are no lists of modules to look at */
	MODULE_LOADED,	/* or built in */
	MODULE_LOADABLE,
	MODULE_MISSING, /* this kernel's modules are without it */
	MODULE_NO_LIST, /* this machine has no modules of its kernel */
};

/* Numbers: 1, 0, or ABSENT (not known). */
struct doctor_facts {
	struct preflight preflight;
	enum cpu_vendor cpu;
	int64_t cpu_virtualization; /* vmx or svm */
	bool is_vm;
	int64_t acpi_dmar;	      /* the firmware describes an Intel IOMMU */
	int64_t acpi_ivrs;	      /* ... one of AMD */
	const char *kernel_arguments; /* NULL: not known */
	const char *kernel_release;   /* NULL: not known */
	enum module_state vfio_pci, vfio_iommu_type1;
	int64_t unsafe_interrupts; /* vfio_iommu_type1 allows them */
};

struct doctor_place {
	const char *sysfs_dir;
	const char *proc_dir;
	const char *modules_dir; /* with a directory for each kernel release: /lib/modules */
	bool is_this_machine;	 /* a missing directory of modules says that there are none */
};

/* Texts live in `arena`. */
void doctor_read_facts(const struct doctor_place *place, const struct pci_scan *scan,
		       struct arena *arena, struct doctor_facts *ret_facts);

/* The kernel module of a PCI driver, which may be named otherwise (in `arena`). */
const char *doctor_module_of(const char *sysfs_dir, const char *driver, struct arena *arena);

/* 1: the kernel knows a way to reset the device; 0: it does not; ABSENT: the tree does not say. */
int64_t doctor_can_reset(const char *sysfs_dir, const char *address, struct arena *arena);
