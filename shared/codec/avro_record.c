#include "codec/avro_record.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "base/limits.h"
#include "base/utf8.h"

/* avro-c's calls return an errno or EINVAL-like positive number. */
static int failed(int avro_error)
{
	return avro_error > 0 ? -avro_error : avro_error;
}

static int write_text(const char *text, avro_value_t *value)
{
	size_t len = strlen(text);
	if (len > LIMIT_VALUE_BYTES)
		return WRITE_TOO_LONG;
	if (!utf8_is_text(text, len))
		return WRITE_NOT_TEXT;
	/* avro-c only reads through this pointer: set_string_len copies. */
	return failed(avro_value_set_string_len(value, (char *)text, len + 1));
}

static int write_strings(const char *const *items, size_t n, avro_value_t *list)
{
	for (size_t i = 0; i < n; i++) {
		avro_value_t item;
		int r = failed(avro_value_append(list, &item, NULL));
		if (r == 0)
			r = write_text(items[i] ? items[i] : "", &item);
		if (r)
			return r;
	}
	return 0;
}

static int write_records(const struct record_plan *plan, const char *items, size_t n,
			 avro_value_t *list, const char **ret_field)
{
	for (size_t i = 0; i < n; i++) {
		avro_value_t item;
		int r = failed(avro_value_append(list, &item, NULL));
		if (r == 0)
			r = avro_record_write(plan, items + i * plan->info->size, &item, ret_field);
		if (r)
			return r;
	}
	return 0;
}

/* A field that is there, into the value or the union branch that takes it. */
static int write_present(const struct field *field, const struct field_plan *plan,
			 const char *record, avro_value_t *value, const char **ret_field)
{
	const void *member = record + field->offset;
	size_t n = 0;
	if (field->type == FIELD_STRINGS || field->type == FIELD_RECORDS) {
		n = *(const size_t *)(const void *)(record + field->count_offset);
		if (n > LIMIT_LIST_ITEMS)
			return WRITE_TOO_LONG;
	}

	switch (field->type) {
	case FIELD_STRING: {
		const char *text = *(const char *const *)member;
		return write_text(text ? text : "", value);
	}
	case FIELD_LONG:
	case FIELD_TIME:
		return failed(avro_value_set_long(value, *(const int64_t *)member));
	case FIELD_BOOLEAN:
		return failed(avro_value_set_boolean(value, *(const int64_t *)member > 0));
	case FIELD_STRINGS:
		return write_strings(*(const char *const *const *)member, n, value);
	case FIELD_RECORDS:
		return write_records(plan->item, *(const char *const *)member, n, value, ret_field);
	}
	return -EINVAL;
}

static bool is_absent(const struct field *field, const char *record)
{
	const void *member = record + field->offset;
	if (field->type == FIELD_STRING)
		return *(const char *const *)member == NULL;
	return *(const int64_t *)member == ABSENT;
}

static int write_field(const struct field *field, const struct field_plan *plan, const char *record,
		       const avro_value_t *parent, const char **ret_field)
{
	avro_value_t value, branch;
	int r = failed(avro_value_get_by_index(parent, (size_t)plan->position, &value, NULL));
	if (r)
		return r;
	if (!field->optional)
		return write_present(field, plan, record, &value, ret_field);

	bool absent = is_absent(field, record);
	r = failed(avro_value_set_branch(&value, absent ? NULL_BRANCH : VALUE_BRANCH, &branch));
	if (r || absent)
		return r;
	return write_present(field, plan, record, &branch, ret_field);
}

int avro_record_write(const struct record_plan *plan, const void *record, avro_value_t *value,
		      const char **ret_field)
{
	for (size_t i = 0; i < plan->info->n_fields; i++) {
		const struct field *field = &plan->info->fields[i];
		const char *inner = NULL;
		int r = write_field(field, &plan->fields[i], record, value, &inner);
		if (r > 0)
			*ret_field = inner ? inner : field->name;
		if (r)
			return r;
	}
	return 0;
}
