#include "cli/tail_format.h"

#include <inttypes.h>
#include <string.h>

#include "codec/envelope_headers.h"
#include "codec/json.h"
#include "codec/rfc3339.h"

/* Bytes from anywhere, fit for a terminal. */
static void put_bytes(struct buf *out, const void *data, size_t len)
{
	const unsigned char *bytes = data;
	for (size_t i = 0; i < len; i++)
		buf_putc(out, bytes[i] < 0x20 || bytes[i] == 0x7f ? '?' : (char)bytes[i]);
}

static void put_text(struct buf *out, const char *name, const char *text)
{
	if (!text || !*text)
		return;
	buf_printf(out, " %s=", name);
	put_bytes(out, text, strlen(text));
}

static const struct header *find_header(const struct message *message, const char *name)
{
	for (size_t i = 0; i < message->n_headers; i++)
		if (strcmp(message->headers[i].name, name) == 0)
			return &message->headers[i];
	return NULL;
}

static const char *time_text(int64_t time_us, char text[RFC3339_TEXT_BYTES])
{
	return time_us > 0 && rfc3339_format(time_us, text) == 0 ? text : "-";
}

/* ---- what a record says, in a few words -------------------------------------------------------- */

/* One item of a list that matters to people, in a word: "model=2", "0000:01:00.0", "h1/0000:01:00.0:DIRTY". */
static void put_item(struct buf *out, const char *type, const void *item)
{
	const struct gpu_ask *ask = item;
	const struct assigned_gpu *assigned = item;
	const struct attached_gpu *attached = item;
	const struct quarantined_gpu *quarantined = item;

	if (strcmp(type, "GpuAsk") == 0) {
		put_bytes(out, ask->name, strlen(ask->name));
		buf_printf(out, "=%" PRId64, ask->count);
	} else if (strcmp(type, "AssignedGpu") == 0) {
		put_bytes(out, assigned->pci_address, strlen(assigned->pci_address));
	} else if (strcmp(type, "AttachedGpu") == 0) {
		put_bytes(out, attached->gpu_id, strlen(attached->gpu_id));
		buf_putc(out, ':');
		put_bytes(out, attached->state, strlen(attached->state));
		if (attached->code) {
			buf_putc(out, ':');
			put_bytes(out, attached->code, strlen(attached->code));
		}
	} else if (strcmp(type, "QuarantinedGpu") == 0) {
		put_bytes(out, quarantined->gpu_id, strlen(quarantined->gpu_id));
		buf_putc(out, ':');
		put_bytes(out, quarantined->code, strlen(quarantined->code));
	}
}

static bool is_shown(const struct field *field)
{
	return strcmp(field->name, "gpus") == 0 || strcmp(field->name, "quarantined") == 0 ||
	       strcmp(field->name, "failed_hosts") == 0;
}

static void put_list(struct buf *out, const struct field *field, const char *body)
{
	const char *items = *(char *const *)(const void *)(body + field->offset);
	size_t n = *(const size_t *)(const void *)(body + field->count_offset);
	for (size_t i = 0; i < n; i++) {
		if (i == 0)
			buf_printf(out, " %s=", field->name);
		else
			buf_putc(out, ',');
		if (field->type == FIELD_STRINGS) {
			const char *text = ((const char *const *)(const void *)items)[i];
			put_bytes(out, text, strlen(text));
		} else {
			put_item(out, field->item->name, items + i * field->item->size);
		}
	}
}

static bool is_told_by_its_envelope(const struct field *field)
{
	return field->type == FIELD_TIME || strcmp(field->name, "nonce") == 0 ||
	       strcmp(field->name, "boot_id") == 0;
}

/* All scalar fields that are there, in the schema's order, then lists where they matter. */
static void put_record(struct buf *out, const struct record *record)
{
	const struct record_info *info = record_info(record->type);
	const char *body = record_body_const(record);

	for (size_t i = 0; i < info->n_fields; i++) {
		const struct field *field = &info->fields[i];
		const void *member = body + field->offset;
		if (is_told_by_its_envelope(field))
			continue;
		if (field->type == FIELD_STRING)
			put_text(out, field->name, *(const char *const *)member);
		else if (field->type == FIELD_LONG && *(const int64_t *)member != ABSENT)
			buf_printf(out, " %s=%" PRId64, field->name, *(const int64_t *)member);
		else if (field->type == FIELD_BOOLEAN && *(const int64_t *)member != ABSENT)
			buf_printf(out, " %s=%s", field->name,
				   *(const int64_t *)member ? "yes" : "no");
		else if (is_shown(field))
			put_list(out, field, body);
	}
}

/* ---- a line ------------------------------------------------------------------------------------ */

