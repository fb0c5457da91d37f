/*
 * Brings announcements to Kafka: each is the latest word about one key, so only the newest of them needs
 * to arrive, and at most one per key is in flight. What was refused, or given up with a broken producer,
 * is sent again; nothing piles up while no broker answers. Loop thread only.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "bus/config.h"
#include "loop/loop.h"
#include "model/record.h"
#include "model/topics.h"

/* Owned by whoever announces, who must keep it until announcement_is_quiet() or publisher_free(). Only
 * the members above the line are the owner's to fill in. */
struct announcement {
	enum topic topic;
	int32_t partition;
	char *key;	  /* owned */
	struct buf value; /* empty: a tombstone */
	char *event_id;	  /* owned */
	const char *event_type;
	const char *host; /* borrowed */
	int64_t time_us;
	/* ------------------------------------------------------------------------------------ */
	bool due;
	bool queued;
	bool in_flight;
	struct announcement *next;
};

void announcement_deinit(struct announcement *announcement);
static inline bool announcement_is_quiet(const struct announcement *announcement)
{
	return !announcement->due && !announcement->in_flight;
}

struct publisher;

/* `service` ("inventory", borrowed) says with an announcement's host where it comes from. `on_idle`:
 * everything that was announced is in the log. Positive: the configuration is refused, the reason was
 * logged. */
int publisher_new(struct loop *loop, const struct bus_config *config, const char *service,
		  loop_fn on_idle, void *context, struct publisher **ret_publisher) MUST_CHECK;
void publisher_free(struct publisher *publisher);
DEFINE_CLEANUP(struct publisher *, publisher_free);

void publisher_announce(struct publisher *publisher, struct announcement *announcement);
bool publisher_is_idle(const struct publisher *publisher);
