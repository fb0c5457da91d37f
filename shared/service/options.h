/*
 * Command line options from a table, with a fallback in the environment for each (--redis-url:
 * GPUBUS_REDIS_URL) and --help made from the same table. The command line wins over the environment,
 * the environment over the default. Every program also has --help, --version and --log-level.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"

/* Takes a value given for an option. Positive: refused, with a sentence in `error`. A flag gets
 * "true". */
typedef int (*option_set_fn)(void *target, const char *value, struct buf *error);

struct option_spec {
	const char *name;     /* without the dashes */
	char letter;	      /* 0: no short form */
	bool no_environment;  /* no fallback in the environment */
	const char *argument; /* how --help calls the value; NULL: a flag */
	const char *fallback; /* default: set first, and shown by --help; NULL: none */
	const char *help;     /* may have several lines */
	option_set_fn set;
	void *target;
};

struct program {
	const char *name;    /* "gpubus-scheduler" */
	const char *summary; /* one line */
	const char *usage; /* operands behind the options in the usage line; NULL: none are taken */
	const char *epilog;	/* printed at the end of --help; NULL: nothing */
	const char *built_with; /* a line that --version adds; NULL: nothing */
	const struct option_spec *options;
	size_t n_options;
};

enum {
	OPTIONS_HELP = 1,  /* --help or --version was printed: exit 0 */
	OPTIONS_WRONG = 2, /* the mistake was printed on stderr: exit 2 */
};
/* Calls log_init() too. Options may stand before, between and behind operands; argv is reordered, and
 * `ret_operands` is the index of the first operand in it. */
int options_parse(const struct program *program, int argc, char **argv,
		  int *ret_operands) MUST_CHECK;
void options_print_version(const char *name);

/* Ready-made setters; `target` as named. */
int option_set_string(void *target, const char *value,
		      struct buf *error); /* const char **: not copied */
int option_set_flag(void *target, const char *value, struct buf *error);  /* bool * */
int option_set_count(void *target, const char *value, struct buf *error); /* int64_t *: >= 0 */
/* int64_t * in milliseconds: "250ms", "10s", "5m", "24h"; a bare number is seconds. */
int option_set_duration_ms(void *target, const char *value, struct buf *error);