static void put_dead_letter_origin(struct buf *out, const struct message *message)
{
	static const char *const names[] = { "dl_topic", "dl_partition", "dl_offset", "dl_code",
					     "dl_error" };
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		const struct header *header = find_header(message, names[i]);
		if (!header)
			continue;
		buf_printf(out, " %s=", names[i]);
		put_bytes(out, header->value, header->len);
	}
}

static void put_void(struct buf *out, const struct message *message,
		     const struct tail_verdict *verdict)
{
	int64_t epoch = headers_epoch(message->headers, message->n_headers);
	if (epoch < 0)
		buf_puts(out, " VOID (no epoch)");
	else
		buf_printf(out, " VOID (epoch %" PRId64 ", the log is in %" PRId64 ")", epoch,
			   verdict->epoch);
}

void tail_line(const struct message *message, const struct tail_verdict *verdict,
	       struct codec *codec, struct arena *arena, struct buf *out)
{
	char time[RFC3339_TEXT_BYTES];
	struct record record;

	buf_printf(out, "%s[%d]@%" PRId64 " %s", topic_short_name(message->topic),
		   message->partition, message->offset, time_text(message->timestamp_us, time));
	if (verdict->is_decision && verdict->kind == FOLLOW_VOID)
		put_void(out, message, verdict);
	if (verdict->is_decision && verdict->kind == FOLLOW_MARKER)
		buf_printf(out, " EPOCH %" PRId64, message->offset);
	if (message->topic == TOPIC_DEAD_LETTERS)
		put_dead_letter_origin(out, message);

	if (!message->value) {
		buf_puts(out, " tombstone key=");
		put_bytes(out, message->key, message->key_len);
	} else if (codec_decode(codec, message->value, message->value_len, arena, &record)) {
		buf_printf(out, " undecodable (%zu bytes): %s", message->value_len,
			   codec_error(codec));
	} else {
		buf_printf(out, " %s", record_info(record.type)->name);
		put_record(out, &record);
	}
	int64_t revision = headers_revision(message->headers, message->n_headers);
	if (revision >= 0)
		buf_printf(out, " revision=%" PRId64, revision);
	buf_putc(out, '\n');
}

/* ---- JSON -------------------------------------------------------------------------------------- */

/* Text if it is UTF-8 without NUL, else its bytes in hex. */
static json_t *bytes_to_json(const void *data, size_t len, struct arena *arena)
{
	json_t *json = memchr(data, 0, len) ? NULL : json_stringn(data, len);
	if (json)
		return json;
	char *hex = arena_alloc(arena, 2 * len + 5);
	strcpy(hex, "hex:");
	for (size_t i = 0; i < len; i++)
		snprintf(hex + 4 + 2 * i, 3, "%02x", ((const unsigned char *)data)[i]);
	return json_string(hex);
}

static json_t *headers_to_json(const struct message *message, struct arena *arena)
{
	json_t *json = json_object();
	for (size_t i = 0; i < message->n_headers; i++) {
		const struct header *header = &message->headers[i];
		if (!json_object_get(json, header->name))
			json_object_set_new(
				json, header->name,
				header->value ? bytes_to_json(header->value, header->len, arena)
					      : json_null());
	}
	return json;
}

json_t *tail_json(const struct message *message, const struct tail_verdict *verdict,
		  struct codec *codec, struct arena *arena)
{
	char time[RFC3339_TEXT_BYTES];
	struct record record;
	json_t *json = json_pack("{s:s, s:i, s:I}", "topic", topic_name(message->topic),
				 "partition", message->partition, "offset", message->offset);

	json_object_set_new(json, "time", json_string(time_text(message->timestamp_us, time)));
	json_object_set_new(json, "key",
			    message->key ? bytes_to_json(message->key, message->key_len, arena)
					 : json_null());
	json_object_set_new(json, "headers", headers_to_json(message, arena));
	if (verdict->is_decision) {
		json_object_set_new(json, "void", json_boolean(verdict->kind == FOLLOW_VOID));
		json_object_set_new(json, "marker", json_boolean(verdict->kind == FOLLOW_MARKER));
		json_object_set_new(json, "epoch", json_integer(verdict->epoch));
	}
	if (!message->value) {
		json_object_set_new(json, "event", json_null());
		json_object_set_new(json, "record", json_null());
	} else if (codec_decode(codec, message->value, message->value_len, arena, &record)) {
		json_object_set_new(json, "event", json_null());
		json_object_set_new(json, "record", json_null());
		json_object_set_new(json, "error", json_string(codec_error(codec)));
	} else {
		json_object_set_new(json, "event", json_string(record_info(record.type)->name));
		json_object_set_new(json, "record", record_to_json(&record));
	}
	return json;
}
