#include "fake_host.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const native_drivers[FAKE_FUNCTIONS] = { "nouveau", "snd_hda_intel" };

static void set_driver(struct fake_function *function, const char *driver)
{
	snprintf(function->driver, sizeof(function->driver), "%s", driver);
}

static bool is_on_vfio(const struct fake_function *function)
{
	return strstr(function->driver, "vfio-pci") != NULL;
}

static bool has_driver(const struct fake_function *function, const char *driver)
{
	return strcmp(function->driver, driver) == 0;
}

void fake_host_reboot(struct fake_host *host)
{
	for (int i = 0; i < FAKE_VMS; i++)
		host->vms[i].running = false;
	for (int i = 0; i < FAKE_GPUS; i++)
		for (int k = 0; k < FAKE_FUNCTIONS; k++) {
			struct fake_function *function = &host->gpus[i].functions[k];
			set_driver(function, function->native);
			function->holder = NO_VM;
			function->used_by = NO_VM;
		}
}

void fake_host_init(struct fake_host *host)
{
	*host = (struct fake_host){ 0 };
	for (int i = 0; i < FAKE_GPUS; i++)
		for (int k = 0; k < FAKE_FUNCTIONS; k++)
			host->gpus[i].functions[k].native = native_drivers[k];
	fake_host_reboot(host);
}

void fake_vm_stop(struct fake_host *host, int vm)
{
	host->vms[vm].running = false;
	for (int i = 0; i < FAKE_GPUS; i++)
		for (int k = 0; k < FAKE_FUNCTIONS; k++)
			if (host->gpus[i].functions[k].holder == vm)
				host->gpus[i].functions[k].holder = NO_VM;
}

struct unit fake_unit(int gpu)
{
	struct unit unit = { .n = FAKE_FUNCTIONS };
	for (int k = 0; k < FAKE_FUNCTIONS; k++)
		unit.functions[k] =
			(struct pci_address){ .bus = (uint8_t)(gpu + 1), .function = (uint8_t)k };
	return unit;
}

int fake_gpu_of(const struct unit *unit)
{
	return unit->functions[0].bus - 1;
}

int fake_vm_of(const char *vm_id)
{
	return vm_id ? atoi(vm_id + 2) : NO_VM;
}

const char *fake_vm_id(int vm)
{
	static const char *const ids[FAKE_VMS] = { "vm0", "vm1", "vm2", "vm3",
						   "vm4", "vm5", "vm6", "vm7" };
	return ids[vm];
}

/* ---- what steps do ---- */

static void notice(struct fake_host *host, const char *problem)
{
	if (!host->problem)
		host->problem = problem;
}

static void fail(struct step_result *result, enum step_outcome outcome, enum attach_code code)
{
	result->outcome = outcome;
	result->code = code;
	snprintf(result->reason, sizeof(result->reason), "because of %s", attach_code_name(code));
}

static void look(struct fake_host *host, struct fake_gpu *gpu, int vm, size_t n,
		 struct step_result *result)
{
	struct unit_facts *facts = &result->facts;
	facts->n = n;
	facts->vm = VM_UNKNOWN;
	for (size_t k = 0; k < n; k++) {
		facts->functions[k].present = !gpu->gone;
		snprintf(facts->functions[k].driver, UNIT_DRIVER_BYTES, "%s",
			 gpu->gone ? "" : gpu->functions[k].driver);
	}
	if (vm == NO_VM || host->silent) {
		snprintf(facts->vm_reason, sizeof(facts->vm_reason), "no answer");
		return;
	}
	facts->vm = host->vms[vm].running ? VM_RUNNING : VM_ABSENT;
	for (size_t k = 0; k < n; k++)
		facts->n_plugged += gpu->functions[k].holder == vm;
}

static void bind(struct fake_host *host, struct fake_gpu *gpu, size_t n, struct step_result *result)
{
	if (gpu->gone) {
		fail(result, STEP_FAILED, ATTACH_DEVICE_GONE);
		return;
	}
	for (size_t k = 0; k < n; k++) {
		if (gpu->functions[k].holder != NO_VM && !is_on_vfio(&gpu->functions[k]))
			notice(host, "a VM has a function that is not on vfio-pci");
		if (!is_on_vfio(&gpu->functions[k]))
			set_driver(&gpu->functions[k], "vfio-pci");
	}
}

static void plug(struct fake_host *host, struct fake_gpu *gpu, int vm, size_t n,
		 struct step_result *result)
{
	if (host->silent || !host->vms[vm].running) {
		fail(result, STEP_WAIT, host->silent ? ATTACH_HYPERVISOR_SILENT : ATTACH_VM_ABSENT);
		return;
	}
	for (size_t k = 0; k < FAKE_FUNCTIONS; k++) {
		const struct fake_function *function = &gpu->functions[k];
		if (function->holder != NO_VM && function->holder != vm) {
			fail(result, STEP_FAILED, ATTACH_HELD_BY_VM);
			notice(host, "a GPU was to be plugged that another VM has");
			return;
		}
		if (function->used_by != NO_VM && function->used_by != vm)
			notice(host,
			       "a GPU was plugged that was not cleaned after another VM had it");
		if (!is_on_vfio(function))
			notice(host, "a GPU was plugged that is not on vfio-pci");
	}
	for (size_t k = 0; k < n; k++) {
		gpu->functions[k].holder = vm;
		gpu->functions[k].used_by = vm;
	}
}

