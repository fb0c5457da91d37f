#include <string.h>

#include "attach/vfio/binding.h"
#include "attach/vfio/function.h"
#include "attach/vfio/group.h"
#include "attach/vfio/vfio.h"

int vfio_give_back(const struct vfio_host *host, const struct unit *unit,
		   char drivers[][UNIT_DRIVER_BYTES], struct vfio_problem *ret_problem)
{
	*ret_problem = (struct vfio_problem){ 0 };
	int r = group_check_let_go(host, unit, ret_problem);
	if (r)
		return r;
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
