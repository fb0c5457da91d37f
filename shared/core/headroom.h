/*
 * Which hosts of a pool have enough CPU cores and RAM left for a VM of a given size: one set of places
 * for every size that was asked for lately, kept up to date with every assignment. Internal to the
 * core. At most HEADROOM_SIZES sizes are kept; the one that was not asked for longest makes room, and
 * making a set anew looks at all hosts of the pool.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/slot_set.h"

enum { HEADROOM_SIZES = 64 };

struct headroom {
	int64_t cpu_cores;
	int64_t ram_gb;
	uint64_t asked; /* the table's clock when it was last asked for */
	struct slot_set places;
};

struct headroom_table {
	struct headroom *sizes; /* owned */
	uint32_t n;
	uint64_t clock;
};

struct fleet;
struct fleet_host;
struct fleet_pool;

void headroom_table_deinit(struct headroom_table *table);
/* A host of which CPU cores or RAM are not known has enough of them. */
bool headroom_has_cpu(const struct fleet_host *host, int64_t cpu_cores);
bool headroom_has_ram(const struct fleet_host *host, int64_t ram_gb);
/* NULL when every host will do (nothing is asked for). */
const struct slot_set *headroom_places(struct fleet *fleet, struct fleet_pool *pool,
				       int64_t cpu_cores, int64_t ram_gb);
/* What the host has, or what is used of it, has changed; or the host has come or gone. */
void headroom_on_host(struct fleet_pool *pool, const struct fleet_host *host, bool member);
