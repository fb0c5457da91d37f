#include "publish/publisher.h"

#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/log.h"
#include "base/memory.h"
#include "bus/producer.h"
#include "codec/envelope_headers.h"

enum { RETRY_MS = 1000 };

/*
 * An announcement is due (its newest content is not in the log), or in flight, or both: it changed while
 * the content before was on its way. Those that are due and not in flight stand in the queue.
 */
struct publisher {
	struct loop *loop;		   /* borrowed */
	const struct bus_config *config;   /* borrowed */
	const char *service;		   /* borrowed */
	struct bus_producer *producer;	   /* owned; NULL: broken, a new one comes with `retry` */
	struct loop_timer *retry;	   /* owned */
	struct arena headers;		   /* of one message */
	struct announcement *first, *last; /* the queue; borrowed */
	size_t n_in_flight;
	loop_fn on_idle;
	void *context; /* the owner's */
};

void announcement_deinit(struct announcement *announcement)
{
	free(announcement->key);
	free(announcement->event_id);
	buf_deinit(&announcement->value);
}

static void enqueue(struct publisher *publisher, struct announcement *announcement)
{
	if (announcement->queued || announcement->in_flight)
		return;
	announcement->queued = true;
	announcement->next = NULL;
	if (publisher->last)
		publisher->last->next = announcement;
	else
		publisher->first = announcement;
	publisher->last = announcement;
}

static void dequeue(struct publisher *publisher)
{
	struct announcement *announcement = publisher->first;
	publisher->first = announcement->next;
	if (!publisher->first)
		publisher->last = NULL;
	announcement->queued = false;
}

/* The bus_produce() outcome. */
static int produce(struct publisher *publisher, struct announcement *announcement)
{
	arena_reset(&publisher->headers);
	struct envelope envelope = ENVELOPE_EMPTY;
	envelope.id = announcement->event_id;
	envelope.type = announcement->event_type;
	envelope.source =
		arena_printf(&publisher->headers, "/%s/%s", publisher->service, announcement->host);
	envelope.time_us = announcement->time_us;

	struct header headers[ENVELOPE_HEADERS_MAX];
	size_t n = envelope_to_headers(&envelope, &publisher->headers, headers);
	bool tombstone = announcement->value.len == 0;
	struct message message = {
		.topic = announcement->topic,
		.partition = announcement->partition,
		.key = announcement->key,
		.key_len = strlen(announcement->key),
		.value = tombstone ? NULL : announcement->value.data,
		.value_len = announcement->value.len,
		.headers = headers,
		.n_headers = n,
	};
	return bus_produce(publisher->producer, &message, announcement);
}

static void pump(struct publisher *publisher)
{
	while (publisher->producer && publisher->first) {
		struct announcement *announcement = publisher->first;
		int r = produce(publisher, announcement);
		if (r == BUS_FULL)
			return; /* on_delivery goes on */
		if (r == BUS_BROKEN) {
			loop_timer_start(publisher->retry, RETRY_MS, 0);
			return;
		}
		dequeue(publisher);
		announcement->due = false;
		if (r != 0) {
			log_error("%s of host %s cannot be published: it is too large",
				  announcement->key, announcement->host);
			continue;
		}
		announcement->in_flight = true;
		publisher->n_in_flight++;
	}
}

/* ---- reports ------------------------------------------------------------------------------- */

static void on_delivery(void *context, void *token, enum bus_delivery outcome, int64_t offset)
{
	struct publisher *publisher = context;
	struct announcement *announcement = token;
	(void)offset;
	announcement->in_flight = false;
	publisher->n_in_flight--;
	if (outcome != BUS_DELIVERED)
		announcement->due = true;
	if (!announcement->due)
		return;
	enqueue(publisher, announcement);
	if (outcome == BUS_REFUSED) {
		log_warning("%s was refused, and is sent again: %s", announcement->key,
			    bus_producer_last_error(publisher->producer));
		loop_timer_start(publisher->retry, RETRY_MS, 0);
	}
}

static void on_batch_done(void *context)
{
	struct publisher *publisher = context;
	if (!loop_timer_is_active(publisher->retry))
		pump(publisher);
	if (publisher_is_idle(publisher))
		publisher->on_idle(publisher->context);
}

static void on_fatal(void *context, const char *reason)
{
	struct publisher *publisher = context;
	log_warning("the Kafka producer is broken, a new one is made: %s", reason);
	/* What is in flight is reported as BUS_UNCERTAIN in here, and so queued again. */
	bus_producer_purge_and_free(steal(&publisher->producer));
	loop_timer_start(publisher->retry, RETRY_MS, 0);
}

static int new_producer(struct publisher *publisher)
{
	static const struct bus_producer_callbacks callbacks = { .on_delivery = on_delivery,
								 .on_batch_done = on_batch_done,
								 .on_fatal = on_fatal };
	return bus_producer_new(publisher->loop, publisher->config, &callbacks, publisher,
				&publisher->producer);
}

static void on_retry(void *context)
{
	struct publisher *publisher = context;
	if (!publisher->producer && new_producer(publisher)) {
		loop_timer_start(publisher->retry, RETRY_MS, 0);
		return;
	}
	pump(publisher);
}

/* ---- life ---------------------------------------------------------------------------------- */

int publisher_new(struct loop *loop, const struct bus_config *config, const char *service,
		  loop_fn on_idle, void *context, struct publisher **ret_publisher)
{
	cleanup(publisher_freep) struct publisher *publisher = memory_zeroed(1, sizeof(*publisher));
	publisher->loop = loop;
	publisher->config = config;
	publisher->service = service;
	publisher->on_idle = on_idle;
	publisher->context = context;
	arena_init(&publisher->headers);
	publisher->retry = loop_timer_new(loop, on_retry, publisher);
	int r = new_producer(publisher);
	if (r)
		return r;
	*ret_publisher = steal(&publisher);
	return 0;
}

void publisher_free(struct publisher *publisher)
{
	if (!publisher)
		return;
	bus_producer_purge_and_free(steal(&publisher->producer));
	loop_timer_free(publisher->retry);
	arena_deinit(&publisher->headers);
	free(publisher);
}

void publisher_announce(struct publisher *publisher, struct announcement *announcement)
{
	announcement->due = true;
	enqueue(publisher, announcement);
	if (!loop_timer_is_active(publisher->retry))
		pump(publisher);
}

bool publisher_is_idle(const struct publisher *publisher)
{
	return !publisher->first && publisher->n_in_flight == 0;
}
