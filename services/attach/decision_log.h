/*
 * What the agent believes of its pool's partition of decisions: the records that count (follow/follow.h),
 * decoded. A log that is broken - messages are missing, or one that counts cannot be read - holds it for
 * good: nothing behind that place is believed, because what was skipped may have been the release of a
 * device. No IO: messages are handed in. Not thread-safe.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "codec/codec.h"
#include "follow/follow.h"
#include "model/message.h"
#include "model/record.h"

struct decision_log {
	struct follow follow;
	struct codec *codec; /* borrowed */
	struct arena arena;  /* of the last record */
	struct buf held;     /* why it is held; empty: it is not */
};

/* From an offset whose epoch is known, see agent_position(). */
void decision_log_init(struct decision_log *log, struct codec *codec, int64_t next, int64_t epoch);
void decision_log_deinit(struct decision_log *log);

enum decision_outcome {
	DECISION_NOBODYS = 1, /* a marker, or void: only the position goes on */
	DECISION_AGAIN,	      /* seen before */
	DECISION_HELD,	      /* it, and all that comes */
};

/* The next message of the partition. 0: it counts; *ret_record is valid until the next call. Positive: a
 * decision_outcome. The position behind it is log->follow. */
int decision_log_take(struct decision_log *log, const struct message *message,
		      struct record *ret_record) MUST_CHECK;
/* The log was found broken by whoever reads it: an offset is missing, the topic is gone. */
void decision_log_hold(struct decision_log *log, const char *reason);

static inline bool decision_log_is_held(const struct decision_log *log)
{
	return log->held.len > 0;
}
