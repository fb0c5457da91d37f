/*
 * Who asks for what is recorded with a name: --actor, or whoever runs this program.
 */
#pragma once

#include "base/arena.h"
#include "service/options.h"

struct option_spec actor_option(const char **target);

/* USER@HOST of this process, in `arena`. */
const char *actor_default(struct arena *arena);
