#include <stdio.h>
#include <string.h>

#include "attach/step/crash.h"
#include "attach/vfio/binding.h"
#include "attach/vfio/function.h"
#include "attach/vfio/kernel.h"
#include "attach/vfio/vfio.h"
#include "pci/device.h"

/* What a function had before this call, for putting it back. */
struct before {
	char driver[UNIT_DRIVER_BYTES];
	char override[UNIT_DRIVER_BYTES];
};

static bool vfio_is_loaded(const struct vfio_host *host)
{
	cleanup(buf_deinit) struct buf path = { 0 };
	buf_printf(&path, "%s/bus/pci/drivers/vfio-pci/.", host->sysfs_dir);
	FILE *directory = fopen(path.data, "re");
	if (directory)
		fclose(directory);
	return directory != NULL;
}

/* Before the prechecks, because a parameter of vfio_iommu_type1 decides one of them. */
static void load_modules(const struct vfio_host *host)
{
	const struct vfio_kernel *kernel = vfio_kernel_of(host);
	if (vfio_is_loaded(host))
		return;
	kernel->load_module(kernel->context, "vfio_iommu_type1");
	kernel->load_module(kernel->context, "vfio-pci");
}

static int bind_function(const struct vfio_host *host, struct pci_address address,
			 struct vfio_problem *problem)
{
	int r = binding_set_override(host, address, "vfio-pci", ATTACH_BIND_FAILED, problem);
	if (r)
		return r;
	crash_point("bind-override-set");
	r = binding_unbind(host, address, ATTACH_BIND_FAILED, problem);
	if (r)
		return r;
	crash_point("bind-unbound");
	r = binding_probe(host, address, "vfio-pci", ATTACH_BIND_FAILED, problem);
	if (r == 0)
		crash_point("bind-function-bound");
	return r;
}

static int remember(const struct vfio_host *host, struct pci_address address, struct before *before,
		    struct vfio_problem *problem)
{
	if (function_driver(host, address, before->driver) == 0 &&
	    binding_override(host, address, before->override) == 0)
		return 0;
	if (!function_is_present(host, address))
		return vfio_problem_set(problem, ATTACH_DEVICE_GONE,
					"%s has vanished from the PCI bus",
					function_name(address).text);
	return vfio_problem_set(problem, ATTACH_BIND_FAILED,
				"the driver of %s or its driver_override cannot be read",
				function_name(address).text);
}

static void add_failed_return(struct vfio_problem *problem, const struct vfio_problem *failed)
{
	char all[2 * UNIT_REASON_BYTES + 32];
	snprintf(all, sizeof(all), "%s; not put back: %s", problem->reason, failed->reason);
	pci_copy_text(problem->reason, sizeof(problem->reason), all);
	problem->not_put_back = true;
}

/* The functions before `n` that were not on vfio-pci before, the last one first. */
static void put_back(const struct vfio_host *host, const struct unit *unit,
		     const struct before *before, size_t n, struct vfio_problem *problem)
{
	for (size_t i = n; i-- > 0;) {
		if (pci_driver_is_vfio(before[i].driver))
			continue;
		struct vfio_problem failed = { 0 };
		if (binding_return(host, unit->functions[i], before[i].driver, before[i].override,
				   ATTACH_BIND_FAILED, &failed) &&
		    failed.code != ATTACH_DEVICE_GONE) /* it comes back as it is at power-up */
			add_failed_return(problem, &failed);
		crash_point("bind-one-put-back");
	}
}

int vfio_bind(const struct vfio_host *host, const struct unit *unit,
	      struct vfio_problem *ret_problem)
{
	*ret_problem = (struct vfio_problem){ 0 };
	load_modules(host);
	int r = vfio_precheck(host, unit, ret_problem);
	if (r)
		return r;
	if (!vfio_is_loaded(host))
		return vfio_problem_set(ret_problem, ATTACH_NO_VFIO_DRIVER,
					"the kernel has no driver vfio-pci, and modprobe vfio-pci "
					"does not bring it");

	struct before before[LIMIT_FUNCTIONS_PER_UNIT] = { 0 };
	size_t i = 0;
	for (; i < unit->n && r == 0; i++) {
		r = remember(host, unit->functions[i], &before[i], ret_problem);
		if (r)
			break; /* this one was not touched */
		if (!pci_driver_is_vfio(before[i].driver))
			r = bind_function(host, unit->functions[i], ret_problem);
	}
	if (r)
		put_back(host, unit, before, i, ret_problem);
	return r;
}
