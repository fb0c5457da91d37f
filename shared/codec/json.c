#include "codec/json.h"

#include <stdarg.h>
#include <stdbool.h>
#include <string.h>

#include "base/buf.h"
#include "base/limits.h"
#include "base/memory.h"
#include "codec/rfc3339.h"
#include "codec/schema_set.h"

/* ---- writing ------------------------------------------------------------------------------- */

static json_t *made(json_t *json)
{
	if (!json)
		memory_exhausted();
	return json;
}

static json_t *text_to_json(const char *text)
{
	if (!text)
		text = "";
	json_t *json = json_string(text);
	if (json)
		return json;

	cleanup(freep) char *ascii = memory_strdup(text);
	for (char *c = ascii; *c; c++)
		if ((unsigned char)*c >= 0x80)
			*c = '?';
	return made(json_string(ascii));
}

static json_t *body_to_json(const struct record_info *info, const char *body);

static json_t *list_to_json(const struct field *field, const char *body)
{
	const char *items = *(const char *const *)(const void *)(body + field->offset);
	size_t n = *(const size_t *)(const void *)(body + field->count_offset);
	json_t *list = made(json_array());
	for (size_t i = 0; i < n; i++) {
		json_t *item =
			field->item ? body_to_json(field->item, items + i * field->item->size)
				    : text_to_json(((const char *const *)(const void *)items)[i]);
		if (json_array_append_new(list, item))
			memory_exhausted();
	}
	return list;
}

static json_t *field_to_json(const struct field *field, const char *body)
{
	const void *member = body + field->offset;
	switch (field->type) {
	case FIELD_STRING: {
		const char *text = *(const char *const *)member;
		return field->optional && !text ? json_null() : text_to_json(text);
	}
	case FIELD_LONG:
	case FIELD_TIME:
	case FIELD_BOOLEAN: {
		int64_t number = *(const int64_t *)member;
		if (field->optional && number == ABSENT)
			return json_null();
		return field->type == FIELD_BOOLEAN ? json_boolean(number > 0)
						    : made(json_integer(number));
	}
	case FIELD_STRINGS:
	case FIELD_RECORDS:
		break;
	}
	return list_to_json(field, body);
}

static json_t *body_to_json(const struct record_info *info, const char *body)
{
	json_t *json = made(json_object());
	for (size_t i = 0; i < info->n_fields; i++)
		if (json_object_set_new(json, info->fields[i].name,
					field_to_json(&info->fields[i], body)))
			memory_exhausted();
	return json;
}

json_t *record_to_json(const struct record *record)
{
	return body_to_json(record_info(record->type), record_body_const(record));
}

/* ---- reading ------------------------------------------------------------------------------- */

/* Where in the object the reader is: gpus, then [1], then count. */
struct place {
	const struct place *outer;
	const char *name; /* NULL: an item */
	size_t item;
};

struct reader {
	const struct schema_version *schema; /* whose defaults hold */
	struct arena *arena;
	struct buf error;
};

static void put_place(struct buf *out, const struct place *place)
{
	if (!place)
		return;
	put_place(out, place->outer);
	if (!place->name)
		buf_printf(out, "[%zu]", place->item);
	else
		buf_printf(out, "%s%s", place->outer ? "." : "", place->name);
}

static int refuse(struct reader *reader, const struct place *place, const char *format, ...)
	PRINTF_LIKE(3, 4);

static int refuse(struct reader *reader, const struct place *place, const char *format, ...)
{
	cleanup(freep) char *why = NULL;
	va_list args;
	va_start(args, format);
	if (vasprintf(&why, format, args) < 0)
		memory_exhausted();
	va_end(args);

	put_place(&reader->error, place);
	if (place)
		buf_puts(&reader->error, ": ");
	buf_puts(&reader->error, why);
	return 1;
}

static const char *kind(const json_t *json)
{
	switch (json_typeof(json)) {
	case JSON_OBJECT:
		return "an object";
	case JSON_ARRAY:
		return "a list";
	case JSON_STRING:
		return "text";
	case JSON_INTEGER:
		return "an integer";
	case JSON_REAL:
		return "a number with a fraction";
	case JSON_TRUE:
	case JSON_FALSE:
		return "true or false";
	case JSON_NULL:
		return "null";
	}
	return "nothing";
}

static int refuse_kind(struct reader *reader, const struct place *place, const char *expected,
		       const json_t *json)
{
	return refuse(reader, place, "expected %s, got %s", expected, kind(json));
}

static int text_from_json(struct reader *reader, const struct place *place, const json_t *json,
			  const char **ret_text)
{
	if (!json_is_string(json))
		return refuse_kind(reader, place, "text", json);
	size_t len = json_string_length(json);
	if (strlen(json_string_value(json)) != len)
		return refuse(reader, place, "a NUL in the text");
	*ret_text = arena_strndup(reader->arena, json_string_value(json), len);
	return 0;
}

