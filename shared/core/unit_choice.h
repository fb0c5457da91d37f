/*
 * Which units of one host a request would get: as close together as they can be (one PCIe switch, else
 * one NUMA node), from the tightest group that suffices, so that larger groups stay whole for larger
 * requests. Pure; internal to the core.
 *
 * Asks may overlap (a name and an id of the same model): units are matched to asks so that all are
 * met whenever that is possible at all.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/limits.h"
#include "core/fleet.h"
#include "core/selector.h"

struct placement_ask {
	struct selector *selector;
	uint32_t count;
	uint32_t at_least; /* what a host must have: also for the asks that this one contains */
};

struct unit_choice {
	uint32_t n;
	uint16_t gpus[LIMIT_GPUS_PER_REQUEST]; /* positions in the host's list, ascending */
	uint32_t nodes;			       /* NUMA nodes touched */
	uint32_t switches;		       /* PCIe switches touched */
	uint32_t left_over;		       /* free units left in the groups that it breaks up */
};

/* False: the host cannot meet all asks. */
bool unit_choice_make(const struct fleet_host *host, const struct placement_ask *asks,
		      size_t n_asks, struct unit_choice *ret_choice);
