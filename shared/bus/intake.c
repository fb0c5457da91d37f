#include "bus/intake.h"

#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/log.h"
#include "base/memory.h"

enum {
	BATCH = 1000,	      /* messages in one turn, so that timers get theirs */
	HOLD_MESSAGES = 2000, /* per partition: beyond it, fetching is paused too */
	HOLD_BYTES = 4 * 1024 * 1024,
	/* librdkafka wants to see its application now and then (max.poll.interval.ms), and whatever
	 * stays in a queue without a new wakeup is found by this. */
	TICK_MS = 250,
};

struct intake {
	bool headers_skipped[TOPICS];
	struct kafka_client *client; /* owned */
	struct loop *loop;
	struct kafka_wakeup *wakeup; /* owned */
	struct loop_timer *tick;     /* owned */
	rd_kafka_queue_t *queue;     /* owned by the wakeup */
	const struct intake_handlers *handlers;
	void *owner;
	bool serving;
	bool freed;
	bool releasing; /* some slot may have messages that are held without a reason */
	uint64_t batch; /* number of the latest batch taken from the queue */
	rd_kafka_message_t *messages[BATCH];
	rd_kafka_topic_t *topics[TOPICS]; /* owned; librdkafka's handle of each topic seen */
	struct intake_slot **slots[TOPICS];
	int32_t n_slots[TOPICS];
};

/* ---- slots --------------------------------------------------------------------------------- */

struct intake_slot *intake_slot(struct intake *intake, enum topic topic, int32_t partition)
{
	if (partition < 0 || partition >= intake->n_slots[topic])
		return NULL;
	return intake->slots[topic][partition];
}

static void fetch_set_paused(struct intake *intake, struct intake_slot *slot, bool paused)
{
	rd_kafka_topic_partition_list_t *list;
	rd_kafka_resp_err_t error;

	if (slot->fetch_paused == paused)
		return;
	list = rd_kafka_topic_partition_list_new(1);
	rd_kafka_topic_partition_list_add(list, topic_name(slot->place.topic),
					  slot->place.partition);
	error = paused ? rd_kafka_pause_partitions(intake->client->rk, list)
		       : rd_kafka_resume_partitions(intake->client->rk, list);
	if (!error)
		error = list->elems[0].err;
	rd_kafka_topic_partition_list_destroy(list);
	/* Without the pause more is held; a resume that fails is tried again with the next tick. */
	if (error)
		log_debug("kafka %s: %s %d: %s: %s", intake->client->role,
			  topic_name(slot->place.topic), slot->place.partition,
			  paused ? "pause" : "resume", rd_kafka_err2str(error));
	else
		slot->fetch_paused = paused;
}

static void drop_held(struct intake_slot *slot)
{
	while (slot->n_held) {
		rd_kafka_message_destroy(slot->held[slot->held_first]);
		slot->held_first = (slot->held_first + 1) & (slot->held_size - 1);
		slot->n_held--;
	}
	slot->held_bytes = 0;
}

struct intake_slot *intake_open(struct intake *intake, enum topic topic, int32_t partition)
{
	struct intake_slot *slot = intake_slot(intake, topic, partition);

	if (partition >= intake->n_slots[topic]) {
		int32_t n = partition + 1;

		intake->slots[topic] = memory_resize(intake->slots[topic], (size_t)n,
						     sizeof(*intake->slots[topic]));
		memset(intake->slots[topic] + intake->n_slots[topic], 0,
		       (size_t)(n - intake->n_slots[topic]) * sizeof(*intake->slots[topic]));
		intake->n_slots[topic] = n;
	}
	if (!slot) {
		slot = memory_zeroed(1, sizeof(*slot));
		slot->place = (struct bus_partition){ topic, partition };
		intake->slots[topic][partition] = slot;
	}
	drop_held(slot);
	slot->open = true;
	slot->hold = 0;
	slot->fresh_from = intake->batch + 1;
	return slot;
}

void intake_close(struct intake *intake, struct intake_slot *slot)
{
	drop_held(slot);
	fetch_set_paused(intake, slot, false);
	/* Unassigned, it cannot be paused any more, whatever was said. */
	slot->fetch_paused = false;
	slot->open = false;
}

void intake_discard(struct intake *intake, struct intake_slot *slot)
{
	drop_held(slot);
	fetch_set_paused(intake, slot, false);
	slot->fresh_from = intake->batch + 1;
}

void intake_hold(struct intake *intake, struct intake_slot *slot, unsigned reason)
{
	(void)intake;
	slot->hold |= reason;
}

void intake_release(struct intake *intake, struct intake_slot *slot, unsigned reason)
{
	slot->hold &= ~reason;
	if (slot->hold || !(slot->n_held || slot->fetch_paused))
		return;
	intake->releasing = true;
	intake_poke(intake);
}

