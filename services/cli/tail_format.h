/*
 * One message of a topic as a line for people or as a JSON object: what it holds, what its headers say,
 * and, in decisions, whether it counts. Pure.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>

#include "base/arena.h"
#include "base/buf.h"
#include "codec/codec.h"
#include "follow/follow.h"
#include "model/message.h"

/* What is known of the message besides itself. */
struct tail_verdict {
	bool is_decision;      /* `kind` and `epoch` are set */
	enum follow_kind kind; /* by the epoch rule */
	int64_t epoch;	       /* at this place of the log */
};

void tail_line(const struct message *message, const struct tail_verdict *verdict,
	       struct codec *codec, struct arena *arena, struct buf *out);
/* Owned by the caller. */
json_t *tail_json(const struct message *message, const struct tail_verdict *verdict,
		  struct codec *codec, struct arena *arena);
