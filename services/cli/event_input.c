#include "cli/event_input.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/memory.h"

/* One value of the text: an object, or an array of objects. */
static int add_value(json_t *items, json_t *value, struct buf *error)
{
	if (json_is_object(value))
		return json_array_append_new(items, value) ? (memory_exhausted(), 1) : 0;

	size_t i;
	json_t *item;
	json_array_foreach(value, i, item)
	{
		if (!json_is_object(item)) {
			buf_printf(error, "item %zu of the array is not an object", i + 1);
			json_decref(value);
			return 1;
		}
		json_array_append(items, item);
	}
	json_decref(value);
	return 0;
}

/* How far the text goes before `position`, as people count. */
static void put_line(struct buf *error, const char *text, size_t position)
{
	int line = 1;
	for (size_t i = 0; i < position; i++)
		line += text[i] == '\n';
	if (line > 1)
		buf_printf(error, "line %d: ", line);
}

int event_input_parse(const char *text, size_t len, json_t **ret_items, struct buf *error)
{
	json_t *items = json_array();
	size_t at = 0;

	for (;;) {
		while (at < len && isspace((unsigned char)text[at]))
			at++;
		if (at == len)
			break;
		json_error_t problem;
		json_t *value =
			json_loadb(text + at, len - at,
				   JSON_DISABLE_EOF_CHECK | JSON_REJECT_DUPLICATES, &problem);
		if (!value) {
			size_t position = problem.position > 0 ? (size_t)problem.position : 0;
			put_line(error, text, at + position < len ? at + position : len);
			buf_printf(error, "not JSON: %s", problem.text);
			json_decref(items);
			return 1;
		}
		if (add_value(items, value, error)) {
			json_decref(items);
			return 1;
		}
		at += (size_t)problem.position;
	}
	if (json_array_size(items) == 0) {
		buf_puts(error, "no event in it: expected a JSON object, an array of objects, or "
				"one object a line");
		json_decref(items);
		return 1;
	}
	*ret_items = items;
	return 0;
}

int event_input_read(const char *path, struct buf *ret_text, struct buf *error)
{
	enum { CHUNK = 64 * 1024 };
	bool standard = strcmp(path, "-") == 0;
	FILE *file = standard ? stdin : fopen(path, "re");

	if (!file) {
		buf_printf(error, "%s: %s", path, strerror(errno));
		return 1;
	}
	size_t n;
	while ((n = fread(buf_reserve(ret_text, CHUNK), 1, CHUNK, file)) > 0)
		ret_text->len += n;
	int failed = ferror(file);
	if (!standard)
		fclose(file);
	if (failed)
		buf_printf(error, "%s: cannot be read", standard ? "standard input" : path);
	return failed;
}
