/* Which framing a value has, and what is said of each that cannot be read. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

#include "base/limits.h"
#include "base/memory.h"
#include "codec/codec.h"
#include "raw_avro.h"

static int setup(void **state)
{
	return codec_new((struct codec **)state);
}

static int teardown(void **state)
{
	codec_free(*state);
	return 0;
}

static void assert_decodes(struct codec *codec, const void *data, size_t len, int outcome,
			   const char *error)
{
	struct arena arena = { 0 };
	struct record record;
	memset(&record, 0x5a, sizeof(record));
	assert_int_equal(codec_decode(codec, data, len, &arena, &record), outcome);
	assert_string_equal(codec_error(codec), error);
	assert_int_equal((unsigned char)((char *)&record)[0], 0x5a);
	arena_deinit(&arena);
}

static void what_has_no_frame_is_said_to_have_none(void **state)
{
	assert_decodes(*state, "", 0, CODEC_NO_FRAME, "an empty value");
	assert_decodes(*state, "{\"vm_id\":1}", 11, CODEC_NO_FRAME,
		       "no Avro single-object framing: it begins with 7b, not with c3 01");
	assert_decodes(*state, "\xc3", 1, CODEC_NO_FRAME,
		       "no Avro single-object framing: it begins with c3, not with c3 01");
	assert_decodes(*state, "\xc3\x02xxxxxxxxxx", 12, CODEC_NO_FRAME,
		       "no Avro single-object framing: it begins with c3, not with c3 01");
	assert_decodes(*state, "\0\0\0\1", 4, CODEC_NO_FRAME,
		       "no Avro single-object framing: it begins with 00, not with c3 01");
}

static void confluent_framing_needs_a_registry(void **state)
{
	assert_decodes(
		*state, "\0\0\0\1\2", 5, CODEC_CONFLUENT,
		"Confluent framing with schema id 258, but no schema registry is configured");
	assert_decodes(*state, "\0\xff\xff\xff\xff body", 10, CODEC_CONFLUENT,
		       "Confluent framing with schema id 4294967295, but no schema registry is "
		       "configured");
}

static void a_schema_has_to_be_known(void **state)
{
	assert_decodes(*state, "\xc3\x01\x01\x23\x45\x67\x89\xab\xcd\xef", 10, CODEC_UNKNOWN_SCHEMA,
		       "no known schema has the fingerprint efcdab8967452301");
	assert_decodes(*state, "\xc3\x01\x01\x23", 4, CODEC_MALFORMED,
		       "the value ends within its schema's fingerprint");
}

static void a_large_value_is_not_looked_at(void **state)
{
	struct buf bytes = { 0 };
	raw_frame(&bytes, codec_schema_fingerprint(RECORD_VM_REQUESTED));
	memset(buf_reserve(&bytes, LIMIT_VALUE_BYTES), 0, LIMIT_VALUE_BYTES);
	assert_decodes(*state, bytes.data, LIMIT_VALUE_BYTES + 1, CODEC_TOO_LARGE,
		       "65537 bytes, more than 65536");
	assert_decodes(*state, bytes.data, LIMIT_VALUE_BYTES, CODEC_MALFORMED,
		       "VmRequested: the body goes on behind its last field");
	buf_deinit(&bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		TEST(what_has_no_frame_is_said_to_have_none),
		TEST(confluent_framing_needs_a_registry),
		TEST(a_schema_has_to_be_known),
		TEST(a_large_value_is_not_looked_at),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
