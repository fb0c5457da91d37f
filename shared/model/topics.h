/*
 * The topics, in the order of the table in README.md. "One partition per shard" topics all have the same
 * partition count; the catalog has one partition.
 */
#pragma once

#include <stdbool.h>

#include "base/error.h"

enum topic {
	TOPIC_CATALOG,
	TOPIC_INVENTORY,
	TOPIC_HOSTS,
	TOPIC_REQUESTS,
	TOPIC_ATTACHMENTS,
	TOPIC_DECISIONS,
	TOPIC_ANSWERS,
	TOPIC_DEAD_LETTERS,
	TOPICS
};

enum { DEFAULT_PARTITIONS = 12 };

/* "gpubus.requests.v1" */
const char *topic_name(enum topic topic);
/* "requests": as people type it in the CLI. */
const char *topic_short_name(enum topic topic);
/* Positive: no such topic. Takes both names. */
int topic_by_name(const char *name, enum topic *ret_topic) MUST_CHECK;
/* False for the catalog, which has one partition for all. */
bool topic_is_sharded(enum topic topic);
