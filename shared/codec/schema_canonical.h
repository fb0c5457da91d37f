/*
 * Avro's Parsing Canonical Form of a schema and its CRC-64-AVRO fingerprint. Runs at build time, in
 * schema_embed. Source: Apache Avro 1.11 specification, "Parsing Canonical Form for Schemas" and
 * "Schema Fingerprints".
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "base/buf.h"
#include "base/error.h"

/* Appends the canonical form. Positive: not a schema; *ret_error (static text) says why. */
int schema_canonical(const json_t *schema, struct buf *out, const char **ret_error) MUST_CHECK;
uint64_t schema_fingerprint(const void *canonical, size_t len);
