#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "attach/step/crash.h"
#include "attach/vfio/config_space.h"
#include "attach/vfio/function.h"
#include "attach/vfio/group.h"
#include "attach/vfio/kernel.h"
#include "attach/vfio/vfio.h"

/* How a function's own reset went. */
struct own_reset {
	bool was_reset;	  /* by itself, or together with others */
	bool is_possible; /* it has one that should have worked */
	char why[160];	  /* not */
};

static void reset_function(const struct vfio_host *host, struct pci_address address,
			   struct own_reset *reset)
{
	const struct vfio_kernel *kernel = vfio_kernel_of(host);
	cleanup(buf_deinit) struct buf path = { 0 };
	function_path(host, address, "reset", &path);
	if (access(path.data, F_OK) < 0) {
		snprintf(reset->why, sizeof(reset->why), "the kernel knows no reset for it");
		return;
	}
	int error = kernel->write(kernel->context, path.data, "1");
	reset->was_reset = error == 0;
	/* ENOTTY: what was listed when the device was found is not possible now (a bus reset, as another
	 * function has turned up on the bus), or the device did not come back. */
	reset->is_possible = error != ENOTTY;
	if (error == 0)
		return;
	char methods[64];
	if (function_text(host, address, "reset_method", methods, sizeof(methods)))
		snprintf(methods, sizeof(methods), "not listed");
	snprintf(reset->why, sizeof(reset->why), "its own reset (%s) does not work: %s", methods,
		 strerror(error));
}

/* Those that are left, together with others of the unit. What stays is the problem. */
static int reset_together(const struct vfio_host *host, const struct unit *unit,
			  struct own_reset *resets, struct vfio_problem *problem)
{
	const struct vfio_kernel *kernel = vfio_kernel_of(host);
	bool was_reset[LIMIT_FUNCTIONS_PER_UNIT] = { false };
	for (size_t i = 0; i < unit->n; i++) {
		if (resets[i].was_reset || was_reset[i])
			continue;
		cleanup(buf_deinit) struct buf why = { 0 };
		int r = kernel->hot_reset(kernel->context, host, unit, i, was_reset, &why);
		if (r == 0)
			continue;
		if (!resets[i].is_possible && host->allow_no_reset)
			continue;
		return vfio_problem_set(problem, ATTACH_RESET_FAILED,
					"%s was not reset: %s; together with its neighbours "
					"neither: %s",
					function_name(unit->functions[i]).text, resets[i].why,
					why.len ? why.data : "no reason given");
	}
	return 0;
}

static int reset_all(const struct vfio_host *host, const struct unit *unit,
		     struct vfio_problem *problem)
{
	struct own_reset resets[LIMIT_FUNCTIONS_PER_UNIT] = { 0 };
	for (size_t i = 0; i < unit->n; i++) {
		reset_function(host, unit->functions[i], &resets[i]);
		crash_point("clean-function-reset");
	}
	return reset_together(host, unit, resets, problem);
}

/* Nobody has it, everything is on vfio-pci: now nobody is hurt by a reset. */
static int make_ready(const struct vfio_host *host, const struct unit *unit,
		      struct vfio_problem *problem)
{
	bool is_bound = true;
	for (size_t i = 0; i < unit->n; i++) {
		if (!function_is_present(host, unit->functions[i]))
			return vfio_problem_set(problem, ATTACH_DEVICE_GONE,
						"%s is not on the PCI bus",
						function_name(unit->functions[i]).text);
		is_bound = is_bound && function_is_on_vfio(host, unit->functions[i]);
	}
	int r = group_check_let_go(host, unit, problem);
	return r || is_bound ? r : vfio_bind(host, unit, problem);
}

int vfio_clean(const struct vfio_host *host, const struct unit *unit,
	       struct vfio_problem *ret_problem)
{
	*ret_problem = (struct vfio_problem){ 0 };
	int r = make_ready(host, unit, ret_problem);
	if (r == 0)
		r = reset_all(host, unit, ret_problem);
	if (r)
		return r;
	crash_point("clean-reset");
	for (size_t i = 0; i < unit->n && r == 0; i++)
		r = config_space_check(host, unit->functions[i], ret_problem);
	return r;
}
