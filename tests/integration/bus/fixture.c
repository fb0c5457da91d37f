#include "fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "bus/topics.h"

static rd_kafka_t *mock_client;
static rd_kafka_mock_cluster_t *mock;
static char *bootstrap;

static void start_mock(void)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	char error[256];

	rd_kafka_conf_set_log_cb(conf, NULL);
	mock_client = rd_kafka_new(RD_KAFKA_PRODUCER, conf, error, sizeof(error));
	mock = rd_kafka_mock_cluster_new(mock_client, 1);
	for (enum topic topic = 0; topic < TOPICS; topic++)
		rd_kafka_mock_topic_create(mock, topic_name(topic),
					   topic_is_sharded(topic) ? TEST_PARTITIONS : 1, 1);
	bootstrap = memory_strdup(rd_kafka_mock_cluster_bootstraps(mock));
}

static struct bus_config *config_new(void)
{
	struct bus_config *config = bus_config_new();
	struct buf error = { 0 };

	if (bus_config_set(config, BUS_CONFIG_FILE, "bootstrap.servers", bootstrap, &error))
		abort();
	return config;
}

void broker_start(void)
{
	const char *real = getenv("KAFKA_BOOTSTRAP");

	if (!real) {
		start_mock();
		return;
	}
	bootstrap = memory_strdup(real);

	cleanup(buf_deinit) struct buf report = { 0 };
	struct bus_config *config = config_new();
	const struct bus_topics_options options = { .partitions = TEST_PARTITIONS };

	if (bus_topics_apply(config, &options, &report)) {
		fprintf(stderr, "%s", report.data);
		abort();
	}
	bus_config_free(config);
}

void broker_stop(void)
{
	/* The clients under test end in the background. */
	if (bus_wait_destroyed(20000))
		fprintf(stderr, "clients are still ending\n");
	if (mock) {
		rd_kafka_mock_cluster_destroy(mock);
		rd_kafka_destroy(mock_client);
	}
	free(bootstrap);
}

bool broker_is_real(void)
{
	return !mock;
}

void broker_delay_next_produce_ms(int delay_ms)
{
	rd_kafka_mock_broker_push_request_error_rtts(mock, 1, 0 /* Produce */, 1,
						     RD_KAFKA_RESP_ERR_NO_ERROR, delay_ms);
}

void broker_refuse_next_produce(void)
{
	rd_kafka_mock_broker_push_request_error_rtts(
		mock, 1, 0 /* Produce */, 1, RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, 0);
}

void broker_set_down(bool down)
{
	if (down)
		rd_kafka_mock_broker_set_down(mock, 1);
	else
		rd_kafka_mock_broker_set_up(mock, 1);
}

int fixture_setup(void **state)
{
	struct fixture *fixture = memory_zeroed(1, sizeof(*fixture));

	fixture->loop = loop_new();
	fixture->config = config_new();
	*state = fixture;
	return 0;
}

int fixture_teardown(void **state)
{
	struct fixture *fixture = *state;

	bus_config_free(fixture->config);
	loop_free(fixture->loop);
	free(fixture);
	return 0;
}

struct waiting {
	struct loop *loop;
	bool (*condition)(void *context);
	void *context;
	bool held;
	unsigned looks;
};

enum { LOOK_MS = 1, LOOKS_MAX = 30000 };

static void look(void *context)
{
	struct waiting *waiting = context;

	waiting->held = waiting->condition(waiting->context);
	if (waiting->held || waiting->looks++ == LOOKS_MAX)
		loop_stop(waiting->loop);
}

void wait_until(struct loop *loop, bool (*condition)(void *context), void *context,
		const char *what)
{
	struct waiting waiting = { .loop = loop, .condition = condition, .context = context };
	struct loop_timer *timer = loop_timer_new(loop, look, &waiting);

	loop_timer_start(timer, 0, LOOK_MS);
	if (loop_run(loop))
		fail();
	loop_timer_free(timer);
	if (!waiting.held)
		fail_msg("waited in vain: %s", what);
}

struct ending {
	bool known;
	int64_t high;
};

static void on_end(void *context, const struct bus_offset *offsets, size_t n, const char *error)
{
	struct ending *ending = context;

	if (error || n != 1)
		fail_msg("offsets: %s", error);
	ending->high = offsets[0].high;
	ending->known = true;
}

static bool end_is_known(void *context)
{
	return ((struct ending *)context)->known;
}

