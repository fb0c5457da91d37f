/*
 * A host moves to another pool only when it is empty: an assignment of the old pool that the agent forgot
 * would leave its GPU in a VM while the new pool gives it away.
 */
#pragma once

#include "attach/options.h"
#include "base/buf.h"
#include "base/error.h"

/* With --move-pool. Positive: the agent has assignments of the old pool, or its memory cannot be read or
 * was unusable (agent.json.unusable is there); a sentence in `error`. */
int move_check(const struct attach_options *options, struct buf *error) MUST_CHECK;
