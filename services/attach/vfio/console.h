/* Does the host's console depend on a function? */
#pragma once

#include <stdbool.h>

#include "attach/vfio/vfio.h"

/* Appends why: "it is the boot display". */
bool console_is_on(const struct vfio_host *host, struct pci_address address, struct buf *why);
