/*
 * A codec over another set of schemas than schemas/: how the tests see old and new versions of a schema.
 */
#pragma once

#include "base/error.h"
#include "codec/codec.h"
#include "codec/schema_set.h"

/* `set` must outlive the codec and have the newest version of every record. Negative: -EINVAL, a schema
 * does not parse or cannot be read as the record its name says; it is logged. */
int codec_new_with_schemas(const struct schema_set *set, struct codec **ret_codec) MUST_CHECK;
