#include "model/partition.h"

#include <string.h>

static uint32_t murmur2(const unsigned char *data, uint32_t len)
{
	const uint32_t m = 0x5bd1e995;
	uint32_t hash = 0x9747b28cu ^ len;

	for (; len >= 4; data += 4, len -= 4) {
		uint32_t word = (uint32_t)data[0] | (uint32_t)data[1] << 8 |
				(uint32_t)data[2] << 16 | (uint32_t)data[3] << 24;
		word *= m;
		word ^= word >> 24;
		word *= m;
		hash = hash * m ^ word;
	}
	if (len == 3)
		hash ^= (uint32_t)data[2] << 16;
	if (len >= 2)
		hash ^= (uint32_t)data[1] << 8;
	if (len >= 1)
		hash = (hash ^ data[0]) * m;

	hash ^= hash >> 13;
	hash *= m;
	hash ^= hash >> 15;
	return hash;
}

int32_t partition_of_pool(const char *pool_id, int32_t n_partitions)
{
	uint32_t hash = murmur2((const unsigned char *)pool_id, (uint32_t)strlen(pool_id));
	return (int32_t)((hash & 0x7fffffff) % (uint32_t)n_partitions);
}
