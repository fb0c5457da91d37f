/*
 * The reader's promises: from the offset asked for, in order, nothing twice and nothing skipped, whatever
 * is paused, stopped or started from inside its callbacks.
 */
#include "fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

enum { P0, P1, P2, P3 };

/* Each test reads what it wrote itself: from the end that the partition had before. */
struct place {
	struct fixture *fixture;
	struct writer writer;
	struct collector collector;
	int64_t end;
};

static void begin(struct place *place, struct fixture *fixture, int32_t partition, size_t messages)
{
	place->fixture = fixture;
	place->end = end_of(fixture, TOPIC_DECISIONS, partition);
	writer_start(&place->writer, fixture, fixture->config);
	write_messages(&place->writer, fixture, TOPIC_DECISIONS, partition, "m", messages);
	collector_start(&place->collector, fixture);
}

static void end(struct place *place)
{
	collector_stop(&place->collector);
	bus_producer_purge_and_free(place->writer.producer);
}

static void read_until(struct place *place, size_t wanted)
{
	place->collector.wanted = wanted;
	WAIT_UNTIL(place->fixture->loop, has_wanted, &place->collector);
}

/* Messages `from`... of the collector are "m<first>", "m<first+1>", ... */
static void assert_run(const struct collector *collector, size_t from, size_t first, size_t n)
{
	assert_true(collector->n >= from + n);
	for (size_t i = 0; i < n; i++) {
		char value[24];

		snprintf(value, sizeof(value), "m%zu", first + i);
		assert_string_equal(collector->seen[from + i].value, value);
	}
}

static void test_reads_from_the_offset_in_order(void **state)
{
	struct place place;

	begin(&place, *state, P0, 5000);
	bus_reader_start(place.collector.reader, TOPIC_DECISIONS, P0, place.end + 10);
	read_until(&place, 4990);
	assert_int_equal(place.collector.seen[0].offset, place.end + 10);
	assert_run(&place.collector, 0, 10, 4990);
	assert_true(place.collector.batches >= 4); /* a turn of the loop is bounded */
	end(&place);
}

static void test_reads_from_both_ends(void **state)
{
	struct fixture *fixture = *state;
	struct place place;

	begin(&place, fixture, P1, 3);
	bus_reader_start(place.collector.reader, TOPIC_DECISIONS, P1, BUS_BEGINNING);
	read_until(&place, (size_t)place.end + 3);
	assert_int_equal(place.collector.seen[0].offset, 0);
	assert_run(&place.collector, (size_t)place.end, 0, 3);
	end(&place);
}

static void test_missing_offset_is_an_error_of_its_partition_only(void **state)
{
	struct place place;

	begin(&place, *state, P2, 4);
	bus_reader_start(place.collector.reader, TOPIC_DECISIONS, P2, place.end);
	bus_reader_start(place.collector.reader, TOPIC_ANSWERS, P2, INT64_C(1) << 40);
	WAIT_UNTIL(place.fixture->loop, has_error, &place.collector);
	assert_int_equal(place.collector.last_error, BUS_READ_OFFSET_MISSING);
	assert_int_equal(place.collector.last_error_place.topic, TOPIC_ANSWERS);
	assert_int_equal(place.collector.last_error_place.partition, P2);
	write_messages(&place.writer, place.fixture, TOPIC_DECISIONS, P2, "m", 1);
	read_until(&place, 5);
	assert_run(&place.collector, 0, 0, 4);
	assert_int_equal(place.collector.errors, 1);
	/* It can be started again, properly. */
	bus_reader_start(place.collector.reader, TOPIC_ANSWERS, P2,
			 end_of(place.fixture, TOPIC_ANSWERS, P2));
	write_messages(&place.writer, place.fixture, TOPIC_ANSWERS, P2, "again", 1);
	read_until(&place, 6);
	assert_string_equal(place.collector.seen[5].value, "again0");
	end(&place);
}

static void test_unknown_partition_is_an_error(void **state)
{
	struct place place;

	begin(&place, *state, P2, 0);
	bus_reader_start(place.collector.reader, TOPIC_DECISIONS, TEST_PARTITIONS + 5, 0);
	WAIT_UNTIL(place.fixture->loop, has_error, &place.collector);
	assert_int_equal(place.collector.last_error, BUS_READ_NO_PARTITION);
	end(&place);
}

static void pause_here(struct collector *collector)
{
	const struct bus_partition place = collector->seen[collector->n - 1].place;

	bus_reader_pause(collector->reader, place.topic, place.partition);
}

