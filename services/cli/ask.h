/*
 * What all verbs that ask the scheduler for something have in common: publish one request, and wait for its
 * answer if asked to.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "cli/settings.h"
#include "model/record.h"

struct ask {
	struct settings settings;
	const char *pool_id;
	const char *request_id;	 /* NULL: drawn */
	const char *traceparent; /* NULL: from the environment, or a new trace */
	bool wait;
	int64_t wait_ms;
	int operands;	    /* index of the first one in argv */
	struct arena arena; /* of texts made from the arguments */
};

void ask_init(struct ask *ask);
void ask_deinit(struct ask *ask);

/* A row of a verb's own options: a text that is taken as it is. */
struct option_spec ask_text(const char *name, const char *argument, const char *help,
			    const char **target);
/* Parses the verb's own options and --pool, which must be given, --request-id, --wait[=TIME], --timeout,
 * --traceparent and the common ones. False: return *ret_status. Operands are taken when program->usage
 * names some. */
bool ask_parse(struct ask *ask, struct program *program, const struct option_spec *own, size_t n,
	       int argc, char **argv, int *ret_status);
/* False: an option that must be given is missing; it was named. */
bool ask_needs(const char *option, const char *value);

/* Fills in id, pool and time of the request, publishes it, waits, prints. The result is an exit_status. */
int ask_run(struct ask *ask, struct record *request) MUST_CHECK;
