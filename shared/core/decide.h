/*
 * decide(state, event, now) -> what is to be logged. The only place where gpubus makes up its mind.
 * Pure: ids are derived, never drawn; the time comes with the call. Deciding changes nothing that
 * counts (indexes may be built on the way); shard_fold() of the record does.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "core/shard_state.h"
#include "model/record.h"

enum decision_kind {
	DECISION_RECORD,  /* log `record` */
	DECISION_TELL,	  /* answered before: tell `answer` again */
	DECISION_UNKNOWN, /* refused because something is not there; ask again with known = true once
			   * catalog, inventory and hosts are read to their present end */
	DECISION_NOTHING, /* the event asks for nothing that is still to be done */
	DECISION_UNUSABLE, /* cannot even be answered (no request id or pool id, or a malformed report):
			    * `error` says why */
};

struct decision {
	enum decision_kind kind;
	struct record record;	     /* in the arena, or pointing into the event and the catalog */
	const struct answer *answer; /* of the state; valid until the state changes */
	const char *error;
};

/* Why an event cannot even be answered: a sentence, or NULL. Looks at the event alone. */
const char *decide_unusable(const struct record *event, struct arena *arena);
/* `event`: VmRequested, VmReleased, MigrationCheck, OperatorCommand or GpuAttachment; others are
 * DECISION_UNUSABLE. */
void decide(struct shard_state *state, const struct record *event, int64_t now_us, bool known,
	    struct arena *arena, struct decision *ret_decision);
