/*
 * What a schema says about bytes, without its names: the tree that body_check() walks. A recursive
 * schema gives a tree that points back into itself.
 */
#pragma once

#include <stddef.h>

#include <avro.h>

#include "base/arena.h"
#include "base/error.h"

enum shape_type {
	SHAPE_NULL,
	SHAPE_BOOLEAN,
	SHAPE_INT,
	SHAPE_LONG,
	SHAPE_FLOAT,
	SHAPE_DOUBLE,
	SHAPE_BYTES,
	SHAPE_STRING,
	SHAPE_FIXED,
	SHAPE_ENUM,
	SHAPE_ARRAY,
	SHAPE_MAP,
	SHAPE_UNION,
	SHAPE_RECORD,
};

struct shape {
	enum shape_type type;
	size_t n;		       /* children; FIXED: bytes; ENUM: symbols */
	const struct shape **children; /* fields, branches, or the one item type */
};

/* The shape lives in `arena`. Negative: the schema has a type that the Avro specification does not. */
int schema_shape(avro_schema_t schema, struct arena *arena,
		 const struct shape **ret_shape) MUST_CHECK;
