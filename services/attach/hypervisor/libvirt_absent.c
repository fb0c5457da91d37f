/* In place of libvirt.c where the headers of libvirt or expat were missing at build time. */

#include "attach/hypervisor/kinds.h"

int libvirt_new(const char *target, struct hypervisor **ret_hypervisor, struct buf *error)
{
	(void)target, (void)ret_hypervisor;
	buf_puts(error, hypervisor_libvirt_status());
	return 1;
}

const char *hypervisor_libvirt_status(void)
{
	return "built without libvirt";
}
