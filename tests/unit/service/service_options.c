/*
 * Options: which source wins, what is refused, and that operands may stand anywhere.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "service/options.h"

static const char *url;
static int64_t count;
static int64_t timeout_ms;
static bool dry;
static char lists[64];

static int add_to_list(void *target, const char *value, struct buf *error)
{
	(void)error;
	strcat(target, value);
	return 0;
}

static const struct option_spec specs[] = {
	{ .name = "redis-url",
	  .letter = 'r',
	  .argument = "URL",
	  .fallback = "redis://default",
	  .help = "Where Redis is.",
	  .set = option_set_string,
	  .target = &url },
	{ .name = "count",
	  .argument = "N",
	  .help = "How many.",
	  .set = option_set_count,
	  .target = &count },
	{ .name = "timeout",
	  .argument = "TIME",
	  .fallback = "10s",
	  .help = "How long.",
	  .set = option_set_duration_ms,
	  .target = &timeout_ms },
	{ .name = "dry-run",
	  .letter = 'n',
	  .help = "Do nothing.",
	  .set = option_set_flag,
	  .target = &dry },
	{ .name = "add",
	  .letter = 'X',
	  .no_environment = true,
	  .argument = "TEXT",
	  .help = "May be given\nmore than once.",
	  .set = add_to_list,
	  .target = lists },
};

static int operands;

/* A NULL-terminated command line; what is parsed stands in the variables above. */
static int parse(const char *usage, ...)
{
	const struct program program = {
		.name = "gpubus test",
		.summary = "Tests.",
		.usage = usage,
		.options = specs,
		.n_options = sizeof(specs) / sizeof(specs[0]),
	};
	static char *argv[16];
	static char name[] = "test";
	va_list list;
	int argc = 1;

	url = NULL;
	count = timeout_ms = -1;
	dry = false;
	lists[0] = '\0';
	operands = -1;
	argv[0] = name;
	va_start(list, usage);
	while ((argv[argc] = va_arg(list, char *)))
		argc++;
	va_end(list);
	return options_parse(&program, argc, argv, &operands);
}

static int clear_environment(void **state)
{
	(void)state;
	clearenv();
	return 0;
}

static void test_defaults(void **state)
{
	(void)state;
	assert_int_equal(parse(NULL, NULL), 0);
	assert_string_equal(url, "redis://default");
	assert_int_equal(timeout_ms, 10000);
	assert_int_equal(count, -1);
	assert_int_equal(operands, 1);
}

static void test_argument_wins_over_environment_over_default(void **state)
{
	(void)state;
	setenv("GPUBUS_REDIS_URL", "redis://environment", 1);
	setenv("GPUBUS_TIMEOUT", "3m", 1);
	setenv("GPUBUS_DRY_RUN", "yes", 1);
	setenv("GPUBUS_ADD", "never", 1);
	assert_int_equal(parse(NULL, "--redis-url", "redis://argument", NULL), 0);
	assert_string_equal(url, "redis://argument");
	assert_int_equal(timeout_ms, 180000);
	assert_true(dry);
	assert_string_equal(lists, "");
}

static void test_forms(void **state)
{
	(void)state;
	assert_int_equal(
		parse("FILE...", "-n", "one", "-rx", "-X", "a", "two", "-Xb", "--count=5", NULL),
		0);
	assert_string_equal(url, "x");
	assert_true(dry);
	assert_string_equal(lists, "ab");
	assert_int_equal(count, 5);
	assert_int_equal(operands, 7); /* "one" and "two" are behind the options now */
}

static void test_mistakes_are_outcomes(void **state)
{
	(void)state;
	assert_int_equal(parse(NULL, "--no-such", NULL), OPTIONS_WRONG);
	assert_int_equal(parse(NULL, "--count", NULL), OPTIONS_WRONG);
	assert_int_equal(parse(NULL, "--count", "many", NULL), OPTIONS_WRONG);
	assert_int_equal(parse(NULL, "--count", "-1", NULL), OPTIONS_WRONG);
	assert_int_equal(parse(NULL, "--count", "5x", NULL), OPTIONS_WRONG);
	assert_int_equal(parse(NULL, "--count", "99999999999999999999", NULL), OPTIONS_WRONG);
	assert_int_equal(parse(NULL, "--timeout", "5 parsecs", NULL), OPTIONS_WRONG);
	assert_int_equal(parse(NULL, "--timeout", "9223372036854775807h", NULL), OPTIONS_WRONG);
	assert_int_equal(parse(NULL, "--timeout", "9223372036854775s", NULL), OPTIONS_WRONG);
	assert_int_equal(parse(NULL, "--log-level", "loud", NULL), OPTIONS_WRONG);
	assert_int_equal(parse(NULL, "operand", NULL), OPTIONS_WRONG);
	setenv("GPUBUS_COUNT", "many", 1);
	assert_int_equal(parse(NULL, NULL), OPTIONS_WRONG);
}

static void test_durations(void **state)
{
	static const struct {
		const char *text;
		int64_t ms;
	} durations[] = { { "250ms", 250 },    { "10s", 10000 },    { "7", 7000 }, { "5m", 300000 },
			  { "24h", 86400000 }, { "7d", 604800000 }, { "0", 0 } };

	(void)state;
	for (size_t i = 0; i < sizeof(durations) / sizeof(durations[0]); i++) {
		assert_int_equal(parse(NULL, "--timeout", durations[i].text, NULL), 0);
		assert_int_equal(timeout_ms, durations[i].ms);
	}
}

static void test_help_and_version_end(void **state)
{
	(void)state;
	assert_int_equal(parse(NULL, "--help", NULL), OPTIONS_HELP);
	assert_int_equal(parse(NULL, "-h", "--no-such", NULL), OPTIONS_HELP);
	assert_int_equal(parse(NULL, "--version", NULL), OPTIONS_HELP);
}

#define TEST(name) cmocka_unit_test_setup(name, clear_environment)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_defaults),  TEST(test_argument_wins_over_environment_over_default),
		TEST(test_forms),     TEST(test_mistakes_are_outcomes),
		TEST(test_durations), TEST(test_help_and_version_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
