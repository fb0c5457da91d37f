/*
 * A broker in memory, with what Kafka really promises and no more: a partition is an ordered log; what
 * one producer sends to one partition lands in the order of sending, each message once (idempotence);
 * between partitions, and between producers, there is no order. Nothing moves by itself: messages land,
 * and reports of it are handed over, when the test says so.
 *
 * A producer that is purged leaves a ghost behind: what it had not landed may still land, in order, any
 * part from the front, at any later time, or never. Nobody hears of it.
 *
 * A group commits offsets; a commit that does not come from the partition's present owner in its present
 * generation is refused.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/message.h"
#include "scheduler/shard_io.h"

enum { SIM_PARTITIONS = 2, SIM_INPUTS = 2 };

struct log_entry {
	struct message message;
	bool gone; /* removed from the middle or the front: readers do not meet it */
};

struct partition_log {
	struct log_entry **entries; /* owned; by offset */
	size_t n;
	size_t size;
};

struct pending {
	struct log_entry *entry; /* owned; NULL: landed */
	int32_t sender;		 /* the shard that sent it */
	uint64_t token;
};

struct pending_list {
	struct pending *items; /* owned; in the order of sending */
	size_t n;
	size_t size;
	size_t left; /* not landed */
};

struct delivery {
	enum topic topic;
	int32_t sender;
	uint64_t token;
	int64_t offset;
};

struct broker {
	struct partition_log logs[TOPICS][SIM_PARTITIONS];
	struct pending_list *ghosts; /* owned */
	size_t n_ghosts;
	int64_t now_us; /* what the broker's clock says */

	/* The group. */
	int owner[SIM_PARTITIONS]; /* a scheduler's id; -1: nobody */
	uint64_t generation[SIM_PARTITIONS];
	int64_t committed[SIM_INPUTS][SIM_PARTITIONS]; /* next offset; 0 at the start */
};

struct producer {
	struct broker *broker; /* borrowed */
	struct pending_list pending;
	struct delivery *reports; /* owned; landed, not yet told */
	size_t n_reports;
	size_t reports_size;
	/* By topic: nothing lands (the network is cut); landing is not reported; there is no room. */
	bool cut[TOPICS];
	bool silent[TOPICS];
	bool full[TOPICS];
};

void broker_init(struct broker *broker);
void broker_deinit(struct broker *broker);

/* The offset behind the last message. */
int64_t broker_end(const struct broker *broker, enum topic topic, int32_t partition);
/* The first message at or behind `offset`, or NULL. */
const struct message *broker_next(const struct broker *broker, enum topic topic, int32_t partition,
				  int64_t offset);
/* NULL: not there. */
const struct message *broker_at(const struct broker *broker, enum topic topic, int32_t partition,
				int64_t offset);
/* Somebody outside writes; returns the offset. */
int64_t broker_append(struct broker *broker, const struct outgoing *message);
/* Damage: one message is missing, or all from `end` on are. */
void broker_lose(struct broker *broker, enum topic topic, int32_t partition, int64_t offset);
void broker_truncate(struct broker *broker, enum topic topic, int32_t partition, int64_t end);
/* The message at this offset says something else. */
void broker_overwrite(struct broker *broker, enum topic topic, int32_t partition, int64_t offset,
		      const void *value, size_t len);

/* The oldest message of this ghost lands; or all of it is forgotten. */
void broker_land_ghost(struct broker *broker, size_t ghost);
void broker_drop_ghost(struct broker *broker, size_t ghost);

/* False: refused, because somebody else owns the partition by now. */
bool broker_commit(struct broker *broker, int scheduler, uint64_t generation, enum topic input,
		   int32_t partition, int64_t next);

void producer_init(struct producer *producer, struct broker *broker);
void producer_deinit(struct producer *producer);
/* Positive: no room. `sender` is a number of the caller's that comes back with the report. */
int producer_send(struct producer *producer, const struct outgoing *message, int32_t sender,
		  uint64_t token);
/* The oldest message to this partition lands. False: there is none, or the network is cut. */
bool producer_land(struct producer *producer, enum topic topic, int32_t partition);
/* The oldest report that may be told. False: none. */
bool producer_take_report(struct producer *producer, struct delivery *ret_delivery);
/* What has not landed becomes a ghost; reports that were not told never are. */
void producer_purge(struct producer *producer);
