#include "cli/settings.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/exit_status.h"

extern char **environ;

static const char *speaker = "gpubus";

void complain(const char *format, ...)
{
	cleanup(freep) char *text = NULL;
	va_list args;
	va_start(args, format);
	int len = vasprintf(&text, format, args);
	va_end(args);
	if (len < 0)
		text = NULL;
	fprintf(stderr, "%s: %s\n", speaker, text ? text : format);
}

void settings_init(struct settings *settings)
{
	*settings = (struct settings){ .bus = bus_config_new() };
}

void settings_deinit(struct settings *settings)
{
	bus_config_free(steal(&settings->bus));
}

void verb_options_add(struct verb_options *options, struct option_spec spec)
{
	if (options->n < VERB_OPTIONS_MAX)
		options->specs[options->n++] = spec;
}

static int set_output(void *target, const char *value, struct buf *error)
{
	bool *json = target;
	if (strcmp(value, "table") != 0 && strcmp(value, "json") != 0) {
		buf_puts(error, "must be table or json");
		return 1;
	}
	*json = strcmp(value, "json") == 0;
	return 0;
}

void settings_add_options(struct settings *settings, unsigned needs, struct verb_options *options)
{
	verb_options_add(options, (struct option_spec){
					  .name = "output",
					  .letter = 'o',
					  .argument = "FORMAT",
					  .fallback = "table",
					  .help = "table (for people) or json (for scripts)",
					  .set = set_output,
					  .target = &settings->json,
				  });
	if (needs & SETTINGS_KAFKA) {
		verb_options_add(options,
				 (struct option_spec){
					 .name = "bootstrap",
					 .letter = 'b',
					 .no_environment = true,
					 .argument = "HOST:PORT,...",
					 .help = "Kafka brokers to start with (environment: "
						 "GPUBUS_KAFKA_BOOTSTRAP_SERVERS,\n"
						 "or KAFKA_BOOTSTRAP)",
					 .set = bus_config_option_bootstrap,
					 .target = settings->bus,
				 });
		verb_options_add(options, (struct option_spec){
						  .name = "kafka-config",
						  .no_environment = true,
						  .argument = "FILE",
						  .help = "librdkafka properties, one name=value a "
							  "line (environment: GPUBUS_KAFKA_CONFIG)",
						  .set = bus_config_option_file,
						  .target = settings->bus,
					  });
		verb_options_add(options, (struct option_spec){
						  .name = "kafka-property",
						  .letter = 'X',
						  .no_environment = true,
						  .argument = "NAME=VALUE",
						  .help = "any librdkafka property; may be given "
							  "more than once",
						  .set = bus_config_option_property,
						  .target = settings->bus,
					  });
	}
	if (needs & SETTINGS_REDIS)
		verb_options_add(options,
				 (struct option_spec){
					 .name = "redis",
					 .no_environment = true,
					 .argument = "URL",
					 .help = "redis://[user:password@]host[:port][/db], "
						 "rediss://... or\n"
						 "unix:///path[?db=n] (environment: "
						 "GPUBUS_REDIS_URL, or REDIS_URL)",
					 .set = option_set_string,
					 .target = &settings->redis_url,
				 });
}

static const char *from_environment(const char *name)
{
	const char *value = getenv(name);
	return value && *value ? value : NULL;
}

static int complete_bus(struct settings *settings, struct buf *error)
{
	const char *bootstrap = from_environment("KAFKA_BOOTSTRAP");
	if (bus_config_read_environment(settings->bus, environ, error))
		return 1;
	if (bus_config_get(settings->bus, "bootstrap.servers"))
		return 0;
	return bus_config_set(settings->bus, BUS_CONFIG_ENVIRONMENT, "bootstrap.servers",
			      bootstrap ? bootstrap : "127.0.0.1:9092", error);
}

static int complete(struct settings *settings, struct buf *error)
{
	if (!settings->redis_url)
		settings->redis_url = from_environment("GPUBUS_REDIS_URL");
	if (!settings->redis_url)
		settings->redis_url = from_environment("REDIS_URL");
	if (!settings->redis_url)
		settings->redis_url = "redis://127.0.0.1:6379";
	return complete_bus(settings, error);
}

bool settings_parse(struct settings *settings, struct program *program,
		    const struct verb_options *options, int argc, char **argv, int *ret_operands,
		    int *ret_status)
{
	cleanup(buf_deinit) struct buf error = { 0 };

	speaker = program->name;
	if (argc > 0)
		argv[0] = (char *)(uintptr_t)program->name; /* getopt's complaints begin with it */
	program->options = options->specs;
	program->n_options = options->n;
	int r = options_parse(program, argc, argv, ret_operands);
	if (r) {
		*ret_status = r == OPTIONS_HELP ? STATUS_OK : STATUS_USAGE;
		return false;
	}
	if (complete(settings, &error)) {
		complain("%s", error.data);
		*ret_status = STATUS_USAGE;
		return false;
	}
	return true;
}
