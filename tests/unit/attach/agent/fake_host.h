/*
 * A host of GPUs with two functions each, and its VMs, in memory: what steps do to it, also when they are
 * killed half-way, and what they see. It notices what must never happen (`problem`).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "attach/step/step.h"

enum { FAKE_GPUS = 5, FAKE_FUNCTIONS = 2, FAKE_VMS = 8, NO_VM = -1 };

struct fake_function {
	const char *native; /* the driver that it has after a boot */
	char driver[UNIT_DRIVER_BYTES];
	int holder;  /* the VM that has it, or NO_VM */
	int used_by; /* the VM that had it since it was last clean, or NO_VM */
};

/* What steps of one verb on one GPU come to, instead of what they should. */
struct fake_fault {
	bool fails;
	bool sticks;
	enum attach_code code; /* with fails */
	bool not_put_back;     /* with fails, of BIND */
};

struct fake_gpu {
	struct fake_function functions[FAKE_FUNCTIONS];
	struct fake_fault faults[STEP_VERBS];
	bool gone; /* from the bus */
	int touches[STEP_VERBS];
};

struct fake_vm {
	bool running;
	bool clings; /* its guest does not let go of devices */
};

struct fake_host {
	struct fake_gpu gpus[FAKE_GPUS];
	struct fake_vm vms[FAKE_VMS];
	bool silent; /* the hypervisor */
	const char *problem;
};

void fake_host_init(struct fake_host *host);
/* All VMs are gone, all devices as power-up makes them. */
void fake_host_reboot(struct fake_host *host);
void fake_vm_stop(struct fake_host *host, int vm);

struct unit fake_unit(int gpu);
int fake_gpu_of(const struct unit *unit);
int fake_vm_of(const char *vm_id);
/* "vm3"; static. */
const char *fake_vm_id(int vm);

void fake_step(struct fake_host *host, const struct step *step, struct step_result *ret_result);
/* It is killed in the middle: some of it is done. */
void fake_step_half(struct fake_host *host, const struct step *step);

bool fake_gpu_is_plugged(const struct fake_host *host, int gpu, int vm);
bool fake_gpu_is_bound(const struct fake_host *host, int gpu);
bool fake_gpu_is_native(const struct fake_host *host, int gpu);
/* In no VM, and clean. */
bool fake_gpu_is_clean(const struct fake_host *host, int gpu);
