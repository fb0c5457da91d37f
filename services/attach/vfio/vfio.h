/*
 * The host's side of passthrough, by sysfs alone: what holds a function, what stands in the way of giving
 * it to a VM, binding it to vfio-pci and back, resetting it. Used in the step process only: every call may
 * block, and the process has a deadline.
 *
 * Binding goes through driver_override of each address, never through new_id; every write is read again,
 * because the kernel takes writes that change nothing (lab table in HACKING.md).
 */
#pragma once

#include <stdbool.h>

#include "attach/unit.h"
#include "base/buf.h"
#include "base/error.h"
#include "model/codes.h"

struct vfio_host {
	const char *sysfs_dir;		   /* "/sys" */
	const char *proc_dir;		   /* "/proc": who has a device open, interrupt remapping */
	const char *dev_dir;		   /* "/dev" */
	bool allow_no_interrupt_remapping; /* an operator's choice: vfio_iommu_type1's
					    * allow_unsafe_interrupts is seen by itself */
};

/* Why not: with a positive result. */
struct vfio_problem {
	enum attach_code code;
	char reason[UNIT_REASON_BYTES];
	bool not_put_back; /* vfio_bind failed, and so did undoing it */
};

/* Never fails: what cannot be read is not present. */
void vfio_look(const struct vfio_host *host, const struct unit *unit, struct unit_facts *ret_facts);

/*
 * What stands in the way, the most fundamental first: DEVICE_GONE, INVALID_ASSIGNMENT (two units' devices),
 * NO_IOMMU, NO_INTERRUPT_REMAPPING, HAS_VIRTUAL_FUNCTIONS, BOOT_DISPLAY (boot_vga, or a framebuffer that
 * is the console), IN_USE (pid and name of each process that has a device node of a function open),
 * GROUP_NOT_VIABLE (a member of the group outside the unit that is neither a bridge nor on vfio-pci nor
 * without driver; its address and driver). Functions that are on vfio-pci already are not asked whether
 * they are displays or in use.
 */
int vfio_precheck(const struct vfio_host *host, const struct unit *unit,
		  struct vfio_problem *ret_problem) MUST_CHECK;

/* Prechecks, loads vfio-pci when it is missing (modprobe), binds all functions, re-reads. 0: all are on
 * vfio-pci. Positive: BIND_FAILED, NO_VFIO_DRIVER or a precheck; functions bound in this call are given
 * back. */
int vfio_bind(const struct vfio_host *host, const struct unit *unit,
	      struct vfio_problem *ret_problem) MUST_CHECK;

/* Resets every function by the best of its reset methods (FLR before PM before bus; only what
 * reset_method offers; one that affects functions outside the unit is not used), then reads the
 * configuration space. Positive: RESET_FAILED, CONFIG_UNREADABLE or DEVICE_GONE. */
int vfio_clean(const struct vfio_host *host, const struct unit *unit,
	       struct vfio_problem *ret_problem) MUST_CHECK;

/* `drivers` as in step.h. Positive: DRIVER_NOT_RESTORED (every function was tried). */
int vfio_give_back(const struct vfio_host *host, const struct unit *unit,
		   char drivers[][UNIT_DRIVER_BYTES], struct vfio_problem *ret_problem) MUST_CHECK;
