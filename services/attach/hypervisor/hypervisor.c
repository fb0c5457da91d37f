#include "attach/hypervisor/hypervisor.h"

#include <string.h>

#include "attach/hypervisor/kinds.h"

static const struct {
	const char *name;
	int (*new)(const char *target, struct hypervisor **ret_hypervisor, struct buf *error);
} kinds[] = {
	{ "qmp", qmp_new },
	{ "libvirt", libvirt_new },
	{ "none", none_new },
};

int hypervisor_new(const char *kind, const char *target, struct hypervisor **ret_hypervisor,
		   struct buf *error)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (strcmp(kind, kinds[i].name) == 0)
			return kinds[i].new(target ? target : "", ret_hypervisor, error);
	buf_printf(error, "there is no hypervisor kind \"%.64s\": it is qmp, libvirt or none",
		   kind);
	return 1;
}

void hypervisor_free(struct hypervisor *hypervisor)
{
	if (hypervisor)
		hypervisor->ops->free(hypervisor);
}