int64_t end_of(struct fixture *fixture, enum topic topic, int32_t partition)
{
	struct bus_offsets *offsets;
	struct ending ending = { 0 };

	if (bus_offsets_new(fixture->loop, fixture->config, NULL, &offsets))
		fail();
	bus_offsets_ask(offsets, &(struct bus_partition){ topic, partition }, 1, on_end, &ending);
	WAIT_UNTIL(fixture->loop, end_is_known, &ending);
	bus_offsets_free(offsets);
	return ending.high;
}

/* ---- writing ------------------------------------------------------------------------------- */

static void on_delivery(void *context, void *token, enum bus_delivery outcome, int64_t offset)
{
	struct writer *writer = context;

	writer->delivered += outcome == BUS_DELIVERED;
	writer->refused += outcome == BUS_REFUSED;
	writer->uncertain += outcome == BUS_UNCERTAIN;
	writer->last_offset = offset;
	writer->last_token = token;
}

static void on_batch_done(void *context)
{
	struct writer *writer = context;

	writer->batches++;
}

static void on_fatal(void *context, const char *reason)
{
	struct writer *writer = context;

	(void)reason;
	writer->fatal = true;
}

void writer_start(struct writer *writer, struct fixture *fixture, const struct bus_config *config)
{
	static const struct bus_producer_callbacks callbacks = {
		.on_delivery = on_delivery,
		.on_batch_done = on_batch_done,
		.on_fatal = on_fatal,
	};

	*writer = (struct writer){ 0 };
	assert_int_equal(
		bus_producer_new(fixture->loop, config, &callbacks, writer, &writer->producer), 0);
}

int write_one(struct writer *writer, enum topic topic, int32_t partition, const char *value,
	      void *token)
{
	return bus_produce(writer->producer,
			   &(struct message){ .topic = topic,
					      .partition = partition,
					      .key = "key",
					      .key_len = 3,
					      .value = value,
					      .value_len = strlen(value) },
			   token);
}

static bool nothing_in_flight(void *context)
{
	struct writer *writer = context;

	return !bus_producer_in_flight(writer->producer);
}

void write_messages(struct writer *writer, struct fixture *fixture, enum topic topic,
		    int32_t partition, const char *prefix, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		char value[64];

		snprintf(value, sizeof(value), "%s%zu", prefix, i);
		assert_int_equal(write_one(writer, topic, partition, value, NULL), 0);
	}
	WAIT_UNTIL(fixture->loop, nothing_in_flight, writer);
}

/* ---- reading ------------------------------------------------------------------------------- */

void collector_note(struct collector *collector, const struct message *message)
{
	struct seen *seen = &collector->seen[collector->n];

	assert_true(collector->n < SEEN_MAX);
	*seen = (struct seen){ .place = { message->topic, message->partition },
			       .offset = message->offset,
			       .n_headers = message->n_headers,
			       .tombstone = !message->value };
	snprintf(seen->value, sizeof(seen->value), "%.*s", (int)message->value_len,
		 message->value ? (const char *)message->value : "");
	collector->n++;
	if (collector->act && collector->n == collector->act_at)
		collector->act(collector);
}

static void on_message(void *context, const struct message *message)
{
	collector_note(context, message);
}

static void on_read_batch_done(void *context)
{
	((struct collector *)context)->batches++;
}

static void on_read_error(void *context, struct bus_partition place, enum bus_reader_error kind,
			  const char *reason)
{
	struct collector *collector = context;

	assert_non_null(reason);
	collector->errors++;
	collector->last_error = kind;
	collector->last_error_place = place;
}

void collector_start(struct collector *collector, struct fixture *fixture)
{
	static const struct bus_reader_callbacks callbacks = {
		.on_message = on_message,
		.on_batch_done = on_read_batch_done,
		.on_error = on_read_error,
	};

	*collector = (struct collector){ .seen = memory_zeroed(SEEN_MAX, sizeof(struct seen)) };
	assert_int_equal(bus_reader_new(fixture->loop, fixture->config, &callbacks, collector,
					&collector->reader),
			 0);
}

void collector_stop(struct collector *collector)
{
	bus_reader_free(collector->reader);
	free(collector->seen);
}

bool has_wanted(void *context)
{
	struct collector *collector = context;

	return collector->n >= collector->wanted;
}

bool has_error(void *context)
{
	return ((struct collector *)context)->errors > 0;
}
