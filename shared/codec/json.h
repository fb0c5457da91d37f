/*
 * Records <-> JSON objects, from the same tables as the Avro codec: the CLI's input and output.
 *
 * Written objects have every field; an absent optional field is null, a time is an integer
 * (microseconds since 1970). Read objects may leave out what has a default in the newest schema, may
 * write times as RFC 3339 text, and must not have fields that the record does not.
 */
#pragma once

#include <jansson.h>

#include "base/arena.h"
#include "base/error.h"
#include "model/record.h"

/* Never NULL; the caller owns it. Bytes that are not UTF-8 become "?". */
json_t *record_to_json(const struct record *record);

/* Strings and lists of *ret_record live in `arena`. Positive: not such a record; *ret_error is then a
 * heap string for people that begins with the field, as in "gpus[1].count: missing". */
int record_from_json(const json_t *json, enum record_type type, struct arena *arena,
		     struct record *ret_record, char **ret_error) MUST_CHECK;
