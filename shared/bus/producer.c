#include "bus/producer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/memory.h"
#include "bus/kafka.h"
#include "loop/clock.h"

enum { REPORTS_PER_TURN = 2000 };

/* One message in flight; librdkafka's opaque pointer of it. */
struct flight {
	struct flight *older; /* in the order of bus_produce() */
	struct flight *newer;
	void *token; /* the owner's */
	int64_t since_us;
};

struct bus_producer {
	struct kafka_client *client;	  /* owned */
	struct kafka_wakeup *wakeup;	  /* owned */
	rd_kafka_queue_t *queue;	  /* owned by the wakeup */
	rd_kafka_topic_t *topics[TOPICS]; /* owned; made when first used */
	struct bus_producer_callbacks callbacks;
	void *context; /* the owner's */
	struct flight *oldest;
	struct flight *newest;
	struct flight *spare; /* owned; linked by `newer` */
	size_t in_flight;
	bool broken;
	bool serving;
	bool freed;
	char last_error[256];
};

static const struct kafka_property guarantees[] = {
	{ "enable.idempotence", "true" },
	{ "acks", "all" },
	/* A record that is refused for good breaks the producer instead of leaving a gap. Messages that
	 * time out are exempt from that, so none may. */
	{ "enable.gapless.guarantee", "true" },
	{ "message.timeout.ms", "0" },
	/* Of no effect, as every message names its partition; a slip would agree with Java's. */
	{ "partitioner", "murmur2_random" },
	/* What comes while a request is under way makes the next batch; waiting longer only delays. */
	{ "linger.ms", "1" },
	{ "retry.backoff.ms", "50" },
};

/* ---- messages in flight -------------------------------------------------------------------- */

static struct flight *flight_add(struct bus_producer *producer, void *token)
{
	struct flight *flight = producer->spare;

	if (flight)
		producer->spare = flight->newer;
	else
		flight = memory_alloc(sizeof(*flight));
	*flight = (struct flight){ .older = producer->newest,
				   .token = token,
				   .since_us = clock_monotonic_us() };
	if (flight->older)
		flight->older->newer = flight;
	else
		producer->oldest = flight;
	producer->newest = flight;
	producer->in_flight++;
	return flight;
}

static void flight_remove(struct bus_producer *producer, struct flight *flight)
{
	if (flight->older)
		flight->older->newer = flight->newer;
	else
		producer->oldest = flight->newer;
	if (flight->newer)
		flight->newer->older = flight->older;
	else
		producer->newest = flight->older;
	producer->in_flight--;
	flight->newer = producer->spare;
	producer->spare = flight;
}

static void destroy(struct bus_producer *producer)
{
	while (producer->spare) {
		struct flight *flight = producer->spare;

		producer->spare = flight->newer;
		free(flight);
	}
	for (enum topic topic = 0; topic < TOPICS; topic++)
		if (producer->topics[topic])
			rd_kafka_topic_destroy(producer->topics[topic]);
	atomic_store(&producer->client->ending, true);
	/* What librdkafka still has is reported already: it shall neither be sent nor waited for. */
	rd_kafka_purge(producer->client->rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT |
						     RD_KAFKA_PURGE_F_NON_BLOCKING);
	kafka_client_free(producer->client);
	free(producer);
}

/* ---- reports ------------------------------------------------------------------------------- */

static void on_delivered(struct bus_producer *producer, const rd_kafka_message_t *message)
{
	struct flight *flight = message->_private;
	void *token = flight->token;
	enum bus_delivery outcome = BUS_DELIVERED;

	flight_remove(producer, flight);
	if (message->err) {
		outcome = rd_kafka_message_status(message) == RD_KAFKA_MSG_STATUS_NOT_PERSISTED
				  ? BUS_REFUSED
				  : BUS_UNCERTAIN;
		snprintf(producer->last_error, sizeof(producer->last_error), "%s %d: %s",
			 message->rkt ? rd_kafka_topic_name(message->rkt) : "?", message->partition,
			 rd_kafka_err2str(message->err));
	}
	producer->callbacks.on_delivery(producer->context, token, outcome,
					outcome == BUS_DELIVERED ? message->offset : -1);
}

static void on_error_event(struct bus_producer *producer, rd_kafka_event_t *event)
{
	char reason[256];

	if (!rd_kafka_event_error_is_fatal(event)) {
		/* librdkafka logs what happens to connections; they heal by themselves. */
		log_debug("kafka producer: %s", rd_kafka_event_error_string(event));
		return;
	}
	if (producer->broken)
		return;
	producer->broken = true;
	if (!rd_kafka_fatal_error(producer->client->rk, reason, sizeof(reason)))
		snprintf(reason, sizeof(reason), "%s", rd_kafka_event_error_string(event));
	snprintf(producer->last_error, sizeof(producer->last_error), "%s", reason);
	producer->callbacks.on_fatal(producer->context, reason);
}

