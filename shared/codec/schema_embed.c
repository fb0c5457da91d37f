/*
 * Build-time generator: schema_embed SYMBOL OUT.c FILE.avsc... writes a C file that defines
 * `const struct schema_set SYMBOL` (codec/schema_set.h) with the texts, the fingerprints and the
 * defaults of the schemas. NAME.avsc is the newest version of record NAME, NAME@1.avsc, NAME@2.avsc, ...
 * are the older ones.
 */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "codec/schema_canonical.h"

/* As a C string literal, one source line per line of text. */
static void put_literal(struct buf *out, const char *text)
{
	buf_putc(out, '"');
	for (const char *c = text; *c; c++) {
		unsigned char byte = (unsigned char)*c;
		if (*c == '\n')
			buf_puts(out, c[1] ? "\\n\"\n\t\"" : "\\n");
		else if (*c == '"' || *c == '\\')
			buf_printf(out, "\\%c", *c);
		else if (byte < 0x20 || byte >= 0x7f || *c == '?')
			buf_printf(out, "\\%03o", byte);
		else
			buf_putc(out, *c);
	}
	buf_putc(out, '"');
}

static int put_default(struct buf *out, const char *record, const char *field, const json_t *value)
{
	bool is_empty_list = json_is_array(value) && json_array_size(value) == 0;
	long long number = json_is_true(value) ? 1 : (long long)json_integer_value(value);
	if (!json_is_null(value) && !is_empty_list && !json_is_string(value) &&
	    !json_is_integer(value) && !json_is_boolean(value)) {
		fprintf(stderr,
			"%s.%s: only null, [], strings, integers and booleans "
			"can be defaults\n",
			record, field);
		return 1;
	}

	buf_printf(out, "\t{ \"%s\", \"%s\", ", record, field);
	if (json_is_string(value))
		put_literal(out, json_string_value(value));
	else
		buf_puts(out, "NULL");
	buf_printf(out, ", %lld },\n", number);
	return 0;
}

/* The defaults of all fields of the records in `schema`, whatever encloses them. */
static int put_defaults(struct buf *out, const json_t *schema, size_t *n)
{
	size_t i;
	json_t *inner;
	if (json_is_array(schema)) {
		json_array_foreach(schema, i, inner)
		{
			int r = put_defaults(out, inner, n);
			if (r)
				return r;
		}
		return 0;
	}
	if (!json_is_object(schema))
		return 0;

	const char *record = json_string_value(json_object_get(schema, "name"));
	json_array_foreach(json_object_get(schema, "fields"), i, inner)
	{
		const json_t *value = json_object_get(inner, "default");
		int r = 0;
		if (value) {
			r = put_default(out, record,
					json_string_value(json_object_get(inner, "name")), value);
			(*n)++;
		}
		if (r == 0)
			r = put_defaults(out, json_object_get(inner, "type"), n);
		if (r)
			return r;
	}
	int r = put_defaults(out, json_object_get(schema, "items"), n);
	return r ? r : put_defaults(out, json_object_get(schema, "type"), n);
}

static int read_file(const char *path, struct buf *ret_text)
{
	FILE *file = fopen(path, "rb");
	if (!file) {
		perror(path);
		return 1;
	}
	char *room;
	size_t got;
	do {
		room = buf_reserve(ret_text, 4096);
		got = fread(room, 1, 4096, file);
		ret_text->len += got;
	} while (got);
	*buf_reserve(ret_text, 0) = '\0';
	int failed = ferror(file);
	fclose(file);
	return failed;
}

/* "dir/VmRequested@2.avsc" -> "VmRequested", 2. Positive: another shape. */
static int parse_name(const char *path, char **ret_record, int *ret_version)
{
	const char *slash = strrchr(path, '/');
	const char *base = slash ? slash + 1 : path;
	size_t len = strcspn(base, "@.");
	int version = 0, end = 0;
	if (base[len] == '@' && (sscanf(base + len, "@%d%n", &version, &end) != 1 || version < 1))
		return 1;
	if (len == 0 || strcmp(base + len + end, ".avsc") != 0)
		return 1;
	*ret_record = strndup(base, len);
	*ret_version = version;
	return 0;
}

/* Appends the entry of one file to `entries` and its tables to `tables`. */
static int embed(const char *path, int number, struct buf *tables, struct buf *entries)
{
	cleanup(buf_deinit) struct buf text = { 0 };
	cleanup(buf_deinit) struct buf canonical = { 0 };
	cleanup(freep) char *record = NULL;
	int version;
	if (parse_name(path, &record, &version)) {
		fprintf(stderr, "%s: not NAME.avsc or NAME@n.avsc\n", path);
		return 1;
	}
	if (read_file(path, &text))
		return 1;

	json_error_t error;
	cleanup(json_decrefp) json_t *schema =
		json_loadb(text.data, text.len, JSON_REJECT_DUPLICATES, &error);
	if (!schema) {
		fprintf(stderr, "%s:%d: %s\n", path, error.line, error.text);
		return 1;
	}
	const char *name = json_string_value(json_object_get(schema, "name"));
	if (!name || strcmp(name, record) != 0) {
		fprintf(stderr, "%s: defines %s\n", path, name ? name : "nothing");
		return 1;
	}
	const char *why;
	if (schema_canonical(schema, &canonical, &why)) {
		fprintf(stderr, "%s: %s\n", path, why);
		return 1;
	}

	size_t n_defaults = 0;
	buf_printf(tables, "static const struct schema_default defaults_%d[] = {\n", number);
	if (put_defaults(tables, schema, &n_defaults))
		return 1;
	buf_puts(tables, "\t{ NULL, NULL, NULL, 0 },\n};\n\n");

	buf_printf(entries, "\t{\n\t\"%s\", %d,\n\t", record, version);
	put_literal(entries, text.data);
	buf_printf(entries, ",\n\tUINT64_C(0x%016llx), defaults_%d, %zu },\n",
		   (unsigned long long)schema_fingerprint(canonical.data, canonical.len), number,
		   n_defaults);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc < 4) {
		fprintf(stderr, "usage: schema_embed SYMBOL OUT.c FILE.avsc...\n");
		return 1;
	}

	cleanup(buf_deinit) struct buf tables = { 0 };
	cleanup(buf_deinit) struct buf entries = { 0 };
	for (int i = 3; i < argc; i++)
		if (embed(argv[i], i - 3, &tables, &entries))
			return 1;

	FILE *out = fopen(argv[2], "w");
	if (!out) {
		perror(argv[2]);
		return 1;
	}
	fprintf(out, "/* Written by schema_embed. */\n#include \"codec/schema_set.h\"\n\n%s",
		tables.data);
	fprintf(out, "static const struct schema_version versions[] = {\n%s};\n\n", entries.data);
	fprintf(out, "const struct schema_set %s = { versions, %d };\n", argv[1], argc - 3);
	if (fclose(out)) {
		perror(argv[2]);
		return 1;
	}
	return 0;
}
