#include "attach/step/json_fields.h"

#include <string.h>

int json_fields_load(const char *text, size_t len, json_t **ret_object, struct buf *error)
{
	json_error_t why;
	json_t *object = json_loadb(text, len, JSON_REJECT_DUPLICATES, &why);
	if (!object) {
		buf_printf(error, "it is no JSON: %s (line %d, column %d)", why.text, why.line,
			   why.column);
		return 1;
	}
	if (!json_is_object(object)) {
		buf_puts(error, "it is no JSON object");
		json_decref(object);
		return 1;
	}
	*ret_object = object;
	return 0;
}

int json_fields_text(const json_t *object, const char *name, bool required, char *text, size_t size,
		     struct buf *error)
{
	const json_t *value = json_object_get(object, name);
	if (!value && !required) {
		*text = '\0';
		return 0;
	}
	if (!json_is_string(value)) {
		buf_printf(error, value ? "\"%s\" is no text" : "\"%s\" is missing", name);
		return 1;
	}
	/* jansson refuses \u0000, so the text ends where it seems to. */
	size_t len = json_string_length(value);
	if (len >= size) {
		buf_printf(error, "\"%s\" has more than %zu bytes", name, size - 1);
		return 1;
	}
	memcpy(text, json_string_value(value), len + 1);
	return 0;
}

int json_fields_bool(const json_t *object, const char *name, bool required, bool *ret_value,
		     struct buf *error)
{
	const json_t *value = json_object_get(object, name);
	if (value ? !json_is_boolean(value) : required) {
		buf_printf(error, value ? "\"%s\" is neither true nor false" : "\"%s\" is missing",
			   name);
		return 1;
	}
	*ret_value = json_is_true(value);
	return 0;
}

int json_fields_list(const json_t *object, const char *name, size_t min, size_t max,
		     const json_t **ret_list, struct buf *error)
{
	const json_t *list = json_object_get(object, name);
	if (!json_is_array(list)) {
		buf_printf(error, list ? "\"%s\" is no list" : "\"%s\" is missing", name);
		return 1;
	}
	if (json_array_size(list) < min || json_array_size(list) > max) {
		buf_printf(error, "\"%s\" has %zu items; %zu to %zu are possible", name,
			   json_array_size(list), min, max);
		return 1;
	}
	*ret_list = list;
	return 0;
}
