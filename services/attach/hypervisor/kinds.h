/* The kinds that hypervisor_new() knows. `target`, `error` and results as there. */
#pragma once

#include "attach/hypervisor/hypervisor.h"

int none_new(const char *target, struct hypervisor **ret_hypervisor, struct buf *error) MUST_CHECK;
int qmp_new(const char *target, struct hypervisor **ret_hypervisor, struct buf *error) MUST_CHECK;
int libvirt_new(const char *target, struct hypervisor **ret_hypervisor,
		struct buf *error) MUST_CHECK;
