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
/* Mock only: answers are delayed by this much; 0: no more. */
void broker_set_delay_ms(int delay_ms);
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
