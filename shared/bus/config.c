#include "bus/config_internal.h"

#include <ctype.h>
#include <errno.h>
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

/* What the guarantees of producer.h, group.h and reader.h rest on. Names are librdkafka's; an alias
 * stands beside the name it stands for. */
static const struct {
	const char *name;
	const char *why;
} reserved[] = {
	{ "acks", "a decision counts only when all in-sync replicas have it" },
	{ "request.required.acks", "a decision counts only when all in-sync replicas have it" },
	{ "enable.idempotence",
	  "a partition's records must stand in the order of their decisions" },
	{ "enable.gapless.guarantee", "a record must not be skipped while later ones are written" },
	{ "message.timeout.ms", "a message that times out here may still appear in the log" },
	{ "delivery.timeout.ms", "a message that times out here may still appear in the log" },
	{ "retries", "a message that is given up here may still appear in the log" },
	{ "message.send.max.retries",
	  "a message that is given up here may still appear in the log" },
	{ "delivery.report.only.error", "an answer is acknowledged when it is delivered" },
	{ "transactional.id", "gpubus does not use Kafka transactions" },
	{ "partitioner", "gpubus names the partition of every record itself" },
	{ "group.id", "each service has its own option for it" },
	{ "session.timeout.ms",
	  "--session-timeout is for it: a delivery is given up before the session ends" },
	{ "enable.auto.commit", "offsets are committed when what they caused is in the log" },
	{ "auto.commit.enable", "offsets are committed when what they caused is in the log" },
	{ "enable.auto.offset.store", "offsets are committed when what they caused is in the log" },
	{ "auto.offset.reset", "an offset that is missing must be an error" },
	{ "partition.assignment.strategy", "requests and attachments must go to one member" },
	{ "enable.partition.eof", "it would be taken for an error" },
};

static const struct {
	const char *alias;
	const char *name;
} aliases[] = {
	{ "metadata.broker.list", "bootstrap.servers" },
	{ "queue.buffering.max.ms", "linger.ms" },
};

struct bus_config *bus_config_new(void)
{
	return memory_zeroed(1, sizeof(struct bus_config));
}

void bus_config_free(struct bus_config *config)
{
	if (!config)
		return;
	for (size_t i = 0; i < config->n; i++) {
		free(config->items[i].name);
		free(config->items[i].value);
	}
	free(config->items);
	free(config);
}

bool bus_config_is_secret(const char *name)
{
	/* Parts of names rather than a list: a property that a newer librdkafka brings must not leak
	 * because nobody has listed it yet. */
	static const char *const parts[] = { "password", "secret",    "key.pem",
					     "_key",	 "jaas",      "oauthbearer.config",
					     "token",	 "credential" };

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		if (strcasestr(name, parts[i]))
			return true;
	return false;
}

static struct bus_property *find(const struct bus_config *config, const char *name)
{
	for (size_t i = 0; i < config->n; i++)
		if (!strcmp(config->items[i].name, name))
			return &config->items[i];
	return NULL;
}

const char *bus_config_get(const struct bus_config *config, const char *name)
{
	const struct bus_property *property = find(config, name);

	return property ? property->value : NULL;
}

/* Asks librdkafka, in a configuration that is thrown away. Its own message may hold the value. */
static int check_with_librdkafka(const char *name, const char *value, struct buf *error)
{
	char reason[512];
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	rd_kafka_conf_res_t result = rd_kafka_conf_set(conf, name, value, reason, sizeof(reason));

	rd_kafka_conf_destroy(conf);
	if (result == RD_KAFKA_CONF_OK)
		return 0;
	if (result == RD_KAFKA_CONF_UNKNOWN)
		buf_printf(error, "Kafka property %s: librdkafka %s knows no such property", name,
			   rd_kafka_version_str());
	else if (bus_config_is_secret(name))
		buf_printf(error, "Kafka property %s: librdkafka refuses the value", name);
	else
		buf_printf(error, "Kafka property %s: %s", name, reason);
	return 1;
}

