/* What goes through bytes, or through JSON, comes back as it was: every record, every kind of value. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

#include "base/limits.h"
#include "base/memory.h"
#include "codec/codec.h"
#include "codec/json.h"
#include "sample_records.h"

struct fixture {
	struct codec *codec;
	struct arena arena;
	struct buf bytes;
};

static int setup(void **state)
{
	struct fixture *fixture = memory_zeroed(1, sizeof(*fixture));
	*state = fixture;
	return codec_new(&fixture->codec);
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;
	codec_free(fixture->codec);
	arena_deinit(&fixture->arena);
	buf_deinit(&fixture->bytes);
	free(fixture);
	return 0;
}

static void every_record_comes_back_from_bytes(void **state)
{
	struct fixture *fixture = *state;
	for (int type = 0; type < RECORD_TYPES; type++) {
		for (int sample = 0; sample < SAMPLES; sample++) {
			struct record record = sample_record((enum record_type)type,
							     (enum sample)sample, &fixture->arena);
			struct record back;
			buf_clear(&fixture->bytes);
			assert_int_equal(codec_encode(fixture->codec, &record, &fixture->bytes), 0);
			assert_int_equal(codec_decode(fixture->codec, fixture->bytes.data,
						      fixture->bytes.len, &fixture->arena, &back),
					 0);
			assert_true(records_equal(&record, &back));
		}
	}
}

/* A codec reuses its avro-c values: nothing of a large record may show in a small one after it. */
static void nothing_is_left_of_the_record_before(void **state)
{
	struct fixture *fixture = *state;
	for (int type = 0; type < RECORD_TYPES; type++) {
		static const enum sample order[] = { SAMPLE_SMALL, SAMPLE_LARGE, SAMPLE_EMPTY,
						     SAMPLE_LARGE, SAMPLE_SMALL };
		struct buf first = { 0 };
		for (size_t i = 0; i < sizeof(order) / sizeof(*order); i++) {
			struct record record =
				sample_record((enum record_type)type, order[i], &fixture->arena);
			struct record back;
			buf_clear(&fixture->bytes);
			assert_int_equal(codec_encode(fixture->codec, &record, &fixture->bytes), 0);
			assert_int_equal(codec_decode(fixture->codec, fixture->bytes.data,
						      fixture->bytes.len, &fixture->arena, &back),
					 0);
			assert_true(records_equal(&record, &back));
			if (i == 0)
				buf_append(&first, fixture->bytes.data, fixture->bytes.len);
		}
		assert_int_equal(first.len, fixture->bytes.len);
		assert_memory_equal(first.data, fixture->bytes.data, first.len);
		buf_deinit(&first);
	}
}

static void every_record_comes_back_from_json(void **state)
{
	struct fixture *fixture = *state;
	for (int type = 0; type < RECORD_TYPES; type++) {
		for (int sample = 0; sample < SAMPLES; sample++) {
			struct record record = sample_record((enum record_type)type,
							     (enum sample)sample, &fixture->arena);
			struct record back;
			char *error = NULL;
			json_t *json = record_to_json(&record);
			assert_int_equal(json_object_size(json),
					 record_info((enum record_type)type)->n_fields);
			assert_int_equal(record_from_json(json, (enum record_type)type,
							  &fixture->arena, &back, &error),
					 0);
			assert_null(error);
			assert_true(records_equal(&record, &back));
			json_decref(json);
		}
	}
}

static struct record request(void)
{
	return (struct record){
		.type = RECORD_VM_REQUESTED,
		.vm_requested = { .request_id = "r",
				  .vm_id = "v",
				  .pool_id = "p",
				  .requested_at = ABSENT },
	};
}

