#include "bus/reader.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/memory.h"
#include "bus/intake.h"

enum { LEARN_TOPICS_MS = 2000 };

struct bus_reader {
	struct loop *loop;
	struct intake *intake; /* owned */
	struct bus_reader_callbacks callbacks;
	void *context;		    /* the owner's */
	struct noted_error *noted;  /* owned, a list: to be reported at the end of this turn */
	bool serving;		    /* in on_served(), which reports errors */
	bool free_wanted;	    /* bus_reader_free() was called meanwhile */
	int32_t partitions[TOPICS]; /* of each topic at the reader's start; 0: not known */
};

struct noted_error {
	struct noted_error *next;
	struct bus_partition place;
	rd_kafka_resp_err_t error;
	char reason[256];
};

static const struct kafka_property guarantees[] = {
	/* Needed by librdkafka for assign(); no group is ever joined and nothing is committed. */
	{ "group.id", "gpubus-reader" },
	{ "enable.auto.commit", "false" },
	{ "enable.auto.offset.store", "false" },
	{ "auto.offset.reset", "error" },
	{ "enable.partition.eof", "true" },
	/* A broker answers a fetch as soon as there is anything. These are for what it cannot answer
	 * at once: a partition that is started waits for the fetch that is under way. */
	{ "fetch.wait.max.ms", "50" },
	{ "fetch.error.backoff.ms", "50" },
	/* Reading a log from its beginning: with the default of 100,000 messages the queue is full in
	 * no time, and librdkafka looks only now and then whether it has become empty. What bounds
	 * the memory is queued.max.messages.kbytes (64 MiB). */
	{ "queued.min.messages", "10000000" },
};

/* ---- from the queue ------------------------------------------------------------------------ */

static void on_message(void *owner, const struct message *message)
{
	struct bus_reader *reader = owner;

	reader->callbacks.on_message(reader->context, message);
}

static void on_end(void *owner, struct bus_partition place, int64_t next)
{
	struct bus_reader *reader = owner;

	if (reader->callbacks.on_end)
		reader->callbacks.on_end(reader->context, place, next);
}

static void on_batch_done(void *owner)
{
	struct bus_reader *reader = owner;

	if (reader->callbacks.on_batch_done)
		reader->callbacks.on_batch_done(reader->context);
}

static enum bus_reader_error kind_of(rd_kafka_resp_err_t error)
{
	switch (error) {
	case RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET:
	case RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE:
	case RD_KAFKA_RESP_ERR__NO_OFFSET:
		return BUS_READ_OFFSET_MISSING;
	case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
	case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
	case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
		return BUS_READ_NO_PARTITION;
	case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
	case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
		return BUS_READ_FORBIDDEN;
	default:
		return BUS_READ_FAILED;
	}
}

static void unassign(struct bus_reader *reader, struct bus_partition place)
{
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
	rd_kafka_error_t *error;

	rd_kafka_topic_partition_list_add(list, topic_name(place.topic), place.partition);
	error = rd_kafka_incremental_unassign(intake_client(reader->intake), list);
	rd_kafka_topic_partition_list_destroy(list);
	if (error) {
		log_warning("kafka reader: cannot stop %s %d: %s", topic_name(place.topic),
			    place.partition, rd_kafka_error_string(error));
		rd_kafka_error_destroy(error);
	}
}

static void on_error(void *owner, struct bus_partition place, rd_kafka_resp_err_t error,
		     const char *reason)
{
	struct bus_reader *reader = owner;
	struct intake_slot *slot = intake_slot(reader->intake, place.topic, place.partition);

	/* The slot is closed, so that the promise "nothing more" holds whatever librdkafka does. */
	intake_close(reader->intake, slot);
	unassign(reader, place);
	reader->callbacks.on_error(reader->context, place, kind_of(error), reason);
}

static void on_client_error(void *owner, rd_kafka_resp_err_t error, const char *reason)
{
	(void)owner;
	/* Brokers that are away come back; nothing here is about one partition. */
	if (error != RD_KAFKA_RESP_ERR__TRANSPORT && error != RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN)
		log_warning("kafka reader: %s: %s", rd_kafka_err2name(error), reason);
}

static void note_error(struct bus_reader *reader, struct bus_partition place,
		       rd_kafka_resp_err_t error, const char *reason)
{
	struct noted_error *noted = memory_zeroed(1, sizeof(*noted));

	noted->next = reader->noted;
	noted->place = place;
	noted->error = error;
	snprintf(noted->reason, sizeof(noted->reason), "%s", reason);
	reader->noted = noted;
	intake_poke(reader->intake);
}

static void on_served(void *owner)
{
	struct bus_reader *reader = owner;
	struct noted_error *noted = steal(&reader->noted);

	reader->serving = true;
	while (noted) {
		struct noted_error *next = noted->next;
		struct intake_slot *slot =
			intake_slot(reader->intake, noted->place.topic, noted->place.partition);

		if (!reader->free_wanted && slot && slot->open)
			on_error(reader, noted->place, noted->error, noted->reason);
		free(noted);
		noted = next;
	}
	reader->serving = false;
	if (reader->free_wanted)
		bus_reader_free(reader);
}

/* librdkafka's error callback, which only takes notes. That a partition does not exist comes this way,
 * with the partition in the text only: "NAME [PARTITION]: ...". */
