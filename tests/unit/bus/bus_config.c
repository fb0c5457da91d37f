/*
 * Kafka properties: which source wins, what is refused, and that secrets never come out.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "bus/config.h"

struct fixture {
	struct bus_config *config;
	struct buf error;
};

static int setup(void **state)
{
	struct fixture *fixture = memory_zeroed(1, sizeof(*fixture));

	fixture->config = bus_config_new();
	*state = fixture;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;

	bus_config_free(fixture->config);
	buf_deinit(&fixture->error);
	free(fixture);
	return 0;
}

static void assert_refused(struct fixture *fixture, int outcome, const char *why)
{
	assert_true(outcome > 0);
	assert_non_null(fixture->error.data);
	if (!strstr(fixture->error.data, why))
		fail_msg("\"%s\" does not say \"%s\"", fixture->error.data, why);
	buf_clear(&fixture->error);
}

static void test_argument_wins_over_environment_over_file(void **state)
{
	static char one[] = "GPUBUS_KAFKA_LINGER_MS=2", two[] = "GPUBUS_KAFKA_CLIENT_ID=env",
		    other[] = "GPUBUS_REDIS_URL=x";
	char *environment[] = { one, two, other, NULL };
	struct fixture *f = *state;

	assert_int_equal(bus_config_option_property(f->config, "linger.ms = 3", &f->error), 0);
	assert_int_equal(bus_config_read_environment(f->config, environment, &f->error), 0);
	assert_int_equal(bus_config_set(f->config, BUS_CONFIG_FILE, "linger.ms", "1", &f->error),
			 0);
	assert_int_equal(bus_config_set(f->config, BUS_CONFIG_FILE, "client.id", "file", &f->error),
			 0);
	assert_string_equal(bus_config_get(f->config, "linger.ms"), "3");
	assert_string_equal(bus_config_get(f->config, "client.id"), "env");
	assert_int_equal(bus_config_option_property(f->config, "linger.ms=4", &f->error), 0);
	assert_string_equal(bus_config_get(f->config, "linger.ms"), "4");
	assert_null(bus_config_get(f->config, "batch.size"));
}

static void test_bootstrap_has_one_name(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(
		bus_config_option_property(f->config, "metadata.broker.list=a:1", &f->error), 0);
	assert_string_equal(bus_config_get(f->config, "bootstrap.servers"), "a:1");
	assert_int_equal(bus_config_option_bootstrap(f->config, "b:2", &f->error), 0);
	assert_string_equal(bus_config_get(f->config, "bootstrap.servers"), "b:2");
}

static void test_what_guarantees_rest_on_is_refused(void **state)
{
	static const char *const properties[] = {
		"acks=1",
		"enable.idempotence=false",
		"message.timeout.ms=1000",
		"delivery.timeout.ms=1000",
		"enable.auto.commit=true",
		"delivery.report.only.error=true",
		"auto.offset.reset=latest",
		"partition.assignment.strategy=cooperative-sticky",
		"group.id=mine",
		"session.timeout.ms=3000",
		"transactional.id=x",
		"retries=3",
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(properties) / sizeof(properties[0]); i++)
		assert_refused(f, bus_config_option_property(f->config, properties[i], &f->error),
			       "cannot be set: ");
	buf_clear(&f->error);
	bus_config_describe(f->config, &f->error);
	assert_int_equal(f->error.len, 0);
}

static void test_mistakes_are_named(void **state)
{
	struct fixture *f = *state;

	assert_refused(f, bus_config_option_property(f->config, "lingerms=1", &f->error),
		       "lingerms: librdkafka");
	assert_refused(f, bus_config_option_property(f->config, "linger.ms=many", &f->error),
		       "linger.ms: ");
	assert_refused(f, bus_config_option_property(f->config, "linger.ms", &f->error),
		       "expected NAME=VALUE");
	assert_refused(f, bus_config_option_property(f->config, "=1", &f->error),
		       "expected NAME=VALUE");
	assert_refused(f, bus_config_option_property(f->config, "@/nowhere/x", &f->error),
		       "/nowhere/x: ");
}

static void test_secrets_never_come_out(void **state)
{
	struct fixture *f = *state;
	struct buf text = { 0 };

	assert_int_equal(bus_config_option_property(f->config, "sasl.password=hunter2", &f->error),
			 0);
	assert_int_equal(
		bus_config_option_property(f->config, "ssl.key.password=hunter2", &f->error), 0);
	assert_int_equal(bus_config_option_property(f->config, "client.id=me", &f->error), 0);
	bus_config_describe(f->config, &text);
	assert_string_equal(text.data, "sasl.password=*** ssl.key.password=*** client.id=me");
	assert_string_equal(bus_config_get(f->config, "sasl.password"), "hunter2");
	buf_deinit(&text);
	/* Nor in what is said about mistakes. */
	assert_refused(f, bus_config_option_property(f->config, "hunter2", &f->error), "expected");
	assert_true(bus_config_option_property(f->config, "sasl.passwort=hunter2", &f->error) > 0);
	assert_null(strstr(f->error.data, "hunter2"));
	assert_true(bus_config_is_secret("sasl.oauthbearer.client.secret"));
	assert_true(bus_config_is_secret("ssl.key.pem"));
	assert_true(bus_config_is_secret("ssl.keystore.password"));
	assert_false(bus_config_is_secret("ssl.key.location"));
	assert_false(bus_config_is_secret("bootstrap.servers"));
}

static void write_file(char *path, const char *text)
{
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (int)strlen(text));
	close(fd);
}

static void test_file_has_comments_and_line_numbers(void **state)
{
	char good[] = "/tmp/gpubus-config-XXXXXX", bad[] = "/tmp/gpubus-config-XXXXXX";
	struct fixture *f = *state;
	char argument[64];

	write_file(good, "# ours\n\n  linger.ms = 7 \nsasl.password=a=b\n");
	write_file(bad, "linger.ms=1\nacks=0\n");
	snprintf(argument, sizeof(argument), "@%s", good);
	assert_int_equal(bus_config_option_property(f->config, argument, &f->error), 0);
	assert_string_equal(bus_config_get(f->config, "linger.ms"), "7");
	assert_string_equal(bus_config_get(f->config, "sasl.password"), "a=b");
	assert_refused(f, bus_config_option_file(f->config, bad, &f->error),
		       ":2: Kafka property acks");
	unlink(good);
	unlink(bad);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_argument_wins_over_environment_over_file),
		TEST(test_bootstrap_has_one_name),
		TEST(test_what_guarantees_rest_on_is_refused),
		TEST(test_mistakes_are_named),
		TEST(test_secrets_never_come_out),
		TEST(test_file_has_comments_and_line_numbers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
