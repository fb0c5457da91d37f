#include <string.h>

#include "attach/vfio/binding.h"
#include "attach/vfio/function.h"
#include "attach/vfio/vfio.h"

int vfio_give_back(const struct vfio_host *host, const struct unit *unit,
		   char drivers[][UNIT_DRIVER_BYTES], struct vfio_problem *ret_problem)
{
	*ret_problem = (struct vfio_problem){ 0 };
	cleanup(buf_deinit) struct buf holders = { 0 };
	if (vfio_group_holders(host, unit, &holders))
		return vfio_problem_set(ret_problem, ATTACH_UNPLUG_PENDING,
					"%s is still open in %s",
					function_name(unit->functions[0]).text, holders.data);

	int r = 0;
	for (size_t i = 0; i < unit->n; i++) {
		struct vfio_problem problem = { 0 };
		const char *driver = strcmp(drivers[i], "?") == 0 ? NULL : drivers[i];
		int failed = binding_return(host, unit->functions[i], driver, "",
					    ATTACH_DRIVER_NOT_RESTORED, &problem);
		if (failed && r == 0) {
			*ret_problem = problem;
			r = failed;
		}
	}
	return r;
}
