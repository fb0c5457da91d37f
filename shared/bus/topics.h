/*
 * The topics with all settings that matter: creating and checking them. Blocking: before the loop runs
 * (services) or without one (CLI).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "bus/config.h"

struct bus_topics_options {
	int32_t partitions;	    /* of the sharded topics; 0: DEFAULT_PARTITIONS */
	int32_t replication_factor; /* 0: the smaller of 3 and the number of brokers */
	int64_t timeout_ms;	    /* 0: 30,000 */
};

enum {
	BUS_TOPICS_DEVIATE = 1,	    /* a topic is missing or differs: one line each in the report */
	BUS_TOPICS_UNREACHABLE = 2, /* no broker answered, or it refused: a line in the report */
};

/* Creates what is missing; what exists is left alone and checked as by verify. A line per topic in
 * `report` says what was done. 0: all topics are as they should be. */
int bus_topics_apply(const struct bus_config *config, const struct bus_topics_options *options,
		     struct buf *report) MUST_CHECK;
/* 0: all is well, and ret_partitions is the partition count of the sharded topics. `broker_is_mock`:
 * only that the topics exist with equal partition counts, for a broker that cannot describe settings
 * (gpubus-mock-broker). */
int bus_topics_verify(const struct bus_config *config, const struct bus_topics_options *options,
		      bool broker_is_mock, struct buf *report, int32_t *ret_partitions) MUST_CHECK;
/* For services on hosts, which may be there before Kafka and the topics: asks whether the topics exist, whose
 * settings are the scheduler's concern; `patient`: until they do, with a line in the log each time. Blocks.
 * Positive, logged: not there, and not patient. */
int bus_topics_await(const struct bus_config *config, bool patient,
		     int32_t *ret_partitions) MUST_CHECK;
