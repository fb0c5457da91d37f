/*
 * What all verbs have in common on the command line and in the environment: where Kafka and Redis are,
 * and the form of the output. The command line wins over GPUBUS_... in the environment, and that over
 * KAFKA_BOOTSTRAP and REDIS_URL.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "bus/config.h"
#include "service/options.h"

struct settings {
	struct bus_config *bus; /* owned */
	const char *redis_url;	/* borrowed */
	bool json;
};

void settings_init(struct settings *settings);
void settings_deinit(struct settings *settings);

/* Which of the common options a verb has. */
enum settings_need { SETTINGS_KAFKA = 1, SETTINGS_REDIS = 2 };

enum { VERB_OPTIONS_MAX = 20 };

/* The options of one verb: its own first, then the common ones. */
struct verb_options {
	struct option_spec specs[VERB_OPTIONS_MAX];
	size_t n;
};

void verb_options_add(struct verb_options *options, struct option_spec spec);
/* `needs`: settings_need bits. The output option is always added. */
void settings_add_options(struct settings *settings, unsigned needs, struct verb_options *options);

/* Parses and then completes the settings from the environment. True: go on; else return *ret_status.
 * `program` needs no options; they come from `options`. */
bool settings_parse(struct settings *settings, struct program *program,
		    const struct verb_options *options, int argc, char **argv, int *ret_operands,
		    int *ret_status);

/* "gpubus VERB: ..." on stderr; the verb is that of the last settings_parse(). */
void complain(const char *format, ...) PRINTF_LIKE(1, 2);
