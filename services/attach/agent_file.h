/*
 * The agent's memory on disk: STATE-DIR/agent.json. Blocks on the disk: some kilobytes, on the loop, because
 * the agent may go on only when they are there.
 */
#pragma once

#include <stddef.h>

#include "attach/agent/agent.h"
#include "base/error.h"

/* Negative: -errno, logged. */
int agent_file_save(const char *path, const char *text, size_t len) MUST_CHECK;
/* Gives the agent what stands there; nothing is fine. What cannot be used is kept beside it as
 * agent.json.unusable, for people. Negative: -errno; it is there and cannot be read, which a new start will
 * not make better than a person. */
int agent_file_load(const char *path, struct agent *agent) MUST_CHECK;
