/*
 * The producer's promises: every message is reported once, none is given up silently, and what was
 * given up on purpose is called uncertain because it may be in the log.
 */
#include "fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <string.h>

#include "base/buf.h"

static void set(struct bus_config *config, const char *name, const char *value)
{
	struct buf error = { 0 };

	assert_int_equal(bus_config_set(config, BUS_CONFIG_ARGUMENT, name, value, &error), 0);
}

static bool nothing_in_flight(void *context)
{
	struct writer *writer = context;

	return !bus_producer_in_flight(writer->producer);
}

static void test_reports_each_message_once(void **state)
{
	struct fixture *fixture = *state;
	int64_t end = end_of(fixture, TOPIC_ANSWERS, 0);
	struct writer writer;
	int token;

	writer_start(&writer, fixture, fixture->config);
	for (int i = 0; i < 500; i++)
		assert_int_equal(write_one(&writer, TOPIC_ANSWERS, 0, "x", &token), 0);
	assert_int_equal(bus_producer_in_flight(writer.producer), 500);
	assert_int_equal(writer.delivered, 0); /* never from inside bus_produce() */
	WAIT_UNTIL(fixture->loop, nothing_in_flight, &writer);
	assert_int_equal(writer.delivered, 500);
	assert_int_equal(writer.last_offset, end + 499);
	assert_ptr_equal(writer.last_token, &token);
	assert_in_range(writer.batches, 1, 499);
	assert_int_equal(bus_producer_oldest_age_us(writer.producer), 0);
	bus_producer_purge_and_free(writer.producer);
	assert_int_equal(writer.delivered + writer.refused + writer.uncertain, 500);
	assert_int_equal(end_of(fixture, TOPIC_ANSWERS, 0), end + 500);
}

static void test_carries_headers_and_tombstones(void **state)
{
	static const struct header headers[] = { { "ce_id", "1", 1 }, { "empty", "", 0 } };
	struct fixture *fixture = *state;
	int64_t end = end_of(fixture, TOPIC_INVENTORY, 1);
	struct collector collector;
	struct writer writer;

	writer_start(&writer, fixture, fixture->config);
	collector_start(&collector, fixture);
	assert_int_equal(bus_produce(writer.producer,
				     &(struct message){ .topic = TOPIC_INVENTORY,
							.partition = 1,
							.key = "h/0",
							.key_len = 3,
							.headers = headers,
							.n_headers = 2 },
				     NULL),
			 0);
	bus_reader_start(collector.reader, TOPIC_INVENTORY, 1, end);
	collector.wanted = 1;
	WAIT_UNTIL(fixture->loop, has_wanted, &collector);
	assert_true(collector.seen[0].tombstone);
	assert_int_equal(collector.seen[0].n_headers, 2);
	assert_int_equal(collector.seen[0].offset, end);
	collector_stop(&collector);
	bus_producer_purge_and_free(writer.producer);
}

static void test_full_queue_is_an_outcome(void **state)
{
	struct fixture *fixture = *state;
	struct writer writer;

	set(fixture->config, "queue.buffering.max.messages", "10");
	writer_start(&writer, fixture, fixture->config);
	for (int i = 0; i < 10; i++)
		assert_int_equal(write_one(&writer, TOPIC_ANSWERS, 1, "x", NULL), 0);
	assert_int_equal(write_one(&writer, TOPIC_ANSWERS, 1, "x", NULL), BUS_FULL);
	assert_int_equal(bus_producer_in_flight(writer.producer), 10);
	WAIT_UNTIL(fixture->loop, nothing_in_flight, &writer);
	assert_int_equal(write_one(&writer, TOPIC_ANSWERS, 1, "x", NULL), 0);
	WAIT_UNTIL(fixture->loop, nothing_in_flight, &writer);
	assert_int_equal(writer.delivered, 11);
	bus_producer_purge_and_free(writer.producer);
}

static void test_too_large_is_an_outcome(void **state)
{
	static char large[3000];
	struct fixture *fixture = *state;
	struct writer writer;

	memset(large, 'x', sizeof(large) - 1);
	set(fixture->config, "message.max.bytes", "1000");
	writer_start(&writer, fixture, fixture->config);
	assert_int_equal(write_one(&writer, TOPIC_ANSWERS, 1, large, NULL), BUS_TOO_LARGE);
	assert_int_equal(bus_producer_in_flight(writer.producer), 0);
	bus_producer_purge_and_free(writer.producer);
}

