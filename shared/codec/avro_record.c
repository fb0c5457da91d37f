#include "codec/avro_record.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "base/limits.h"
#include "codec/utf8.h"

/* avro-c's calls return an errno or EINVAL-like positive number. */
static int failed(int avro_error)
{
	return avro_error > 0 ? -avro_error : avro_error;
}

/* ---- writing ------------------------------------------------------------------------------- */

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

/* ---- reading ------------------------------------------------------------------------------- */

/* Steps into a union. The schema says what stands there: values are not asked for their type. */
static int resolve(avro_value_t *value, const struct shape **shape)
{
	while ((*shape)->type == SHAPE_UNION) {
		avro_value_t branch;
		int chosen;
		int r = failed(avro_value_get_discriminant(value, &chosen));
		if (r)
			return r;
		*shape = (*shape)->children[chosen];
		if ((*shape)->type == SHAPE_NULL)
			return 0;
		r = failed(avro_value_get_current_branch(value, &branch));
		if (r)
			return r;
		*value = branch;
	}
	return 0;
}

static int read_text(const avro_value_t *value, struct arena *arena, const char **ret_text)
{
	const char *text;
	size_t size;
	int r = failed(avro_value_get_string(value, &text, &size));
	if (r)
		return r;
	*ret_text = arena_strndup(arena, text, size - 1);
	return 0;
}

/* Writers may have an int where the newest schema has a long. */
static int read_number(const avro_value_t *value, const struct shape *shape, int64_t *ret_number)
{
	int32_t number;
	if (shape->type == SHAPE_LONG)
		return failed(avro_value_get_long(value, ret_number));
	int r = failed(avro_value_get_int(value, &number));
	if (r)
		return r;
	*ret_number = number;
	return 0;
}

static int read_boolean(const avro_value_t *value, int64_t *ret_number)
{
	int boolean;
	int r = failed(avro_value_get_boolean(value, &boolean));
	if (r)
		return r;
	*ret_number = boolean != 0;
	return 0;
}

static int read_strings(const avro_value_t *list, const struct shape *shape, size_t n,
			struct arena *arena, const char **items)
{
	for (size_t i = 0; i < n; i++) {
		avro_value_t item;
		const struct shape *item_shape = shape;
		int r = failed(avro_value_get_by_index(list, i, &item, NULL));
		if (r == 0)
			r = resolve(&item, &item_shape);
		items[i] = "";
		if (r == 0 && item_shape->type != SHAPE_NULL)
			r = read_text(&item, arena, &items[i]);
		if (r)
			return r;
	}
	return 0;
}

static int read_records(const struct record_plan *plan, const avro_value_t *list, size_t n,
			struct arena *arena, char *items)
{
	for (size_t i = 0; i < n; i++) {
		avro_value_t item;
		int r = failed(avro_value_get_by_index(list, i, &item, NULL));
		if (r == 0)
			r = avro_record_read(plan, &item, arena, items + i * plan->info->size);
		if (r)
			return r;
	}
	return 0;
}

static int read_list(const struct field *field, const struct field_plan *plan,
		     const avro_value_t *value, const struct shape *shape, struct arena *arena,
		     char *record)
{
	size_t n;
	int r = failed(avro_value_get_size(value, &n));
	if (r)
		return r;

	size_t item_size = plan->item ? plan->item->info->size : sizeof(const char *);
	void *items = arena_array(arena, n, item_size);
	if (plan->item)
		r = read_records(plan->item, value, n, arena, items);
	else
		r = read_strings(value, shape->children[0], n, arena, items);
	if (r)
		return r;
	*(void **)(void *)(record + field->offset) = items;
	*(size_t *)(void *)(record + field->count_offset) = n;
	return 0;
}

static void set_missing(const struct field *field, const struct field_plan *plan, char *record)
{
	void *member = record + field->offset;
	switch (field->type) {
	case FIELD_STRING:
		*(const char **)member = plan->text;
		break;
	case FIELD_LONG:
	case FIELD_TIME:
	case FIELD_BOOLEAN:
		*(int64_t *)member = plan->number;
		break;
	case FIELD_STRINGS:
	case FIELD_RECORDS:
		*(void **)member = NULL;
		*(size_t *)(void *)(record + field->count_offset) = 0;
		break;
	}
}

static int read_field(const struct field *field, const struct field_plan *plan,
		      const avro_value_t *parent, struct arena *arena, char *record)
{
	avro_value_t value;
	if (plan->position < 0) {
		set_missing(field, plan, record);
		return 0;
	}
	int r = failed(avro_value_get_by_index(parent, (size_t)plan->position, &value, NULL));
	const struct shape *shape = plan->shape;
	if (r == 0)
		r = resolve(&value, &shape);
	if (r)
		return r;
	if (shape->type == SHAPE_NULL) {
		set_missing(field, plan, record);
		return 0;
	}

	void *member = record + field->offset;
	switch (field->type) {
	case FIELD_STRING:
		return read_text(&value, arena, member);
	case FIELD_LONG:
	case FIELD_TIME:
		return read_number(&value, shape, member);
	case FIELD_BOOLEAN:
		return read_boolean(&value, member);
	case FIELD_STRINGS:
	case FIELD_RECORDS:
		return read_list(field, plan, &value, shape, arena, record);
	}
	return -EINVAL;
}

int avro_record_read(const struct record_plan *plan, const avro_value_t *value, struct arena *arena,
		     void *record)
{
	for (size_t i = 0; i < plan->info->n_fields; i++) {
		int r = read_field(&plan->info->fields[i], &plan->fields[i], value, arena, record);
		if (r)
			return r;
	}
	return 0;
}
