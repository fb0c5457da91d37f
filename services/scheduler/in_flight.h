/*
 * The inputs that a shard has taken and not yet acknowledged, in the order in which they were taken,
 * and how far each has come. An input is done when everything it caused is where it must be; the offset
 * that may be committed is that of the first input that is not done.
 *
 *   RECORD       sent to decisions -> read back -> answer sent -> answer delivered: done
 *   TELL         all records before it read back -> answer sent -> delivered: done
 *   FORWARD,     sent elsewhere -> delivered: done
 *   DEAD_LETTER
 *   NOTHING      done
 *
 * Entries are numbered without gaps; the number serves as the delivery token, so a report about an
 * entry that was dropped meanwhile finds nothing. Owned by one shard; not thread-safe.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/shard_state.h"
#include "model/envelope.h"
#include "model/message.h"

enum in_flight_kind {
	IN_FLIGHT_NOTHING,
	IN_FLIGHT_RECORD,
	IN_FLIGHT_TELL,
	IN_FLIGHT_FORWARD,
	IN_FLIGHT_DEAD_LETTER,
};

enum in_flight_stage {
	STAGE_LOGGED, /* RECORD: waits to be read back; TELL: for the records before it */
	STAGE_ANSWER, /* the message to the outside is to be sent (again: there was no room) */
	STAGE_SENT,   /* waits for its delivery */
	STAGE_DONE,
};

struct in_flight {
	enum in_flight_kind kind;
	enum in_flight_stage stage;
	enum topic input; /* TOPIC_REQUESTS or TOPIC_ATTACHMENTS */
	int64_t input_offset;
	struct input_positions applied; /* RECORD: what the state reflects with it */
	struct change *change;		/* RECORD: until settled; owned */
	struct answer *answer;		/* TELL: held by one reference */
	char traceparent[56];		/* TELL: of who asks again; "" if it has none */
	uint64_t logged_hash;		/* RECORD: of the bytes that must be read back */
	/* The message for the outside while there is no room for it; in STAGE_LOGGED the record itself.
	 * Owned. */
	struct parcel *parcel;
};

/* A message to be sent, with its headers, in memory of its own. */
struct parcel {
	enum topic topic;
	int32_t partition;
	const void *key;
	size_t key_len;
	const void *value;
	size_t value_len;
	const struct header *headers;
	size_t n_headers;
};

struct parcel *parcel_new(enum topic topic, int32_t partition, const void *key, size_t key_len,
			  const void *value, size_t value_len, const struct header *headers,
			  size_t n_headers);

struct in_flight_queue {
	struct in_flight *ring; /* owned; size is a power of two */
	size_t size;
	uint64_t head;	 /* number of the oldest entry */
	uint64_t tail;	 /* number of the next entry */
	uint64_t logged; /* number of the first entry that may still be in STAGE_LOGGED */
};

void in_flight_deinit(struct in_flight_queue *queue);
/* Forgets all entries; numbers go on. */
void in_flight_drop_all(struct in_flight_queue *queue);
static inline size_t in_flight_count(const struct in_flight_queue *queue)
{
	return (size_t)(queue->tail - queue->head);
}
/* A zeroed entry; its number is in *ret_number. Valid until the next in_flight_add(). */
struct in_flight *in_flight_add(struct in_flight_queue *queue, uint64_t *ret_number);
/* NULL when the entry is gone. */
struct in_flight *in_flight_at(struct in_flight_queue *queue, uint64_t number);
/* The oldest entry, removed and freed by in_flight_pop(). NULL when there is none. */
struct in_flight *in_flight_oldest(struct in_flight_queue *queue);
void in_flight_pop(struct in_flight_queue *queue);
