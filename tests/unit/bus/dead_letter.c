/*
 * A dead letter carries the original unchanged, and says where it stood and what is wrong with it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "base/limits.h"
#include "bus/dead_letter.h"

static const struct header *find(const struct message *message, const char *name)
{
	for (size_t i = 0; i < message->n_headers; i++)
		if (!strcmp(message->headers[i].name, name))
			return &message->headers[i];
	fail_msg("no header %s", name);
	return NULL;
}

static void assert_header(const struct message *message, const char *name, const char *value)
{
	const struct header *header = find(message, name);

	assert_int_equal(header->len, strlen(value));
	assert_memory_equal(header->value, value, header->len);
}

static void test_carries_the_original_and_its_origin(void **state)
{
	static const struct header headers[] = { { "ce_id", "abc", 3 } };
	const struct message original = {
		.topic = TOPIC_REQUESTS,
		.partition = 7,
		.offset = 123456789012,
		.timestamp_us = 5,
		.key = "pool",
		.key_len = 4,
		.value = "\0\1",
		.value_len = 2,
		.headers = headers,
		.n_headers = 1,
	};
	struct dead_letter letter;

	(void)state;
	dead_letter_make(&letter, &original, "TRUNCATED", "the value ends too early",
			 INT64_C(1767225600000042));
	assert_int_equal(letter.message.topic, TOPIC_DEAD_LETTERS);
	assert_int_equal(letter.message.partition, 7);
	assert_int_equal(letter.message.timestamp_us, 0);
	assert_memory_equal(letter.message.key, "pool", 4);
	assert_int_equal(letter.message.value_len, 2);
	assert_ptr_equal(letter.message.value, original.value);
	assert_int_equal(letter.message.n_headers, 7);
	assert_header(&letter.message, "ce_id", "abc");
	assert_header(&letter.message, "dl_topic", "gpubus.requests.v1");
	assert_header(&letter.message, "dl_partition", "7");
	assert_header(&letter.message, "dl_offset", "123456789012");
	assert_header(&letter.message, "dl_code", "TRUNCATED");
	assert_header(&letter.message, "dl_error", "the value ends too early");
	assert_header(&letter.message, "dl_time", "2026-01-01T00:00:00.000042Z");
}

static void test_limits_hold(void **state)
{
	struct header headers[MESSAGE_HEADERS_MAX];
	char error[2 * DEAD_LETTER_ERROR_BYTES + 1];
	struct message original = { .headers = headers, .n_headers = MESSAGE_HEADERS_MAX };
	struct dead_letter letter;
	const struct header *cut;

	(void)state;
	for (size_t i = 0; i < MESSAGE_HEADERS_MAX; i++)
		headers[i] = (struct header){ "x", "y", 1 };
	/* Two-byte characters, one of which the limit would cut in half. */
	for (size_t i = 0; i + 1 < sizeof(error); i += 2)
		memcpy(error + i, "\xc3\xa9", 2);
	error[sizeof(error) - 1] = '\0';
	dead_letter_make(&letter, &original, "CODE", error, 0);
	assert_int_equal(letter.message.n_headers, MESSAGE_HEADERS_MAX + DEAD_LETTER_HEADERS - 1);
	assert_null(letter.message.value);
	cut = find(&letter.message, "dl_error");
	assert_int_equal(cut->len, DEAD_LETTER_ERROR_BYTES - 2);
	assert_memory_equal(cut->value, error, cut->len);
	assert_header(&letter.message, "dl_time", "1970-01-01T00:00:00.000000Z");
}

static void test_what_a_producer_would_refuse_is_cut(void **state)
{
	static char large[1024 * 1024];
	const struct header headers[] = { { "ce_id", large, LIMIT_META_BYTES } };
	struct message original = {
		.key = "pool", .key_len = 4, .value = large, .value_len = sizeof(large)
	};
	struct dead_letter letter;

	(void)state;
	dead_letter_make(&letter, &original, "TOO_LARGE", "over 64 KiB", 0);
	assert_int_equal(letter.message.value_len, LIMIT_DEAD_VALUE_BYTES);
	assert_int_equal(letter.message.key_len, 4);
	assert_header(&letter.message, "dl_cut", "value");

	original.headers = headers;
	original.n_headers = 1;
	dead_letter_make(&letter, &original, "TOO_LARGE", "over 64 KiB", 0);
	assert_null(letter.message.key);
	assert_int_equal(letter.message.n_headers, DEAD_LETTER_HEADERS);
	assert_header(&letter.message, "dl_cut", "both");

	original.value_len = 2;
	dead_letter_make(&letter, &original, "TOO_LARGE", "over 64 KiB", 0);
	assert_int_equal(letter.message.value_len, 2);
	assert_header(&letter.message, "dl_cut", "meta");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_carries_the_original_and_its_origin),
		cmocka_unit_test(test_limits_hold),
		cmocka_unit_test(test_what_a_producer_would_refuse_is_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
