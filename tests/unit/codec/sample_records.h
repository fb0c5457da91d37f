/*
 * Records for the codec's tests, filled and compared through the same tables for every type: a new
 * record or field is covered without a word here.
 */
#pragma once

#include <stdbool.h>

#include "base/arena.h"
#include "model/record.h"

enum sample {
	SAMPLE_EMPTY, /* optional fields absent, lists and text empty, numbers 0 */
	SAMPLE_SMALL, /* everything there, one item a list, short text */
	SAMPLE_LARGE, /* the ends of the numbers, three items a list, text of four-byte characters */
	SAMPLES
};

struct record sample_record(enum record_type type, enum sample sample, struct arena *arena);
/* Prints the first difference. */
bool records_equal(const struct record *a, const struct record *b);
