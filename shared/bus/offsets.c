#include "bus/offsets.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "bus/kafka.h"

enum { ANSWER_TIMEOUT_MS = 10000 };

/* One call of bus_offsets_ask(). */
struct question {
	struct question *next;
	bus_offsets_fn fn; /* NULL: cancelled */
	void *context;	   /* the owner's */
	size_t n;
	struct bus_offset offsets[];
};

struct questions {
	struct question *first;
	struct question **last;
};

/*
 * At most one round trip is under way, with the questions of `asked`; what comes meanwhile waits in
 * `waiting` and makes the next one. The worker thread reads the partitions of `asked` and writes
 * their values; the loop touches only `fn` and `next` until the round trip is done.
 */
struct bus_offsets {
	struct loop *loop;
	struct kafka_client *client; /* owned */
	bool has_group;
	bool freed;
	struct questions waiting; /* owned */
	struct questions asked;	  /* owned */
	bool under_way;
	char error[256]; /* of the round trip; "": none */
};

static void questions_init(struct questions *questions)
{
	questions->first = NULL;
	questions->last = &questions->first;
}

static void questions_add(struct questions *questions, struct question *question)
{
	question->next = NULL;
	*questions->last = question;
	questions->last = &question->next;
}

static struct question *questions_take(struct questions *questions)
{
	struct question *question = questions->first;

	if (!question)
		return NULL;
	questions->first = question->next;
	if (!questions->first)
		questions->last = &questions->first;
	return question;
}

static void destroy(struct bus_offsets *offsets)
{
	struct question *question;

	while ((question = questions_take(&offsets->waiting)) ||
	       (question = questions_take(&offsets->asked)))
		free(question);
	kafka_client_free(offsets->client);
	free(offsets);
}

/* ---- in the worker thread ------------------------------------------------------------------ */

enum which { LOW, HIGH, COMMITTED };

static rd_kafka_resp_err_t ask(struct bus_offsets *offsets, enum which which,
			       rd_kafka_topic_partition_list_t *list)
{
	rd_kafka_t *rk = offsets->client->rk;

	if (which == COMMITTED)
		return rd_kafka_committed(rk, list, ANSWER_TIMEOUT_MS);
	/* ListOffsets takes these two in place of a time. It fetches all partitions of a broker in
	 * one request and asks all brokers at once. */
	for (int i = 0; i < list->cnt; i++)
		list->elems[i].offset =
			which == LOW ? RD_KAFKA_OFFSET_BEGINNING : RD_KAFKA_OFFSET_END;
	return rd_kafka_offsets_for_times(rk, list, ANSWER_TIMEOUT_MS);
}

static void set_value(struct bus_offset *offset, enum which which, int64_t value)
{
	switch (which) {
	case LOW:
		offset->low = value;
		break;
	case HIGH:
		offset->high = value;
		break;
	case COMMITTED:
		offset->committed = value >= 0 ? value : BUS_NONE;
		break;
	}
}

static void on_work(void *context)
{
	struct bus_offsets *offsets = context;
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(16);
	enum which last = offsets->has_group ? COMMITTED : HIGH;

	offsets->error[0] = '\0';
	/* The same partition may be asked for in several questions. */
	for (struct question *q = offsets->asked.first; q; q = q->next)
		for (size_t i = 0; i < q->n; i++)
			if (!rd_kafka_topic_partition_list_find(
				    list, topic_name(q->offsets[i].topic), q->offsets[i].partition))
				rd_kafka_topic_partition_list_add(list,
								  topic_name(q->offsets[i].topic),
								  q->offsets[i].partition);
	for (enum which which = LOW; which <= last && !offsets->error[0] && list->cnt; which++) {
		rd_kafka_resp_err_t error = ask(offsets, which, list);

		if (error)
			snprintf(offsets->error, sizeof(offsets->error), "%s",
				 rd_kafka_err2str(error));
		for (int i = 0; i < list->cnt && !offsets->error[0]; i++)
			if (list->elems[i].err)
				snprintf(offsets->error, sizeof(offsets->error), "%s %d: %s",
					 list->elems[i].topic, list->elems[i].partition,
					 rd_kafka_err2str(list->elems[i].err));
		for (struct question *q = offsets->asked.first; q && !offsets->error[0];
		     q = q->next)
			for (size_t i = 0; i < q->n; i++)
				set_value(&q->offsets[i], which,
					  rd_kafka_topic_partition_list_find(
						  list, topic_name(q->offsets[i].topic),
						  q->offsets[i].partition)
						  ->offset);
	}
	rd_kafka_topic_partition_list_destroy(list);
}

/* ---- on the loop --------------------------------------------------------------------------- */

static void on_work_done(void *context);

static void start(struct bus_offsets *offsets)
{
	if (offsets->under_way || !offsets->waiting.first)
		return;
	offsets->under_way = true;
	offsets->asked = offsets->waiting;
	questions_init(&offsets->waiting);
	loop_work(offsets->loop, on_work, on_work_done, offsets);
}

static void on_work_done(void *context)
{
	struct bus_offsets *offsets = context;
	struct question *question;

	/* Still "under way": a question asked in an answer waits for the next round trip. */
	while (!offsets->freed && (question = questions_take(&offsets->asked))) {
		if (question->fn)
			question->fn(question->context, question->offsets, question->n,
				     offsets->error[0] ? offsets->error : NULL);
		free(question);
	}
	offsets->under_way = false;
	if (offsets->freed)
		destroy(offsets);
	else
		start(offsets);
}

int bus_offsets_new(struct loop *loop, const struct bus_config *config, const char *group_id,
		    struct bus_offsets **ret_offsets)
{
	struct bus_offsets *offsets = memory_zeroed(1, sizeof(*offsets));
	const struct kafka_property properties[] = {
		{ "group.id", group_id ? group_id : "gpubus-offsets" },
		{ "enable.auto.commit", "false" },
	};
	int outcome =
		kafka_client_new(RD_KAFKA_CONSUMER, "offsets",
				 kafka_conf_new(config, properties, 2), offsets, &offsets->client);

	if (outcome) {
		free(offsets);
		return outcome;
	}
	offsets->loop = loop;
	offsets->has_group = group_id != NULL;
	questions_init(&offsets->waiting);
	questions_init(&offsets->asked);
	*ret_offsets = offsets;
	return 0;
}

void bus_offsets_ask(struct bus_offsets *offsets, const struct bus_partition *partitions, size_t n,
		     bus_offsets_fn fn, void *context)
{
	struct question *question =
		memory_zeroed(1, sizeof(*question) + n * sizeof(question->offsets[0]));

	question->fn = fn;
	question->context = context;
	question->n = n;
	for (size_t i = 0; i < n; i++)
		question->offsets[i] = (struct bus_offset){ .topic = partitions[i].topic,
							    .partition = partitions[i].partition,
							    .committed = BUS_NONE };
	questions_add(&offsets->waiting, question);
	start(offsets);
}

void bus_offsets_cancel(struct bus_offsets *offsets, const void *context)
{
	for (struct question *q = offsets->waiting.first; q; q = q->next)
		if (q->context == context)
			q->fn = NULL;
	for (struct question *q = offsets->asked.first; q; q = q->next)
		if (q->context == context)
			q->fn = NULL;
}

void bus_offsets_free(struct bus_offsets *offsets)
{
	if (!offsets || offsets->freed)
		return;
	offsets->freed = true;
	if (!offsets->under_way)
		destroy(offsets);
}
