/*
 * What the files of the scheduler share: scheduler.c (life, group, producer, time), shard_wiring.c (struct
 * shard_io in terms of bus and store) and readiness.c. Nobody else includes this.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bus/group.h"
#include "bus/offsets.h"
#include "bus/producer.h"
#include "bus/reader.h"
#include "scheduler/catalog_feed.h"
#include "scheduler/scheduler.h"
#include "scheduler/shard.h"
#include "service/health.h"
#include "store/store.h"

/* What answers of bus and store about one shard come back with. */
struct seat {
	struct scheduler *scheduler;
	int32_t partition;
	uint64_t ends_token; /* of the latest question */
};

struct scheduler {
	struct loop *loop;
	const struct scheduler_options *options;
	int32_t n_partitions;

	struct codec *codec;
	struct catalog_feed *feed;
	struct bus_producer *producer;
	struct bus_group *group;
	/* Decisions apart from the rest: a fetch names all partitions of its client, and only those of
	 * decisions are fetched again and again. */
	struct bus_reader *log_reader;
	struct bus_reader *fleet_reader; /* inventory, hosts, catalog */
	struct bus_offsets *offsets;
	struct store *store;
	struct shard **shards;
	struct seat *seats; /* one per shard */
	struct loop_timer *tick;
	struct health *health;

	char format[64];
	size_t draining; /* shards that have not yet handed over */
	bool revoking;
	bool undelivered; /* a record was not, for good: the producer is to be given up */
	bool failed;	  /* only a new start helps: the next tick hands over and ends */
	bool leaving;
	int64_t farewell_until_us;
};

/* Delivery tokens of the bus: the partition in the upper 16 bits, the shard's own token below. */
static inline void *token_pack(int32_t partition, uint64_t token)
{
	return (void *)(uintptr_t)((uint64_t)partition << 48 | token);
}

static inline struct shard *token_unpack(struct scheduler *scheduler, void *packed,
					 uint64_t *ret_token)
{
	*ret_token = (uint64_t)(uintptr_t)packed & ((UINT64_C(1) << 48) - 1);
	return scheduler->shards[(uint64_t)(uintptr_t)packed >> 48];
}

/* ---- shard_wiring.c ---- */
struct shard_io shard_wiring(struct scheduler *scheduler);

/* ---- readiness.c ---- */
void scheduler_report_readiness(struct scheduler *scheduler);

/* ---- scheduler.c ---- */
/* One more shard has handed over what it could; after the last the group may go on. */
void scheduler_on_drained(struct scheduler *scheduler);
