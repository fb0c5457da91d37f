/*
 * What the agent believes of the log: what counts is decoded, what is void is passed over, and what is
 * broken holds it for good.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "attach/decision_log.h"

enum { NO_EPOCH = -1 };

struct test {
	struct codec *codec;
	struct decision_log log;
	struct buf marker, decision;
	struct record record; /* as the last take() gave it */
};

static int set_up(void **state)
{
	static struct test test;
	test = (struct test){ 0 };
	assert_int_equal(codec_new(&test.codec), 0);
	const struct record marker = { .type = RECORD_EPOCH_STARTED,
				       .epoch_started = { .owner = "a", .nonce = "n" } };
	const struct record decision = { .type = RECORD_GPU_RELEASED,
					 .gpu_released = { .assignment_id = "r/1",
							   .request_id = "",
							   .vm_id = "v",
							   .pool_id = "1",
							   .host = "h",
							   .code = "RELEASED" } };
	assert_int_equal(codec_encode(test.codec, &marker, &test.marker), 0);
	assert_int_equal(codec_encode(test.codec, &decision, &test.decision), 0);
	decision_log_init(&test.log, test.codec, 0, NO_EPOCH);
	*state = &test;
	return 0;
}

static int tear_down(void **state)
{
	struct test *test = *state;
	decision_log_deinit(&test->log);
	codec_free(test->codec);
	buf_deinit(&test->marker);
	buf_deinit(&test->decision);
	return 0;
}

static int take(struct test *test, int64_t offset, const void *value, size_t len, int epoch)
{
	char text[16];
	snprintf(text, sizeof(text), "%d", epoch);
	const struct header header = { .name = "ce_epoch", .value = text, .len = strlen(text) };
	const struct message message = { .topic = TOPIC_DECISIONS,
					 .offset = offset,
					 .value = value,
					 .value_len = len,
					 .headers = &header,
					 .n_headers = epoch == NO_EPOCH ? 0 : 1 };
	return decision_log_take(&test->log, &message, &test->record);
}

static int take_marker(struct test *test, int64_t offset)
{
	return take(test, offset, test->marker.data, test->marker.len, NO_EPOCH);
}

static int take_decision(struct test *test, int64_t offset, int epoch)
{
	return take(test, offset, test->decision.data, test->decision.len, epoch);
}

static void test_what_counts_is_decoded(void **state)
{
	struct test *test = *state;
	assert_int_equal(take_marker(test, 0), DECISION_NOBODYS);
	assert_int_equal(take_decision(test, 1, 0), 0);
	assert_int_equal(test->record.type, RECORD_GPU_RELEASED);
	assert_string_equal(test->record.gpu_released.assignment_id, "r/1");
	assert_int_equal(test->log.follow.next, 2);
	assert_int_equal(test->log.follow.epoch, 0);
}

static void test_a_void_record_is_nobodys_even_if_it_is_garbage(void **state)
{
	struct test *test = *state;
	assert_int_equal(take_marker(test, 0), DECISION_NOBODYS);
	assert_int_equal(take_marker(test, 1), DECISION_NOBODYS);
	assert_int_equal(take_decision(test, 2, 0), DECISION_NOBODYS);
	assert_int_equal(take(test, 3, "garbage", 7, 0), DECISION_NOBODYS);
	assert_int_equal(take_decision(test, 4, 1), 0);
}

static void test_a_remembered_position_goes_on_in_its_epoch(void **state)
{
	struct test *test = *state;
	decision_log_init(&test->log, test->codec, 7, 3);
	assert_int_equal(take_decision(test, 6, 3), DECISION_AGAIN);
	assert_int_equal(take_decision(test, 7, 3), 0);
}

static void test_a_gap_holds_for_good(void **state)
{
	struct test *test = *state;
	assert_int_equal(take_marker(test, 0), DECISION_NOBODYS);
	assert_int_equal(take_decision(test, 5, 0), DECISION_HELD);
	assert_string_equal(test->log.held.data, "the decisions from offset 1 to 4 are missing");
	/* Even the one that was missing does not help any more: who knows what else is wrong. */
	assert_int_equal(take_decision(test, 1, 0), DECISION_HELD);
	assert_int_equal(test->log.follow.next, 1);
}

static void test_what_counts_and_cannot_be_read_holds_for_good(void **state)
{
	struct test *test = *state;
	assert_int_equal(take_marker(test, 0), DECISION_NOBODYS);
	assert_int_equal(take(test, 1, "garbage", 7, 0), DECISION_HELD);
	assert_non_null(strstr(test->log.held.data, "the decision at offset 1 counts"));
	assert_int_equal(take_decision(test, 2, 0), DECISION_HELD);
}

static void test_a_tombstone_that_counts_holds(void **state)
{
	struct test *test = *state;
	assert_int_equal(take_marker(test, 0), DECISION_NOBODYS);
	assert_int_equal(take(test, 1, NULL, 0, 0), DECISION_HELD);
	assert_non_null(strstr(test->log.held.data, "no value"));
}

static void test_the_first_reason_stays(void **state)
{
	struct test *test = *state;
	decision_log_hold(&test->log, "the topic is gone");
	decision_log_hold(&test->log, "and more");
	assert_int_equal(take_marker(test, 0), DECISION_HELD);
	assert_string_equal(test->log.held.data, "the topic is gone");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_what_counts_is_decoded),
		TEST(test_a_void_record_is_nobodys_even_if_it_is_garbage),
		TEST(test_a_remembered_position_goes_on_in_its_epoch),
		TEST(test_a_gap_holds_for_good),
		TEST(test_what_counts_and_cannot_be_read_holds_for_good),
		TEST(test_a_tombstone_that_counts_holds),
		TEST(test_the_first_reason_stays),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