static void hold_message(struct intake *intake, struct intake_slot *slot,
			 rd_kafka_message_t *message)
{
	if (slot->n_held == slot->held_size) {
		size_t size = slot->held_size ? 2 * slot->held_size : 64;
		rd_kafka_message_t **held = memory_alloc(size * sizeof(rd_kafka_message_t *));

		for (size_t i = 0; i < slot->n_held; i++)
			held[i] = slot->held[(slot->held_first + i) & (slot->held_size - 1)];
		free(slot->held);
		slot->held = held;
		slot->held_first = 0;
		slot->held_size = size;
	}
	slot->held[(slot->held_first + slot->n_held) & (slot->held_size - 1)] = message;
	slot->n_held++;
	slot->held_bytes += message->len + message->key_len;
	if (slot->hold && (slot->n_held >= HOLD_MESSAGES || slot->held_bytes >= HOLD_BYTES))
		fetch_set_paused(intake, slot, true);
}

/* ---- messages ------------------------------------------------------------------------------ */

void intake_skip_headers(struct intake *intake, enum topic topic)
{
	intake->headers_skipped[topic] = true;
}

void intake_know_topics(struct intake *intake)
{
	for (enum topic topic = 0; topic < TOPICS; topic++)
		if (!intake->topics[topic])
			intake->topics[topic] =
				rd_kafka_topic_new(intake->client->rk, topic_name(topic), NULL);
}

/* Positive: a topic that is none of ours. */
static int topic_of(struct intake *intake, rd_kafka_topic_t *handle, enum topic *ret_topic)
{
	const char *name;
	enum topic topic;

	for (topic = 0; topic < TOPICS; topic++)
		if (intake->topics[topic] == handle) {
			*ret_topic = topic;
			return 0;
		}
	name = rd_kafka_topic_name(handle);
	if (topic_by_name(name, &topic))
		return 1;
	/* A reference of our own, so that the handle stays what it is as long as we compare with it. */
	if (!intake->topics[topic])
		intake->topics[topic] = rd_kafka_topic_new(intake->client->rk, name, NULL);
	*ret_topic = topic;
	return 0;
}

static void deliver(struct intake *intake, const struct intake_slot *slot,
		    rd_kafka_message_t *message)
{
	struct header headers[MESSAGE_HEADERS_MAX];
	rd_kafka_headers_t *list;
	rd_kafka_timestamp_type_t timestamp_type;
	int64_t timestamp_ms = rd_kafka_message_timestamp(message, &timestamp_type);
	size_t n = 0;

	if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
		intake->handlers->on_end(intake->owner, slot->place, message->offset);
		rd_kafka_message_destroy(message);
		return;
	}
	if (!intake->headers_skipped[slot->place.topic] &&
	    !rd_kafka_message_headers(message, &list))
		while (n < MESSAGE_HEADERS_MAX &&
		       !rd_kafka_header_get_all(list, n, &headers[n].name, &headers[n].value,
						&headers[n].len))
			n++;
	intake->handlers->on_message(
		intake->owner, &(struct message){
				       .topic = slot->place.topic,
				       .partition = slot->place.partition,
				       .offset = message->offset,
				       .timestamp_us = timestamp_ms > 0 ? timestamp_ms * 1000 : 0,
				       .key = message->key,
				       .key_len = message->key_len,
				       .value = message->payload,
				       .value_len = message->len,
				       .headers = headers,
				       .n_headers = n,
			       });
	rd_kafka_message_destroy(message);
}

static void on_error_message(struct intake *intake, const rd_kafka_message_t *message)
{
	const char *reason = rd_kafka_message_errstr(message);
	struct intake_slot *slot = NULL;
	enum topic topic;

	if (message->rkt && !topic_of(intake, message->rkt, &topic)) {
		slot = intake_slot(intake, topic, message->partition);
		if (slot && (!slot->open || slot->fresh_from > intake->batch))
			return;
		if (slot) {
			intake->handlers->on_error(intake->owner, slot->place, message->err,
						   reason);
			return;
		}
	}
	intake->handlers->on_client_error(intake->owner, message->err, reason);
}

/* True: delivered or to be delivered. Always takes the message. */
static bool dispatch(struct intake *intake, rd_kafka_message_t *message)
{
	struct intake_slot *slot;
	enum topic topic;

	/* The end of a partition stands in line with its messages. */
	if (message->err && message->err != RD_KAFKA_RESP_ERR__PARTITION_EOF) {
		on_error_message(intake, message);
		rd_kafka_message_destroy(message);
		return false;
	}
	slot = topic_of(intake, message->rkt, &topic)
		       ? NULL
		       : intake_slot(intake, topic, message->partition);
	if (!slot || !slot->open || slot->fresh_from > intake->batch) {
		rd_kafka_message_destroy(message);
		return false;
	}
	if (slot->hold || slot->n_held) {
		hold_message(intake, slot, message);
		return false;
	}
	deliver(intake, slot, message);
	return true;
}

/* ---- a turn of the loop -------------------------------------------------------------------- */

