/*
 * Whatever the bytes, decoding ends with a stated outcome: no crash, no read beyond them, no leak (under
 * AddressSanitizer), no memory that a short value can make it ask for.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/memory.h"
#include "codec/codec.h"
#include "raw_avro.h"
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

/* Decodes a copy that ends where the bytes end, so that AddressSanitizer sees every read beyond. */
static int decode_exactly(struct fixture *fixture, const void *data, size_t len,
			  struct record *ret_record)
{
	arena_reset(&fixture->arena);
	void *copy = memory_alloc(len);
	if (len)
		memcpy(copy, data, len);
	int r = codec_decode(fixture->codec, copy, len, &fixture->arena, ret_record);
	free(copy);
	return r;
}

static struct buf encoded(struct fixture *fixture, enum record_type type, enum sample sample)
{
	struct buf bytes = { 0 };
	struct record record = sample_record(type, sample, &fixture->arena);
	assert_int_equal(codec_encode(fixture->codec, &record, &bytes), 0);
	return bytes;
}

static void every_truncation_is_malformed(void **state)
{
	struct fixture *fixture = *state;
	for (int type = 0; type < RECORD_TYPES; type++) {
		for (int sample = 0; sample < SAMPLES; sample++) {
			struct buf bytes =
				encoded(fixture, (enum record_type)type, (enum sample)sample);
			struct record record;
			for (size_t len = 0; len < bytes.len; len++)
				assert_int_equal(decode_exactly(fixture, bytes.data, len, &record),
						 len < 2 ? CODEC_NO_FRAME : CODEC_MALFORMED);
			buf_deinit(&bytes);
		}
	}
}

static void every_byte_behind_the_record_is_malformed(void **state)
{
	struct fixture *fixture = *state;
	for (int type = 0; type < RECORD_TYPES; type++) {
		struct buf bytes = encoded(fixture, (enum record_type)type, SAMPLE_SMALL);
		struct record record;
		buf_putc(&bytes, '\0');
		assert_int_equal(decode_exactly(fixture, bytes.data, bytes.len, &record),
				 CODEC_MALFORMED);
		buf_deinit(&bytes);
	}
}

/* A value that decodes is a record like any other: it can be written, and reads the same again. */
static void assert_sound(struct fixture *fixture, const struct record *record)
{
	struct record again;
	buf_clear(&fixture->bytes);
	assert_int_equal(codec_encode(fixture->codec, record, &fixture->bytes), 0);
	assert_int_equal(codec_decode(fixture->codec, fixture->bytes.data, fixture->bytes.len,
				      &fixture->arena, &again),
			 0);
	assert_true(records_equal(record, &again));
}

static void every_changed_byte_has_an_outcome(void **state)
{
	struct fixture *fixture = *state;
	for (int type = 0; type < RECORD_TYPES; type++) {
		struct buf bytes = encoded(fixture, (enum record_type)type, SAMPLE_SMALL);
		for (size_t i = 0; i < bytes.len; i++) {
			char was = bytes.data[i];
			for (int change = 1; change < 256; change++) {
				struct record record;
				bytes.data[i] = (char)(was ^ change);
				int r = decode_exactly(fixture, bytes.data, bytes.len, &record);
				if (i < 2)
					assert_int_equal(r, i == 0 && bytes.data[0] == 0
								    ? CODEC_CONFLUENT
								    : CODEC_NO_FRAME);
				else if (i < 10)
					assert_int_equal(r, CODEC_UNKNOWN_SCHEMA);
				else if (r)
					assert_int_equal(r, CODEC_MALFORMED);
				else
					assert_sound(fixture, &record);
			}
			bytes.data[i] = was;
		}
		buf_deinit(&bytes);
	}
}

/* Bodies that no schema fits, from a generator with a fixed seed. */
static void noise_has_an_outcome(void **state)
{
	struct fixture *fixture = *state;
	uint64_t seed = 0x9e3779b97f4a7c15u;
	for (int round = 0; round < 50000; round++) {
		unsigned char bytes[74];
		struct buf frame = { 0 };
		raw_frame(&frame,
			  codec_schema_fingerprint((enum record_type)(round % RECORD_TYPES)));
		for (size_t i = 0; i < 64; i++) {
			seed ^= seed << 13;
			seed ^= seed >> 7;
			seed ^= seed << 17;
			/* Small numbers, which lengths and branches are, more often than others. */
			bytes[10 + i] = (unsigned char)(seed >> 32 & (seed & 1 ? 0x07 : 0xff));
		}
		memcpy(bytes, frame.data, 10);
		buf_deinit(&frame);

		struct record record;
		int r = decode_exactly(fixture, bytes, 10 + (size_t)(seed >> 8) % 65, &record);
		if (r)
			assert_int_equal(r, CODEC_MALFORMED);
		else
			assert_sound(fixture, &record);
	}
}

