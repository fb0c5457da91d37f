/*
 * The wiring of a scheduler: one consumer group for the inputs, two readers for what is followed, one
 * producer, one store, and a shard per partition between them. Everything happens on the loop.
 */
#pragma once

#include <stdbool.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "loop/loop.h"
#include "scheduler/options.h"

struct scheduler;

/* `options` are borrowed. Positive: the configuration is refused; the reason was logged. */
int scheduler_new(struct loop *loop, const struct scheduler_options *options, int32_t n_partitions,
		  struct scheduler **ret_scheduler) MUST_CHECK;
void scheduler_free(struct scheduler *scheduler);
DEFINE_CLEANUP(struct scheduler *, scheduler_free);

/* Something that only a new start can heal has happened, and the loop was shut down for it. */
bool scheduler_has_failed(const struct scheduler *scheduler);

/* Hands over all shards in order, leaves the group, then stops the loop. */
void scheduler_shut_down(void *scheduler);
