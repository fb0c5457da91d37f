/* What an envelope says goes into headers and comes back; what others wrote is believed or dropped. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "codec/envelope_headers.h"

#define TRACE "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

static int setup(void **state)
{
	static struct arena arena;
	arena_init(&arena);
	*state = &arena;
	return 0;
}

static int teardown(void **state)
{
	arena_deinit(*state);
	return 0;
}

static struct header header(const char *name, const char *value)
{
	return (struct header){ .name = name, .value = value, .len = strlen(value) };
}

static void assert_header(const struct header *header, const char *name, const char *value)
{
	assert_string_equal(header->name, name);
	assert_int_equal(header->len, strlen(value));
	assert_memory_equal(header->value, value, header->len);
}

static void every_part_is_a_header(void **state)
{
	const struct envelope envelope = {
		.id = "p/GpuAssigned/r/1/ASSIGNED",
		.type = "gpubus.GpuAssigned",
		.source = "gpubus/scheduler/s1",
		.time_us = 1764000000123456,
		.traceparent = TRACE,
		.epoch = 0,
		.applied = { .requests = INT64_MAX, .attachments = -1 },
		.revision = 1234567890123,
	};
	struct header headers[ENVELOPE_HEADERS_MAX];
	assert_int_equal(envelope_to_headers(&envelope, *state, headers), ENVELOPE_HEADERS_MAX);
	assert_header(&headers[0], "ce_specversion", "1.0");
	assert_header(&headers[1], "ce_id", envelope.id);
	assert_header(&headers[2], "ce_type", envelope.type);
	assert_header(&headers[3], "ce_source", envelope.source);
	assert_header(&headers[4], "ce_time", "2025-11-24T16:00:00.123456Z");
	assert_header(&headers[5], "content-type", "application/avro");
	assert_header(&headers[6], "traceparent", TRACE);
	assert_header(&headers[7], "ce_epoch", "0");
	assert_header(&headers[8], "ce_applied", "requests=9223372036854775807,attachments=-1");
	assert_header(&headers[9], "ce_revision", "1234567890123");

	struct envelope back;
	envelope_from_headers(headers, ENVELOPE_HEADERS_MAX, *state, &back);
	assert_string_equal(back.id, envelope.id);
	assert_string_equal(back.type, envelope.type);
	assert_string_equal(back.source, envelope.source);
	assert_int_equal(back.time_us, envelope.time_us);
	assert_string_equal(back.traceparent, TRACE);
	assert_int_equal(back.epoch, 0);
	assert_int_equal(back.applied.requests, INT64_MAX);
	assert_int_equal(back.applied.attachments, -1);
	assert_int_equal(back.revision, envelope.revision);
	assert_int_equal(headers_epoch(headers, ENVELOPE_HEADERS_MAX), 0);
	assert_int_equal(headers_revision(headers, ENVELOPE_HEADERS_MAX), envelope.revision);
	assert_int_equal(headers_applied(headers, ENVELOPE_HEADERS_MAX).requests, INT64_MAX);
}

static void what_is_absent_has_no_header(void **state)
{
	struct envelope envelope = ENVELOPE_EMPTY;
	struct header headers[ENVELOPE_HEADERS_MAX];
	assert_int_equal(envelope_to_headers(&envelope, *state, headers), 2);
	assert_header(&headers[0], "ce_specversion", "1.0");
	assert_header(&headers[1], "content-type", "application/avro");

	memset(&envelope, 0, sizeof(envelope));
	envelope_from_headers(headers, 2, *state, &envelope);
	assert_null(envelope.id);
	assert_null(envelope.type);
	assert_null(envelope.source);
	assert_null(envelope.traceparent);
	assert_int_equal(envelope.time_us, -1);
	assert_int_equal(envelope.epoch, -1);
	assert_int_equal(envelope.applied.requests, -1);
	assert_int_equal(envelope.applied.attachments, -1);
	assert_int_equal(envelope.revision, -1);
}

static void a_malformed_traceparent_is_not_passed_on(void **state)
{
	struct envelope envelope = ENVELOPE_EMPTY;
	struct header headers[ENVELOPE_HEADERS_MAX];
	envelope.traceparent = "00-nonsense";
	assert_int_equal(envelope_to_headers(&envelope, *state, headers), 2);

	struct header received = header("traceparent", "00-nonsense");
	envelope_from_headers(&received, 1, *state, &envelope);
	assert_null(envelope.traceparent);
}

static void traceparent_is_the_w3c_form(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		bool ok;
	} cases[] = {
		{ TRACE, true },
		{ "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00", true },
		{ "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-later", true },
		{ "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", true },
		{ "", false },
		{ "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0", false },
		{ "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-later", false },
		{ "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01later", false },
		{ "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", false },
		{ "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01", false },
		{ "00-00000000000000000000000000000000-00f067aa0ba902b7-01", false },
		{ "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01", false },
		{ "00_4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", false },
		{ "00-4bf92f3577b34da6a3ce929d0e0e4736_00f067aa0ba902b7-01", false },
		{ "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7_01", false },
		{ "00-4bf92f3577b34da6a3ce929d0e0e473g-00f067aa0ba902b7-01", false },
		{ "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-\xff", false },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		assert_int_equal(traceparent_is_valid(cases[i].text, strlen(cases[i].text)),
				 cases[i].ok);
}

static void a_number_is_decimal_digits_or_absent(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		int64_t number;
	} cases[] = {
		{ "0", 0 },	{ "41", 41 },  { "9223372036854775807", INT64_MAX },
		{ "", -1 },	{ "-1", -1 },  { "9223372036854775808", -1 },
		{ "+1", -1 },	{ " 1", -1 },  { "1 ", -1 },
		{ "0x10", -1 }, { "1.0", -1 }, { "99999999999999999999999", -1 },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct header epoch = header("ce_epoch", cases[i].text);
		struct header revision = header("ce_revision", cases[i].text);
		assert_int_equal(headers_epoch(&epoch, 1), cases[i].number);
		assert_int_equal(headers_revision(&revision, 1), cases[i].number);
		assert_int_equal(headers_epoch(&revision, 1), -1);
	}
	/* The digits need not end with a NUL. */
	struct header part = { .name = "ce_epoch", .value = "123456", .len = 3 };
	assert_int_equal(headers_epoch(&part, 1), 123);
	struct header null = { .name = "ce_epoch", .value = NULL, .len = 0 };
	assert_int_equal(headers_epoch(&null, 1), -1);
	assert_int_equal(headers_epoch(NULL, 0), -1);
}

