/* The published schemas say what the tables of model/record.c say, and are documented. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdbool.h>
#include <string.h>

#include <jansson.h>

#include "codec/codec.h"
#include "codec/schema_canonical.h"
#include "codec/schema_set.h"

static const char *string_of(const json_t *json, const char *key)
{
	const char *text = json_string_value(json_object_get(json, key));
	return text ? text : "";
}

static bool is_name(const json_t *json, const char *name)
{
	return json_is_string(json) && strcmp(json_string_value(json), name) == 0;
}

/* `seen`: the records that the schema has defined so far; a second use is the name alone. */
static void assert_record(const json_t *schema, const struct record_info *info, json_t *seen);

static void assert_type(const json_t *type, const struct field *field, json_t *seen)
{
	switch (field->type) {
	case FIELD_STRING:
		assert_true(is_name(type, "string"));
		break;
	case FIELD_LONG:
		assert_true(is_name(type, "long"));
		break;
	case FIELD_BOOLEAN:
		assert_true(is_name(type, "boolean"));
		break;
	case FIELD_TIME:
		assert_string_equal(string_of(type, "type"), "long");
		assert_string_equal(string_of(type, "logicalType"), "timestamp-micros");
		break;
	case FIELD_STRINGS:
		assert_string_equal(string_of(type, "type"), "array");
		assert_true(is_name(json_object_get(type, "items"), "string"));
		break;
	case FIELD_RECORDS:
		assert_string_equal(string_of(type, "type"), "array");
		assert_record(json_object_get(type, "items"), field->item, seen);
		break;
	}
}

static void assert_field(const json_t *schema, const struct field *field, json_t *seen)
{
	const json_t *type = json_object_get(schema, "type");
	const json_t *fallback = json_object_get(schema, "default");
	assert_true(strlen(string_of(schema, "doc")) > 0);
	if (field->optional) {
		assert_true(json_is_array(type));
		assert_int_equal(json_array_size(type), 2);
		assert_true(is_name(json_array_get(type, 0), "null"));
		assert_true(json_is_null(fallback));
		type = json_array_get(type, 1);
	}
	if (field->type == FIELD_STRINGS || field->type == FIELD_RECORDS) {
		assert_true(json_is_array(fallback));
		assert_int_equal(json_array_size(fallback), 0);
	}
	assert_type(type, field, seen);
}

static void assert_record(const json_t *schema, const struct record_info *info, json_t *seen)
{
	if (json_is_string(schema)) {
		assert_string_equal(json_string_value(schema), info->name);
		assert_non_null(json_object_get(seen, info->name));
		return;
	}
	assert_string_equal(string_of(schema, "type"), "record");
	assert_string_equal(string_of(schema, "name"), info->name);
	assert_true(strlen(string_of(schema, "doc")) > 0);
	json_object_set_new(seen, info->name, json_true());

	const json_t *fields = json_object_get(schema, "fields");
	assert_int_equal(json_array_size(fields), info->n_fields);
	for (size_t i = 0; i < info->n_fields; i++) {
		const json_t *found = NULL, *field;
		size_t k;
		json_array_foreach(fields, k, field)
		{
			if (strcmp(string_of(field, "name"), info->fields[i].name) == 0)
				found = field;
		}
		if (!found)
			fail_msg("schema of %s has no %s", info->name, info->fields[i].name);
		assert_field(found, &info->fields[i], seen);
	}
}

static void schemas_and_tables_agree(void **state)
{
	(void)state;
	for (int type = 0; type < RECORD_TYPES; type++) {
		json_t *seen = json_object();
		json_t *schema = json_loads(codec_schema_text((enum record_type)type), 0, NULL);
		assert_string_equal(string_of(schema, "namespace"), "gpubus");
		assert_record(schema, record_info((enum record_type)type), seen);
		json_decref(schema);
		json_decref(seen);
	}
}

/* A record that is nested in several schemas is the same everywhere: readers generate one class of it. */
static void nested_records_are_the_same_everywhere(void **state)
{
	(void)state;
	json_t *known = json_object();
	for (int type = 0; type < RECORD_TYPES; type++) {
		json_t *schema = json_loads(codec_schema_text((enum record_type)type), 0, NULL),
		       *field;
		size_t i;
		json_array_foreach(json_object_get(schema, "fields"), i, field)
		{
			json_t *items = json_object_get(json_object_get(field, "type"), "items");
			if (!json_is_object(items))
				continue;
			json_t *before = json_object_get(known, string_of(items, "name"));
			if (before)
				assert_true(json_equal(before, items));
			else
				json_object_set(known, string_of(items, "name"), items);
		}
		json_decref(schema);
	}
	assert_int_equal(json_object_size(known), 6);
	json_decref(known);
}

static void fingerprints_are_unique(void **state)
{
	(void)state;
	for (size_t i = 0; i < schemas_embedded.n_versions; i++)
		for (size_t k = 0; k < i; k++)
			assert_true(schemas_embedded.versions[i].fingerprint !=
				    schemas_embedded.versions[k].fingerprint);
}

