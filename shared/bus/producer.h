/*
 * An idempotent producer (acks=all, no gaps within a partition, retries for ever) on the loop.
 *
 * It never gives up by itself: a message stays in flight until the broker answers, because a message
 * that timed out on the client may still appear in the log, behind later ones. The owner watches
 * bus_producer_oldest_age_us() and, when its own deadline passes, calls bus_producer_purge_and_free().
 *
 * Every message accepted by bus_produce() gets exactly one on_delivery(), on the loop and never from
 * inside bus_produce(). BUS_UNCERTAIN means what it says: the record may be in the log or not.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "bus/config.h"
#include "loop/loop.h"
#include "model/message.h"

struct bus_producer;

enum bus_delivery {
	BUS_DELIVERED, /* acknowledged by all in-sync replicas, at `offset` */
	BUS_REFUSED,   /* the broker or the client refused it: it is not in the log */
	BUS_UNCERTAIN, /* given up while in flight */
};

struct bus_producer_callbacks {
	void (*on_delivery)(void *context, void *token, enum bus_delivery outcome, int64_t offset);
	/* Optional: after the last on_delivery() of this turn of the loop. */
	void (*on_batch_done)(void *context);
	/* The producer is broken for good; nothing more will be delivered: purge and free it (may be
	 * done from here). Once. */
	void (*on_fatal)(void *context, const char *reason);
};

/* Positive: the configuration is refused, the reason was logged. */
int bus_producer_new(struct loop *loop, const struct bus_config *config,
		     const struct bus_producer_callbacks *callbacks, void *context,
		     struct bus_producer **ret_producer) MUST_CHECK;

enum {
	BUS_FULL = 1,	   /* too much in flight: try again after some on_delivery() */
	BUS_TOO_LARGE = 2, /* over message.max.bytes */
	BUS_BROKEN = 3,	   /* after on_fatal(), or no such partition */
};
/* Copies everything. Of `message`: topic, partition, key, value (NULL: tombstone) and headers;
 * timestamp_us if not 0; offset is not looked at. */
int bus_produce(struct bus_producer *producer, const struct message *message,
		void *token) MUST_CHECK;

size_t bus_producer_in_flight(const struct bus_producer *producer);
/* Age of the oldest message in flight; 0 when there is none. */
int64_t bus_producer_oldest_age_us(const struct bus_producer *producer);
/* Why messages were refused lately, for people; "" if they were not. */
const char *bus_producer_last_error(const struct bus_producer *producer);

/* Gives up: reports what is in flight as BUS_UNCERTAIN (from inside this call), then frees. Does not
 * block: the client ends in the background. Accepts NULL. */
void bus_producer_purge_and_free(struct bus_producer *producer);
DEFINE_CLEANUP(struct bus_producer *, bus_producer_purge_and_free);
