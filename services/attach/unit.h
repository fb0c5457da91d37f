/*
 * A passthrough unit on its host: one GPU with the functions that go along, and what was seen of it.
 * Plain values, shared by the agent, which decides, and the step process, which looks and acts.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/limits.h"
#include "model/pci_address.h"

enum {
	UNIT_DRIVER_BYTES = 64,	 /* a kernel module's name is shorter */
	UNIT_REASON_BYTES = 512, /* sentences for people, cut at a character */
};

struct unit {
	struct pci_address functions[LIMIT_FUNCTIONS_PER_UNIT]; /* the GPU first */
	size_t n;
};

/* Is the VM there? */
enum vm_presence {
	VM_UNKNOWN, /* the hypervisor cannot be asked */
	VM_ABSENT,  /* no such VM, or it does not run */
	VM_RUNNING,
};

struct function_facts {
	bool present;			/* on the PCI bus */
	char driver[UNIT_DRIVER_BYTES]; /* "": none bound */
};

/* What the host says about a unit, and the hypervisor about the unit and one VM. */
struct unit_facts {
	struct function_facts functions[LIMIT_FUNCTIONS_PER_UNIT]; /* in the unit's order */
	size_t n;
	enum vm_presence vm;
	size_t n_plugged;		   /* functions of the unit that the VM has */
	char vm_reason[UNIT_REASON_BYTES]; /* VM_UNKNOWN: why */
};
