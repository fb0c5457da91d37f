/*
 * Creating the topics and noticing what is wrong with them, on a real Kafka that has none.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <librdkafka/rdkafka.h>
#include <stdlib.h>
#include <string.h>

#include "bus/topics.h"
#include "model/topics.h"

static struct bus_config *config;
static struct buf report;

static const struct bus_topics_options six = { .partitions = 6 };
static const struct bus_topics_options as_they_are = { 0 };

static void assert_report_says(const char *text)
{
	if (!report.data || !strstr(report.data, text))
		fail_msg("\"%s\" is not in: %s", text, report.data);
	buf_clear(&report);
}

static size_t lines(void)
{
	size_t n = 0;

	for (const char *c = report.data; c && *c; c++)
		n += *c == '\n';
	return n;
}

static int verify(int32_t *ret_partitions)
{
	buf_clear(&report);
	return bus_topics_verify(config, &as_they_are, false, &report, ret_partitions);
}

static void test_missing_topics_are_named(void **state)
{
	int32_t partitions = -1;

	(void)state;
	assert_int_equal(verify(&partitions), BUS_TOPICS_DEVIATE);
	assert_int_equal(lines(), TOPICS);
	assert_int_equal(partitions, -1);
	assert_report_says("gpubus.decisions.v1: missing: gpubus topics apply");
}

static void test_apply_makes_verify_content(void **state)
{
	int32_t partitions = -1;

	(void)state;
	buf_clear(&report);
	assert_int_equal(bus_topics_apply(config, &six, &report), 0);
	assert_int_equal(lines(), TOPICS);
	assert_report_says("gpubus.catalog.v1: created");
	assert_int_equal(verify(&partitions), 0);
	assert_int_equal(lines(), 0);
	assert_int_equal(partitions, 6);
	assert_int_equal(bus_topics_apply(config, &as_they_are, &report), 0);
	assert_report_says("gpubus.catalog.v1: exists");
	buf_clear(&report);
	assert_int_equal(bus_topics_verify(config, &as_they_are, true, &report, &partitions), 0);
}

static void test_another_count_is_a_deviation(void **state)
{
	const struct bus_topics_options twelve = { .partitions = 12 };
	int32_t partitions;

	(void)state;
	buf_clear(&report);
	assert_int_equal(bus_topics_verify(config, &twelve, false, &report, &partitions),
			 BUS_TOPICS_DEVIATE);
	assert_int_equal(lines(), TOPICS - 1); /* the catalog has one, always */
	assert_report_says("gpubus.answers.v1: 6 partitions, must be 12");
}

/* As an operator might, by hand. Sets the topic's only non-default setting. */
static void alter(enum topic topic, const char *name, const char *value)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	rd_kafka_ConfigResource_t *resource;
	rd_kafka_queue_t *queue;
	rd_kafka_event_t *event;
	rd_kafka_t *rk;
	char error[256];

	rd_kafka_conf_set(conf, "bootstrap.servers", getenv("KAFKA_BOOTSTRAP"), NULL, 0);
	rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, error, sizeof(error));
	queue = rd_kafka_queue_new(rk);
	resource = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, topic_name(topic));
	rd_kafka_ConfigResource_set_config(resource, name, value);
	rd_kafka_AlterConfigs(rk, &resource, 1, NULL, queue);
	event = rd_kafka_queue_poll(queue, 30000);
	assert_non_null(event);
	assert_int_equal(rd_kafka_event_error(event), 0);
	rd_kafka_event_destroy(event);
	rd_kafka_ConfigResource_destroy(resource);
	rd_kafka_queue_destroy(queue);
	rd_kafka_destroy(rk);
}

static void test_a_compacted_log_is_a_deviation(void **state)
{
	int32_t partitions;
	int outcome;

	(void)state;
	alter(TOPIC_DECISIONS, "cleanup.policy", "compact");
	/* The change reaches the broker's own view a moment after the controller's. */
	for (int i = 0; !(outcome = verify(&partitions)) && i < 1000; i++)
		;
	assert_int_equal(outcome, BUS_TOPICS_DEVIATE);
	assert_non_null(strstr(report.data, "--add-config retention.ms=[-1]"));
	assert_report_says("gpubus.decisions.v1: cleanup.policy is compact, must be delete: "
			   "kafka-configs.sh --alter --entity-type topics --entity-name "
			   "gpubus.decisions.v1 --add-config cleanup.policy=[delete]");
	/* What exists is never changed by apply. */
	assert_int_equal(bus_topics_apply(config, &as_they_are, &report), BUS_TOPICS_DEVIATE);
	assert_report_says("cleanup.policy is compact");
}

static void test_nobody_there(void **state)
{
	const struct bus_topics_options soon = { .timeout_ms = 300 };
	struct bus_config *nowhere = bus_config_new();
	int32_t partitions;

	(void)state;
	buf_clear(&report);
	assert_int_equal(bus_config_option_bootstrap(nowhere, "127.0.0.1:1", &report), 0);
	assert_int_equal(bus_topics_verify(nowhere, &soon, false, &report, &partitions),
			 BUS_TOPICS_UNREACHABLE);
	assert_report_says("cannot reach Kafka: ");
	bus_config_free(nowhere);
}

int main(void)
{
	/* In this order: each goes on where the one before ended. */
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_missing_topics_are_named),
		cmocka_unit_test(test_apply_makes_verify_content),
		cmocka_unit_test(test_another_count_is_a_deviation),
		cmocka_unit_test(test_a_compacted_log_is_a_deviation),
		cmocka_unit_test(test_nobody_there),
	};
	int failed;

	config = bus_config_new();
	if (bus_config_option_bootstrap(config, getenv("KAFKA_BOOTSTRAP"), &report))
		return 1;
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	bus_config_free(config);
	buf_deinit(&report);
	if (bus_wait_destroyed(20000))
		failed++;
	return failed;
}
