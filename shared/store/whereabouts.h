/*
 * Where Redis stands with a shard, as its keys say it: shared by the writer and the blocking reader.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "store/meta.h"

struct redisReply;

enum { WHEREABOUTS_TEXT = 64 };

struct whereabouts {
	bool exists; /* there is a meta, complete and well-formed */
	char format[WHEREABOUTS_TEXT];
	char generation[WHEREABOUTS_TEXT];
	struct store_meta meta;

	bool staging; /* a rewrite goes on, or was given up */
	char staged_generation[WHEREABOUTS_TEXT];
	int64_t staged_epoch, staged_chunks;
};

/* From the flat lists that HGETALL answers; `staging` may be NULL. What is malformed counts as absent. */
void whereabouts_read(struct whereabouts *ret_where, const struct redisReply *meta,
		      const struct redisReply *staging);

/* "{gpubus:P}:meta", "{gpubus:P}:GENERATION:TABLE" */
void whereabouts_meta_key(int32_t shard, struct buf *key);
void whereabouts_table_key(int32_t shard, const char *generation, enum store_table table,
			   struct buf *key);

/* The fields of meta that a batch sets, as arguments of a command: 2 * WHEREABOUTS_META_FIELDS. */
enum { WHEREABOUTS_META_FIELDS = 7 };
void whereabouts_append_meta(struct buf *command, const struct store_meta *meta);
