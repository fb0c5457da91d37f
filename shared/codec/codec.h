/*
 * Bytes on the bus <-> records. Encoding writes Avro single-object framing (C3 01, the fingerprint of
 * the newest version of the record's schema, the body). Decoding takes any schema version that stands in
 * schemas/, reads with that WRITER's schema, fetches fields by name and puts the defaults of the newest
 * version where a field is missing. Source: Apache Avro 1.11 specification, "Single-object encoding".
 *
 * A codec keeps avro-c values for reuse; it is not thread-safe.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "model/record.h"

struct codec;

/* Negative: an embedded schema does not parse (a broken build). */
int codec_new(struct codec **ret_codec) MUST_CHECK;
void codec_free(struct codec *codec);
DEFINE_CLEANUP(struct codec *, codec_free);

/* Appends the framed record to `out`. Positive: CODEC_TOO_LARGE, or CODEC_MALFORMED for a string that is
 * not UTF-8; `out` is then as before. */
int codec_encode(struct codec *codec, const struct record *record, struct buf *out) MUST_CHECK;

enum codec_outcome {
	CODEC_TOO_LARGE = 1,  /* over LIMIT_VALUE_BYTES */
	CODEC_NO_FRAME,	      /* neither framing */
	CODEC_CONFLUENT,      /* Confluent framing, and no schema registry is configured */
	CODEC_UNKNOWN_SCHEMA, /* no schema of this fingerprint in schemas/ */
	CODEC_MALFORMED, /* truncated, trailing bytes, a length beyond the value, not UTF-8, NUL in a string */
};

/* Strings and lists of *ret_record live in `arena`. Positive: a codec_outcome; codec_error() has the
 * sentence for people (also for the error header of a dead letter). */
int codec_decode(struct codec *codec, const void *data, size_t len, struct arena *arena,
		 struct record *ret_record) MUST_CHECK;
/* "TOO_LARGE", ...: as dead letters name it; static. */
const char *codec_outcome_name(int outcome);
/* Why the last call was not 0; valid until the next call. */
const char *codec_error(const struct codec *codec);

/* Which record a framed value holds, by its fingerprint alone. Positive: a codec_outcome. */
int codec_peek_type(const void *data, size_t len, enum record_type *ret_type) MUST_CHECK;

/* The .avsc text of the newest version, and its CRC-64-AVRO fingerprint. */
const char *codec_schema_text(enum record_type type);
uint64_t codec_schema_fingerprint(enum record_type type);
