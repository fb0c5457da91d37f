#include "bus/offsets.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/memory.h"
#include "bus/kafka.h"
#include "loop/clock.h"

enum { ANSWER_TIMEOUT_MS = 10000, RETRY_MS = 20 };

/* One call of bus_offsets_ask(). */
struct question {
	struct question *next;
	bus_offsets_fn fn; /* NULL: cancelled */
	void *context;	   /* the owner's */
	char error[160];   /* "": none */
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
	atomic_bool cut_short;	  /* nobody waits for the answers any more */
	struct questions waiting; /* owned */
	struct questions asked;	  /* owned */
	bool under_way;
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

/* What passes while leaders and coordinators move; a new topic may be unknown for a moment. */
static bool is_transient(rd_kafka_resp_err_t error)
{
	switch (error) {
	case RD_KAFKA_RESP_ERR__TRANSPORT:
	case RD_KAFKA_RESP_ERR__TIMED_OUT:
	case RD_KAFKA_RESP_ERR__WAIT_COORD:
	case RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT:
	case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
	case RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE:
	case RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION:
	case RD_KAFKA_RESP_ERR_REPLICA_NOT_AVAILABLE:
	case RD_KAFKA_RESP_ERR_BROKER_NOT_AVAILABLE:
	case RD_KAFKA_RESP_ERR_KAFKA_STORAGE_ERROR:
	case RD_KAFKA_RESP_ERR_FENCED_LEADER_EPOCH:
	case RD_KAFKA_RESP_ERR_UNKNOWN_LEADER_EPOCH:
	case RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS:
	case RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE:
	case RD_KAFKA_RESP_ERR_NOT_COORDINATOR:
		return true;
	default:
		return false;
	}
}

static rd_kafka_resp_err_t ask_once(struct bus_offsets *offsets, enum which which,
				    rd_kafka_topic_partition_list_t *list, int timeout_ms)
{
	rd_kafka_t *rk = offsets->client->rk;

	/* ListOffsets takes these two in place of a time. It asks for all partitions of a broker in one
	 * request, and all brokers at once. */
	for (int i = 0; i < list->cnt; i++) {
		list->elems[i].err = RD_KAFKA_RESP_ERR_NO_ERROR;
		list->elems[i].offset =
			which == LOW ? RD_KAFKA_OFFSET_BEGINNING : RD_KAFKA_OFFSET_END;
	}
	if (which == COMMITTED)
		return rd_kafka_committed(rk, list, timeout_ms);
	return rd_kafka_offsets_for_times(rk, list, timeout_ms);
}

/* Asks until every partition has an answer or an error that will not pass. */
static void ask(struct bus_offsets *offsets, enum which which,
		rd_kafka_topic_partition_list_t *list, int64_t until_us)
{
	const struct timespec pause = { .tv_nsec = RETRY_MS * 1000000 };
	bool again;

	do {
		int64_t left_ms = (until_us - clock_monotonic_us()) / 1000;
		rd_kafka_resp_err_t error =
			ask_once(offsets, which, list, left_ms > 0 ? (int)left_ms : 1);

		again = false;
		for (int i = 0; i < list->cnt; i++) {
			if (error && !list->elems[i].err)
				list->elems[i].err = error;
			again |= is_transient(list->elems[i].err);
		}
		again = again && clock_monotonic_us() < until_us &&
			!atomic_load(&offsets->cut_short);
		if (again)
			nanosleep(&pause, NULL); /* in a thread of the pool */
	} while (again);
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

/* Gives every question its answers, or the error of one of its partitions. */
static void hand_out(struct bus_offsets *offsets, enum which which,
		     rd_kafka_topic_partition_list_t *list)
{
	for (struct question *q = offsets->asked.first; q; q = q->next) {
		for (size_t i = 0; i < q->n; i++) {
			const rd_kafka_topic_partition_t *found =
				rd_kafka_topic_partition_list_find(list,
								   topic_name(q->offsets[i].topic),
								   q->offsets[i].partition);

			if (found->err)
				snprintf(q->error, sizeof(q->error), "%s %d: %s", found->topic,
					 found->partition, rd_kafka_err2str(found->err));
			else
				set_value(&q->offsets[i], which, found->offset);
		}
	}
}

static void on_work(void *context)
{
	struct bus_offsets *offsets = context;
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(16);
	enum which last = offsets->has_group ? COMMITTED : HIGH;
	int64_t until_us = clock_monotonic_us() + (int64_t)ANSWER_TIMEOUT_MS * 1000;

	/* The same partition may be asked for in several questions. */
	for (struct question *q = offsets->asked.first; q; q = q->next)
		for (size_t i = 0; i < q->n; i++)
			if (!rd_kafka_topic_partition_list_find(
				    list, topic_name(q->offsets[i].topic), q->offsets[i].partition))
				rd_kafka_topic_partition_list_add(list,
								  topic_name(q->offsets[i].topic),
								  q->offsets[i].partition);
	for (enum which which = LOW; which <= last && list->cnt; which++) {
		ask(offsets, which, list, until_us);
		hand_out(offsets, which, list);
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
				     question->error[0] ? question->error : NULL);
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
	atomic_store(&offsets->cut_short, true);
	if (!offsets->under_way)
		destroy(offsets);
}
