/*
 * Reads a record's struct straight from a body that body_check() has passed: nothing here looks at the
 * end of the bytes, at the range of a length or at text again. Not through avro-c's generic values: they
 * take a heap string per text and, with the copy into the arena, more than three times as long, which a
 * service that reads its log from the beginning pays for every record.
 */
#pragma once

#include "base/arena.h"
#include "codec/record_plan.h"
#include "codec/schema_shape.h"

/* Strings and lists are copied into `arena`. */
void body_read(const struct record_plan *plan, const void *body, struct arena *arena, void *record);