/* The encoder appends, and what it refuses leaves no trace. */
static void a_refused_record_leaves_the_buffer_as_it_was(void **state)
{
	struct fixture *fixture = *state;
	struct record record = request();
	buf_puts(&fixture->bytes, "before");

	record.vm_requested.host = "\xc0\xaf";
	assert_int_equal(codec_encode(fixture->codec, &record, &fixture->bytes), CODEC_MALFORMED);
	assert_string_equal(codec_error(fixture->codec), "VmRequested: host is not UTF-8");
	assert_string_equal(fixture->bytes.data, "before");

	struct gpu_ask asks[] = { { "fine", 1 }, { "\xff", 1 } };
	record = request();
	record.vm_requested.gpus = asks;
	record.vm_requested.n_gpus = 2;
	assert_int_equal(codec_encode(fixture->codec, &record, &fixture->bytes), CODEC_MALFORMED);
	assert_string_equal(codec_error(fixture->codec), "VmRequested: name is not UTF-8");
	assert_string_equal(fixture->bytes.data, "before");

	record = request();
	assert_int_equal(codec_encode(fixture->codec, &record, &fixture->bytes), 0);
	assert_memory_equal(fixture->bytes.data, "before\xc3\x01", 8);
	assert_string_equal(codec_error(fixture->codec), "");
}

/* The limit is on the whole value: what one codec writes the next one must be able to read. */
static void the_largest_value_is_the_limit(void **state)
{
	struct fixture *fixture = *state;
	struct record record = request(), back;
	assert_int_equal(codec_encode(fixture->codec, &record, &fixture->bytes), 0);
	/* The id's length takes three bytes instead of one. */
	size_t room = LIMIT_VALUE_BYTES - fixture->bytes.len - 2 + 1;

	for (size_t more = 0; more < 3; more++) {
		char *id = arena_alloc(&fixture->arena, room + more + 1);
		memset(id, 'x', room + more);
		record.vm_requested.request_id = id;
		buf_clear(&fixture->bytes);
		int r = codec_encode(fixture->codec, &record, &fixture->bytes);
		assert_int_equal(r, more ? CODEC_TOO_LARGE : 0);
		if (r == 0) {
			assert_int_equal(fixture->bytes.len, LIMIT_VALUE_BYTES);
			assert_int_equal(codec_decode(fixture->codec, fixture->bytes.data,
						      fixture->bytes.len, &fixture->arena, &back),
					 0);
		} else {
			assert_int_equal(fixture->bytes.len, 0);
		}
	}
}

/* Text that no value can hold is not even copied. */
static void a_text_beyond_the_limit_is_refused(void **state)
{
	struct fixture *fixture = *state;
	struct record record = request();
	char *id = arena_alloc(&fixture->arena, LIMIT_VALUE_BYTES + 2);
	memset(id, 'x', LIMIT_VALUE_BYTES + 1);
	record.vm_requested.vm_id = id;
	assert_int_equal(codec_encode(fixture->codec, &record, &fixture->bytes), CODEC_TOO_LARGE);
	assert_string_equal(codec_error(fixture->codec), "VmRequested: vm_id is too long");
}

static void a_list_beyond_the_limit_is_refused(void **state)
{
	struct fixture *fixture = *state;
	struct record record = request(), back;
	record.vm_requested.gpus =
		arena_array(&fixture->arena, LIMIT_LIST_ITEMS + 1, sizeof(struct gpu_ask));
	for (size_t i = 0; i <= LIMIT_LIST_ITEMS; i++)
		record.vm_requested.gpus[i].name = "";

	record.vm_requested.n_gpus = LIMIT_LIST_ITEMS;
	assert_int_equal(codec_encode(fixture->codec, &record, &fixture->bytes), 0);
	assert_int_equal(codec_decode(fixture->codec, fixture->bytes.data, fixture->bytes.len,
				      &fixture->arena, &back),
			 0);
	assert_int_equal(back.vm_requested.n_gpus, LIMIT_LIST_ITEMS);

	record.vm_requested.n_gpus = LIMIT_LIST_ITEMS + 1;
	assert_int_equal(codec_encode(fixture->codec, &record, &fixture->bytes), CODEC_TOO_LARGE);
	assert_string_equal(codec_error(fixture->codec), "VmRequested: gpus is too long");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		TEST(every_record_comes_back_from_bytes),
		TEST(nothing_is_left_of_the_record_before),
		TEST(every_record_comes_back_from_json),
		TEST(a_refused_record_leaves_the_buffer_as_it_was),
		TEST(the_largest_value_is_the_limit),
		TEST(a_text_beyond_the_limit_is_refused),
		TEST(a_list_beyond_the_limit_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
