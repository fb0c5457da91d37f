/*
 * Where a request goes: filters hosts by the sets of the selectors and of the headroom, looks at a few
 * of the best ones and takes the best of those. Its cost depends on how many GPUs one host has, not on
 * how many hosts the pool has. Pure; internal to the core.
 *
 * Best: the fullest host that has enough (pack) or the emptiest (spread), by free GPUs of the first
 * ask; then fewest NUMA nodes, fewest PCIe switches, least of a group left over, and the host known
 * longest.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/limits.h"
#include "core/fleet.h"
#include "core/unit_choice.h"

struct placement_request {
	struct fleet *fleet;
	struct fleet_pool *pool;
	struct placement_ask asks[LIMIT_ASKS];
	size_t n_asks;
	int64_t cpu_cores; /* 0: does not matter */
	int64_t ram_gb;
	bool spread;
	struct fleet_host *const
		*excluded; /* borrowed: hosts where it failed before, or runs now */
	size_t n_excluded;
};

struct placement {
	struct fleet_host *host;
	struct unit_choice choice;
};

/* Finds the selectors of the asks. Returns the number of the first ask that matches nothing registered
 * in the pool, or n_asks when all do. `request` has fleet and pool; the rest is the caller's. */
size_t placement_resolve(struct placement_request *request, const struct gpu_ask *asks,
			 size_t n_asks);

/* False: no host can take it. */
bool placement_find(const struct placement_request *request, struct placement *ret_placement);
/* The same for one host. */
bool placement_on_host(const struct placement_request *request, struct fleet_host *host,
		       struct placement *ret_placement);
bool placement_excludes(const struct placement_request *request, const struct fleet_host *host);
/* Up to `max` hosts that can take it, best first. */
size_t placement_list(const struct placement_request *request, struct placement *ret_placements,
		      size_t max);
