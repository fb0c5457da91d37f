/*
 * One shard: the owner's side of the protocol of the log (HACKING.md). It is given messages and events, and asks for what
 * it needs through struct shard_io; it has no clock and does no IO itself, so the tests run whole
 * clusters of it in memory.
 *
 *   IDLE -> LOADING (checkpoint) -> MARKING (own EpochStarted sent) -> CATCHING_UP (log read up to the
 *   own marker; catalog, inventory and hosts to their ends) -> OWNING
 *
 *   OWNING -> DRAINING (revoked: what is in flight is finished) -> RESTING (keeps following). If the
 *   shard comes back: CATCHING_UP to the log's present end, and OWNING with the same epoch if nobody
 *   else has started one. If it does not: IDLE
 *
 *   A newer marker than the own one: deposed. All that was folded but not read back is thrown away;
 *   if the group still says that the shard is ours, it is taken over again after a short back-off.
 *   STOPPED: something is wrong that a person must look at (`shard_stopped_because`); nothing is decided
 *   or committed any more, and nothing is lost.
 *
 * Times are microseconds since 1970. Not thread-safe.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "codec/codec.h"
#include "core/shard_state.h"
#include "model/message.h"
#include "scheduler/shard_io.h"

struct shard;

struct shard_config {
	int32_t partition;
	int32_t n_partitions;
	const char *owner;	      /* this scheduler's name, for EpochStarted; borrowed */
	struct shard_options options; /* of the state */
	size_t window;		      /* inputs in flight, at most */
	size_t hold;		      /* inputs held back while something must be known first */
	int64_t back_off_us;	      /* before a deposed owner tries again */
	int64_t rest_us; /* how long a revoked shard is kept in the hope of its return */
};

#define SHARD_CONFIG_DEFAULT                                                                       \
	((struct shard_config){ .options = SHARD_OPTIONS_DEFAULT,                                  \
				.window = 2048,                                                    \
				.hold = 256,                                                       \
				.back_off_us = 500 * 1000,                                         \
				.rest_us = 60 * INT64_C(1000000) })

/* What all shards of a process share and borrow. `catalog_next` is the offset up to which the catalog
 * has been folded. */
struct shard_world {
	struct shard_io io;
	struct codec *codec;
	const struct catalog *catalog;
	const int64_t *catalog_next;
};

enum shard_phase {
	SHARD_IDLE,
	SHARD_LOADING,
	SHARD_MARKING,
	SHARD_CATCHING_UP,
	SHARD_OWNING,
	SHARD_DRAINING,
	SHARD_RESTING,
	SHARD_DEPOSED, /* waits for its back-off */
	SHARD_STOPPED,
};

struct shard *shard_new(const struct shard_config *config, const struct shard_world *world);
void shard_free(struct shard *shard);
DEFINE_CLEANUP(struct shard *, shard_free);

/* ---- the group gives and takes --------------------------------------------------------------- */

void shard_assign(struct shard *shard, int64_t now_us);
/* Answered by io.drained when nothing is in flight any more. */
void shard_revoke(struct shard *shard, int64_t now_us);
/* The shard is gone already (session lost), or the producer was: nothing can be finished. With
 * `still_ours` it is taken over again after the back-off. */
void shard_give_up(struct shard *shard, bool still_ours, int64_t now_us);

/* ---- messages -------------------------------------------------------------------------------- */

/* A message of requests or attachments. */
void shard_on_input(struct shard *shard, const struct message *message, int64_t now_us);
/* A message of decisions, inventory or hosts. */
void shard_on_followed(struct shard *shard, const struct message *message, int64_t now_us);
/* A followed topic has nothing (more) below this offset. */
void shard_on_followed_end(struct shard *shard, enum topic topic, int64_t next, int64_t now_us);
/* The offset asked for is not there: the log's beginning is missing, or it is shorter than it was. */
void shard_on_follow_failed(struct shard *shard, enum topic topic, int64_t now_us,
			    const char *reason);

/* ---- answers to what was asked --------------------------------------------------------------- */

/* `offset`: where the broker put it. */
void shard_on_delivered(struct shard *shard, uint64_t token, int64_t offset, int64_t now_us);
void shard_on_ends(struct shard *shard, uint64_t token, const struct log_ends *ends,
		   int64_t now_us);
/* The question could not be answered now: it is asked again at the next tick. */
void shard_on_ends_failed(struct shard *shard, uint64_t token);
/* Before the first row, and again when Redis changed in the middle: rows so far are forgotten. */
void shard_on_checkpoint_begin(struct shard *shard);
/* Nonzero: the row is not one of ours; the load is to end as "no usable checkpoint". */
int shard_on_checkpoint_row(struct shard *shard, const struct store_row *row);
/* `meta` NULL: there is no (usable) checkpoint; the log is read from its beginning. */
void shard_on_checkpoint_loaded(struct shard *shard, const struct store_meta *meta, int64_t now_us);
/* Redis does not stand where it should: the whole shard is wanted (rewrite_begin ... rewrite_end). */
void shard_on_rewrite_needed(struct shard *shard);
/* Redis knows an epoch above that of what was submitted. The log must know it, too. */
void shard_on_store_ahead(struct shard *shard, int64_t epoch);
/* There is room for more rows of a rewrite. */
void shard_on_rewrite_more(struct shard *shard);

/* ---- time and turns --------------------------------------------------------------------------- */

/* At the end of each turn of the loop: what was confirmed in it goes to the checkpoint as one batch,
 * and what must be known is asked for all that was held back. */
void shard_flush(struct shard *shard);
/* Now and then (about ten times a second): back-offs, rests, retries. */
void shard_tick(struct shard *shard, int64_t now_us);
/* The catalog has moved. */
void shard_on_catalog(struct shard *shard, int64_t now_us);

/* ---- asking ----------------------------------------------------------------------------------- */

struct shard_figures {
	enum shard_phase phase;
	int64_t epoch;
	size_t in_flight;
	uint64_t decided; /* records of decisions that were read back */
	uint64_t told_again;
	uint64_t void_records;
	uint64_t dead_letters;
	uint64_t forwarded;
	struct shard_counts counts;
};
struct shard_figures shard_figures(const struct shard *shard);
const char *shard_phase_name(enum shard_phase phase);
/* NULL unless STOPPED. */
const char *shard_stopped_because(const struct shard *shard);
