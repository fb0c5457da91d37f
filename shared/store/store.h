/*
 * The writer's side of Redis: what the owner of a shard has folded from its log is materialised there,
 * as a checkpoint for the next takeover and as the read model of everybody else. Nothing ever waits
 * for it: every call here returns at once, with Redis up, slow or gone. What rows mean is the owner's.
 *
 * One store per process and loop, one connection, any number of shards. All calls and all callbacks
 * are on the loop's thread; callbacks may call back into the store (but not store_free(), and on_begin
 * and on_row of a load nothing). Arguments are copied.
 *
 * Life of a shard:
 *
 *   store_open_shard()
 *   store_load()  ->  on_done(LOADED meta):  the owner follows the log from meta and submits from there
 *                     on_done(EMPTY | FOREIGN_FORMAT | UNAVAILABLE): it follows from the log's
 *                     beginning; on_rewrite_needed follows as soon as Redis is there
 *   store_submit() for everything that is confirmed; the chain of batches has no gap: each stands
 *                     where the one before it ended
 *   store_close_shard(): what waits is dropped. The next owner reads it from the log.
 *
 * Rewrite. When Redis does not stand where the chain says (wiped, rolled back, another writer, an
 * outage longer than the queue's limit), the store calls on_rewrite_needed. From then on submitted
 * rows are dropped, only the position is kept, until the owner starts the rewrite, when it suits it
 * (after a takeover rather than in its middle):
 *
 *   store_rewrite_begin(meta of the state as it is now)
 *   store_rewrite_rows(...) again and again, over the whole state in chunks of any size, spread over
 *                     as many turns of the loop as it likes; STORE_FULL = taken, but now wait for
 *                     on_rewrite_more; STORE_OVER = this rewrite is over (a new on_rewrite_needed was
 *                     or will be called): stop feeding
 *   store_rewrite_end()
 *
 * The snapshot need not be of one moment. All rows, those of chunks and those submitted between begin
 * and the switch, go through ONE queue in the order of the calls. So the result is the state at the
 * last submitted batch, provided that
 *   - the state as it is when store_rewrite_begin() is called is that at `meta`, and from then on the
 *     owner submits every change in the same callback that makes it;
 *   - a chunk holds rows as they are when it is fed (never a copy made earlier);
 *   - the iteration reaches each row that exists from begin to end at least once; rows that are added
 *     or deleted meanwhile may be met or missed (their change is submitted).
 * The rows go beside the old generation; readers see none of them until the switch, one atomic step
 * that sets meta to that of the last batch submitted before it. A lost connection does not lose what
 * was staged; a wiped or rolled-back Redis does: STORE_OVER and on_rewrite_needed.
 *
 * A writer whose epoch is below the one in Redis is refused (on_deposed): it writes nothing more until
 * it submits with a higher epoch.
 */
#pragma once

#include "base/cleanup.h"
#include "store/meta.h"

struct loop;
struct store;

enum store_outcome {
	STORE_FULL = 1, /* taken; wait for on_rewrite_more before the next chunk */
	STORE_OVER,	/* no rewrite goes on in this shard */
};

enum store_load_status {
	STORE_LOADED,
	STORE_EMPTY,	      /* Redis has nothing of this shard */
	STORE_FOREIGN_FORMAT, /* what it has is of another format, or on_row refused a row */
	STORE_UNAVAILABLE,    /* no answer before the deadline */
};

struct store_config {
	/* redis://[USER:PASSWORD@]HOST[:PORT][/DB], rediss://..., unix://[USER:PASSWORD@]/PATH[?db=N] */
	const char *url;
	const char *format; /* version of the rows' encoding; another one in Redis is not read */

	/* 0 takes the default in brackets. */
	uint64_t queue_bytes_max; /* of all shards; beyond it the longest one is dropped [64 MiB] */
	uint32_t batch_rows_max; /* rows in one call, unless one submitted batch is larger [2000] */
	uint32_t linger_ms;	 /* a batch waits this long for more rows [2] */
	uint32_t pause_ms;	 /* and this long after the one before it [25] */
	uint32_t check_interval_ms;  /* meta is compared this often when nothing flows [1000] */
	uint32_t connect_timeout_ms; /* [2000] */
	uint32_t command_timeout_ms; /* [5000] */
	uint32_t backoff_max_ms;     /* the first attempt comes after 1/64 of it [5000] */
};

