/*
 * What the files of a shard share: shard.c (the pipeline), takeover.c and handover.c (phases),
 * reading.c (what comes in), answering.c (what goes out) and checkpoint.c (rows to Redis). Nobody else
 * includes this.
 */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "follow/follow.h"
#include "scheduler/held_inputs.h"
#include "scheduler/in_flight.h"
#include "scheduler/shard.h"

enum { INPUTS = 2 }; /* requests, attachments */

/* Delivery tokens are in-flight numbers, TOKEN_NOBODY, or for the marker: */
#define TOKEN_MARKER (UINT64_C(1) << 46) /* plus the number of the takeover */

static inline size_t input_index(enum topic topic)
{
	return topic == TOPIC_ATTACHMENTS;
}

static inline enum topic input_topic(size_t input)
{
	return input ? TOPIC_ATTACHMENTS : TOPIC_REQUESTS;
}

static inline int64_t input_applied(struct input_positions positions, enum topic topic)
{
	return topic == TOPIC_REQUESTS ? positions.requests : positions.attachments;
}

/* Rows that were settled and not yet submitted. */
struct row_batch {
	struct buf bytes; /* fields and values, one after the other */
	struct row_place {
		enum store_table table;
		bool deleted;
		size_t field, field_len, value, value_len; /* offsets into bytes */
	} * places;					   /* owned */
	struct store_row *rows;				   /* owned; as large as places */
	size_t count, size;
	size_t records; /* of decisions that they come from */
};

struct shard {
	struct shard_config config;
	struct shard_world world;

	enum shard_phase phase;
	int64_t phase_since_us;
	bool ours;	       /* the group says so */
	char *stopped_because; /* owned */

	/* ---- the log ---- */
	struct shard_state *state; /* owned; NULL while IDLE, DEPOSED and STOPPED */
	struct follow log;
	int64_t own_epoch;	   /* offset of the own marker; -1 until it was read */
	char nonce[37];		   /* of the own marker */
	int64_t checkpoint_offset; /* where reading the log began */
	int64_t store_epoch;	   /* above the submitted one, as Redis knows it; -1: none is */
	uint64_t takeovers;	   /* how many were begun */
	int64_t takeover_began_us;
	uint64_t followed;		/* messages read since then */
	bool marker_unsent;		/* there was no room for it */
	struct input_positions settled; /* input positions of what was read back */

	/* ---- how far the fleet is read ---- */
	int64_t inventory_next;
	int64_t hosts_next;

	/* ---- inputs ---- */
	struct in_flight_queue flight;
	struct held_inputs held;
	bool record_waits; /* the newest entry's record is folded and not sent: there was no room */
	bool inputs_paused;
	int64_t taken[INPUTS]; /* offset of the last input that was taken from the bus; -1 */

	/* ---- what must be known before "not found" may be said ---- */
	struct {
		bool wanted;	     /* to be asked at the end of this turn */
		bool asked;	     /* token is under way */
		bool asked_as_epoch; /* asked after the own marker was read */
		bool waiting;	     /* ends are known, but not all of them are read */
		bool failed;	     /* to be asked again at the next tick */
		uint64_t token;
		struct log_ends ends;
		int64_t covers[INPUTS]; /* inputs up to here were taken before it was asked */
		int64_t known[INPUTS];	/* inputs up to here may be told "not found" */
	} knowing;

	/* ---- checkpoint ---- */
	struct row_batch rows;
	uint64_t sequence;
	bool from_scratch; /* built without a checkpoint: Redis gets it all at once, by a rewrite */
	bool rewrite_needed, rewriting, rewrite_paused, rewrite_rows_done;
	uint64_t rewrite_cursor;
	int64_t submitted_offset;
	uint64_t catalog_written; /* version of the catalog that the rows show */
	/* Ids of definitions that Redis may show, each with its NUL behind it. */
	struct buf shown_pools, shown_types, shown_hosts;

	/* ---- scratch ---- */
	struct arena arena;
	struct buf encoded;
	struct shard_figures figures;
};

/* ---- takeover.c ---- */
void shard_begin_takeover(struct shard *shard, int64_t now_us);
void shard_send_marker(struct shard *shard, int64_t now_us);
void shard_enter(struct shard *shard, enum shard_phase phase, int64_t now_us);
void shard_stop(struct shard *shard, int64_t now_us, const char *format, ...) PRINTF_LIKE(3, 4);
/* Seen a marker newer than the own one. */
void shard_deposed(struct shard *shard, int64_t now_us);
void shard_on_marker_delivered(struct shard *shard, int64_t offset, int64_t now_us);
/* A marker was read; the follow position is behind it. */
void shard_on_marker(struct shard *shard, const struct message *message, int64_t now_us);
/* Something that a takeover waits for may have come. */
void shard_check_caught_up(struct shard *shard, int64_t now_us);
void shard_check_drained(struct shard *shard, int64_t now_us);
/* Catalog, inventory and hosts are read at least up to these ends. */
bool shard_has_read(const struct shard *shard, const struct log_ends *ends);
void shard_ask_ends(struct shard *shard);

/* ---- shard.c ---- */
/* Takes up what was held back, as far as it goes. */
void shard_go_on(struct shard *shard, int64_t now_us);
void shard_pause_inputs(struct shard *shard);

/* ---- reading.c ---- */
/* Positive: not readable; *ret_code and *ret_error say why. Uses the shard's arena. */
int shard_read_record(struct shard *shard, const struct message *message, struct record *ret_record,
		      const char **ret_code, const char **ret_error) MUST_CHECK;
void shard_on_fleet(struct shard *shard, const struct message *message, int64_t now_us);

/* ---- handover.c ---- */
/* Everything that is known of the shard is dropped. Its inputs are read again by whoever is next. */
void shard_forget(struct shard *shard);

/* ---- answering.c: what leaves the shard ---- */
/* Sends what entry `number` has for the outside, if there is room. */
void shard_send(struct shard *shard, uint64_t number);
/* Sends a record to decisions, or keeps it in its entry, the newest one, until there is room. */
void shard_log(struct shard *shard, struct in_flight *entry, const struct parcel *record);
void shard_log_again(struct shard *shard);
/* Publishes the decision of entry `number`, just read back, as its answer. */
void shard_answer(struct shard *shard, uint64_t number, const struct message *decision);
/* The parcel that tells the entry's answer again. */
void shard_prepare_telling(struct shard *shard, struct in_flight *entry);
void shard_prepare_dead_letter(struct shard *shard, struct in_flight *entry,
			       const struct message *message, const char *code, const char *error,
			       int64_t now_us);
void shard_prepare_forward(struct in_flight *entry, const struct message *message,
			   int32_t partition);
/* A followed message that is not usable: nobody waits for its delivery. */
void shard_dead_letter_followed(struct shard *shard, const struct message *message,
				const char *code, const char *error, int64_t now_us);

/* ---- checkpoint.c ---- */
/* What takes the rows that are settled; NULL while nobody wants them. */
ledger_row_fn shard_row_collector(const struct shard *shard);
void shard_submit_rows(struct shard *shard);
void shard_rewrite_step(struct shard *shard);
void row_batch_deinit(struct row_batch *batch);
void row_batch_clear(struct row_batch *batch);
