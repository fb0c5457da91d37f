/*
 * Inside the bus only: what reader and group have in common. Takes messages from a consumer's queue, a
 * bounded number per turn of the loop, and hands them to the owner partition by partition; keeps what
 * was fetched for partitions that are on hold.
 *
 * Order within one partition is kept. Once a slot was closed, opened again or discarded, nothing that
 * was taken from the queue before is delivered; that nothing of it comes out of the queue later is
 * librdkafka's part (it marks what was fetched before an unassign or seek as outdated).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "bus/kafka.h"
#include "bus/partition.h"
#include "model/message.h"

/* Reasons to hold a partition's messages back. */
enum { INTAKE_PAUSED = 1, INTAKE_SEEKING = 2 };

struct intake_slot {
	struct bus_partition place;
	bool open;
	unsigned hold;		   /* INTAKE_ bits */
	bool fetch_paused;	   /* too much is held: librdkafka is told to stop fetching */
	uint64_t fresh_from;	   /* messages of earlier batches are not delivered */
	rd_kafka_message_t **held; /* owned, a ring */
	size_t held_first;
	size_t n_held;
	size_t held_size; /* a power of two, or 0 */
	size_t held_bytes;
};

struct intake_handlers {
	void (*on_message)(void *owner, const struct message *message);
	/* Everything below `next` was delivered, and there was nothing more. Only with the client's
	 * enable.partition.eof. */
	void (*on_end)(void *owner, struct bus_partition place, int64_t next);
	/* After the messages of a turn, when there were any. */
	void (*on_batch_done)(void *owner);
	void (*on_error)(void *owner, struct bus_partition place, rd_kafka_resp_err_t error,
			 const char *reason);
	/* Errors without a partition. */
	void (*on_client_error)(void *owner, rd_kafka_resp_err_t error, const char *reason);
	/* At the end of every turn. */
	void (*on_served)(void *owner);
};

struct intake;

/* Takes over `client`, whose rd_kafka_t is a consumer with its queues already put together. */
struct intake *intake_new(struct loop *loop, struct kafka_client *client,
			  const struct intake_handlers *handlers, void *owner);
/* May be called from inside a handler; no handler is called after it. The client ends in the
 * background. */
void intake_free(struct intake *intake);

rd_kafka_t *intake_client(struct intake *intake);
/* Messages of this topic are delivered without their headers. */
void intake_skip_headers(struct intake *intake, enum topic topic);
/* Makes the client ask for all topics with its next metadata request. */
void intake_know_topics(struct intake *intake);
rd_kafka_queue_t *intake_queue(struct intake *intake);
/* From now on takes from this queue, to which the client's other queue is forwarded. */
void intake_redirect(struct intake *intake, rd_kafka_queue_t *queue);
/* A turn soon, whatever stands in the queue. */
void intake_poke(struct intake *intake);

/* The slot of a partition, or NULL if it was never opened. Valid until intake_free(). */
struct intake_slot *intake_slot(struct intake *intake, enum topic topic, int32_t partition);
/* Opens the slot afresh: nothing held, no reason to hold. */
struct intake_slot *intake_open(struct intake *intake, enum topic topic, int32_t partition);
void intake_close(struct intake *intake, struct intake_slot *slot);
/* Forgets what was fetched. */
void intake_discard(struct intake *intake, struct intake_slot *slot);
void intake_hold(struct intake *intake, struct intake_slot *slot, unsigned reason);
void intake_release(struct intake *intake, struct intake_slot *slot, unsigned reason);
