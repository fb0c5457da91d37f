/*
 * Records -> avro-c values of their newest schema, along a plan (codec/record_plan.h).
 */
#pragma once

#include <avro.h>

#include "base/error.h"
#include "codec/record_plan.h"

/* Fills `value` (reset it first) from a record's struct. Positive: the text of the field *ret_field is
 * not UTF-8 (WRITE_NOT_TEXT), or the list there is too long (WRITE_TOO_LONG). Negative: avro-c failed. */
enum { WRITE_NOT_TEXT = 1, WRITE_TOO_LONG };
int avro_record_write(const struct record_plan *plan, const void *record, avro_value_t *value,
		      const char **ret_field) MUST_CHECK;
