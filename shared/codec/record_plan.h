/*
 * How a record (model/record.h) and one schema of it go together: which field of the schema each row of
 * the record's table is, and what stands in when the schema has none. Made once per schema, so that
 * nothing is looked up by name per message.
 */
#pragma once

#include <avro.h>

#include "base/arena.h"
#include "base/error.h"
#include "codec/schema_set.h"
#include "codec/schema_shape.h"
#include "model/record.h"

struct record_plan;

struct field_plan {
	int position;			/* of the field in the schema; -1: the schema has none */
	const struct shape *shape;	/* of that field */
	const struct record_plan *item; /* FIELD_RECORDS */
	const char *text;		/* FIELD_STRING: stands in for a missing field */
	int64_t number;			/* numbers and booleans: the same */
};

struct record_plan {
	const struct record_info *info;
	const struct field_plan *fields; /* one a row of info */
	const struct shape *shape;	 /* of the schema */
	const int *rows;		 /* one a field of the schema: its row of info, or -1 */
};

/* `defaults`: the newest version of the schema. The plan lives in `arena`. Negative: -EINVAL, a field has
 * a type that cannot be read as the table's; it is logged. */
int record_plan_read(const struct record_info *info, avro_schema_t schema,
		     const struct shape *shape, const struct schema_version *defaults,
		     struct arena *arena, const struct record_plan **ret_plan) MUST_CHECK;

/* An optional field, as it is written: a union of null and the field's type, in this order. */
enum { NULL_BRANCH, VALUE_BRANCH, OPTIONAL_BRANCHES };

/* Can the plan be written with? That takes exactly the table's fields and types. Negative: -EINVAL, no;
 * it is logged. */
int record_plan_check_write(const struct record_plan *plan, const struct shape *shape) MUST_CHECK;