static void on_wakeup(void *context)
{
	struct bus_producer *producer = context;
	rd_kafka_event_t *event = NULL;
	size_t reports = 0;

	producer->serving = true;
	while (!producer->freed && reports < REPORTS_PER_TURN &&
	       (event = rd_kafka_queue_poll(producer->queue, 0))) {
		const rd_kafka_message_t *message;

		switch (rd_kafka_event_type(event)) {
		case RD_KAFKA_EVENT_DR:
			while (!producer->freed && (message = rd_kafka_event_message_next(event))) {
				on_delivered(producer, message);
				reports++;
			}
			break;
		case RD_KAFKA_EVENT_ERROR:
			on_error_event(producer, event);
			break;
		default:
			break;
		}
		rd_kafka_event_destroy(event);
	}
	if (!producer->freed && event)
		kafka_wakeup_poke(producer->wakeup);
	if (!producer->freed && reports && producer->callbacks.on_batch_done)
		producer->callbacks.on_batch_done(producer->context);
	producer->serving = false;
	if (producer->freed)
		destroy(producer);
}

/* ---- the owner's side ---------------------------------------------------------------------- */

int bus_producer_new(struct loop *loop, const struct bus_config *config,
		     const struct bus_producer_callbacks *callbacks, void *context,
		     struct bus_producer **ret_producer)
{
	struct bus_producer *producer = memory_zeroed(1, sizeof(*producer));
	rd_kafka_conf_t *conf =
		kafka_conf_new(config, guarantees, sizeof(guarantees) / sizeof(guarantees[0]));
	int outcome;

	rd_kafka_conf_set_events(conf, RD_KAFKA_EVENT_DR | RD_KAFKA_EVENT_ERROR);
	outcome =
		kafka_client_new(RD_KAFKA_PRODUCER, "producer", conf, producer, &producer->client);
	if (outcome) {
		free(producer);
		return outcome;
	}
	producer->callbacks = *callbacks;
	producer->context = context;
	producer->queue = rd_kafka_queue_get_main(producer->client->rk);
	producer->wakeup = kafka_wakeup_new(loop, producer->queue, on_wakeup, producer);
	*ret_producer = producer;
	return 0;
}

static int outcome_of(struct bus_producer *producer, rd_kafka_resp_err_t error)
{
	switch (error) {
	case RD_KAFKA_RESP_ERR__QUEUE_FULL:
		return BUS_FULL;
	case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE:
		return BUS_TOO_LARGE;
	default:
		snprintf(producer->last_error, sizeof(producer->last_error), "%s",
			 rd_kafka_err2str(error));
		return BUS_BROKEN;
	}
}

int bus_produce(struct bus_producer *producer, const struct message *message, void *token)
{
	rd_kafka_topic_t **topic = &producer->topics[message->topic];
	rd_kafka_headers_t *headers = NULL;
	struct flight *flight;
	rd_kafka_error_t *error;
	int outcome = 0;

	if (producer->broken)
		return BUS_BROKEN;
	if (!*topic) {
		*topic = rd_kafka_topic_new(producer->client->rk, topic_name(message->topic), NULL);
		if (!*topic)
			return outcome_of(producer, rd_kafka_last_error());
	}
	if (message->n_headers) {
		headers = rd_kafka_headers_new(message->n_headers);
		for (size_t i = 0; i < message->n_headers; i++)
			rd_kafka_header_add(headers, message->headers[i].name, -1,
					    message->headers[i].value,
					    (ssize_t)message->headers[i].len);
	}
	flight = flight_add(producer, token);
	rd_kafka_vu_t arguments[] = {
		{ .vtype = RD_KAFKA_VTYPE_RKT, .u.rkt = *topic },
		{ .vtype = RD_KAFKA_VTYPE_PARTITION, .u.i32 = message->partition },
		{ .vtype = RD_KAFKA_VTYPE_MSGFLAGS, .u.i = RD_KAFKA_MSG_F_COPY },
		{ .vtype = RD_KAFKA_VTYPE_KEY,
		  .u.mem = { (void *)(uintptr_t)message->key, message->key_len } },
		{ .vtype = RD_KAFKA_VTYPE_VALUE,
		  .u.mem = { (void *)(uintptr_t)message->value, message->value_len } },
		{ .vtype = RD_KAFKA_VTYPE_OPAQUE, .u.ptr = flight },
		{ .vtype = RD_KAFKA_VTYPE_TIMESTAMP, .u.i64 = message->timestamp_us / 1000 },
		{ .vtype = RD_KAFKA_VTYPE_HEADERS, .u.headers = headers },
	};
	error = rd_kafka_produceva(producer->client->rk, arguments,
				   sizeof(arguments) / sizeof(arguments[0]));
	if (error) {
		outcome = outcome_of(producer, rd_kafka_error_code(error));
		rd_kafka_error_destroy(error);
		flight_remove(producer, flight);
		if (headers)
			rd_kafka_headers_destroy(headers);
	}
	return outcome;
}

size_t bus_producer_in_flight(const struct bus_producer *producer)
{
	return producer->in_flight;
}

int64_t bus_producer_oldest_age_us(const struct bus_producer *producer)
{
	return producer->oldest ? clock_monotonic_us() - producer->oldest->since_us : 0;
}

const char *bus_producer_last_error(const struct bus_producer *producer)
{
	return producer->last_error;
}

void bus_producer_purge_and_free(struct bus_producer *producer)
{
	if (!producer || producer->freed)
		return;
	producer->freed = true;
	producer->broken = true;
	kafka_wakeup_free(producer->wakeup);
	while (producer->oldest) {
		void *token = producer->oldest->token;

		flight_remove(producer, producer->oldest);
		producer->callbacks.on_delivery(producer->context, token, BUS_UNCERTAIN, -1);
	}
	if (!producer->serving)
		destroy(producer);
}
