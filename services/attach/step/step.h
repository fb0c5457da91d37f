/*
 * A step is one thing that the agent has done to one unit: looking, binding, plugging, ... It runs in a
 * process of its own (gpubus-attach-step) with a deadline, because sysfs writes, resets and hypervisors
 * may hang, and nothing that hangs may take the agent along. The step comes as JSON on the standard
 * input, its result goes as JSON to the standard output (step_json.h): so a step can be done by hand.
 *
 * Every step may be repeated: it looks first and does what is still to be done. A step that fails puts
 * back what it has changed itself. It acts on nothing but the unit's functions, and not before every earlier
 * step on them has ended (unit_lock.h).
 *
 *   echo '{"step": "bind", "functions": ["0000:01:00.0", "0000:01:00.1"]}' | gpubus-attach-step
 *   {"outcome":"failed","code":"IN_USE","reason":"0000:01:00.0 is open in Xorg (pid 812, card0)"}
 */
#pragma once

#include <stdint.h>

#include "attach/unit.h"
#include "model/codes.h"

enum step_verb {
	STEP_LOOK,	/* fills result.facts, changes nothing */
	STEP_BIND,	/* prechecks, then every function on vfio-pci */
	STEP_PLUG,	/* prechecks; all functions are on vfio-pci; the VM gets them */
	STEP_UNPLUG,	/* the VM is asked to let go of them, and has done so */
	STEP_CLEAN,	/* on vfio-pci (else bound), nobody has them open; reset; they answer */
	STEP_GIVE_BACK, /* every function to step.drivers, its override removed */
	STEP_VERBS
};

struct step {
	enum step_verb verb;
	struct unit unit;
	const char *vm_id; /* LOOK (NULL: do not ask the hypervisor), PLUG, UNPLUG */
	/* GIVE_BACK: the driver that each function had before gpubus; "": none; "?": not known, let the
	 * kernel choose. */
	char drivers[LIMIT_FUNCTIONS_PER_UNIT][UNIT_DRIVER_BYTES];
};

enum step_outcome {
	STEP_DONE,   /* it is so now, whether or not there was something to do */
	STEP_WAIT,   /* not now; nothing is wrong with the unit: VM_ABSENT, HYPERVISOR_SILENT,
		      * UNPLUG_PENDING (also of CLEAN and GIVE_BACK, while a process has the unit's
		      * node in /dev/vfio open), STEP_PENDING. Try again later */
	STEP_FAILED, /* it cannot be done: `code` and `reason`; what the step changed is put back, or
		      * `not_put_back` is set */
	STEP_STUCK, /* set by whoever runs the process: the deadline passed. Nobody knows what the unit
		      * is like; it must not be touched again */
};

struct step_result {
	enum step_outcome outcome;
	enum attach_code code;		/* with WAIT and FAILED */
	char reason[UNIT_REASON_BYTES]; /* with WAIT, FAILED and STUCK: a sentence */
	bool not_put_back;		/* with FAILED of BIND */
	struct unit_facts facts;	/* with DONE of LOOK */
};

/* "look", "bind", "plug", "unplug", "clean", "give-back" */
const char *step_verb_name(enum step_verb verb);
