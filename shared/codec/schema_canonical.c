#include "codec/schema_canonical.h"

#include <stdbool.h>
#include <string.h>

static const char *const primitives[] = { "null",  "boolean", "int",   "long",
					  "float", "double",  "bytes", "string" };

static bool is_primitive(const char *name)
{
	for (size_t i = 0; i < sizeof(primitives) / sizeof(*primitives); i++)
		if (strcmp(name, primitives[i]) == 0)
			return true;
	return false;
}

/* Canonical strings are the characters themselves: only what JSON cannot hold is escaped. */
static void put_string(struct buf *out, const char *text)
{
	buf_putc(out, '"');
	for (const char *c = text; *c; c++) {
		if (*c == '"' || *c == '\\')
			buf_putc(out, '\\');
		buf_putc(out, *c);
	}
	buf_putc(out, '"');
}

/* A name with a dot is full as it is; the other names are in the namespace that encloses them. */
static void put_full_name(struct buf *out, const char *name, const char *space)
{
	cleanup(buf_deinit) struct buf full = { 0 };
	if (!strchr(name, '.') && *space)
		buf_printf(&full, "%s.", space);
	buf_puts(&full, name);
	put_string(out, full.data);
}

static int put_schema(const json_t *schema, const char *space, struct buf *out, const char **error);

static int put_union(const json_t *branches, const char *space, struct buf *out, const char **error)
{
	size_t i;
	json_t *branch;
	buf_putc(out, '[');
	json_array_foreach(branches, i, branch)
	{
		if (i)
			buf_putc(out, ',');
		int r = put_schema(branch, space, out, error);
		if (r)
			return r;
	}
	buf_putc(out, ']');
	return 0;
}

static int put_fields(const json_t *fields, const char *space, struct buf *out, const char **error)
{
	size_t i;
	json_t *field;
	buf_puts(out, ",\"fields\":[");
	json_array_foreach(fields, i, field)
	{
		const char *name = json_string_value(json_object_get(field, "name"));
		if (!name) {
			*error = "a field without a name";
			return 1;
		}
		if (i)
			buf_putc(out, ',');
		buf_puts(out, "{\"name\":");
		put_string(out, name);
		buf_puts(out, ",\"type\":");
		int r = put_schema(json_object_get(field, "type"), space, out, error);
		if (r)
			return r;
		buf_putc(out, '}');
	}
	buf_putc(out, ']');
	return 0;
}

static int put_symbols(const json_t *symbols, struct buf *out, const char **error)
{
	size_t i;
	json_t *symbol;
	buf_puts(out, ",\"symbols\":[");
	json_array_foreach(symbols, i, symbol)
	{
		if (!json_is_string(symbol)) {
			*error = "an enum symbol that is not a string";
			return 1;
		}
		if (i)
			buf_putc(out, ',');
		put_string(out, json_string_value(symbol));
	}
	buf_putc(out, ']');
	return 0;
}

/* record, enum and fixed */
static int put_named(const json_t *schema, const char *type, const char *space, struct buf *out,
		     const char **error)
{
	const char *name = json_string_value(json_object_get(schema, "name"));
	const json_t *own_space = json_object_get(schema, "namespace");
	if (!name) {
		*error = "a named type without a name";
		return 1;
	}
	if (own_space)
		space = json_string_value(own_space);
	if (!space) {
		*error = "a namespace that is not a string";
		return 1;
	}

	/* A dotted name brings its own namespace, for itself and for what it encloses. */
	cleanup(freep) char *dotted = NULL;
	const char *dot = strrchr(name, '.');
	if (dot)
		space = dotted = strndup(name, (size_t)(dot - name));

	buf_puts(out, "{\"name\":");
	put_full_name(out, name, space);
	buf_printf(out, ",\"type\":\"%s\"", type);

	int r = 0;
	if (strcmp(type, "record") == 0)
		r = put_fields(json_object_get(schema, "fields"), space, out, error);
	else if (strcmp(type, "enum") == 0)
		r = put_symbols(json_object_get(schema, "symbols"), out, error);
	else
		buf_printf(out, ",\"size\":%lld",
			   (long long)json_integer_value(json_object_get(schema, "size")));
	if (r == 0)
		buf_putc(out, '}');
	return r;
}

static int put_container(const json_t *inner, const char *type, const char *key, const char *space,
			 struct buf *out, const char **error)
{
	buf_printf(out, "{\"type\":\"%s\",\"%s\":", type, key);
	int r = put_schema(inner, space, out, error);
	if (r == 0)
		buf_putc(out, '}');
	return r;
}

static int put_schema(const json_t *schema, const char *space, struct buf *out, const char **error)
{
	if (json_is_array(schema))
		return put_union(schema, space, out, error);

	if (json_is_string(schema)) {
		const char *name = json_string_value(schema);
		if (is_primitive(name))
			put_string(out, name);
		else
			put_full_name(out, name, space);
		return 0;
	}

	const json_t *type = json_object_get(schema, "type");
	if (!json_is_string(type)) {
		/* {"type": {...}} says no more than what it wraps. */
		if (json_is_object(type) || json_is_array(type))
			return put_schema(type, space, out, error);
		*error = "a schema without a type";
		return 1;
	}

	const char *name = json_string_value(type);
	if (strcmp(name, "array") == 0)
		return put_container(json_object_get(schema, "items"), name, "items", space, out,
				     error);
	if (strcmp(name, "map") == 0)
		return put_container(json_object_get(schema, "values"), name, "values", space, out,
				     error);
	if (strcmp(name, "record") == 0 || strcmp(name, "enum") == 0 || strcmp(name, "fixed") == 0)
		return put_named(schema, name, space, out, error);
	return put_schema(type, space, out, error);
}

int schema_canonical(const json_t *schema, struct buf *out, const char **ret_error)
{
	const char *error = NULL;
	cleanup(buf_deinit) struct buf text = { 0 };
	int r = put_schema(schema, "", &text, &error);
	if (r) {
		*ret_error = error;
		return r;
	}
	buf_append(out, text.data, text.len);
	return 0;
}

/* The table of the specification, computed for one byte at a time: this runs once per schema and build. */
uint64_t schema_fingerprint(const void *canonical, size_t len)
{
	const uint64_t empty = 0xc15d213aa4d7a795u;
	const unsigned char *bytes = canonical;
	uint64_t fingerprint = empty;

	for (size_t i = 0; i < len; i++) {
		uint64_t entry = (fingerprint ^ bytes[i]) & 0xff;
		for (int bit = 0; bit < 8; bit++)
			entry = (entry >> 1) ^ (empty & -(entry & 1));
		fingerprint = (fingerprint >> 8) ^ entry;
	}
	return fingerprint;
}
