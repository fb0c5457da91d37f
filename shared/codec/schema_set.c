#include "codec/schema_set.h"

#include <string.h>

#include "codec/codec.h"

const struct schema_version *schema_set_newest(const struct schema_set *set, enum record_type type)
{
	const char *name = record_info(type)->name;
	for (size_t i = 0; i < set->n_versions; i++)
		if (set->versions[i].version == 0 && strcmp(set->versions[i].record, name) == 0)
			return &set->versions[i];
	return NULL;
}

const struct schema_default *schema_default_of(const struct schema_version *schema,
					       const char *record, const char *field)
{
	for (size_t i = 0; i < schema->n_defaults; i++) {
		const struct schema_default *entry = &schema->defaults[i];
		if (strcmp(entry->record, record) == 0 && strcmp(entry->field, field) == 0)
			return entry;
	}
	return NULL;
}

const char *codec_schema_text(enum record_type type)
{
	return schema_set_newest(&schemas_embedded, type)->text;
}

uint64_t codec_schema_fingerprint(enum record_type type)
{
	return schema_set_newest(&schemas_embedded, type)->fingerprint;
}
