/*
 * What audit says at its end, for people and as JSON: the log of each shard, how Redis compares, what
 * was asked, and every violation. Pure.
 */
#pragma once

#include <jansson.h>

#include "base/buf.h"
#include "cli/audit_log.h"
#include "cli/audit_redis.h"

enum audit_standing {
	STANDING_NOT_ASKED,
	STANDING_IN_STEP,
	STANDING_BEHIND, /* the same as the log was at its offset */
	STANDING_EMPTY,
	STANDING_MOVING, /* could not be compared: it never stood still */
	STANDING_DIFFERENT,
};

struct audit_comparison {
	enum audit_standing standing;
	int64_t behind; /* messages of the log */
	struct audit_stored stored;
};

/* Compares what Redis has of a shard with what the log says; `end` is where the log ended before Redis
 * was read. A difference becomes a violation. */
void audit_compare(struct audit_log *log, int32_t shard, int64_t end,
		   struct audit_comparison *comparison);

struct audit_report {
	const struct audit_log *log;
	const struct audit_comparison *comparisons; /* one a shard */
	int32_t n_shards;
};

bool audit_is_clean(const struct audit_report *report);
json_t *audit_report_json(const struct audit_report *report);
void audit_report_text(const struct audit_report *report, struct buf *out);
