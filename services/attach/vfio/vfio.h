/*
 * The host's side of passthrough, by sysfs (and, for a reset of several functions at once, by VFIO): what
 * holds a function, what stands in the way of giving it to a VM, binding it to vfio-pci and back, resetting
 * it. Used in the step process only: every call may block, and the process has a deadline.
 *
 * Binding goes through driver_override of each address, never through new_id; every write is read again,
 * because the kernel takes writes that change nothing (table in HACKING.md). Drivers of the vfio-pci
 * family made for one kind of device (nvgrace-gpu-vfio-pci) count as vfio-pci: somebody chose them.
 *
 * The group's node in /dev/vfio is never taken from a process that has it open, as that would block until
 * the process ends: vfio_clean and vfio_give_back answer UNPLUG_PENDING, with the process's name. One that is
 * hidden from this process is noticed by the kernel's EBUSY.
 */
#pragma once

#include <stdbool.h>

#include "attach/unit.h"
#include "base/buf.h"
#include "base/error.h"
#include "model/codes.h"

struct vfio_kernel;

struct vfio_host {
	const char *sysfs_dir;		   /* "/sys" */
	const char *proc_dir;		   /* "/proc": who has a device open, interrupt remapping */
	const char *dev_dir;		   /* "/dev" */
	bool allow_no_interrupt_remapping; /* an operator's choice: vfio_iommu_type1's
					    * allow_unsafe_interrupts is seen by itself */
	bool allow_no_reset;		   /* an operator's choice, see vfio_clean() */
	const struct vfio_kernel *kernel;  /* NULL: the real one (attach/vfio/kernel.h) */
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
 * What stands in the way, the most fundamental first:
 *   DEVICE_GONE
 *   INVALID_ASSIGNMENT       the functions are no unit: the first is no GPU (any more: buses are counted
 *                            anew when a card is added), another is neither in its slot nor in its IOMMU
 *                            group, one is a bridge or named twice
 *   NO_IOMMU                 no group, or one of VFIO's no-IOMMU mode
 *   NO_INTERRUPT_REMAPPING
 *   HAS_VIRTUAL_FUNCTIONS
 *   BOOT_DISPLAY             boot_vga; or the framebuffer with the lowest number, which the kernel's
 *                            console takes, while a console is bound to framebuffers
 *   IN_USE                   processes that have a device node or a BAR of a function open or mapped, by
 *                            name and pid; those whose files cannot be looked at (be root) are not seen
 *   GROUP_NOT_VIABLE         a member of a function's group outside the unit that is neither a bridge nor
 *                            on vfio-pci or pci-stub nor without driver; its address and driver
 * Functions that are on vfio-pci already are not asked whether they are displays or in use.
 */
int vfio_precheck(const struct vfio_host *host, const struct unit *unit,
		  struct vfio_problem *ret_problem) MUST_CHECK;

/* Prechecks, loads vfio-pci when it is missing (modprobe; only for "/sys"), binds all functions, re-reads.
 * 0: all are on vfio-pci. Positive: BIND_FAILED, NO_VFIO_DRIVER or a precheck; functions bound in this
 * call are given back, the last one first, with the override they had. */
int vfio_bind(const struct vfio_host *host, const struct unit *unit,
	      struct vfio_problem *ret_problem) MUST_CHECK;

/*
 * Resets every function, then reads the configuration space. Whatever is not on vfio-pci (a step ended in
 * the middle of giving back) is bound to it first: nothing is reset beneath another driver.
 *
 * 1. Each function by itself, with the best of the methods that the kernel offers (its own order: device
 *    specific, FLR, power management, bus; or what an operator wrote to reset_method). The kernel refuses
 *    a bus reset there when another function is on the bus.
 * 2. If that did not work for one of them (a consumer GPU with its audio function has nothing but the bus,
 *    and the audio function claims to have nothing at all): a reset of bus or slot by VFIO, which the kernel
 *    does only when all functions that it reaches are on vfio-pci in groups that nobody else has open. One
 *    that reaches functions outside the unit is not used.
 * 3. No function may be left without either: RESET_FAILED. With host.allow_no_reset functions for which
 *    the kernel knows no reset at all are taken as they are: what one VM left in them the next may read.
 *
 * Positive: UNPLUG_PENDING, RESET_FAILED, CONFIG_UNREADABLE, DEVICE_GONE, or why functions could not be
 * bound.
 */
int vfio_clean(const struct vfio_host *host, const struct unit *unit,
	       struct vfio_problem *ret_problem) MUST_CHECK;

/*
 * `drivers` as in step.h. A driver that is named gets the function through driver_override, so that no
 * other one takes it on the way; in the end no function has an override. Only vfio-pci is unbound: a
 * driver that has come between is somebody's wish. Positive: UNPLUG_PENDING (nothing was changed),
 * DEVICE_GONE or DRIVER_NOT_RESTORED (every function was tried).
 */
int vfio_give_back(const struct vfio_host *host, const struct unit *unit,
		   char drivers[][UNIT_DRIVER_BYTES], struct vfio_problem *ret_problem) MUST_CHECK;

/* Appends the processes that have the group of a function open in /dev/vfio: "qemu-system-x86 (pid 88)".
 * Returns how many there are. */
size_t vfio_group_holders(const struct vfio_host *host, const struct unit *unit, struct buf *out);