/* Delivers what was held of partitions that are on hold no longer, up to a batch. */
static size_t serve_held(struct intake *intake)
{
	size_t delivered = 0;

	intake->releasing = false;
	for (enum topic topic = 0; topic < TOPICS; topic++) {
		for (int32_t p = 0; p < intake->n_slots[topic]; p++) {
			struct intake_slot *slot = intake->slots[topic][p];

			/* Each delivery may pause, stop or free: everything is looked at again. */
			while (slot && slot->open && !slot->hold && slot->n_held &&
			       !intake->freed) {
				rd_kafka_message_t *message = slot->held[slot->held_first];

				if (delivered == BATCH) {
					intake->releasing = true;
					return delivered;
				}
				slot->held_first = (slot->held_first + 1) & (slot->held_size - 1);
				slot->n_held--;
				slot->held_bytes -= message->len + message->key_len;
				deliver(intake, slot, message);
				delivered++;
			}
			if (intake->freed)
				return delivered;
			if (slot && slot->open && !slot->hold && !slot->n_held &&
			    slot->fetch_paused) {
				fetch_set_paused(intake, slot, false);
				intake->releasing |= slot->fetch_paused;
			}
		}
	}
	return delivered;
}

static void destroy(struct intake *intake)
{
	for (enum topic topic = 0; topic < TOPICS; topic++) {
		for (int32_t p = 0; p < intake->n_slots[topic]; p++) {
			struct intake_slot *slot = intake->slots[topic][p];

			if (!slot)
				continue;
			drop_held(slot);
			free(slot->held);
			free(slot);
		}
		free(intake->slots[topic]);
		if (intake->topics[topic])
			rd_kafka_topic_destroy(intake->topics[topic]);
	}
	kafka_client_free(intake->client);
	free(intake);
}

static void serve(struct intake *intake)
{
	size_t delivered = 0;
	ssize_t n;

	intake->serving = true;
	if (intake->releasing)
		delivered = serve_held(intake);
	if (!intake->freed) {
		/* Callbacks (rebalance, commit results) run in this call; they only take notes, so
		 * every message of the batch belongs to the assignment as it was before. */
		n = rd_kafka_consume_batch_queue(intake->queue, 0, intake->messages, BATCH);
		intake->batch++;
		for (ssize_t i = 0; i < n; i++) {
			if (intake->freed)
				rd_kafka_message_destroy(intake->messages[i]);
			else
				delivered += dispatch(intake, intake->messages[i]);
		}
		if (!intake->freed &&
		    (n == BATCH || intake->releasing || rd_kafka_queue_length(intake->queue)))
			intake_poke(intake);
	}
	if (!intake->freed && delivered && intake->handlers->on_batch_done)
		intake->handlers->on_batch_done(intake->owner);
	if (!intake->freed && intake->handlers->on_served)
		intake->handlers->on_served(intake->owner);
	intake->serving = false;
	if (intake->freed)
		destroy(intake);
}

static void on_wakeup(void *context)
{
	serve(context);
}

static void on_tick(void *context)
{
	struct intake *intake = context;

	for (enum topic topic = 0; topic < TOPICS; topic++)
		for (int32_t p = 0; p < intake->n_slots[topic]; p++)
			if (intake->slots[topic][p] && intake->slots[topic][p]->fetch_paused &&
			    !intake->slots[topic][p]->hold)
				intake->releasing = true;
	serve(intake);
}

struct intake *intake_new(struct loop *loop, struct kafka_client *client,
			  const struct intake_handlers *handlers, void *owner)
{
	struct intake *intake = memory_zeroed(1, sizeof(*intake));

	intake->loop = loop;
	intake->client = client;
	intake->handlers = handlers;
	intake->owner = owner;
	intake->queue = rd_kafka_queue_get_consumer(client->rk);
	intake->wakeup = kafka_wakeup_new(loop, intake->queue, on_wakeup, intake);
	intake->tick = loop_timer_new(loop, on_tick, intake);
	loop_timer_start(intake->tick, TICK_MS, TICK_MS);
	return intake;
}

void intake_free(struct intake *intake)
{
	if (!intake || intake->freed)
		return;
	intake->freed = true;
	kafka_wakeup_free(intake->wakeup);
	loop_timer_free(intake->tick);
	if (!intake->serving)
		destroy(intake);
}

rd_kafka_t *intake_client(struct intake *intake)
{
	return intake->client->rk;
}

rd_kafka_queue_t *intake_queue(struct intake *intake)
{
	return intake->queue;
}

void intake_redirect(struct intake *intake, rd_kafka_queue_t *queue)
{
	kafka_wakeup_free(intake->wakeup);
	intake->queue = queue;
	intake->wakeup = kafka_wakeup_new(intake->loop, queue, on_wakeup, intake);
}

void intake_poke(struct intake *intake)
{
	kafka_wakeup_poke(intake->wakeup);
}