static void unplug(struct fake_host *host, struct fake_gpu *gpu, int vm, size_t n,
		   struct step_result *result)
{
	bool held = false;
	for (size_t k = 0; k < n; k++)
		held = held || gpu->functions[k].holder == vm;
	if (host->silent)
		fail(result, STEP_WAIT, ATTACH_HYPERVISOR_SILENT);
	else if (held && host->vms[vm].clings)
		fail(result, STEP_WAIT, ATTACH_UNPLUG_PENDING);
	for (size_t k = 0; k < n && result->outcome == STEP_DONE; k++)
		if (gpu->functions[k].holder == vm)
			gpu->functions[k].holder = NO_VM;
}

static void clean(struct fake_host *host, struct fake_gpu *gpu, size_t n,
		  struct step_result *result)
{
	if (gpu->gone) {
		fail(result, STEP_FAILED, ATTACH_DEVICE_GONE);
		return;
	}
	for (size_t k = 0; k < FAKE_FUNCTIONS; k++)
		if (gpu->functions[k].holder != NO_VM)
			notice(host, "a GPU was reset under a VM that has it");
	for (size_t k = 0; k < n; k++)
		gpu->functions[k].used_by = NO_VM;
}

static void give_back(struct fake_host *host, struct fake_gpu *gpu, size_t n,
		      const struct step *step)
{
	for (size_t k = 0; k < n; k++) {
		struct fake_function *function = &gpu->functions[k];
		if (function->holder != NO_VM)
			notice(host, "a GPU was given back that a VM has");
		if (strcmp(step->drivers[k], "vfio-pci") == 0)
			notice(host, "a GPU was given back to vfio-pci");
		set_driver(function, strcmp(step->drivers[k], "?") == 0 ? function->native
									: step->drivers[k]);
	}
}

static void do_step(struct fake_host *host, const struct step *step, size_t n,
		    struct step_result *result)
{
	struct fake_gpu *gpu = &host->gpus[fake_gpu_of(&step->unit)];
	int vm = fake_vm_of(step->vm_id);
	switch (step->verb) {
	case STEP_LOOK:
		look(host, gpu, vm, n, result);
		break;
	case STEP_BIND:
		bind(host, gpu, n, result);
		break;
	case STEP_PLUG:
		plug(host, gpu, vm, n, result);
		break;
	case STEP_UNPLUG:
		unplug(host, gpu, vm, n, result);
		break;
	case STEP_CLEAN:
		clean(host, gpu, n, result);
		break;
	case STEP_GIVE_BACK:
		give_back(host, gpu, n, step);
		break;
	case STEP_VERBS:
		break;
	}
}

void fake_step_half(struct fake_host *host, const struct step *step)
{
	struct step_result result = { .outcome = STEP_DONE };
	do_step(host, step, FAKE_FUNCTIONS / 2, &result);
	/* Between two drivers a function has none. */
	struct fake_function *last =
		&host->gpus[fake_gpu_of(&step->unit)].functions[FAKE_FUNCTIONS - 1];
	if ((step->verb == STEP_BIND || step->verb == STEP_GIVE_BACK) && last->holder == NO_VM)
		set_driver(last, "");
}

void fake_step(struct fake_host *host, const struct step *step, struct step_result *ret_result)
{
	struct fake_gpu *gpu = &host->gpus[fake_gpu_of(&step->unit)];
	const struct fake_fault *fault = &gpu->faults[step->verb];
	*ret_result = (struct step_result){ .outcome = STEP_DONE };
	if (fault->sticks) {
		fake_step_half(host, step);
		fail(ret_result, STEP_STUCK, ATTACH_STUCK);
	} else if (fault->fails) {
		if (fault->not_put_back)
			fake_step_half(host, step);
		fail(ret_result, STEP_FAILED, fault->code);
		ret_result->not_put_back = fault->not_put_back;
	} else {
		do_step(host, step, FAKE_FUNCTIONS, ret_result);
	}
}

/* ---- what it is like ---- */

bool fake_gpu_is_plugged(const struct fake_host *host, int gpu, int vm)
{
	for (int k = 0; k < FAKE_FUNCTIONS; k++)
		if (host->gpus[gpu].functions[k].holder != vm)
			return false;
	return true;
}

bool fake_gpu_is_bound(const struct fake_host *host, int gpu)
{
	for (int k = 0; k < FAKE_FUNCTIONS; k++)
		if (!is_on_vfio(&host->gpus[gpu].functions[k]))
			return false;
	return true;
}

bool fake_gpu_is_native(const struct fake_host *host, int gpu)
{
	for (int k = 0; k < FAKE_FUNCTIONS; k++)
		if (!has_driver(&host->gpus[gpu].functions[k], host->gpus[gpu].functions[k].native))
			return false;
	return true;
}

bool fake_gpu_is_clean(const struct fake_host *host, int gpu)
{
	for (int k = 0; k < FAKE_FUNCTIONS; k++)
		if (host->gpus[gpu].functions[k].holder != NO_VM ||
		    host->gpus[gpu].functions[k].used_by != NO_VM)
			return false;
	return true;
}