static void test_purge_reports_all_as_uncertain_at_once(void **state)
{
	struct fixture *fixture = *state;
	struct writer writer;

	writer_start(&writer, fixture, fixture->config);
	for (int i = 0; i < 7; i++)
		assert_int_equal(write_one(&writer, TOPIC_ANSWERS, 2, "x", NULL), 0);
	bus_producer_purge_and_free(writer.producer);
	assert_int_equal(writer.uncertain, 7);
	assert_int_equal(writer.last_offset, -1);
	assert_false(writer.fatal);
}

/* On the mock only: the broker carries a request out, and its answer is late. */
static void test_uncertain_may_be_in_the_log(void **state)
{
	struct fixture *fixture = *state;
	int64_t end = end_of(fixture, TOPIC_DECISIONS, 2);
	struct collector collector;
	struct writer writer;

	writer_start(&writer, fixture, fixture->config);
	write_messages(&writer, fixture, TOPIC_ANSWERS, 2, "warm", 1);
	collector_start(&collector, fixture);
	bus_reader_start(collector.reader, TOPIC_DECISIONS, 2, end);
	broker_delay_next_produce_ms(60000);
	assert_int_equal(write_one(&writer, TOPIC_DECISIONS, 2, "late", NULL), 0);
	collector.wanted = 1;
	WAIT_UNTIL(fixture->loop, has_wanted, &collector);
	assert_int_equal(bus_producer_in_flight(writer.producer), 1);
	assert_true(bus_producer_oldest_age_us(writer.producer) > 0);
	bus_producer_purge_and_free(writer.producer);
	assert_int_equal(writer.uncertain, 1);
	assert_string_equal(collector.seen[0].value, "late");
	collector_stop(&collector);
}

static bool is_old(void *context)
{
	struct writer *writer = context;

	return bus_producer_oldest_age_us(writer->producer) > 300000;
}

/* On the mock only. */
static void test_waits_for_a_broker_that_is_away(void **state)
{
	struct fixture *fixture = *state;
	int64_t end = end_of(fixture, TOPIC_ANSWERS, 3);
	struct writer writer;

	writer_start(&writer, fixture, fixture->config);
	write_messages(&writer, fixture, TOPIC_ANSWERS, 3, "warm", 1);
	broker_set_down(true);
	assert_int_equal(write_one(&writer, TOPIC_ANSWERS, 3, "patient", NULL), 0);
	WAIT_UNTIL(fixture->loop, is_old, &writer);
	assert_int_equal(bus_producer_in_flight(writer.producer), 1);
	broker_set_down(false);
	WAIT_UNTIL(fixture->loop, nothing_in_flight, &writer);
	assert_int_equal(writer.delivered, 2);
	assert_int_equal(end_of(fixture, TOPIC_ANSWERS, 3), end + 2);
	bus_producer_purge_and_free(writer.producer);
}

static bool is_fatal(void *context)
{
	return ((struct writer *)context)->fatal;
}

/* On the mock only: a record that is refused for good must not leave a gap. */
static void test_refusal_breaks_the_producer(void **state)
{
	struct fixture *fixture = *state;
	struct writer writer;

	writer_start(&writer, fixture, fixture->config);
	write_messages(&writer, fixture, TOPIC_ANSWERS, 0, "warm", 1);
	broker_refuse_next_produce();
	assert_int_equal(write_one(&writer, TOPIC_ANSWERS, 0, "refused", NULL), 0);
	WAIT_UNTIL(fixture->loop, is_fatal, &writer);
	assert_int_equal(write_one(&writer, TOPIC_ANSWERS, 0, "after", NULL), BUS_BROKEN);
	bus_producer_purge_and_free(writer.producer);
	assert_int_equal(writer.delivered, 1);
	assert_int_equal(writer.refused + writer.uncertain, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest everywhere[] = {
		TEST(test_reports_each_message_once),
		TEST(test_carries_headers_and_tombstones),
		TEST(test_full_queue_is_an_outcome),
		TEST(test_too_large_is_an_outcome),
		TEST(test_purge_reports_all_as_uncertain_at_once),
	};
	const struct CMUnitTest on_the_mock[] = {
		TEST(test_uncertain_may_be_in_the_log),
		TEST(test_waits_for_a_broker_that_is_away),
		TEST(test_refusal_breaks_the_producer),
	};
	int failed;

	broker_start();
	failed = cmocka_run_group_tests_name("producer", everywhere, NULL, NULL);
	if (!broker_is_real())
		failed += cmocka_run_group_tests_name("producer, faults", on_the_mock, NULL, NULL);
	broker_stop();
	return failed;
}
