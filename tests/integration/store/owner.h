/*
 * An owner of one shard whose state is a set of numbered rows in three tables, with a store and a private
 * redis-server round it. It answers on_rewrite_needed by itself, in small chunks, one per turn of the
 * loop, while its state may go on changing.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/store.h"
#include "support/redis_server.h"

struct loop;
struct loop_timer;

enum { SHARD = 3, OWNER_TABLES = 3, OWNER_DEADLINE_MS = 20000 };

struct owner {
	struct loop *loop;
	struct store *store;
	struct loop_timer *tick;

	/* The state: version of each row, 0 = not there. Row i is of table owner_table(i). */
	uint64_t *versions;
	size_t n_rows;
	size_t value_len;
	struct store_meta meta;
	uint64_t seed;

	/* What it does by itself on every tick. */
	bool rewrites;		 /* answer on_rewrite_needed */
	size_t chunk;		 /* rows per chunk */
	size_t changes_per_tick; /* while a rewrite goes on: batches submitted between chunks */
	void (*on_tick)(struct owner *owner);

	bool asked, feeding, paused;
	size_t cursor;

	/* What the store said. */
	uint64_t n_needed, n_more, n_deposed, n_stored, n_full;
	int64_t deposed_epoch;
	struct store_meta last_stored;
	char reason[256];

	/* Of the latest load. */
	bool loaded;
	enum store_load_status load_status;
	struct store_meta load_meta;
	size_t n_begins, n_loaded_rows;
	void (*on_loaded_row)(struct owner *owner);

	/* of owner_run_until */
	bool (*until)(struct owner *owner);
	bool reached;
	int64_t deadline_us;
	struct redis_server *server; /* not owned */
};

/* Defaults that make tests quick: checks every 20 ms, back-off up to 64 ms. `config` may be NULL. */
void owner_init(struct owner *owner, struct redis_server *server, const char *url,
		const struct store_config *config, size_t n_rows);
void owner_deinit(struct owner *owner);

/* Runs the loop until the condition holds; fails the test when it does not within OWNER_DEADLINE_MS. */
#define owner_run_until(owner, condition)                                                          \
	do {                                                                                       \
		owner_run(owner, condition);                                                       \
		if (!(owner)->reached) {                                                           \
			owner_print(owner);                                                        \
			fail_msg("not reached: %s", #condition);                                   \
		}                                                                                  \
	} while (0)
void owner_run(struct owner *owner, bool (*until)(struct owner *owner));
void owner_run_ms(struct owner *owner, int64_t ms);
void owner_print(struct owner *owner);

/* Opens the shard and loads; runs until on_done, then until Redis is in step. */
void owner_start(struct owner *owner);
void owner_load(struct owner *owner, uint32_t deadline_ms);
/* Changes up to `n` rows (one in eight is deleted) and submits them as one batch. */
void owner_change(struct owner *owner, size_t n);
/* A new epoch, as after reading the own marker. */
void owner_new_epoch(struct owner *owner, int64_t epoch);
struct store_progress owner_progress(struct owner *owner);
struct store_counts owner_counts(struct owner *owner);

bool owner_in_step(struct owner *owner); /* Redis follows and stands at our meta */
bool owner_is_loaded(struct owner *owner);
bool owner_is_rewritten(struct owner *owner);	 /* in step after a second rewrite */
bool owner_was_asked_again(struct owner *owner); /* on_rewrite_needed came a second time */

/* Fails unless Redis holds exactly the owner's state and no keys but those of its generation. */
void owner_check(struct owner *owner);