static void on_client_problem(rd_kafka_t *rk, int error, const char *reason, void *opaque)
{
	struct kafka_client *client = opaque;
	struct bus_reader *reader = client->owner;

	(void)rk;
	if (atomic_load(&client->ending))
		return;
	for (enum topic topic = 0; topic < TOPICS; topic++) {
		const char *at = strstr(reason, topic_name(topic));
		struct intake_slot *slot;
		char *end;
		long partition;

		if (!at || strncmp(at + strlen(topic_name(topic)), " [", 2))
			continue;
		partition = strtol(at + strlen(topic_name(topic)) + 2, &end, 10);
		slot = *end == ']' ? intake_slot(reader->intake, topic, (int32_t)partition) : NULL;
		if (slot && slot->open) {
			note_error(reader, slot->place, (rd_kafka_resp_err_t)error, reason);
			return;
		}
	}
	log_debug("kafka reader: %s", reason);
}

static const struct intake_handlers handlers = {
	.on_message = on_message,
	.on_end = on_end,
	.on_batch_done = on_batch_done,
	.on_error = on_error,
	.on_client_error = on_client_error,
	.on_served = on_served,
};

/* ---- the owner's side ---------------------------------------------------------------------- */

/*
 * librdkafka looks for topics that it does not know once a second: the first partition of each would
 * start that much later, and so would every takeover after a start. No answer in time is no error: then
 * it is as slow as without.
 *
 * On the other hand it says only when it looks that a partition of a known topic does not exist: the
 * counts are kept for bus_reader_start(). They are fixed for life.
 */
static void learn_topics(struct bus_reader *reader)
{
	const struct rd_kafka_metadata *metadata;

	intake_know_topics(reader->intake);
	if (rd_kafka_metadata(intake_client(reader->intake), 0, NULL, &metadata, LEARN_TOPICS_MS))
		return;
	for (int i = 0; i < metadata->topic_cnt; i++) {
		enum topic topic;
		if (!topic_by_name(metadata->topics[i].topic, &topic) && !metadata->topics[i].err)
			reader->partitions[topic] = metadata->topics[i].partition_cnt;
	}
	rd_kafka_metadata_destroy(metadata);
}

int bus_reader_new(struct loop *loop, const struct bus_config *config,
		   const struct bus_reader_callbacks *callbacks, void *context,
		   struct bus_reader **ret_reader)
{
	struct bus_reader *reader = memory_zeroed(1, sizeof(*reader));
	rd_kafka_conf_t *conf =
		kafka_conf_new(config, guarantees, sizeof(guarantees) / sizeof(guarantees[0]));
	struct kafka_client *client;
	int outcome;

	rd_kafka_conf_set_error_cb(conf, on_client_problem);
	outcome = kafka_client_new(RD_KAFKA_CONSUMER, "reader", conf, reader, &client);
	if (outcome) {
		free(reader);
		return outcome;
	}
	rd_kafka_poll_set_consumer(client->rk);
	reader->loop = loop;
	reader->callbacks = *callbacks;
	reader->context = context;
	reader->intake = intake_new(loop, client, &handlers, reader);
	learn_topics(reader);
	*ret_reader = reader;
	return 0;
}

void bus_reader_skip_headers(struct bus_reader *reader, enum topic topic)
{
	intake_skip_headers(reader->intake, topic);
}

void bus_reader_start(struct bus_reader *reader, enum topic topic, int32_t partition,
		      int64_t offset)
{
	rd_kafka_topic_partition_list_t *list;
	rd_kafka_error_t *error;

	bus_reader_stop(reader, topic, partition);
	intake_open(reader->intake, topic, partition);
	list = rd_kafka_topic_partition_list_new(1);
	rd_kafka_topic_partition_list_add(list, topic_name(topic), partition)->offset = offset;
	error = rd_kafka_incremental_assign(intake_client(reader->intake), list);
	rd_kafka_topic_partition_list_destroy(list);
	if (error) {
		/* Only a bug here or a fatal client makes it fail. */
		note_error(reader, (struct bus_partition){ topic, partition },
			   rd_kafka_error_code(error), rd_kafka_error_string(error));
		rd_kafka_error_destroy(error);
	} else if (reader->partitions[topic] && partition >= reader->partitions[topic]) {
		note_error(reader, (struct bus_partition){ topic, partition },
			   RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION, "there is no such partition");
	}
}

void bus_reader_stop(struct bus_reader *reader, enum topic topic, int32_t partition)
{
	struct intake_slot *slot = intake_slot(reader->intake, topic, partition);

	if (!slot || !slot->open)
		return;
	intake_close(reader->intake, slot);
	unassign(reader, slot->place);
}

void bus_reader_pause(struct bus_reader *reader, enum topic topic, int32_t partition)
{
	struct intake_slot *slot = intake_slot(reader->intake, topic, partition);

	if (slot && slot->open)
		intake_hold(reader->intake, slot, INTAKE_PAUSED);
}

void bus_reader_resume(struct bus_reader *reader, enum topic topic, int32_t partition)
{
	struct intake_slot *slot = intake_slot(reader->intake, topic, partition);

	if (slot && slot->open)
		intake_release(reader->intake, slot, INTAKE_PAUSED);
}

void bus_reader_free(struct bus_reader *reader)
{
	if (!reader)
		return;
	if (reader->serving) {
		reader->free_wanted = true;
		return;
	}
	while (reader->noted) {
		struct noted_error *noted = reader->noted;

		reader->noted = noted->next;
		free(noted);
	}
	intake_free(reader->intake);
	free(reader);
}