/* ---- single rules, on the fields of a VmRequested ------------------------------------------- */

/* Framed, with everything before the list of GPUs. */
static void begin_request(struct buf *bytes, const char *vm_id, size_t vm_id_len)
{
	raw_frame(bytes, codec_schema_fingerprint(RECORD_VM_REQUESTED));
	raw_text(bytes, "r");
	raw_long(bytes, (int64_t)vm_id_len);
	buf_append(bytes, vm_id, vm_id_len);
	raw_long(bytes, 0);
	raw_text(bytes, "p");
	raw_long(bytes, 0);
}

static void end_request(struct buf *bytes)
{
	for (int i = 0; i < 3; i++)
		raw_long(bytes, 0);
}

static void assert_outcome(struct fixture *fixture, struct buf *bytes, const char *why)
{
	struct record record;
	int r = decode_exactly(fixture, bytes->data, bytes->len, &record);
	if (why) {
		assert_int_equal(r, CODEC_MALFORMED);
		assert_non_null(strstr(codec_error(fixture->codec), why));
	} else {
		assert_int_equal(r, 0);
	}
	buf_deinit(bytes);
}

static void text_has_to_be_text(void **state)
{
	static const struct {
		const char *text;
		size_t len;
		bool ok;
	} cases[] = {
		{ "plain", 5, true },
		{ "eight by", 8, true },
		{ "\xf4\x8f\xbf\xbf", 4, true },
		{ "", 0, true },
		{ "a\0b", 3, false },
		{ "a long text\0with a NUL", 22, false },
		{ "\xc3", 1, false },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct buf bytes = { 0 };
		begin_request(&bytes, cases[i].text, cases[i].len);
		raw_long(&bytes, 0);
		end_request(&bytes);
		assert_outcome(*state, &bytes, cases[i].ok ? NULL : "not UTF-8");
	}
}

static void a_length_beyond_the_end_is_refused(void **state)
{
	static const int64_t lengths[] = { 2, 1000, INT64_C(1) << 33, INT64_MAX, -1, INT64_MIN };
	for (size_t i = 0; i < sizeof(lengths) / sizeof(*lengths); i++) {
		struct buf bytes = { 0 };
		raw_frame(&bytes, codec_schema_fingerprint(RECORD_VM_REQUESTED));
		raw_long(&bytes, lengths[i]);
		buf_putc(&bytes, 'r');
		assert_outcome(*state, &bytes, "a length that goes beyond its end");
	}
}

static void a_list_may_come_in_blocks(void **state)
{
	struct fixture *fixture = *state;
	struct buf bytes = { 0 };
	struct record record;
	begin_request(&bytes, "v", 1);
	raw_long(&bytes, 1);
	raw_text(&bytes, "a");
	raw_long(&bytes, 1);
	raw_long(&bytes, -2); /* a block that says its size: two items of three bytes */
	raw_long(&bytes, 6);
	raw_text(&bytes, "b");
	raw_long(&bytes, 2);
	raw_text(&bytes, "c");
	raw_long(&bytes, 3);
	raw_long(&bytes, 0);
	end_request(&bytes);

	assert_int_equal(decode_exactly(fixture, bytes.data, bytes.len, &record), 0);
	assert_int_equal(record.vm_requested.n_gpus, 3);
	assert_string_equal(record.vm_requested.gpus[0].name, "a");
	assert_string_equal(record.vm_requested.gpus[2].name, "c");
	assert_int_equal(record.vm_requested.gpus[2].count, 3);
	buf_deinit(&bytes);
}

