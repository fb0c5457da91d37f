/*
 * The sentences of refusals: what a pool has of what was asked for and what is the matter with it, and
 * why a host cannot take a request. Counts come from the models' counters; at most
 * LIMIT_REJECTION_HOSTS hosts are looked at. Internal to the core; texts lie in the arena.
 */
#pragma once

#include "base/arena.h"
#include "core/placement.h"
#include "model/codes.h"
#include "model/record.h"

struct host_refusal {
	enum host_code code;
	const char *message;
};

/* Why the host cannot take the request; FITS when it can. */
struct host_refusal reasons_of_host(const struct placement_request *request,
				    struct fleet_host *host, int64_t now_us, struct arena *arena);
/* "pool 1 has 4 × GP104GL [Tesla P4]: 3 assigned, 1 on host h2 whose IOMMU is off" */
const char *reasons_of_pool(const struct placement_request *request, struct arena *arena);
/* Hosts worth telling about, the nearest to fitting first. Returns how many. */
size_t reasons_pick_hosts(const struct placement_request *request, struct fleet_host **ret_hosts,
			  size_t max);

/* "; it has: A, B (and 3 more)": the names of the models registered in the pool (may be NULL). */
const char *reasons_model_names(const struct fleet_pool *pool, struct arena *arena);
/* The addresses of the host's GPUs. */
const char *reasons_gpu_names(const struct fleet_host *host, struct arena *arena);
const char *reasons_host_names(const struct fleet *fleet, const struct fleet_pool *pool,
			       struct arena *arena);
