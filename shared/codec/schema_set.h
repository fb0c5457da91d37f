/*
 * The schemas that the build embeds: one entry per file of schemas/, with what schema_embed.c computes
 * from it. Constant data. The tests build sets of their own.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "model/record.h"

/* A field that may be left out. A default that is neither a string nor a number is null or []. */
struct schema_default {
	const char *record; /* that has the field: the schema's or one nested in it, no namespace */
	const char *field;
	const char *text; /* the default of a string; NULL: the field is not a string */
	int64_t number;	  /* the default of a number or a boolean; otherwise 0 */
};

struct schema_version {
	const char *record; /* "VmRequested" */
	int version;	    /* n of NAME@n.avsc; 0: NAME.avsc, the newest */
	const char *text;   /* as published */
	uint64_t fingerprint;
	const struct schema_default *defaults;
	size_t n_defaults;
};

struct schema_set {
	const struct schema_version *versions;
	size_t n_versions;
};

/* schemas/ */
extern const struct schema_set schemas_embedded;

/* NULL: the set has no newest version of this record. */
const struct schema_version *schema_set_newest(const struct schema_set *set, enum record_type type);
/* NULL: the field is required (or unknown). */
const struct schema_default *schema_default_of(const struct schema_version *schema,
					       const char *record, const char *field);
