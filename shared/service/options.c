#include "service/options.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/memory.h"
#include "service/options_help.h"

static int set_log_level(void *target, const char *value, struct buf *error)
{
	if (!log_parse_level(value, target))
		return 0;
	buf_printf(error, "'%s' is not debug, info, warning or error", value);
	return 1;
}

/* Help and version act at once; everything else has a setter. */
static int print_and_end(void *target, const char *value, struct buf *error)
{
	(void)target;
	(void)value;
	(void)error;
	return 0;
}

const struct option_spec options_help = {
	.name = "help",
	.letter = 'h',
	.no_environment = true,
	.help = "Print this and exit.",
	.set = print_and_end,
};
const struct option_spec options_version = {
	.name = "version",
	.no_environment = true,
	.help = "Print the version and those of the libraries, and exit.",
	.set = print_and_end,
};

void option_environment_name(const struct option_spec *spec, char *name, size_t size)
{
	size_t len = (size_t)snprintf(name, size, "GPUBUS_%s", spec->name);

	for (size_t i = 0; i < len && i < size; i++)
		name[i] = name[i] == '-' ? '_' : (char)toupper((unsigned char)name[i]);
}

/* The program's options and those that every program has. */
struct table {
	const struct option_spec **specs; /* owned list */
	size_t n;
	struct option *longs; /* owned, for getopt_long() */
	char *shorts;	      /* owned */
};

static void table_init(struct table *table, const struct program *program,
		       const struct option_spec *log_level)
{
	size_t len = 0;

	table->n = program->n_options + 3;
	table->specs = memory_zeroed(table->n, sizeof(struct option_spec *));
	table->longs = memory_zeroed(table->n + 1, sizeof(*table->longs));
	table->shorts = memory_zeroed(2 * table->n + 2, 1);
	for (size_t i = 0; i < program->n_options; i++)
		table->specs[i] = &program->options[i];
	table->specs[program->n_options] = log_level;
	table->specs[program->n_options + 1] = &options_version;
	table->specs[program->n_options + 2] = &options_help;
	for (size_t i = 0; i < table->n; i++) {
		const struct option_spec *spec = table->specs[i];

		/* Values above all letters stand for the index in the table. */
		table->longs[i] = (struct option){
			.name = spec->name,
			.has_arg = spec->argument ? required_argument : no_argument,
			.val = UCHAR_MAX + 1 + (int)i,
		};
		if (spec->letter) {
			table->shorts[len++] = spec->letter;
			if (spec->argument)
				table->shorts[len++] = ':';
		}
	}
}

static void table_deinit(struct table *table)
{
	free(table->specs);
	free(table->longs);
	free(table->shorts);
}

static const struct option_spec *find(const struct table *table, int value)
{
	if (value > UCHAR_MAX)
		return table->specs[value - UCHAR_MAX - 1];
	for (size_t i = 0; i < table->n; i++)
		if (table->specs[i]->letter == value)
			return table->specs[i];
	return NULL;
}

static int set(const struct program *program, const struct option_spec *spec, const char *from,
	       const char *value)
{
	cleanup(buf_deinit) struct buf error = { 0 };

	if (!spec->set(spec->target, value, &error))
		return 0;
	fprintf(stderr, "%s: %s: %s\n", program->name, from, error.data ? error.data : "refused");
	return OPTIONS_WRONG;
}

static int set_defaults(const struct program *program, const struct table *table)
{
	for (size_t i = 0; i < table->n; i++) {
		const struct option_spec *spec = table->specs[i];
		char name[128];
		const char *value;
		int outcome = 0;

		if (spec->fallback)
			outcome = set(program, spec, spec->name, spec->fallback);
		option_environment_name(spec, name, sizeof(name));
		value = spec->no_environment ? NULL : getenv(name);
		if (!outcome && value && *value)
			outcome = set(program, spec, name, value);
		if (outcome)
			return outcome;
	}
	return 0;
}

