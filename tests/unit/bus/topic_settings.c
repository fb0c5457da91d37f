/*
 * What must hold for each topic: above all that nothing of decisions ever goes away.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "bus/topic_settings.h"

static bool holds(enum topic topic, int32_t replicas, const char *name, const char *actual)
{
	struct topic_setting settings[TOPIC_SETTINGS_MAX];
	size_t n = topic_settings(topic, replicas, settings);

	assert_in_range(n, 1, TOPIC_SETTINGS_MAX);
	for (size_t i = 0; i < n; i++)
		if (!strcmp(settings[i].name, name))
			return topic_setting_holds(&settings[i], actual);
	fail_msg("%s has no setting %s", topic_name(topic), name);
	return false;
}

static void test_decisions_are_kept_for_ever(void **state)
{
	(void)state;
	assert_true(holds(TOPIC_DECISIONS, 1, "cleanup.policy", "delete"));
	assert_false(holds(TOPIC_DECISIONS, 1, "cleanup.policy", "compact"));
	assert_false(holds(TOPIC_DECISIONS, 1, "cleanup.policy", "compact,delete"));
	assert_true(holds(TOPIC_DECISIONS, 1, "retention.ms", "-1"));
	assert_false(holds(TOPIC_DECISIONS, 1, "retention.ms", "604800000"));
	assert_false(holds(TOPIC_DECISIONS, 1, "retention.bytes", "1073741824"));
}

static void test_inputs_are_kept_long_enough(void **state)
{
	static const enum topic topics[] = { TOPIC_REQUESTS, TOPIC_ATTACHMENTS, TOPIC_ANSWERS };

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		assert_true(holds(topics[i], 1, "retention.ms", "604800000"));
		assert_true(holds(topics[i], 1, "retention.ms", "-1"));
		assert_true(holds(topics[i], 1, "retention.ms", "9999999999"));
		assert_false(holds(topics[i], 1, "retention.ms", "3600000"));
		assert_false(holds(topics[i], 1, "cleanup.policy", "compact"));
		assert_false(holds(topics[i], 1, "message.timestamp.type", "CreateTime"));
	}
	assert_false(holds(TOPIC_DEAD_LETTERS, 1, "retention.ms", "604800000"));
}

static void test_compaction_really_runs(void **state)
{
	static const enum topic topics[] = { TOPIC_CATALOG, TOPIC_INVENTORY, TOPIC_HOSTS };

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		assert_false(holds(topics[i], 1, "cleanup.policy", "delete"));
		assert_false(holds(topics[i], 1, "segment.ms", "604800000"));
		assert_false(holds(topics[i], 1, "min.cleanable.dirty.ratio", "0.5"));
		assert_false(holds(topics[i], 1, "max.compaction.lag.ms", "9223372036854775807"));
		assert_true(holds(topics[i], 1, "max.compaction.lag.ms", "60000"));
		assert_false(holds(topics[i], 1, "delete.retention.ms", "1000"));
	}
	assert_true(holds(TOPIC_HOSTS, 1, "cleanup.policy", "delete,compact"));
	assert_false(holds(TOPIC_HOSTS, 1, "cleanup.policy", "compact"));
	assert_true(holds(TOPIC_INVENTORY, 1, "cleanup.policy", "compact"));
}

static void test_replicas_that_must_have_a_record(void **state)
{
	(void)state;
	for (enum topic topic = 0; topic < TOPICS; topic++) {
		assert_true(holds(topic, 1, "min.insync.replicas", "1"));
		assert_false(holds(topic, 3, "min.insync.replicas", "1"));
		assert_true(holds(topic, 3, "min.insync.replicas", "2"));
		assert_false(holds(topic, 3, "unclean.leader.election.enable", "true"));
		assert_false(holds(topic, 3, "max.message.bytes", "65536"));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_decisions_are_kept_for_ever),
		cmocka_unit_test(test_inputs_are_kept_long_enough),
		cmocka_unit_test(test_compaction_really_runs),
		cmocka_unit_test(test_replicas_that_must_have_a_record),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
