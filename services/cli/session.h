/*
 * One run of a verb against Kafka: a loop, and calls that run it until what they ask for has come, so
 * that a verb reads from top to bottom. Complaints are printed here; int results are exit statuses.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "bus/offsets.h"
#include "bus/partition.h"
#include "cli/settings.h"
#include "codec/codec.h"
#include "loop/loop.h"
#include "model/message.h"

struct session {
	const struct settings *settings; /* borrowed */
	struct loop *loop;		 /* owned */
	struct codec *codec;		 /* owned */
	int32_t n_partitions;		 /* of the sharded topics */
	bool interrupted;		 /* by SIGINT or SIGTERM */
};

/* Reaches the brokers and counts the partitions. To be closed also when this failed. */
int session_open(struct session *session, const struct settings *settings) MUST_CHECK;
void session_close(struct session *session);

/* 1 for the catalog. */
int32_t session_partitions(const struct session *session, enum topic topic);

/* Runs the loop until somebody stops it, or the time is over (0: no limit). True: it was. */
bool session_run(struct session *session, int64_t timeout_ms);

/* Fills in low, high and, with a group (else NULL), committed of partitions that the caller has named. */
int session_ask_offsets(struct session *session, const char *group_id, struct bus_offset *offsets,
			size_t n) MUST_CHECK;

/* Sends all messages and waits until the brokers have them; their offsets go to `ret_offsets`. */
int session_deliver(struct session *session, const struct message *messages, size_t n,
		    int64_t timeout_ms, int64_t *ret_offsets) MUST_CHECK;

/* What to read of one partition: offsets from `next` to below `end`. */
struct session_range {
	struct bus_partition place;
	int64_t next;
	int64_t end;
};

/* Hands over all messages of these ranges, those of a partition in order, and returns at their ends,
 * whether or not the last offsets have a message. */
int session_read(struct session *session, struct session_range *ranges, size_t n,
		 void (*on_message)(void *context, const struct message *message),
		 void *context) MUST_CHECK;
