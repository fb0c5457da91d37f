/*
 * Readiness: all parts, and what is waited for.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "service/health.h"

static void assert_described(const struct health *health, const char *expected)
{
	struct buf text = { 0 };

	health_describe(health, &text);
	assert_string_equal(text.data ? text.data : "", expected);
	buf_deinit(&text);
}

static void test_ready_when_every_part_is(void **state)
{
	struct health *health = health_new();

	(void)state;
	assert_true(health_is_ready(health));
	health_wait(health, "redis", "connection refused");
	health_wait(health, "shard 3", "at %d of %d", 5, 9);
	assert_false(health_is_ready(health));
	assert_described(health, "redis: connection refused; shard 3: at 5 of 9");
	health_ready(health, "redis");
	assert_false(health_is_ready(health));
	assert_described(health, "shard 3: at 5 of 9");
	health_ready(health, "shard 3");
	assert_true(health_is_ready(health));
	assert_described(health, "");
	health_free(health);
}

static void test_what_is_forgotten_does_not_count(void **state)
{
	struct health *health = health_new();

	(void)state;
	health_wait(health, "shard 1", "x");
	health_wait(health, "shard 2", "y");
	health_forget(health, "shard 1");
	health_forget(health, "shard 7");
	assert_described(health, "shard 2: y");
	health_forget(health, "shard 2");
	assert_true(health_is_ready(health));
	health_free(health);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ready_when_every_part_is),
		cmocka_unit_test(test_what_is_forgotten_does_not_count),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
