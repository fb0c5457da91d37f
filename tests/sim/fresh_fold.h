/*
 * What a checkpoint must be: the rows and the digest of all logs folded afresh, from their beginnings, in
 * one go. Uses the core's folds on purpose: however a shard got where it is (takeovers, checkpoints of
 * any moment, decisions folded before they were read back), it must be where the plain fold is.
 */
#pragma once

#include "world.h"

/* NULL, or what is wrong with the partition's checkpoint. At rest: it must stand at the log's end. The
 * catalog must have been read to its end. */
const char *checkpoint_problem(struct world *world, int32_t partition);
