/*
 * Which shard a pool belongs to: the partition that Java's default partitioner (murmur2, sign bit
 * cleared) picks for a record whose key is the pool id. Source: Apache Kafka, Utils.murmur2 and
 * Utils.toPositive.
 */
#pragma once

#include <stdint.h>

int32_t partition_of_pool(const char *pool_id, int32_t n_partitions);
