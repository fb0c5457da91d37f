/*
 * What a shard needs from the world, as calls that never block: the scheduler wires them to Kafka and
 * Redis, the tests to a log and a store in memory. Whatever is asked for is answered later through the
 * shard_on_... functions of shard.h, never from within the call.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "model/envelope.h"
#include "model/message.h"
#include "store/meta.h"

/* The delivery token of what nobody waits for. Tokens fit into 48 bits. */
#define TOKEN_NOBODY (UINT64_C(1) << 47)

struct outgoing {
	enum topic topic;
	int32_t partition;
	const void *key;
	size_t key_len;
	const void *value;
	size_t value_len;
	const struct header *headers;
	size_t n_headers;
};

/* The offsets at which topics end, as asked for at one moment; 0 for an empty one. */
struct log_ends {
	int64_t catalog;
	int64_t inventory;
	int64_t hosts;
	int64_t requests;
	int64_t attachments;
	int64_t decisions;
};

struct shard_io {
	void *context;

	/* Copies the message and sends it; shard_on_delivered(token) of shard `partition` when the broker
	 * has it. Positive: no room now, try again later. A message that is taken is never given up by
	 * the producer. */
	int (*produce)(void *context, int32_t partition, const struct outgoing *message,
		       uint64_t token);

	/* Inputs (requests and attachments of this partition) stop or go on flowing. */
	void (*pause_inputs)(void *context, int32_t partition);
	void (*resume_inputs)(void *context, int32_t partition);
	/* The next message of the input to be delivered is the one at this offset. */
	void (*seek_input)(void *context, enum topic input, int32_t partition, int64_t offset);
	/* All inputs below this offset are dealt with. */
	void (*commit)(void *context, enum topic input, int32_t partition, int64_t next_offset);

	/* Follow decisions from an offset; inventory and hosts from their beginning. */
	void (*follow_decisions)(void *context, int32_t partition, int64_t offset);
	void (*follow_fleet)(void *context, int32_t partition);
	void (*unfollow)(void *context, int32_t partition); /* all three */

	/* shard_on_ends() with where the topics ended after this call was made. */
	void (*ask_ends)(void *context, int32_t partition, uint64_t token);

	/* shard_on_checkpoint_begin(), shard_on_checkpoint_row() for each row, then shard_on_checkpoint_loaded(). */
	void (*load_checkpoint)(void *context, int32_t partition);
	/* Confirmed rows and where the shard stands with them; kept until Redis has them or forgotten and
	 * asked for anew by shard_on_rewrite_needed(). */
	void (*submit)(void *context, int32_t partition, const struct store_meta *meta,
		       const struct store_row *rows, size_t n_rows, size_t n_records);
	/* As store/store.h says; positive outcomes are its enum store_outcome. */
	int (*rewrite_begin)(void *context, int32_t partition, const struct store_meta *now);
	int (*rewrite_rows)(void *context, int32_t partition, const struct store_row *rows,
			    size_t n_rows);
	int (*rewrite_end)(void *context, int32_t partition);
	/* What was loaded is not to be built upon: the shard will be written anew. */
	void (*distrust_checkpoint)(void *context, int32_t partition);
	void (*close_checkpoint)(void *context, int32_t partition);

	/* What the owner was asked to hand over (shard_revoke) is handed over as far as it goes. */
	void (*drained)(void *context, int32_t partition);
	/* Unique among all owners that ever were. Never a reason to decide otherwise. */
	void (*nonce)(void *context, char text[37]);
};