static void a_block_has_to_have_the_size_it_says(void **state)
{
	static const struct {
		int64_t size;
		const char *why;
	} cases[] = {
		{ 3, NULL },
		{ 2, "size is not that of its items" },
		{ 4, "size is not that of its items" },
		{ 100, "a block size that goes beyond its end" },
		{ -3, "a block size that goes beyond its end" },
		{ INT64_MIN, "a block size that goes beyond its end" },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct buf bytes = { 0 };
		begin_request(&bytes, "v", 1);
		raw_long(&bytes, -1);
		raw_long(&bytes, cases[i].size);
		raw_text(&bytes, "b");
		raw_long(&bytes, 2);
		raw_long(&bytes, 0);
		end_request(&bytes);
		assert_outcome(*state, &bytes, cases[i].why);
	}
}

static void a_count_is_bounded_before_memory_is_asked_for(void **state)
{
	static const int64_t counts[] = { LIMIT_LIST_ITEMS + 1, 1 << 30, INT64_MAX, INT64_MIN };
	for (size_t i = 0; i < sizeof(counts) / sizeof(*counts); i++) {
		struct buf bytes = { 0 };
		begin_request(&bytes, "v", 1);
		raw_long(&bytes, counts[i]);
		raw_long(&bytes, 0);
		end_request(&bytes);
		assert_outcome(*state, &bytes, "too many items");
	}
}

/* Small blocks must not add up to what one block may not have. */
static void the_blocks_of_a_list_are_counted_together(void **state)
{
	for (int more = 0; more < 2; more++) {
		struct buf bytes = { 0 };
		begin_request(&bytes, "v", 1);
		for (int i = 0; i < LIMIT_LIST_ITEMS + more; i++) {
			raw_long(&bytes, 1);
			raw_text(&bytes, "");
			raw_long(&bytes, 0);
		}
		raw_long(&bytes, 0);
		end_request(&bytes);
		assert_outcome(*state, &bytes, more ? "too many items" : NULL);
	}
}

static void a_union_has_only_its_branches(void **state)
{
	static const int64_t branches[] = { 2, -1, INT64_MAX };
	for (size_t i = 0; i < sizeof(branches) / sizeof(*branches); i++) {
		struct buf bytes = { 0 };
		raw_frame(&bytes, codec_schema_fingerprint(RECORD_VM_REQUESTED));
		raw_text(&bytes, "r");
		raw_text(&bytes, "v");
		raw_long(&bytes, branches[i]);
		assert_outcome(*state, &bytes, "a union branch");
	}
}

static void a_number_has_at_most_64_bits(void **state)
{
	static const struct {
		const char *digits;
		size_t len;
		const char *why;
	} cases[] = {
		{ "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 10, NULL },
		{ "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 10, "more than 64 bits" },
		{ "\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", 11, "more than 64 bits" },
		{ "\x80\x80", 2, "ends within a number" },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct buf bytes = { 0 };
		raw_frame(&bytes, codec_schema_fingerprint(RECORD_EPOCH_STARTED));
		raw_long(&bytes, 0);
		raw_text(&bytes, "o");
		raw_text(&bytes, "n");
		buf_append(&bytes, cases[i].digits, cases[i].len);
		assert_outcome(*state, &bytes, cases[i].why);
	}
}

static void a_boolean_is_0_or_1(void **state)
{
	for (int value = 0; value < 4; value++) {
		struct buf bytes = { 0 };
		raw_frame(&bytes, codec_schema_fingerprint(RECORD_VM_RELEASED));
		raw_text(&bytes, "r");
		raw_text(&bytes, "v");
		raw_text(&bytes, "p");
		raw_long(&bytes, 1);
		buf_putc(&bytes, (char)value);
		raw_long(&bytes, 0);
		raw_long(&bytes, 0);
		raw_long(&bytes, 0);
		assert_outcome(*state, &bytes, value < 2 ? NULL : "neither 0 nor 1");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		TEST(every_truncation_is_malformed),
		TEST(every_byte_behind_the_record_is_malformed),
		TEST(every_changed_byte_has_an_outcome),
		TEST(noise_has_an_outcome),
		TEST(text_has_to_be_text),
		TEST(a_length_beyond_the_end_is_refused),
		TEST(a_list_may_come_in_blocks),
		TEST(a_block_has_to_have_the_size_it_says),
		TEST(a_count_is_bounded_before_memory_is_asked_for),
		TEST(the_blocks_of_a_list_are_counted_together),
		TEST(a_union_has_only_its_branches),
		TEST(a_number_has_at_most_64_bits),
		TEST(a_boolean_is_0_or_1),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
