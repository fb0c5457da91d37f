/*
 * Whether this scheduler is ready, and what it waits for.
 */
#include <stdio.h>

#include "scheduler/scheduler_internal.h"

static void report_shard(struct scheduler *scheduler, int32_t partition)
{
	const struct shard *shard = scheduler->shards[partition];
	struct health *health = scheduler->health;
	char part[32];

	snprintf(part, sizeof(part), "shard %d", partition);
	switch (shard_figures(shard).phase) {
	case SHARD_STOPPED:
		health_wait(health, part, "stopped: %s", shard_stopped_because(shard));
		break;
	case SHARD_LOADING:
	case SHARD_MARKING:
	case SHARD_CATCHING_UP:
	case SHARD_DEPOSED:
		health_wait(health, part, "is being taken over");
		break;
	case SHARD_OWNING:
		health_ready(health, part);
		break;
	case SHARD_DRAINING:
	case SHARD_RESTING:
	case SHARD_IDLE:
		health_forget(health, part);
		break;
	}
}

void scheduler_report_readiness(struct scheduler *scheduler)
{
	if (store_is_up(scheduler->store))
		health_ready(scheduler->health, "redis");
	else
		health_wait(scheduler->health, "redis", "%s", store_status(scheduler->store));
	for (int32_t p = 0; p < scheduler->n_partitions; p++)
		report_shard(scheduler, p);
}
