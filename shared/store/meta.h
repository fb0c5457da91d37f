/*
 * Where a shard's state in Redis stands, and the tables it consists of. Plain values.
 *
 * Keys of shard p (the tag in braces keeps them on one node of a Redis Cluster):
 *   {gpubus:p}:meta                   hash: format, generation, epoch, offset, sequence, digest,
 *                                     requests, attachments, written_at
 *   {gpubus:p}:GENERATION:TABLE       hash: field -> row, one per table
 *   {gpubus:p}:staging                hash: generation, epoch, chunks; only while a rewrite goes on
 * Readers look up the generation in meta first and check it again at their end.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "model/envelope.h"

enum store_table {
	STORE_GPUS,
	STORE_VMS,
	STORE_HOSTS,
	STORE_POOLS,
	STORE_TYPES,
	STORE_REQUESTS,
	STORE_MARKS,
	STORE_TABLES
};

/* Positions are those of the decisions partition that is the shard's log. */
struct store_meta {
	int64_t epoch;			/* epoch at `offset`: the latest marker before it */
	int64_t offset;			/* of the next record to fold */
	uint64_t sequence;		/* grows with every change of rows, also of those that
					   other topics than decisions cause */
	uint64_t digest;		/* of the state, as the owner computes it */
	struct input_positions applied; /* inputs that the state reflects */
	int64_t written_at_us;		/* filled in by the store */
};

/* One row: the meaning of field and value is the owner's. Binary safe. */
struct store_row {
	enum store_table table;
	const void *field;
	size_t field_len;
	const void *value; /* NULL: the row is deleted */
	size_t value_len;
};

/* "gpus", "vms", ... */
const char *store_table_name(enum store_table table);
/* Positive: no such table. */
int store_table_by_name(const char *name, enum store_table *ret_table) MUST_CHECK;
/* Same epoch, offset, sequence and digest. */
bool store_meta_same(const struct store_meta *a, const struct store_meta *b);
