/*
 * The texts of the fleet's rows: the read model of hosts and GPUs in Redis, compact JSON, one row a
 * host in each of two tables. Both have the field POOL \t HOST. Internal to the core but for the
 * format, which is:
 *
 * hosts  {"seen":MICROSECONDS,"cpu":CORES,"ram":GB,"gpus":ANNOUNCED,"iommu":0|1,"ir":0|1,"vfio":0|1,
 *         "boot":"BOOT ID"}
 *        "ir" is interrupt remapping. A member that is not known is left out; a host that is known
 *        from the inventory or an assignment only has the value {}.
 *
 * gpus   {"models":[[ID,NAME,VENDOR,CLASS],...],"texts":[TEXT,...],"gpus":[[...],...]}
 *        ID is vendor:device[:subsystem vendor:subsystem device]; CLASS six hex digits, "" when not
 *        known. Each GPU is a list of
 *          0 PCI address; without its domain when that is 0000 ("3b:00.0")
 *          1 model: position in "models"
 *          2 state: A AVAILABLE, U UNREADABLE, V HAS_VIRTUAL_FUNCTIONS, B BOOT_DISPLAY,
 *            H IN_USE_BY_HOST, N NO_IOMMU, S GROUP_SHARED, O one that the scheduler does not know
 *          3 IOMMU group, -1: none
 *          4 NUMA node, -1: none
 *          5 functions of the GPU's own slot, bit f: function f belongs to the unit
 *          6 driver             \
 *          7 PCIe switch         | positions in "texts", -1: none
 *          8 other functions     | (full addresses separated by commas)
 *          9 reason             /
 *        where trailing elements that are -1 are left out. "reason" is there only when the state is
 *        not A. The row is gone when the host has no GPUs in the inventory.
 *
 * Who holds a GPU is not repeated here: the table vms tells it.
 */
#pragma once

#include "base/buf.h"
#include "core/fleet.h"

void fleet_row_host(const struct fleet_host *host, struct buf *row);
/* False, and nothing written: no GPUs. */
bool fleet_row_gpus(const struct fleet *fleet, const struct fleet_host *host, struct buf *row);
