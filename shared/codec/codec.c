#include "codec/codec.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <avro.h>

#include "base/limits.h"
#include "base/log.h"
#include "base/memory.h"
#include "codec/avro_record.h"
#include "codec/body_check.h"
#include "codec/body_read.h"
#include "codec/codec_schemas.h"
#include "codec/record_plan.h"
#include "codec/schema_shape.h"

enum { FRAME_BYTES = 10, CONFLUENT_BYTES = 5 };

/* One version of one schema, ready to be read with. */
struct version {
	enum record_type type;
	const struct shape *shape;
	const struct record_plan *plan;
	avro_schema_t schema; /* owned */
	avro_value_t value;   /* newest versions: owned; what is written, reused */
};

struct codec {
	uint64_t *fingerprints;	  /* of versions[i] */
	struct version *versions; /* owned */
	size_t n_versions;
	size_t newest[RECORD_TYPES]; /* index into versions */
	uint64_t newest_fingerprint[RECORD_TYPES];
	struct arena arena;   /* shapes and plans */
	avro_writer_t writer; /* owned; writes to `body` */
	char error[256];
	char body[LIMIT_VALUE_BYTES - FRAME_BYTES];
};

static void set_error(struct codec *codec, const char *format, ...) PRINTF_LIKE(2, 3);

static void set_error(struct codec *codec, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	vsnprintf(codec->error, sizeof(codec->error), format, args);
	va_end(args);
}

const char *codec_outcome_name(int outcome)
{
	static const char *const names[] = {
		[CODEC_TOO_LARGE] = "TOO_LARGE",	  [CODEC_NO_FRAME] = "NO_FRAME",
		[CODEC_CONFLUENT] = "NO_SCHEMA_REGISTRY", [CODEC_UNKNOWN_SCHEMA] = "UNKNOWN_SCHEMA",
		[CODEC_MALFORMED] = "MALFORMED",
	};
	return names[outcome];
}

const char *codec_error(const struct codec *codec)
{
	return codec->error;
}

/* ---- making -------------------------------------------------------------------------------- */

static int init_version(struct codec *codec, struct version *version, const struct schema_set *set,
			const struct schema_version *source)
{
	if (record_type_by_name(source->record, &version->type))
		return -EINVAL;
	const struct schema_version *newest = schema_set_newest(set, version->type);
	if (!newest ||
	    avro_schema_from_json_length(source->text, strlen(source->text), &version->schema))
		return -EINVAL;

	int r = schema_shape(version->schema, &codec->arena, &version->shape);
	if (r < 0)
		return r;
	if (version->shape->type != SHAPE_RECORD)
		return -EINVAL;
	r = record_plan_read(record_info(version->type), version->schema, version->shape, newest,
			     &codec->arena, &version->plan);
	if (r < 0)
		return r;
	if (source != newest)
		return 0; /* only ever read */
	r = record_plan_check_write(version->plan, version->shape);
	if (r < 0)
		return r;

	avro_value_iface_t *class = avro_generic_class_from_schema(version->schema);
	if (!class)
		return -EINVAL;
	r = avro_generic_value_new(class, &version->value);
	avro_value_iface_decref(class);
	return r ? -EINVAL : 0;
}

static int init_versions(struct codec *codec, const struct schema_set *set)
{
	for (size_t i = 0; i < RECORD_TYPES; i++) {
		if (!schema_set_newest(set, (enum record_type)i)) {
			log_error("no schema of %s", record_info((enum record_type)i)->name);
			return -EINVAL;
		}
	}
	for (size_t i = 0; i < set->n_versions; i++) {
		const struct schema_version *source = &set->versions[i];
		struct version *version = &codec->versions[i];
		int r = init_version(codec, version, set, source);
		if (r < 0) {
			log_error("schema of %s, version %d: not usable: %s", source->record,
				  source->version, avro_strerror());
			return r;
		}
		codec->fingerprints[i] = source->fingerprint;
		if (source->version == 0) {
			codec->newest[version->type] = i;
			codec->newest_fingerprint[version->type] = source->fingerprint;
		}
	}
	return 0;
}

int codec_new_with_schemas(const struct schema_set *set, struct codec **ret_codec)
{
	cleanup(codec_freep) struct codec *codec = memory_zeroed(1, sizeof(*codec));
	codec->versions = memory_zeroed(set->n_versions, sizeof(*codec->versions));
	codec->fingerprints = memory_zeroed(set->n_versions, sizeof(*codec->fingerprints));
	codec->n_versions = set->n_versions;
	arena_init(&codec->arena);
	codec->writer = avro_writer_memory(codec->body, sizeof(codec->body));
	if (!codec->writer)
		memory_exhausted();

	int r = init_versions(codec, set);
	if (r < 0)
		return r;
	*ret_codec = steal(&codec);
	return 0;
}

int codec_new(struct codec **ret_codec)
{
	return codec_new_with_schemas(&schemas_embedded, ret_codec);
}

void codec_free(struct codec *codec)
{
	if (!codec)
		return;
	for (size_t i = 0; i < codec->n_versions; i++) {
		if (codec->versions[i].value.self)
			avro_value_decref(&codec->versions[i].value);
		if (codec->versions[i].schema)
			avro_schema_decref(codec->versions[i].schema);
	}
	if (codec->writer)
		avro_writer_free(codec->writer);
	arena_deinit(&codec->arena);
	free(codec->fingerprints);
	free(codec->versions);
	free(codec);
}

/* ---- encoding ------------------------------------------------------------------------------ */