static void defaults_are_those_of_the_schema(void **state)
{
	(void)state;
	const struct schema_version *pool =
		schema_set_newest(&schemas_embedded, RECORD_VM_POOL_DEFINED);
	assert_null(schema_default_of(pool, "VmPoolDefined", "pool_id"));
	assert_string_equal(schema_default_of(pool, "VmPoolDefined", "attach")->text, "agent");
	assert_string_equal(schema_default_of(pool, "VmPoolDefined", "policy")->text, "pack");
	assert_string_equal(schema_default_of(pool, "VmPoolDefined", "name")->text, "");

	const struct schema_version *assigned =
		schema_set_newest(&schemas_embedded, RECORD_GPU_ASSIGNED);
	assert_string_equal(schema_default_of(assigned, "AssignedGpu", "device")->text, "");
	assert_null(schema_default_of(assigned, "AssignedGpu", "gpu_id"));
	assert_null(schema_default_of(assigned, "AssignedGpu", "cpu_cores"));
	assert_int_equal(schema_default_of(assigned, "GpuAssigned", "cpu_cores")->number, 0);
	assert_null(schema_default_of(assigned, "GpuAssigned", "gpus")->text);
}

static void assert_canonical(const char *schema, const char *canonical)
{
	struct buf out = { 0 };
	const char *error;
	json_t *json = json_loads(schema, JSON_DECODE_ANY, NULL);
	assert_non_null(json);
	assert_int_equal(schema_canonical(json, &out, &error), 0);
	assert_string_equal(out.data, canonical);
	json_decref(json);
	buf_deinit(&out);
}

static void the_canonical_form_follows_the_specification(void **state)
{
	(void)state;
	assert_canonical("\"int\"", "\"int\"");
	assert_canonical("{\"type\": \"long\", \"logicalType\": \"timestamp-micros\"}", "\"long\"");
	assert_canonical("[\"null\", {\"type\": \"string\"}]", "[\"null\",\"string\"]");
	assert_canonical("{\"values\": \"int\", \"type\": \"map\", \"doc\": \"x\"}",
			 "{\"type\":\"map\",\"values\":\"int\"}");
	assert_canonical(
		"{\"size\": 16, \"type\": \"fixed\", \"name\": \"md5\", \"namespace\": \"a.b\"}",
		"{\"name\":\"a.b.md5\",\"type\":\"fixed\",\"size\":16}");
	assert_canonical(
		"{\"type\": \"enum\", \"symbols\": [\"A\", \"\\u0042\"], \"name\": \"x.y.E\","
		" \"namespace\": \"ignored\", \"aliases\": [\"F\"]}",
		"{\"name\":\"x.y.E\",\"type\":\"enum\",\"symbols\":[\"A\",\"B\"]}");
	assert_canonical("{\"type\": \"record\", \"name\": \"n.R\", \"fields\": [{\"name\": "
			 "\"next\", \"default\": null,"
			 " \"type\": [\"null\", \"R\"], \"doc\": \"d\"}, {\"name\": \"o\", "
			 "\"type\": {\"type\": \"array\","
			 " \"items\": \"other.T\"}}]}",
			 "{\"name\":\"n.R\",\"type\":\"record\",\"fields\":[{\"name\":\"next\","
			 "\"type\":[\"null\",\"n.R\"]},"
			 "{\"name\":\"o\",\"type\":{\"type\":\"array\",\"items\":\"other.T\"}}]}");
}

static void what_is_no_schema_has_no_canonical_form(void **state)
{
	(void)state;
	static const char *const texts[] = {
		"1", "{}", "{\"type\": \"record\", \"fields\": []}",
		"{\"type\": \"record\", \"name\": \"R\", \"fields\": [{}]}"
	};
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		struct buf out = { 0 };
		const char *error = NULL;
		json_t *json = json_loads(texts[i], JSON_DECODE_ANY, NULL);
		assert_int_equal(schema_canonical(json, &out, &error), 1);
		assert_non_null(error);
		assert_int_equal(out.len, 0);
		json_decref(json);
	}
}

/* Of the specification's own test data. */
static void fingerprints_are_crc_64_avro(void **state)
{
	(void)state;
	assert_true(schema_fingerprint("", 0) == 0xc15d213aa4d7a795u);
	assert_true(schema_fingerprint("\"null\"", 6) == 0x63dd24e7cc258f8au);
	assert_true(schema_fingerprint("\"boolean\"", 9) == 0x9f42fc78a4d4f764u);
	assert_true(schema_fingerprint("\"int\"", 5) == 0x7275d51a3f395c8fu);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(schemas_and_tables_agree),
		cmocka_unit_test(nested_records_are_the_same_everywhere),
		cmocka_unit_test(fingerprints_are_unique),
		cmocka_unit_test(defaults_are_those_of_the_schema),
		cmocka_unit_test(the_canonical_form_follows_the_specification),
		cmocka_unit_test(what_is_no_schema_has_no_canonical_form),
		cmocka_unit_test(fingerprints_are_crc_64_avro),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
