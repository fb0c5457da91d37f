/*
 * The invariants, seen from outside: a reader of its own of the logs that shares nothing with the core's
 * fold nor with follow's epoch rule, so that a mistake there is not made here too.
 *
 *   1  a GPU has one owner at most, void records set aside, and none while it is in quarantine
 *   2  every request has exactly one outcome, and nothing that was not asked has one
 *   3  what is given is what was asked for, all of it, on one host, of the inventory
 *   4  a GPU is let go of only by a report of the right assignment from the right host, by force, or
 *      (without agents) by a release; a report of failure is dealt with once
 *   5  what that report does not call clean is quarantined, and nothing else
 *   6  nothing is committed before its answer is delivered (or its dead letter, or its forwarding);
 *      what stands on answers is true, at the revision it says, and every outcome stands there
 *   7  the checkpoint is that of the log
 *
 * Texts are in the world's arena.
 */
#pragma once

#include "world.h"

/* NULL, or what is wrong with the partition. At rest: everything must have been answered. `forgetful`:
 * requests are forgotten soon, so those sent again may have two outcomes, and old ones are not told. */
const char *check_partition(struct world *world, int32_t partition, bool forgetful);
/* For every commit: NULL, or why this one must not have been made. Inputs from `from` on are looked at. */
const char *check_commit(struct world *world, enum topic input, int32_t partition, int64_t from,
			 int64_t next);
