/*
 * Asks Kafka again and again where the pool's decisions end, to know whether anybody is there: the part
 * "kafka" of the health. Loop thread only.
 */
#pragma once

#include "base/cleanup.h"
#include "base/error.h"
#include "bus/config.h"
#include "loop/loop.h"
#include "service/health.h"

struct kafka_watch;

/* `health` is borrowed. Positive: the configuration is refused, the reason was logged. */
int kafka_watch_new(struct loop *loop, const struct bus_config *config, int32_t partition,
		    struct health *health, struct kafka_watch **ret_watch) MUST_CHECK;
void kafka_watch_free(struct kafka_watch *watch);
DEFINE_CLEANUP(struct kafka_watch *, kafka_watch_free);
