/*
 * The codec for a test in another language: a request a line on stdin, an answer a line on stdout.
 *
 *   schemas             ->  NAME VERSION FINGERPRINT, ... (16 hex digits, most significant first)
 *   encode RECORD JSON  ->  the framed bytes in hex
 *   decode HEX          ->  RECORD JSON
 *
 * What cannot be done is answered "error TEXT".
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codec/codec.h"
#include "codec/json.h"
#include "codec/schema_set.h"

static void put_schemas(void)
{
	for (size_t i = 0; i < schemas_embedded.n_versions; i++) {
		const struct schema_version *schema = &schemas_embedded.versions[i];
		printf("%s%s %d %016" PRIx64, i ? ", " : "", schema->record, schema->version,
		       schema->fingerprint);
	}
	putchar('\n');
}

static void encode(struct codec *codec, struct arena *arena, char *arguments)
{
	cleanup(buf_deinit) struct buf bytes = { 0 };
	cleanup(freep) char *error = NULL;
	enum record_type type;
	struct record record;
	json_error_t where;

	char *name = strsep(&arguments, " ");
	if (!arguments || record_type_by_name(name, &type)) {
		printf("error no such record\n");
		return;
	}
	cleanup(json_decrefp) json_t *json = json_loads(arguments, 0, &where);
	if (!json)
		printf("error %s\n", where.text);
	else if (record_from_json(json, type, arena, &record, &error))
		printf("error %s\n", error);
	else if (codec_encode(codec, &record, &bytes))
		printf("error %s\n", codec_error(codec));
	else {
		for (size_t i = 0; i < bytes.len; i++)
			printf("%02x", (unsigned char)bytes.data[i]);
		putchar('\n');
	}
}

static void decode(struct codec *codec, struct arena *arena, const char *hex)
{
	cleanup(buf_deinit) struct buf bytes = { 0 };
	struct record record;

	for (; hex[0] && hex[1]; hex += 2) {
		const char digits[] = { hex[0], hex[1], '\0' };
		buf_putc(&bytes, (char)strtoul(digits, NULL, 16));
	}
	if (codec_decode(codec, bytes.data, bytes.len, arena, &record)) {
		printf("error %s\n", codec_error(codec));
		return;
	}
	cleanup(json_decrefp) json_t *json = record_to_json(&record);
	cleanup(freep) char *text = json_dumps(json, JSON_COMPACT);
	printf("%s %s\n", record_info(record.type)->name, text);
}

int main(void)
{
	cleanup(codec_freep) struct codec *codec = NULL;
	cleanup(arena_deinit) struct arena arena = { 0 };
	cleanup(freep) char *line = NULL;
	size_t size = 0;
	ssize_t len;
	if (codec_new(&codec))
		return 1;

	while ((len = getline(&line, &size, stdin)) > 0) {
		if (line[len - 1] == '\n')
			line[len - 1] = '\0';
		char *arguments = line;
		const char *verb = strsep(&arguments, " ");
		if (strcmp(verb, "schemas") == 0)
			put_schemas();
		else if (strcmp(verb, "encode") == 0 && arguments)
			encode(codec, &arena, arguments);
		else if (strcmp(verb, "decode") == 0 && arguments)
			decode(codec, &arena, arguments);
		else
			printf("error no such request\n");
		fflush(stdout);
		arena_reset(&arena);
	}
	return 0;
}
