/*
 * What the writer puts into meta comes back as it was; what someone else left there counts as absent.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <hiredis/hiredis.h>

#include "store/redis_command.h"
#include "store/whereabouts.h"

/* A reply as hiredis makes it from what Redis sends: an array of bulk strings has the wire format of a
 * command. */
static redisReply *reply_of(const struct buf *wire)
{
	redisReader *reader = redisReaderCreate();
	void *reply = NULL;
	assert_int_equal(redisReaderFeed(reader, wire->data, wire->len), REDIS_OK);
	assert_int_equal(redisReaderGetReply(reader, &reply), REDIS_OK);
	assert_non_null(reply);
	redisReaderFree(reader);
	return reply;
}

static const struct store_meta extremes[] = {
	{ .epoch = 7,
	  .offset = 9,
	  .sequence = 11,
	  .digest = 0x0123456789abcdef,
	  .applied = { 41, -1 },
	  .written_at_us = 1767225600000000 },
	{ .epoch = INT64_MAX,
	  .offset = INT64_MAX,
	  .sequence = UINT64_MAX,
	  .digest = UINT64_MAX,
	  .applied = { INT64_MAX, INT64_MAX },
	  .written_at_us = INT64_MAX },
	{ .epoch = -1, .applied = { -1, -1 } },
};

static void test_round_trip(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(extremes) / sizeof(extremes[0]); i++) {
		struct buf wire = { 0 };
		struct whereabouts where;
		redis_command_begin(&wire, 6 + 2 * WHEREABOUTS_META_FIELDS);
		redis_command_text(&wire, "format");
		redis_command_text(&wire, "3");
		redis_command_text(&wire, "what_a_later_version_adds");
		redis_command_text(&wire, "x");
		whereabouts_append_meta(&wire, &extremes[i]);
		redis_command_text(&wire, "generation");
		redis_command_text(&wire, "00c0ffee00c0ffee");
		redisReply *reply = reply_of(&wire);
		whereabouts_read(&where, reply, NULL);
		assert_true(where.exists);
		assert_false(where.staging);
		assert_string_equal(where.format, "3");
		assert_string_equal(where.generation, "00c0ffee00c0ffee");
		assert_true(store_meta_same(&where.meta, &extremes[i]));
		assert_int_equal(where.meta.applied.requests, extremes[i].applied.requests);
		assert_int_equal(where.meta.applied.attachments, extremes[i].applied.attachments);
		assert_int_equal(where.meta.written_at_us, extremes[i].written_at_us);
		freeReplyObject(reply);
		buf_deinit(&wire);
	}
}

static bool staging_of(const char *epoch, const char *chunks)
{
	struct buf wire = { 0 };
	struct whereabouts where;
	redis_command_words(&wire, "generation", "g", "epoch", epoch, "chunks", chunks, NULL);
	redisReply *reply = reply_of(&wire);
	whereabouts_read(&where, reply, reply);
	assert_false(where.exists); /* not a meta */
	freeReplyObject(reply);
	buf_deinit(&wire);
	return where.staging;
}

static void test_what_is_malformed_is_absent(void **state)
{
	(void)state;
	assert_true(staging_of("5", "0"));
	assert_false(staging_of("", "0"));
	assert_false(staging_of("5x", "0"));
	assert_false(staging_of("5", "99999999999999999999"));
	assert_false(staging_of("5",
				"a text that is far too long for any of the fields that we know "
				"and would not fit"));
}

static void test_keys_carry_the_tag_of_their_shard(void **state)
{
	(void)state;
	struct buf key = { 0 };
	whereabouts_meta_key(12, &key);
	assert_string_equal(key.data, "{gpubus:12}:meta");
	buf_clear(&key);
	whereabouts_table_key(0, "beef", STORE_REQUESTS, &key);
	assert_string_equal(key.data, "{gpubus:0}:beef:requests");
	buf_deinit(&key);
}

static void test_every_table_has_a_name(void **state)
{
	(void)state;
	for (enum store_table table = 0; table < STORE_TABLES; table++) {
		enum store_table found;
		assert_int_equal(store_table_by_name(store_table_name(table), &found), 0);
		assert_int_equal(found, table);
	}
	enum store_table found;
	assert_true(store_table_by_name("tables", &found) > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_what_is_malformed_is_absent),
		cmocka_unit_test(test_keys_carry_the_tag_of_their_shard),
		cmocka_unit_test(test_every_table_has_a_name),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
