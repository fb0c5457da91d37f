/*
 * How to reach Kafka: librdkafka properties from a file, from the environment and from the command
 * line, in this order of precedence (the last wins). Every client (producer, group, reader, offsets,
 * topics) is made from one such configuration and adds what its own guarantees need; properties that
 * these guarantees rest on cannot be set from outside. Secrets are never printed.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/error.h"

struct bus_config;

/* Where a property comes from: a higher source is not overridden by a lower one. */
enum bus_config_source { BUS_CONFIG_FILE, BUS_CONFIG_ENVIRONMENT, BUS_CONFIG_ARGUMENT };

struct bus_config *bus_config_new(void);
void bus_config_free(struct bus_config *config);
DEFINE_CLEANUP(struct bus_config *, bus_config_free);

/* All of these: positive = refused, a sentence for people in `error`. */
int bus_config_set(struct bus_config *config, enum bus_config_source source, const char *name,
		   const char *value, struct buf *error) MUST_CHECK;
/* Lines of name=value; # starts a comment line. */
int bus_config_read_file(struct bus_config *config, const char *path, struct buf *error) MUST_CHECK;
/* GPUBUS_KAFKA_BOOTSTRAP_SERVERS=... and so on, from a NULL-terminated list as in environ.
 * (GPUBUS_KAFKA_CONFIG is not a property but names a file to read.) */
int bus_config_read_environment(struct bus_config *config, char *const *environment,
				struct buf *error) MUST_CHECK;

/* For option tables (service/options.h): `target` is the struct bus_config. */
int bus_config_option_property(void *target, const char *value,
			       struct buf *error); /* -X k=v, -X @file */
int bus_config_option_file(void *target, const char *value, struct buf *error);
int bus_config_option_bootstrap(void *target, const char *value, struct buf *error);
/* The rows of a service's table: how to reach Kafka. For files that know struct option_spec. */
#define BUS_CONFIG_OPTIONS(config)                                                                 \
	{ .name = "bootstrap",                                                                     \
	  .letter = 'b',                                                                           \
	  .argument = "HOST:PORT,...",                                                             \
	  .help = "Kafka brokers to start with",                                                   \
	  .set = bus_config_option_bootstrap,                                                      \
	  .target = (config) },                                                                    \
		{ .name = "kafka-config",                                                          \
		  .argument = "FILE",                                                              \
		  .help = "librdkafka properties, one name=value a line",                          \
		  .set = bus_config_option_file,                                                   \
		  .target = (config) },                                                            \
	{                                                                                          \
		.name = "kafka-property", .letter = 'X', .no_environment = true,                   \
		.argument = "NAME=VALUE",                                                          \
		.help = "any librdkafka property; may be given more than once",                    \
		.set = bus_config_option_property, .target = (config)                              \
	}

/* What is set for this property, or NULL. */
const char *bus_config_get(const struct bus_config *config, const char *name);
/* "name=value name=value", secrets as "***". */
void bus_config_describe(const struct bus_config *config, struct buf *out);
bool bus_config_is_secret(const char *name);

/* At the very end of main(): waits until the clients that are being destroyed in the background are
 * gone. Positive: some are not, after this time. */
int bus_wait_destroyed(int64_t timeout_ms) MUST_CHECK;