/* More than is held in memory, so that fetching itself is paused and resumed too. */
static void test_pause_holds_exactly_there(void **state)
{
	struct place place;
	size_t other = 0;

	begin(&place, *state, P3, 9000);
	place.collector.act = pause_here;
	place.collector.act_at = 7;
	bus_reader_start(place.collector.reader, TOPIC_DECISIONS, P3, place.end);
	read_until(&place, 7);
	/* Another partition goes on meanwhile: whatever comes late has had its chance. */
	bus_reader_start(place.collector.reader, TOPIC_HOSTS, P3,
			 end_of(place.fixture, TOPIC_HOSTS, P3));
	for (; other < 5; other++) {
		write_messages(&place.writer, place.fixture, TOPIC_HOSTS, P3, "other", 1);
		read_until(&place, 8 + other);
		assert_int_equal(place.collector.n, 8 + other);
		assert_string_equal(place.collector.seen[7 + other].value, "other0");
	}
	/* Pause in the middle of what was held, too. */
	place.collector.act_at = 7 + other + 100;
	bus_reader_resume(place.collector.reader, TOPIC_DECISIONS, P3);
	read_until(&place, 7 + other + 100);
	write_messages(&place.writer, place.fixture, TOPIC_HOSTS, P3, "other", 1);
	read_until(&place, 7 + other + 101);
	assert_int_equal(place.collector.n, 7 + other + 101);
	bus_reader_resume(place.collector.reader, TOPIC_DECISIONS, P3);
	read_until(&place, 9000 + other + 1);
	assert_run(&place.collector, 0, 0, 7);
	assert_run(&place.collector, 7 + other, 7, 100);
	assert_run(&place.collector, 7 + other + 101, 107, 9000 - 107);
	end(&place);
}

static int64_t restart_at;

static void restart_here(struct collector *collector)
{
	const struct bus_partition place = collector->seen[collector->n - 1].place;

	bus_reader_stop(collector->reader, place.topic, place.partition);
	bus_reader_start(collector->reader, place.topic, place.partition, restart_at);
}

static void test_restart_delivers_nothing_of_before(void **state)
{
	struct place place;

	begin(&place, *state, P0, 2000);
	place.collector.act = restart_here;
	place.collector.act_at = 20;
	restart_at = place.end + 5;
	bus_reader_start(place.collector.reader, TOPIC_DECISIONS, P0, place.end);
	read_until(&place, 20 + 1995);
	assert_run(&place.collector, 0, 0, 20);
	assert_run(&place.collector, 20, 5, 1995);
	end(&place);
}

static void test_restarts_in_a_row_end_at_the_last(void **state)
{
	struct place place;

	begin(&place, *state, P1, 200);
	for (int i = 0; i < 100; i++)
		bus_reader_start(place.collector.reader, TOPIC_DECISIONS, P1, place.end + i);
	read_until(&place, 101);
	assert_run(&place.collector, 0, 99, 101);
	assert_int_equal(place.collector.errors, 0);
	end(&place);
}

static void stop_here(struct collector *collector)
{
	bus_reader_stop(collector->reader, TOPIC_DECISIONS, P2);
	bus_reader_stop(collector->reader, TOPIC_DECISIONS, P2);
}

static void test_stop_is_at_once(void **state)
{
	struct place place;

	begin(&place, *state, P2, 500);
	place.collector.act = stop_here;
	place.collector.act_at = 3;
	bus_reader_start(place.collector.reader, TOPIC_DECISIONS, P2, place.end);
	bus_reader_start(place.collector.reader, TOPIC_HOSTS, P2,
			 end_of(place.fixture, TOPIC_HOSTS, P2));
	read_until(&place, 3);
	write_messages(&place.writer, place.fixture, TOPIC_HOSTS, P2, "other", 1);
	read_until(&place, 4);
	assert_string_equal(place.collector.seen[3].value, "other0");
	end(&place);
}

static void free_here(struct collector *collector)
{
	bus_reader_free(collector->reader);
	collector->reader = NULL;
}

static void test_free_from_inside(void **state)
{
	struct place place;

	begin(&place, *state, P3, 500);
	place.collector.act = free_here;
	place.collector.act_at = 3;
	bus_reader_start(place.collector.reader, TOPIC_DECISIONS, P3, place.end);
	read_until(&place, 3);
	write_messages(&place.writer, place.fixture, TOPIC_DECISIONS, P3, "more", 10);
	assert_int_equal(place.collector.n, 3);
	end(&place);
}

/* On the mock only. */
static void test_goes_on_after_the_broker_was_away(void **state)
{
	struct place place;

	begin(&place, *state, P0, 10);
	bus_reader_start(place.collector.reader, TOPIC_DECISIONS, P0, place.end);
	read_until(&place, 10);
	broker_set_down(true);
	assert_int_equal(write_one(&place.writer, TOPIC_DECISIONS, P0, "m10", NULL), 0);
	bus_reader_start(place.collector.reader, TOPIC_ANSWERS, P0, BUS_BEGINNING);
	broker_set_down(false);
	read_until(&place, 11);
	assert_run(&place.collector, 0, 0, 11);
	assert_int_equal(place.collector.errors, 0);
	end(&place);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_reads_from_both_ends), /* before its partition is long */
		TEST(test_reads_from_the_offset_in_order),
		TEST(test_missing_offset_is_an_error_of_its_partition_only),
		TEST(test_unknown_partition_is_an_error),
		TEST(test_pause_holds_exactly_there),
		TEST(test_restart_delivers_nothing_of_before),
		TEST(test_restarts_in_a_row_end_at_the_last),
		TEST(test_stop_is_at_once),
		TEST(test_free_from_inside),
	};
	const struct CMUnitTest on_the_mock[] = {
		TEST(test_goes_on_after_the_broker_was_away),
	};
	int failed;

	broker_start();
	failed = cmocka_run_group_tests_name("reader", tests, NULL, NULL);
	if (!broker_is_real())
		failed += cmocka_run_group_tests_name("reader, faults", on_the_mock, NULL, NULL);
	broker_stop();
	return failed;
}
