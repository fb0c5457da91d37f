/*
 * Questions about offsets, answered off the loop: where partitions begin and end, what a group has
 * committed. Questions asked while others are under way are put together into one round trip.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "bus/config.h"
#include "bus/partition.h"
#include "loop/loop.h"

struct bus_offsets;

struct bus_offset {
	enum topic topic;
	int32_t partition;
	int64_t low;	   /* of the oldest message */
	int64_t high;	   /* behind the newest message: the next one to be written */
	int64_t committed; /* next offset of the group; BUS_NONE: nothing, or not asked */
};

/* `error` is NULL, or a sentence: then `offsets` holds no values. On the loop, never from inside the
 * asking call; in the order of the partitions asked for. */
typedef void (*bus_offsets_fn)(void *context, const struct bus_offset *offsets, size_t n,
			       const char *error);

/* `group_id` NULL: committed offsets are never asked for. Positive: configuration refused, logged. */
int bus_offsets_new(struct loop *loop, const struct bus_config *config, const char *group_id,
		    struct bus_offsets **ret_offsets) MUST_CHECK;
/* The answer holds at some moment after the call: whoever wants "read to the end it had when ..."
 * asks after that moment. */
void bus_offsets_ask(struct bus_offsets *offsets, const struct bus_partition *partitions, size_t n,
		     bus_offsets_fn fn, void *context);
/* Forgets all questions with this context: their `fn` is not called. */
void bus_offsets_cancel(struct bus_offsets *offsets, const void *context);
/* Forgets all questions; the client ends in the background. Accepts NULL. */
void bus_offsets_free(struct bus_offsets *offsets);
DEFINE_CLEANUP(struct bus_offsets *, bus_offsets_free);
