/*
 * The epoch rule: which messages of a decisions partition count.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "codec/codec.h"
#include "follow/follow.h"

struct log {
	struct codec *codec;
	struct follow follow;
	int64_t end;
	struct buf marker;
	struct buf record;
};

static int set_up(void **state)
{
	static struct log log;
	log = (struct log){ 0 };
	assert_int_equal(codec_new(&log.codec), 0);
	struct record marker = { .type = RECORD_EPOCH_STARTED,
				 .epoch_started = { .owner = "a", .nonce = "n" } };
	struct record record = { .type = RECORD_REQUEST_COMPLETED,
				 .request_completed = { .request_id = "r",
							.request_type = "VmReleased",
							.pool_id = "1",
							.code = "NOTHING_HELD",
							.message = "" } };
	assert_int_equal(codec_encode(log.codec, &marker, &log.marker), 0);
	assert_int_equal(codec_encode(log.codec, &record, &log.record), 0);
	follow_init(&log.follow, 0, -1);
	*state = &log;
	return 0;
}

static int tear_down(void **state)
{
	struct log *log = *state;
	codec_free(log->codec);
	buf_deinit(&log->marker);
	buf_deinit(&log->record);
	return 0;
}

static enum follow_kind step(struct log *log, int64_t offset, const struct buf *value,
			     const char *epoch)
{
	struct header header = { .name = "ce_epoch",
				 .value = epoch,
				 .len = epoch ? strlen(epoch) : 0 };
	struct message message = { .topic = TOPIC_DECISIONS,
				   .offset = offset,
				   .value = value ? value->data : NULL,
				   .value_len = value ? value->len : 0,
				   .headers = &header,
				   .n_headers = epoch ? 1 : 0 };
	return follow_step(&log->follow, &message);
}

static enum follow_kind next(struct log *log, const struct buf *value, const char *epoch)
{
	return step(log, log->end++, value, epoch);
}

static void test_a_record_counts_in_its_epoch(void **state)
{
	struct log *log = *state;
	assert_int_equal(next(log, &log->marker, NULL), FOLLOW_MARKER);
	assert_int_equal(log->follow.epoch, 0);
	assert_int_equal(next(log, &log->record, "0"), FOLLOW_RECORD);
}

static void test_a_deposed_writers_record_is_void(void **state)
{
	struct log *log = *state;
	next(log, &log->marker, NULL);
	assert_int_equal(next(log, &log->record, "0"), FOLLOW_RECORD);
	assert_int_equal(next(log, &log->marker, NULL), FOLLOW_MARKER);
	assert_int_equal(log->follow.epoch, 2);
	assert_int_equal(next(log, &log->record, "0"), FOLLOW_VOID);
	assert_int_equal(next(log, &log->record, "2"), FOLLOW_RECORD);
}

/* Nobody can write for an epoch that has not begun. */
static void test_an_epoch_of_the_future_is_void(void **state)
{
	struct log *log = *state;
	next(log, &log->marker, NULL);
	assert_int_equal(next(log, &log->record, "3"), FOLLOW_VOID);
	assert_int_equal(next(log, &log->record, "0"), FOLLOW_RECORD);
}

static void test_before_the_first_marker_all_is_void(void **state)
{
	struct log *log = *state;
	assert_int_equal(next(log, &log->record, "0"), FOLLOW_VOID);
}

static void test_strangers_are_void(void **state)
{
	struct log *log = *state;
	struct buf garbage = { .data = (char[]){ "garbage" }, .len = 7 };
	next(log, &log->marker, NULL);
	assert_int_equal(next(log, &garbage, NULL), FOLLOW_VOID);
	assert_int_equal(next(log, &log->record, NULL), FOLLOW_VOID);
	assert_int_equal(next(log, NULL, NULL), FOLLOW_VOID);
	assert_int_equal(log->follow.epoch, 0);
}

/* Its owner runs a newer gpubus: what we write after it would be void for everybody but us. */
static void test_a_marker_of_an_unknown_schema_is_a_marker(void **state)
{
	struct log *log = *state;
	const struct header type = { "ce_type", "gpubus.EpochStarted", 19 };
	struct message message = { .topic = TOPIC_DECISIONS,
				   .offset = 1,
				   .value = "\xc3\1newer...body",
				   .value_len = 14,
				   .headers = &type,
				   .n_headers = 1 };
	next(log, &log->marker, NULL);
	assert_int_equal(follow_step(&log->follow, &message), FOLLOW_MARKER);
	assert_int_equal(log->follow.epoch, 1);
	/* The type alone is not enough. */
	message.offset = 2;
	message.value = "garbage";
	message.value_len = 7;
	assert_int_equal(follow_step(&log->follow, &message), FOLLOW_VOID);
}

/* An old owner that copies a marker into its own epoch starts nothing. */
static void test_a_marker_with_an_epoch_is_no_marker(void **state)
{
	struct log *log = *state;
	next(log, &log->marker, NULL);
	next(log, &log->marker, NULL);
	assert_int_equal(next(log, &log->marker, "0"), FOLLOW_VOID);
	assert_int_equal(log->follow.epoch, 1);
}

static void test_seen_again_changes_nothing(void **state)
{
	struct log *log = *state;
	next(log, &log->marker, NULL);
	next(log, &log->marker, NULL);
	assert_int_equal(step(log, 0, &log->marker, NULL), FOLLOW_AGAIN);
	assert_int_equal(log->follow.epoch, 1);
	assert_int_equal(log->follow.next, 2);
}

static void test_a_gap_is_an_error_and_not_skipped(void **state)
{
	struct log *log = *state;
	next(log, &log->marker, NULL);
	assert_int_equal(step(log, 2, &log->record, "0"), FOLLOW_GAP);
	assert_int_equal(log->follow.next, 1);
	assert_int_equal(step(log, 1, &log->record, "0"), FOLLOW_RECORD);
}

static void test_starts_where_the_epoch_is_known(void **state)
{
	struct log *log = *state;
	follow_init(&log->follow, 7, 5);
	assert_int_equal(step(log, 7, &log->record, "5"), FOLLOW_RECORD);
	assert_int_equal(step(log, 8, &log->record, "4"), FOLLOW_VOID);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_a_record_counts_in_its_epoch),
		TEST(test_a_deposed_writers_record_is_void),
		TEST(test_an_epoch_of_the_future_is_void),
		TEST(test_before_the_first_marker_all_is_void),
		TEST(test_strangers_are_void),
		TEST(test_a_marker_of_an_unknown_schema_is_a_marker),
		TEST(test_a_marker_with_an_epoch_is_no_marker),
		TEST(test_seen_again_changes_nothing),
		TEST(test_a_gap_is_an_error_and_not_skipped),
		TEST(test_starts_where_the_epoch_is_known),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
