/*
 * What a host must have before its GPUs can be given to VMs, and how large it is. Reads files; call it
 * off the loop.
 */
#pragma once

#include "base/arena.h"
#include "inventory/host_list.h"
#include "model/record.h"
#include "pci/scan.h"

/* Everything of HostSeen but n_gpus and observed_at. What is not known is ABSENT; unknown sizes are 0. */
void preflight_read(const struct host_place *host, const struct pci_scan *scan, struct arena *arena,
		    struct host_seen *ret_seen);

/* The host's boot id; "unknown" when it does not say. */
const char *preflight_boot_id(const struct host_place *host, struct arena *arena);

/* From the content of /proc/interrupts: 1, 0 or ABSENT. */
int64_t preflight_interrupt_remapping(const char *interrupts);
