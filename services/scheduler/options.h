/*
 * What an operator can set of a scheduler. Strings are borrowed from argv or the environment.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "bus/config.h"

struct scheduler_options {
	struct bus_config *bus; /* owned by main() */
	const char *name;	/* of this replica, in EpochStarted and in logs */
	const char *redis_url;
	const char *group_id;
	bool broker_is_mock; /* the demo's broker cannot describe its topics */
	int64_t session_timeout_ms;
	int64_t delivery_deadline_ms; /* shorter than the session */
	int64_t host_timeout_ms;
	int64_t remember_ms;
	int64_t window; /* inputs in flight per shard */
	int64_t rest_ms;
};

/* As options_parse(). */
int scheduler_options_parse(struct scheduler_options *options, int argc, char **argv);