static int parse(const struct program *program, const struct table *table, int argc, char **argv)
{
	int value;

	/* 0 and not 1: a program may parse a second command line (a subcommand's). */
	optind = 0;
	while ((value = getopt_long(argc, argv, table->shorts, table->longs, NULL)) != -1) {
		const struct option_spec *spec = find(table, value);
		char from[128];

		if (value == '?' || !spec) {
			fprintf(stderr, "Try '%s --help'.\n", program->name);
			return OPTIONS_WRONG;
		}
		if (spec == &options_help) {
			options_print_help(program, table->specs, table->n);
			return OPTIONS_HELP;
		}
		if (spec == &options_version) {
			options_print_version(program->name);
			if (program->built_with)
				puts(program->built_with);
			return OPTIONS_HELP;
		}
		snprintf(from, sizeof(from), "--%s", spec->name);
		if (set(program, spec, from, spec->argument ? optarg : "true"))
			return OPTIONS_WRONG;
	}
	if (optind < argc && !program->usage) {
		fprintf(stderr, "%s: takes no argument '%s'\nTry '%s --help'.\n", program->name,
			argv[optind], program->name);
		return OPTIONS_WRONG;
	}
	return 0;
}

/* "gpubus topics" is one word in the log. */
static void service_name(const char *name, char *text, size_t size)
{
	snprintf(text, size, "%s", name);
	for (; *text; text++)
		if (*text == ' ')
			*text = '-';
}

int options_parse(const struct program *program, int argc, char **argv, int *ret_operands)
{
	static char service[64]; /* the log keeps the pointer */
	enum log_level level = LOG_LEVEL_INFO;
	const struct option_spec log_level = {
		.name = "log-level",
		.argument = "LEVEL",
		.fallback = "info",
		.help = "Least level that is logged: debug, info, warning or error.",
		.set = set_log_level,
		.target = &level,
	};
	cleanup(table_deinit) struct table table = { 0 };
	int outcome;

	service_name(program->name, service, sizeof(service));
	log_init(service, level);
	table_init(&table, program, &log_level);
	outcome = set_defaults(program, &table);
	if (!outcome)
		outcome = parse(program, &table, argc, argv);
	log_init(service, level);
	if (!outcome)
		*ret_operands = optind;
	return outcome;
}

/* ---- setters ------------------------------------------------------------------------------- */

int option_set_string(void *target, const char *value, struct buf *error)
{
	(void)error;
	*(const char **)target = value;
	return 0;
}

int option_set_flag(void *target, const char *value, struct buf *error)
{
	static const struct {
		const char *word;
		bool value;
	} words[] = { { "true", true },	  { "yes", true }, { "1", true },
		      { "false", false }, { "no", false }, { "0", false } };

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (!strcasecmp(value, words[i].word)) {
			*(bool *)target = words[i].value;
			return 0;
		}
	buf_printf(error, "'%s' is neither true nor false", value);
	return 1;
}

/* Positive: no number, or out of range. `ret_rest`: what stands behind it. */
static int parse_count(const char *value, int64_t *ret_count, const char **ret_rest)
{
	char *end;
	long long count;

	errno = 0;
	count = strtoll(value, &end, 10);
	if (end == value || !isdigit((unsigned char)*value) || errno)
		return 1;
	*ret_count = count;
	*ret_rest = end;
	return 0;
}

int option_set_count(void *target, const char *value, struct buf *error)
{
	const char *rest;
	int64_t count;

	if (parse_count(value, &count, &rest) || *rest) {
		buf_printf(error, "'%s' is not a number", value);
		return 1;
	}
	*(int64_t *)target = count;
	return 0;
}

/* In microseconds and added to a time it still fits. */
#define DURATION_MAX_MS (INT64_MAX / 4000)

int option_set_duration_ms(void *target, const char *value, struct buf *error)
{
	static const struct {
		const char *name;
		int64_t ms;
	} units[] = {
		{ "", 1000 },	{ "ms", 1 },	  { "s", 1000 },
		{ "m", 60000 }, { "h", 3600000 }, { "d", 86400000 },
	};
	const char *rest;
	int64_t count;

	if (!parse_count(value, &count, &rest))
		for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
			if (!strcmp(rest, units[i].name) &&
			    !__builtin_mul_overflow(count, units[i].ms, &count) &&
			    count <= DURATION_MAX_MS) {
				*(int64_t *)target = count;
				return 0;
			}
	buf_printf(error, "'%s' is not a duration such as 250ms, 10s, 5m or 24h", value);
	return 1;
}
