/*
 * What the bus tests share: a loop, a configuration for a broker (a real one when KAFKA_BOOTSTRAP is set,
 * otherwise librdkafka's mock cluster in this process), and waiting for conditions.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bus/config.h"
#include "bus/group.h"
#include "bus/offsets.h"
#include "bus/producer.h"
#include "bus/reader.h"
#include "loop/loop.h"

enum { TEST_PARTITIONS = 4 };

/* One broker for the whole program. Called first and last in main(). */
void broker_start(void);
void broker_stop(void);
bool broker_is_real(void);
/* Mock only: the answer to the next produce request comes this late; the request itself is carried out
 * at once. */
void broker_delay_next_produce_ms(int delay_ms);
/* Mock only: the next produce request is refused for good. */
void broker_refuse_next_produce(void);
/* Mock only: the broker cannot be reached. */
void broker_set_down(bool down);

struct fixture {
	struct loop *loop;
	struct bus_config *config;
};

int fixture_setup(void **state);
int fixture_teardown(void **state);

/* Runs the loop until the condition holds; fails the test after 30 s. */
void wait_until(struct loop *loop, bool (*condition)(void *context), void *context,
		const char *what);
#define WAIT_UNTIL(loop, condition, context) wait_until(loop, condition, context, #condition)

/* Where the partition ends now. */
int64_t end_of(struct fixture *fixture, enum topic topic, int32_t partition);

/* A producer that counts its reports; what it is told stands here. */
struct writer {
	struct bus_producer *producer;
	size_t delivered;
	size_t refused;
	size_t uncertain;
	size_t batches;
	int64_t last_offset;
	void *last_token;
	bool fatal;
};

void writer_start(struct writer *writer, struct fixture *fixture, const struct bus_config *config);
/* Produces `n` messages with values "PREFIX0", "PREFIX1", ... and waits for their delivery. */
void write_messages(struct writer *writer, struct fixture *fixture, enum topic topic,
		    int32_t partition, const char *prefix, size_t n);
int write_one(struct writer *writer, enum topic topic, int32_t partition, const char *value,
	      void *token);

/* A reader that keeps the values of what it is given, and can act on a message from inside. */
enum { SEEN_MAX = 20000 };

struct seen {
	struct bus_partition place;
	int64_t offset;
	char value[24];
	size_t n_headers;
	bool tombstone;
};

struct collector {
	struct bus_reader *reader;
	struct seen *seen; /* owned */
	size_t n;
	size_t batches;
	size_t errors;
	enum bus_reader_error last_error;
	struct bus_partition last_error_place;
	/* Optional, after the message was noted; `act_at`: the number of messages noted by then. */
	void (*act)(struct collector *collector);
	size_t act_at;
	size_t wanted; /* for has_wanted() */
};

void collector_start(struct collector *collector, struct fixture *fixture);
void collector_stop(struct collector *collector);
void collector_note(struct collector *collector, const struct message *message);
bool has_wanted(void *collector);
bool has_error(void *collector);
