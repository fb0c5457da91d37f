/*
 * Inside of the store: one shard as its writer sees it. shard.c takes what the owner gives,
 * shard_sync.c talks to Redis, load.c reads at the start. See store.h for the contract.
 *
 * At most one call to Redis is under way per shard (`call`). Whatever its answer, or without one, the
 * next step is decided anew in store_shard_step() from the state here.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/row_queue.h"
#include "store/redis_link.h"
#include "store/store.h"
#include "store/whereabouts.h"

enum {
	GENERATION_LEN = 16,
	/* How much of a snapshot waits: enough that the next group is ready when Redis answers. */
	SHARD_FULL_GROUPS = 3,
	SHARD_MORE_GROUPS = 2,
};

/* What the shards share; belongs to the store. */
struct shard_env {
	struct loop *loop;
	struct redis_link *link;
	bool ready; /* connected and the function library is in place */
	char *format;
	struct store_config config; /* without zeros; url and format are not set */
	struct store_callbacks callbacks;
	struct store_counts counts;
	char *trouble; /* the last error that Redis answered; NULL once something worked */
	struct loop_timer *wake;
	int64_t wake_at_us; /* 0: not set */
};

enum phase {
	PHASE_FOLLOW,
	PHASE_NEEDS_REWRITE,
	PHASE_REWRITE,
	PHASE_DEPOSED,
};

enum call_kind { CALL_WHERE, CALL_APPLY, CALL_BEGIN, CALL_STAGE, CALL_SWITCH, CALL_SCAN };

struct shard;

struct call {
	struct shard *shard; /* NULL: closed meanwhile */
	enum call_kind kind;
	uint64_t attempt; /* the shard's when it was sent */
};

struct store_loading;

struct shard {
	int64_t applied_at_us; /* when the last batch was sent */
	struct shard_env *env;
	int32_t number;
	struct call *call; /* owned by itself, freed by its answer; NULL: none under way */
	bool known;	   /* Redis' position was compared with ours on this connection */
	bool hold;	   /* Redis answered an error: wait for the next check */
	enum phase phase;
	uint64_t attempt; /* an answer to a call of an earlier attempt only says: look again */
	struct store_loading *load; /* owned; NULL: none, or over */

	/* The chain: stored -> inflight -> queue -> submitted. */
	bool has_submitted, has_stored;
	struct store_meta stored, submitted;
	struct row_group *inflight; /* owned; sent, and not known to have arrived */
	struct row_queue queue;

	/* PHASE_NEEDS_REWRITE */
	char *reason;
	bool told;

	/* PHASE_REWRITE */
	char generation[GENERATION_LEN + 1];
	bool begun; /* gpubus_begin was answered */
	bool ended; /* the owner has fed everything */
	bool full;  /* STORE_FULL was said, on_rewrite_more was not */
	int64_t chunks;
	struct store_meta switch_meta; /* what the switch under way sets */

	/* What is submitted, in neither queue nor inflight, and not visible in Redis either. */
	uint64_t missing_records;
	int64_t missing_since_us; /* 0: nothing */

	int64_t deposed_epoch; /* PHASE_DEPOSED */
};

struct shard *store_shard_new(struct shard_env *env, int32_t number);
void store_shard_free(struct shard *shard);
void store_shard_submit(struct shard *shard, const struct store_batch *batch);
int store_shard_rewrite_begin(struct shard *shard, const struct store_meta *now) MUST_CHECK;
int store_shard_rewrite_rows(struct shard *shard, const struct store_row *rows,
			     size_t n_rows) MUST_CHECK;
int store_shard_rewrite_end(struct shard *shard) MUST_CHECK;
void store_shard_progress(const struct shard *shard, struct store_progress *ret_progress);
size_t store_shard_waiting_bytes(const struct shard *shard);
/* The queue is dropped: from now on only a rewrite helps. `reason` is a sentence. */
void store_shard_needs_rewrite(struct shard *shard, const char *reason);
void store_shard_drop_waiting(struct shard *shard);
void store_shard_add_missing(struct shard *shard, uint64_t n_records, int64_t since_us);

/* Does what is to be done next, if anything. Calls at most one callback of the owner, as the last
 * thing: the shard may be gone afterwards. */
void store_shard_step(struct shard *shard);
/* Once per check interval. */
void store_shard_check(struct shard *shard);
/* The connection is gone: nothing is known any more. */
void store_shard_down(struct shard *shard);
/* Sends `command`; its answer comes to shard_sync.c, or for CALL_SCAN to store_loading_on_scan(). */
void store_shard_call(struct shard *shard, enum call_kind kind, const struct buf *command);
/* Runs store_shard_step() of all shards in `delay_ms`, or earlier. */
void store_shard_wake(struct shard_env *env, int64_t delay_ms);

/* ---- load.c --------------------------------------------------------------------------------- */

struct store_loading *store_loading_new(struct shard *shard,
					const struct store_load_request *request);
void store_loading_free(struct store_loading *load);
/* The next step; as the last thing of its caller: the load may end and the shard may be gone. */
void store_loading_step(struct store_loading *load);
void store_loading_on_where(struct store_loading *load, const struct whereabouts *where);
void store_loading_on_scan(struct store_loading *load, const struct redisReply *reply);
/* The connection was lost in its middle. */
void store_loading_on_down(struct store_loading *load);