static void put_frame(struct buf *out, uint64_t fingerprint)
{
	unsigned char frame[FRAME_BYTES] = { 0xc3, 0x01 };
	for (int i = 0; i < 8; i++)
		frame[2 + i] = (unsigned char)(fingerprint >> (8 * i));
	buf_append(out, frame, sizeof(frame));
}

/* Out of memory ends the process; everything else that avro-c may say here is a broken build. */
static int avro_failed(struct codec *codec, int error)
{
	if (error == ENOMEM || error == -ENOMEM)
		memory_exhausted();
	set_error(codec, "avro-c: %s", avro_strerror());
	return -EINVAL;
}

int codec_encode(struct codec *codec, const struct record *record, struct buf *out)
{
	struct version *version = &codec->versions[codec->newest[record->type]];
	const char *name = version->plan->info->name, *field;

	int r = avro_value_reset(&version->value);
	if (r)
		return avro_failed(codec, r);
	r = avro_record_write(version->plan, record_body_const(record), &version->value, &field);
	if (r == WRITE_NOT_TEXT) {
		set_error(codec, "%s: %s is not UTF-8", name, field);
		return CODEC_MALFORMED;
	}
	if (r == WRITE_TOO_LONG) {
		set_error(codec, "%s: %s is too long", name, field);
		return CODEC_TOO_LARGE;
	}
	if (r)
		return avro_failed(codec, r);

	avro_writer_reset(codec->writer);
	r = avro_value_write(codec->writer, &version->value);
	if (r == ENOSPC) {
		set_error(codec, "%s: more than %d bytes", name, LIMIT_VALUE_BYTES);
		return CODEC_TOO_LARGE;
	}
	if (r)
		return avro_failed(codec, r);

	put_frame(out, codec->newest_fingerprint[record->type]);
	buf_append(out, codec->body, (size_t)avro_writer_tell(codec->writer));
	codec->error[0] = '\0';
	return 0;
}

/* ---- decoding ------------------------------------------------------------------------------ */

static int refuse_frame(struct codec *codec, const unsigned char *bytes, size_t len)
{
	if (len >= CONFLUENT_BYTES && bytes[0] == 0) {
		uint32_t id = (uint32_t)bytes[1] << 24 | (uint32_t)bytes[2] << 16 |
			      (uint32_t)bytes[3] << 8 | bytes[4];
		set_error(codec,
			  "Confluent framing with schema id %" PRIu32
			  ", but no schema registry is configured",
			  id);
		return CODEC_CONFLUENT;
	}
	if (len == 0)
		set_error(codec, "an empty value");
	else
		set_error(codec,
			  "no Avro single-object framing: it begins with %02x, not with c3 01",
			  bytes[0]);
	return CODEC_NO_FRAME;
}

static uint64_t frame_fingerprint(const unsigned char *bytes)
{
	uint64_t fingerprint = 0;
	for (int i = 0; i < 8; i++)
		fingerprint |= (uint64_t)bytes[2 + i] << (8 * i);
	return fingerprint;
}

static int find_version(struct codec *codec, const unsigned char *bytes,
			struct version **ret_version)
{
	uint64_t fingerprint = frame_fingerprint(bytes);
	for (size_t i = 0; i < codec->n_versions; i++) {
		if (codec->fingerprints[i] == fingerprint) {
			*ret_version = &codec->versions[i];
			return 0;
		}
	}
	set_error(codec, "no known schema has the fingerprint %016" PRIx64, fingerprint);
	return CODEC_UNKNOWN_SCHEMA;
}

static int decode_body(struct codec *codec, struct version *version, const void *body, size_t len,
		       struct arena *arena, struct record *ret_record)
{
	const char *name = version->plan->info->name, *why;
	if (body_check(version->shape, body, len, &why)) {
		set_error(codec, "%s: the body %s", name, why);
		return CODEC_MALFORMED;
	}

	struct record record = { .type = version->type };
	body_read(version->plan, body, arena, record_body(&record));
	*ret_record = record;
	codec->error[0] = '\0';
	return 0;
}

int codec_decode(struct codec *codec, const void *data, size_t len, struct arena *arena,
		 struct record *ret_record)
{
	const unsigned char *bytes = data;
	struct version *version;

	if (len > LIMIT_VALUE_BYTES) {
		set_error(codec, "%zu bytes, more than %d", len, LIMIT_VALUE_BYTES);
		return CODEC_TOO_LARGE;
	}
	if (len < 2 || bytes[0] != 0xc3 || bytes[1] != 0x01)
		return refuse_frame(codec, bytes, len);
	if (len < FRAME_BYTES) {
		set_error(codec, "the value ends within its schema's fingerprint");
		return CODEC_MALFORMED;
	}
	int r = find_version(codec, bytes, &version);
	if (r)
		return r;
	return decode_body(codec, version, bytes + FRAME_BYTES, len - FRAME_BYTES, arena,
			   ret_record);
}

int codec_peek_type(const void *data, size_t len, enum record_type *ret_type)
{
	const unsigned char *bytes = data;

	if (len < FRAME_BYTES || bytes[0] != 0xc3 || bytes[1] != 0x01)
		return CODEC_NO_FRAME;
	uint64_t fingerprint = frame_fingerprint(bytes);
	for (size_t i = 0; i < schemas_embedded.n_versions; i++) {
		const struct schema_version *version = &schemas_embedded.versions[i];
		if (version->fingerprint == fingerprint)
			return record_type_by_name(version->record, ret_type);
	}
	return CODEC_UNKNOWN_SCHEMA;
}
