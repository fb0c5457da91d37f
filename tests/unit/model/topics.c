/* Topics are found under both of their names. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>

#include "model/topics.h"

static void both_names_are_known(void **state)
{
	(void)state;
	for (int i = 0; i < TOPICS; i++) {
		enum topic topic = (enum topic)i, found;
		char full[64];
		snprintf(full, sizeof(full), "gpubus.%s.v1", topic_short_name(topic));
		assert_string_equal(topic_name(topic), full);
		assert_int_equal(topic_by_name(topic_name(topic), &found), 0);
		assert_int_equal(found, topic);
		assert_int_equal(topic_by_name(topic_short_name(topic), &found), 0);
		assert_int_equal(found, topic);
	}
}

static void other_names_are_not(void **state)
{
	(void)state;
	enum topic topic = TOPIC_ANSWERS;
	assert_int_equal(topic_by_name("gpubus.requests", &topic), 1);
	assert_int_equal(topic_by_name("", &topic), 1);
	assert_int_equal(topic, TOPIC_ANSWERS);
}

static void the_catalog_alone_is_whole(void **state)
{
	(void)state;
	for (int i = 0; i < TOPICS; i++)
		assert_int_equal(topic_is_sharded((enum topic)i), i != TOPIC_CATALOG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_names_are_known),
		cmocka_unit_test(other_names_are_not),
		cmocka_unit_test(the_catalog_alone_is_whole),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