int bus_config_set(struct bus_config *config, enum bus_config_source source, const char *name,
		   const char *value, struct buf *error)
{
	struct bus_property *property;
	int outcome;

	for (size_t i = 0; i < sizeof(aliases) / sizeof(aliases[0]); i++)
		if (!strcmp(name, aliases[i].alias))
			name = aliases[i].name;
	for (size_t i = 0; i < sizeof(reserved) / sizeof(reserved[0]); i++) {
		if (strcmp(name, reserved[i].name))
			continue;
		buf_printf(error, "Kafka property %s cannot be set: %s", name, reserved[i].why);
		return 1;
	}
	outcome = check_with_librdkafka(name, value, error);
	if (outcome)
		return outcome;
	property = find(config, name);
	if (!property) {
		if (config->n == config->size) {
			config->size = config->size ? 2 * config->size : 8;
			config->items =
				memory_resize(config->items, config->size, sizeof(*config->items));
		}
		property = &config->items[config->n++];
		*property = (struct bus_property){ .name = memory_strdup(name), .source = source };
	} else if (property->source > source) {
		return 0;
	}
	free(property->value);
	property->value = memory_strdup(value);
	property->source = source;
	return 0;
}

static char *trim(char *text)
{
	size_t len;

	while (isspace((unsigned char)*text))
		text++;
	len = strlen(text);
	while (len && isspace((unsigned char)text[len - 1]))
		text[--len] = '\0';
	return text;
}

static int set_assignment(struct bus_config *config, enum bus_config_source source, char *text,
			  struct buf *error)
{
	char *equals = strchr(text, '=');

	if (!equals || equals == text) {
		/* Not quoted: it may be a secret whose name was forgotten. */
		buf_puts(error, "expected NAME=VALUE, as in linger.ms=1");
		return 1;
	}
	*equals = '\0';
	return bus_config_set(config, source, trim(text), trim(equals + 1), error);
}

int bus_config_read_file(struct bus_config *config, const char *path, struct buf *error)
{
	cleanup(freep) char *line = NULL;
	cleanup(buf_deinit) struct buf problem = { 0 };
	FILE *file = fopen(path, "re");
	size_t size = 0, number = 0;
	int outcome = 0;

	if (!file) {
		buf_printf(error, "%s: %s", path, strerror(errno));
		return 1;
	}
	while (!outcome && getline(&line, &size, file) >= 0) {
		char *text = trim(line);

		number++;
		if (*text && *text != '#')
			outcome = set_assignment(config, BUS_CONFIG_FILE, text, &problem);
	}
	if (outcome) {
		buf_printf(error, "%s:%zu: %s", path, number, problem.data);
	} else if (ferror(file)) {
		buf_printf(error, "%s: cannot be read", path);
		outcome = 1;
	}
	fclose(file);
	return outcome;
}

#define ENVIRONMENT_PREFIX "GPUBUS_KAFKA_"

int bus_config_read_environment(struct bus_config *config, char *const *environment,
				struct buf *error)
{
	for (; *environment; environment++) {
		cleanup(freep) char *name = NULL;
		const char *text = *environment, *equals = strchr(text, '=');
		int outcome;

		if (strncmp(text, ENVIRONMENT_PREFIX, strlen(ENVIRONMENT_PREFIX)) || !equals)
			continue;
		text += strlen(ENVIRONMENT_PREFIX);
		name = memory_strdup(text);
		name[equals - text] = '\0';
		for (char *c = name; *c; c++)
			*c = *c == '_' ? '.' : (char)tolower((unsigned char)*c);
		if (!strcmp(name, "config"))
			outcome = bus_config_read_file(config, equals + 1, error);
		else
			outcome = bus_config_set(config, BUS_CONFIG_ENVIRONMENT, name, equals + 1,
						 error);
		if (outcome)
			return outcome;
	}
	return 0;
}

int bus_config_option_file(void *target, const char *value, struct buf *error)
{
	return bus_config_read_file(target, value, error);
}

int bus_config_option_property(void *target, const char *value, struct buf *error)
{
	cleanup(freep) char *copy = NULL;

	if (value[0] == '@')
		return bus_config_read_file(target, value + 1, error);
	copy = memory_strdup(value);
	return set_assignment(target, BUS_CONFIG_ARGUMENT, copy, error);
}

int bus_config_option_bootstrap(void *target, const char *value, struct buf *error)
{
	return bus_config_set(target, BUS_CONFIG_ARGUMENT, "bootstrap.servers", value, error);
}

void bus_config_describe(const struct bus_config *config, struct buf *out)
{
	for (size_t i = 0; i < config->n; i++)
		buf_printf(out, "%s%s=%s", i ? " " : "", config->items[i].name,
			   bus_config_is_secret(config->items[i].name) ? "***"
								       : config->items[i].value);
}
