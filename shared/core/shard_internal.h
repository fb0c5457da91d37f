/* What a shard's state consists of, for the files of the core that tie its parts together. */
#pragma once

#include "core/fleet.h"
#include "core/ledger.h"
#include "core/shard_state.h"

struct shard_state {
	const struct catalog *catalog; /* borrowed */
	struct fleet fleet;
	struct ledger ledger;
	struct input_positions applied;
};
