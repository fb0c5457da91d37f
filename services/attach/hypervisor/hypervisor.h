/*
 * What gpubus asks of a hypervisor: is the VM there, give it these PCI functions, take them back. Used
 * in the step process only, so calls block, but never beyond their deadline.
 *
 * Implementations: qmp (QEMU's monitor on a unix socket), libvirt, none (bind only: somebody else starts
 * the VM with the devices).
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "attach/unit.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/error.h"

struct hypervisor;

enum hypervisor_outcome {
	HYPERVISOR_VM_ABSENT = 1, /* no such VM, or it does not run */
	HYPERVISOR_SILENT,	  /* cannot be reached, does not answer, or speaks nonsense */
	HYPERVISOR_PENDING, /* asked to let go; the guest has not done so within the deadline */
	HYPERVISOR_NO_PORT, /* no free PCIe root port */
	HYPERVISOR_REFUSED, /* anything else; the hypervisor's own words in the reason */
	HYPERVISOR_HELD,    /* the device is in another VM */
};

/*
 * All calls: `deadline_ms` from now. `reason` is empty; on a positive outcome it gets a sentence for
 * people. Negative: -errno.
 */
struct hypervisor_ops {
	const char *name; /* "qmp" */

	/* 0 with VM_RUNNING or VM_ABSENT; HYPERVISOR_SILENT when that cannot be said. `ret_n_plugged`:
	 * how many of the unit's functions the VM has. */
	int (*look)(struct hypervisor *hypervisor, const char *vm_id, const struct unit *unit,
		    int64_t deadline_ms, enum vm_presence *ret_vm, size_t *ret_n_plugged,
		    struct buf *reason);
	/*
	 * 0: the VM has all functions, those of one slot as functions of one slot (qmp; libvirt gives
	 * each function a slot of its own: see domain_xml.h). On failure it has none that it did not
	 * have before, with two exceptions, after which look() tells: a guest that has not yet let go
	 * of what was added and taken back (the reason says so), and a hypervisor that fell silent.
	 */
	int (*plug)(struct hypervisor *hypervisor, const char *vm_id, const struct unit *unit,
		    int64_t deadline_ms, struct buf *reason);
	/* 0: the VM has none of them (also because it is gone). PENDING may be asked again. Takes what
	 * is there, whoever plugged it. */
	int (*unplug)(struct hypervisor *hypervisor, const char *vm_id, const struct unit *unit,
		      int64_t deadline_ms, struct buf *reason);
	void (*free)(struct hypervisor *hypervisor);
};

/* Each implementation's struct begins with this. */
struct hypervisor {
	const struct hypervisor_ops *ops;
};

/*
 * `target` depends on the kind:
 *   "qmp"      path of the monitor's socket with {vm} for the VM's id, e.g. "/run/vms/{vm}.qmp"
 *   "libvirt"  connection URI, e.g. "qemu:///system"; a VM's id is the domain's name or UUID
 *   "none"     nothing: every VM is absent
 * Positive: no such kind, a target that cannot be right, or libvirt is not installed; `error` says which.
 */
int hypervisor_new(const char *kind, const char *target, struct hypervisor **ret_hypervisor,
		   struct buf *error) MUST_CHECK;
void hypervisor_free(struct hypervisor *hypervisor);
DEFINE_CLEANUP(struct hypervisor *, hypervisor_free);

/* For --version: "libvirt 9.0.0", "libvirt is not installed (...)", "built without libvirt". Static storage. */
const char *hypervisor_libvirt_status(void);
