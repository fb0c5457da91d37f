/* No hypervisor: somebody else starts the VMs with the devices that gpubus has bound. */

#include <stdlib.h>

#include "attach/hypervisor/kinds.h"
#include "base/memory.h"

static int look(struct hypervisor *hypervisor, const char *vm_id, const struct unit *unit,
		int64_t deadline_ms, enum vm_presence *ret_vm, size_t *ret_n_plugged,
		struct buf *reason)
{
	(void)hypervisor, (void)vm_id, (void)unit, (void)deadline_ms, (void)reason;
	*ret_vm = VM_ABSENT;
	*ret_n_plugged = 0;
	return 0;
}

static int plug(struct hypervisor *hypervisor, const char *vm_id, const struct unit *unit,
		int64_t deadline_ms, struct buf *reason)
{
	(void)hypervisor, (void)unit, (void)deadline_ms;
	buf_printf(reason,
		   "the agent has no hypervisor (none): whoever starts VM %s gives it the device",
		   vm_id);
	return HYPERVISOR_VM_ABSENT;
}

static int unplug(struct hypervisor *hypervisor, const char *vm_id, const struct unit *unit,
		  int64_t deadline_ms, struct buf *reason)
{
	(void)hypervisor, (void)vm_id, (void)unit, (void)deadline_ms, (void)reason;
	return 0;
}

static void none_free(struct hypervisor *hypervisor)
{
	free(hypervisor);
}

static const struct hypervisor_ops none_ops = {
	.name = "none",
	.look = look,
	.plug = plug,
	.unplug = unplug,
	.free = none_free,
};

int none_new(const char *target, struct hypervisor **ret_hypervisor, struct buf *error)
{
	if (target[0]) {
		buf_printf(error, "hypervisor none takes no target, and \"%.256s\" was given",
			   target);
		return 1;
	}
	struct hypervisor *hypervisor = memory_alloc(sizeof(*hypervisor));
	hypervisor->ops = &none_ops;
	*ret_hypervisor = hypervisor;
	return 0;
}
