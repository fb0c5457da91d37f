/* Times as text, against values of date(1). */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

#include "codec/rfc3339.h"

static const struct {
	const char *text;
	int64_t time_us;
} times[] = {
	{ "1970-01-01T00:00:00.000000Z", 0 },
	{ "1969-12-31T23:59:59.999999Z", -1 },
	{ "2000-02-29T12:34:56.000001Z", 951827696000001 },
	{ "2025-11-24T16:00:00.123456Z", 1764000000123456 },
	{ "2100-03-01T00:00:00.000000Z", 4107542400000000 },
	{ "1900-02-28T23:59:59.000000Z", -2203891201000000 },
	{ "0000-01-01T00:00:00.000000Z", -62167219200000000 },
	{ "9999-12-31T23:59:59.999999Z", 253402300799999999 },
};

static void times_and_texts_belong_together(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(times) / sizeof(*times); i++) {
		char text[RFC3339_TEXT_BYTES];
		int64_t time_us;
		assert_int_equal(rfc3339_format(times[i].time_us, text), 0);
		assert_string_equal(text, times[i].text);
		assert_int_equal(rfc3339_parse(text, strlen(text), &time_us), 0);
		assert_int_equal(time_us, times[i].time_us);
	}
}

/* Every day of eight centuries, leap years and all. */
static void every_day_comes_back(void **state)
{
	(void)state;
	const int64_t day_us = INT64_C(86400000000);
	char before[RFC3339_TEXT_BYTES] = "";
	for (int64_t day = -146097; day <= 146097; day++) {
		char text[RFC3339_TEXT_BYTES];
		int64_t time_us;
		assert_int_equal(rfc3339_format(day * day_us, text), 0);
		assert_true(strcmp(before, text) < 0);
		assert_int_equal(rfc3339_parse(text, strlen(text), &time_us), 0);
		assert_int_equal(time_us, day * day_us);
		memcpy(before, text, sizeof(before));
	}
}

static void years_of_more_than_four_digits_have_no_text(void **state)
{
	(void)state;
	char text[RFC3339_TEXT_BYTES];
	assert_int_equal(rfc3339_format(INT64_C(253402300800000000), text), 1);
	assert_int_equal(rfc3339_format(INT64_C(-62167219200000001), text), 1);
	assert_int_equal(rfc3339_format(INT64_MAX, text), 1);
	assert_int_equal(rfc3339_format(INT64_MIN, text), 1);
}

static void other_spellings_are_read(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		int64_t time_us;
	} cases[] = {
		{ "1970-01-01T00:00:01Z", 1000000 },
		{ "1970-01-01t00:00:01z", 1000000 },
		{ "1970-01-01 00:00:01.5Z", 1500000 },
		{ "1970-01-01T01:30:00+01:30", 0 },
		{ "1969-12-31T23:00:00.25-01:00", 250000 },
		{ "1970-01-01T00:00:00.123456789Z", 123456 },
		{ "1970-01-01T00:00:00.00000000000000000000001Z", 0 },
		{ "2016-12-31T23:59:60Z", 1483228800000000 },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		int64_t time_us;
		assert_int_equal(rfc3339_parse(cases[i].text, strlen(cases[i].text), &time_us), 0);
		assert_int_equal(time_us, cases[i].time_us);
	}
}

static void what_is_no_time_is_refused(void **state)
{
	(void)state;
	static const char *const texts[] = {
		"",
		"now",
		"1970-01-01",
		"1970-01-01T00:00:00",
		"1970-01-01T00:00Z",
		"1970-01-01T00:00:00.Z",
		"1970-01-01T00:00:00+1:00",
		"1970-01-01T00:00:00Z ",
		" 1970-01-01T00:00:00Z",
		"1970-1-01T00:00:00Z",
		"1970-00-01T00:00:00Z",
		"1970-13-01T00:00:00Z",
		"1970-01-00T00:00:00Z",
		"1970-01-32T00:00:00Z",
		"1970-04-31T00:00:00Z",
		"1970-02-29T00:00:00Z",
		"1900-02-29T00:00:00Z",
		"1970-01-01T24:00:00Z",
		"1970-01-01T00:60:00Z",
		"1970-01-01T00:00:61Z",
		"1970-01-01T00:00:00+24:00",
		"19700-01-01T00:00:00Z",
		"-970-01-01T00:00:00Z",
	};
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		int64_t time_us = 42;
		if (rfc3339_parse(texts[i], strlen(texts[i]), &time_us) != 1)
			fail_msg("%s was read", texts[i]);
		assert_int_equal(time_us, 42);
	}
	/* The text need not end with a NUL, and is not read beyond its length. */
	int64_t time_us;
	assert_int_equal(rfc3339_parse("1970-01-01T00:00:01Z", 19, &time_us), 1);
	assert_int_equal(rfc3339_parse("1970-01-01T00:00:01Zxx", 20, &time_us), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(times_and_texts_belong_together),
		cmocka_unit_test(every_day_comes_back),
		cmocka_unit_test(years_of_more_than_four_digits_have_no_text),
		cmocka_unit_test(other_spellings_are_read),
		cmocka_unit_test(what_is_no_time_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
