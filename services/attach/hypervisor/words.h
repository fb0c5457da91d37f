/* What the error texts of hypervisors mean. They have no codes for it. */
#pragma once

#include "attach/hypervisor/hypervisor.h"
#include "model/pci_address.h"

/* `who` ("QEMU") said `words` when it was to plug `function`: an outcome (HELD, NO_PORT or REFUSED), and a
 * sentence with plain words and these. */
int words_explain(const char *who, const char *words, struct pci_address function,
		  struct buf *reason) MUST_CHECK;
