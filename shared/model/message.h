/*
 * A message of a topic as every layer sees it, whatever carries it (Kafka, the in-memory log of the
 * tests). All pointers belong to the carrier and are valid only during the call that passes it.
 */
#pragma once

#include <stddef.h>
#include <string.h>
#include <stdint.h>

#include "model/topics.h"

struct header {
	const char *name;
	const void *value; /* not NUL-terminated */
	size_t len;
};

enum { MESSAGE_HEADERS_MAX = 24 }; /* headers beyond that are not looked at */

struct message {
	enum topic topic;
	int32_t partition;
	int64_t offset;
	int64_t timestamp_us; /* the broker's or the producer's, as the topic is set; 0: none */
	const void *key;
	size_t key_len;
	const void *value; /* NULL: a tombstone */
	size_t value_len;
	const struct header *headers;
	size_t n_headers;
};

/* Of key and headers together. */
static inline size_t message_meta_bytes(const struct message *message)
{
	size_t bytes = message->key_len;
	for (size_t i = 0; i < message->n_headers; i++)
		bytes += strlen(message->headers[i].name) + message->headers[i].len;
	return bytes;
}