/* All but `context` may be NULL, on_rewrite_needed only if the owner never opens a shard. */
struct store_callbacks {
	void *context;
	/* `reason` is a sentence for the log. Called again if a rewrite that goes on fails. */
	void (*on_rewrite_needed)(void *context, int32_t shard, const char *reason);
	/* After STORE_FULL: room for more rows. */
	void (*on_rewrite_more)(void *context, int32_t shard);
	/* Redis stands at a higher epoch than ours. */
	void (*on_deposed)(void *context, int32_t shard, int64_t epoch);
	/* Redis now stands at `meta`. */
	void (*on_stored)(void *context, int32_t shard, const struct store_meta *meta);
};

/* Does not wait for a connection. Positive: the URL is not one, or asks for TLS that is not built in;
 * `ret_error` (heap, the caller's) says why without the password. */
int store_new(struct loop *loop, const struct store_config *config,
	      const struct store_callbacks *callbacks, struct store **ret_store,
	      char **ret_error) MUST_CHECK;
/* Drops everything that waits; no callback is called any more. Before the loop is freed. */
void store_free(struct store *store);
DEFINE_CLEANUP(struct store *, store_free);

/* The shard must not be open. */
void store_open_shard(struct store *store, int32_t shard);
/* A load that goes on is dropped without on_done. */
void store_close_shard(struct store *store, int32_t shard);

struct store_load_request {
	const enum store_table *tables;
	size_t n_tables;
	/* Without an answer of Redis; from the start for what changes while it is read. */
	uint32_t deadline_ms;
	void *context;
	/* Called before the first row, and again when Redis changed in the middle: forget all rows. */
	void (*on_begin)(void *context, const struct store_meta *meta);
	/* A row may come twice. Nonzero ends the load with STORE_FOREIGN_FORMAT. */
	int (*on_row)(void *context, const struct store_row *row);
	/* `meta` is NULL unless LOADED. */
	void (*on_done)(void *context, enum store_load_status status,
			const struct store_meta *meta);
};

/* Right after store_open_shard(), at most once; on_done is called from the loop, never from here. */
void store_load(struct store *store, int32_t shard, const struct store_load_request *request);

struct store_batch {
	const struct store_row *rows;
	size_t n_rows;
	struct store_meta to; /* where the state stands with these rows */
	uint64_t n_records;   /* of the log in this batch, for "how far behind" */
};

/* Confirmed rows only. After on_done of store_load(), or without a load. */
void store_submit(struct store *store, int32_t shard, const struct store_batch *batch);

/* Positive: STORE_OVER when no rewrite is needed. */
int store_rewrite_begin(struct store *store, int32_t shard,
			const struct store_meta *now) MUST_CHECK;
int store_rewrite_rows(struct store *store, int32_t shard, const struct store_row *rows,
		       size_t n_rows) MUST_CHECK;
int store_rewrite_end(struct store *store, int32_t shard) MUST_CHECK;

enum store_shard_state {
	STORE_STATE_CLOSED,
	STORE_STATE_WAITING, /* Redis is down, or its position is not known yet */
	STORE_STATE_LOADING,
	STORE_STATE_FOLLOWING,	   /* batches are applied as they come */
	STORE_STATE_NEEDS_REWRITE, /* the owner has not begun it yet */
	STORE_STATE_REWRITING,
	STORE_STATE_DEPOSED,
};

struct store_progress {
	enum store_shard_state state;
	struct store_meta submitted; /* valid when has_submitted */
	struct store_meta stored; /* where Redis stands, as far as known; valid when has_stored */
	bool has_submitted;
	bool has_stored;
	uint64_t
		behind_records; /* submitted and not yet in Redis; while a rewrite is needed or goes
				    on: since Redis was last in step */
	uint64_t behind_bytes;	/* that wait in our queue */
	int64_t behind_us;	/* since the oldest of them was submitted; 0: in step */
};

struct store_counts {
	uint64_t applies; /* calls that Redis confirmed */
	uint64_t applied_rows;
	uint64_t elsewhere; /* applies that found the shard at another position */
	uint64_t rewrites;  /* that reached their switch */
	uint64_t rewritten_rows;
	uint64_t rewrites_needed; /* calls of on_rewrite_needed */
	uint64_t overflows;	  /* queues dropped because of queue_bytes_max */
	uint64_t connects;
	uint64_t failed_connects;
};

const char *store_state_name(enum store_shard_state state);
void store_progress(const struct store *store, int32_t shard, struct store_progress *ret_progress);
void store_counts(const struct store *store, struct store_counts *ret_counts);
/* "up: redis://host:6379/0" or "down since 2026-01-02T03:04:05Z: Connection refused"; valid until the
 * next call into the store. */
const char *store_status(struct store *store);
bool store_is_up(const struct store *store);