static void positions_are_both_there_or_absent(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		int64_t requests, attachments;
	} cases[] = {
		{ "requests=41,attachments=7", 41, 7 },
		{ "requests=0,attachments=0", 0, 0 },
		{ "requests=-1,attachments=7", -1, 7 },
		{ "requests=41,attachments=-1", 41, -1 },
		{ "requests=41", -1, -1 },
		{ "requests=41,attachments=", -1, -1 },
		{ "requests=41,attachments=7 ", -1, -1 },
		{ "requests=41,attachments=7,more=8", -1, -1 },
		{ "requests=-12,attachments=7", -1, -1 },
		{ "attachments=7,requests=41", -1, -1 },
		{ "requests=9223372036854775808,attachments=7", -1, -1 },
		{ "", -1, -1 },
		{ "req", -1, -1 },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct header applied = header("ce_applied", cases[i].text);
		struct input_positions positions = headers_applied(&applied, 1);
		assert_int_equal(positions.requests, cases[i].requests);
		assert_int_equal(positions.attachments, cases[i].attachments);
	}
}

static void strange_headers_do_no_harm(void **state)
{
	static char long_text[LIMIT_TEXT_BYTES + 1];
	memset(long_text, 'x', sizeof(long_text));
	const struct header headers[] = {
		header("x-unknown", "1"),
		{ .name = "ce_id", .value = "a\0b", .len = 3 },
		{ .name = "ce_type", .value = long_text, .len = sizeof(long_text) },
		header("ce_source", "\xff"),
		header("ce_time", "yesterday"),
		header("ce_epoch", "5"),
		header("ce_epoch", "6"),
	};
	struct envelope envelope;
	envelope_from_headers(headers, sizeof(headers) / sizeof(*headers), *state, &envelope);
	assert_null(envelope.id);
	assert_null(envelope.type);
	assert_null(envelope.source);
	assert_int_equal(envelope.time_us, -1);
	assert_int_equal(envelope.epoch, 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		TEST(every_part_is_a_header),
		TEST(what_is_absent_has_no_header),
		TEST(a_malformed_traceparent_is_not_passed_on),
		TEST(traceparent_is_the_w3c_form),
		TEST(a_number_is_decimal_digits_or_absent),
		TEST(positions_are_both_there_or_absent),
		TEST(strange_headers_do_no_harm),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
