/*
 * The reader's side of Redis for programs without a loop (the CLI): blocking, one connection, with a
 * timeout on every call. Not thread-safe. Reads what store.h writes; needs no functions, so a user
 * with +hget +hgetall +hscan on ~{gpubus:* is enough.
 *
 * Errors are negative (-ECONNREFUSED, -ETIMEDOUT, -EACCES: not authenticated or not allowed, -EPROTO)
 * and store_reader_error() says why in a sentence, without the password.
 */
#pragma once

#include "base/cleanup.h"
#include "store/meta.h"

struct store_reader;

enum store_read_outcome {
	STORE_READ_EMPTY = 1, /* Redis has nothing of this shard, or no such row */
	STORE_READ_UNSTABLE,  /* the shard was rewritten again and again while it was read */
};

/* Connects. The URL as in store.h. On failure `ret_error` (optional) is a sentence, heap memory of the
 * caller. */
int store_reader_new(const char *url, uint32_t timeout_ms, struct store_reader **ret_reader,
		     char **ret_error) MUST_CHECK;
void store_reader_free(struct store_reader *reader);
DEFINE_CLEANUP(struct store_reader *, store_reader_free);
const char *store_reader_error(const struct store_reader *reader);

/* `ret_format` (optional; owned by the reader, until its next call) is the version of the encoding. */
int store_read_meta(struct store_reader *reader, int32_t shard, struct store_meta *ret_meta,
		    const char **ret_format) MUST_CHECK;

/* Calls on_row once per row, when the whole table was read from one generation. Rows are each
 * current at some moment during the call. Nonzero from on_row ends it and is returned. */
int store_read_table(struct store_reader *reader, int32_t shard, enum store_table table,
		     int (*on_row)(void *context, const struct store_row *row),
		     void *context) MUST_CHECK;

/* One row; `ret_value` is heap memory of the caller, NUL-terminated behind its length. */
int store_read_row(struct store_reader *reader, int32_t shard, enum store_table table,
		   const void *field, size_t field_len, char **ret_value,
		   size_t *ret_value_len) MUST_CHECK;