static int time_from_json(struct reader *reader, const struct place *place, const json_t *json,
			  int64_t *ret_time)
{
	if (json_is_integer(json)) {
		*ret_time = json_integer_value(json);
		return 0;
	}
	if (!json_is_string(json))
		return refuse_kind(reader, place,
				   "a time (microseconds since 1970, or RFC 3339 text)", json);
	if (rfc3339_parse(json_string_value(json), json_string_length(json), ret_time))
		return refuse(reader, place, "\"%s\" is not a time like 2026-11-22T16:50:28Z",
			      json_string_value(json));
	return 0;
}

static int body_from_json(struct reader *reader, const struct place *place, const json_t *json,
			  const struct record_info *info, char *body);

static int list_from_json(struct reader *reader, const struct place *place, const json_t *json,
			  const struct field *field, char *body)
{
	if (!json_is_array(json))
		return refuse_kind(reader, place, "a list", json);
	size_t n = json_array_size(json);
	if (n > LIMIT_LIST_ITEMS)
		return refuse(reader, place, "%zu items, more than %d", n, LIMIT_LIST_ITEMS);

	size_t size = field->item ? field->item->size : sizeof(const char *);
	char *items = arena_array(reader->arena, n, size);
	for (size_t i = 0; i < n; i++) {
		struct place inner = { .outer = place, .item = i };
		const json_t *item = json_array_get(json, i);
		void *at = items + i * size;
		int r = field->item ? body_from_json(reader, &inner, item, field->item, at)
				    : text_from_json(reader, &inner, item, at);
		if (r)
			return r;
	}
	*(void **)(void *)(body + field->offset) = items;
	*(size_t *)(void *)(body + field->count_offset) = n;
	return 0;
}

static int value_from_json(struct reader *reader, const struct place *place, const json_t *json,
			   const struct field *field, char *body)
{
	void *member = body + field->offset;
	switch (field->type) {
	case FIELD_STRING:
		return text_from_json(reader, place, json, member);
	case FIELD_LONG:
		if (!json_is_integer(json))
			return refuse_kind(reader, place, "an integer", json);
		*(int64_t *)member = json_integer_value(json);
		return 0;
	case FIELD_TIME:
		return time_from_json(reader, place, json, member);
	case FIELD_BOOLEAN:
		if (!json_is_boolean(json))
			return refuse_kind(reader, place, "true or false", json);
		*(int64_t *)member = json_is_true(json);
		return 0;
	case FIELD_STRINGS:
	case FIELD_RECORDS:
		break;
	}
	return list_from_json(reader, place, json, field, body);
}

/* Bodies start as zeros: that is already the empty list. */
static void set_default(const struct field *field, const struct schema_default *fallback,
			char *body)
{
	void *member = body + field->offset;
	if (field->type == FIELD_STRING)
		*(const char **)member = fallback ? fallback->text : NULL;
	else if (field->type != FIELD_STRINGS && field->type != FIELD_RECORDS)
		*(int64_t *)member = field->optional || !fallback ? ABSENT : fallback->number;
}

static int field_from_json(struct reader *reader, const struct place *outer, const json_t *json,
			   const struct record_info *info, const struct field *field, char *body)
{
	struct place place = { .outer = outer, .name = field->name };
	const json_t *value = json_object_get(json, field->name);
	if (value && !(field->optional && json_is_null(value)))
		return value_from_json(reader, &place, value, field, body);

	const struct schema_default *fallback =
		schema_default_of(reader->schema, info->name, field->name);
	if (!fallback && !field->optional)
		return refuse(reader, &place, "missing");
	set_default(field, fallback, body);
	return 0;
}

static const struct field *find_field(const struct record_info *info, const char *name)
{
	for (size_t i = 0; i < info->n_fields; i++)
		if (strcmp(info->fields[i].name, name) == 0)
			return &info->fields[i];
	return NULL;
}

static int refuse_unknown(struct reader *reader, const struct place *place,
			  const struct record_info *info)
{
	cleanup(buf_deinit) struct buf names = { 0 };
	for (size_t i = 0; i < info->n_fields; i++)
		buf_printf(&names, "%s%s", i ? ", " : "", info->fields[i].name);
	return refuse(reader, place, "%s has no such field; its fields are %s", info->name,
		      names.data);
}

static int body_from_json(struct reader *reader, const struct place *place, const json_t *json,
			  const struct record_info *info, char *body)
{
	const char *name;
	json_t *value;
	if (!json_is_object(json))
		return refuse_kind(reader, place, "an object", json);

	/* jansson's iterators want a json_t that they could change; nothing here does. */
	json_object_foreach((json_t *)(uintptr_t)json, name, value)
	{
		struct place inner = { .outer = place, .name = name };
		if (!find_field(info, name))
			return refuse_unknown(reader, &inner, info);
	}
	for (size_t i = 0; i < info->n_fields; i++) {
		int r = field_from_json(reader, place, json, info, &info->fields[i], body);
		if (r)
			return r;
	}
	return 0;
}

int record_from_json(const json_t *json, enum record_type type, struct arena *arena,
		     struct record *ret_record, char **ret_error)
{
	struct record record = { .type = type };
	struct reader reader = {
		.schema = schema_set_newest(&schemas_embedded, type),
		.arena = arena,
	};
	if (body_from_json(&reader, NULL, json, record_info(type), record_body(&record))) {
		*ret_error = buf_steal(&reader.error);
		return 1;
	}
	*ret_record = record;
	return 0;
}
