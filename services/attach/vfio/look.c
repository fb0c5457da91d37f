#include "attach/vfio/function.h"
#include "attach/vfio/vfio.h"

void vfio_look(const struct vfio_host *host, const struct unit *unit, struct unit_facts *ret_facts)
{
	*ret_facts = (struct unit_facts){ .n = unit->n };
	for (size_t i = 0; i < unit->n; i++) {
		struct function_facts *facts = &ret_facts->functions[i];
		facts->present = function_driver(host, unit->functions[i], facts->driver) == 0;
	}
}
