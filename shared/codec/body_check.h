/*
 * Is this byte string one value of this shape, all of it, with nothing in it that a reader could be hurt
 * by? avro-c asks for as much memory as a length in the bytes says and leaks some when they end early,
 * so every length, block count and union branch is checked against the bytes left before it sees them.
 * Text has to be UTF-8 without NUL; lists and nesting are bounded (base/limits.h).
 */
#pragma once

#include <stddef.h>

#include "base/error.h"
#include "codec/schema_shape.h"

/* Positive: no; *ret_why (static text) completes the sentence "the body ...". */
int body_check(const struct shape *shape, const void *data, size_t len,
	       const char **ret_why) MUST_CHECK;
