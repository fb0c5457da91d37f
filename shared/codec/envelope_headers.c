#include "codec/envelope_headers.h"

#include <string.h>

#include "base/limits.h"
#include "base/utf8.h"
#include "codec/rfc3339.h"

enum { DECIMAL_BYTES = 21 }; /* of an int64_t, with sign and NUL */

/* ---- writing ------------------------------------------------------------------------------- */

/* Decimal digits at `at`; returns their end. Every decision has three of these: snprintf costs more than
 * encoding its body. */
static char *put_number(char *at, int64_t number)
{
	char digits[DECIMAL_BYTES];
	size_t n = 0;
	uint64_t rest = number < 0 ? -(uint64_t)number : (uint64_t)number;
	if (number < 0)
		*at++ = '-';
	do {
		digits[n++] = (char)('0' + rest % 10);
		rest /= 10;
	} while (rest);
	while (n)
		*at++ = digits[--n];
	return at;
}

static void add(struct header *out, size_t *n, const char *name, const char *value, size_t len)
{
	out[(*n)++] = (struct header){ .name = name, .value = value, .len = len };
}

static void add_text(struct header *out, size_t *n, const char *name, const char *value)
{
	if (value)
		add(out, n, name, value, strlen(value));
}

static void add_number(struct header *out, size_t *n, struct arena *arena, const char *name,
		       int64_t number)
{
	if (number < 0)
		return;
	char *text = arena_alloc(arena, DECIMAL_BYTES);
	add(out, n, name, text, (size_t)(put_number(text, number) - text));
}

static void add_applied(struct header *out, size_t *n, struct arena *arena,
			struct input_positions applied)
{
	static const char requests[] = "requests=", attachments[] = ",attachments=";
	if (applied.requests < 0 && applied.attachments < 0)
		return;
	char *text = arena_alloc(arena, sizeof(requests) + sizeof(attachments) +
						2 * (size_t)DECIMAL_BYTES);
	char *end = mempcpy(text, requests, sizeof(requests) - 1);
	end = put_number(end, applied.requests < 0 ? -1 : applied.requests);
	end = mempcpy(end, attachments, sizeof(attachments) - 1);
	end = put_number(end, applied.attachments < 0 ? -1 : applied.attachments);
	add(out, n, "ce_applied", text, (size_t)(end - text));
}

size_t envelope_to_headers(const struct envelope *envelope, struct arena *arena,
			   struct header out[ENVELOPE_HEADERS_MAX])
{
	size_t n = 0;
	char time[RFC3339_TEXT_BYTES];

	add_text(out, &n, "ce_specversion", "1.0");
	add_text(out, &n, "ce_id", envelope->id);
	add_text(out, &n, "ce_type", envelope->type);
	add_text(out, &n, "ce_source", envelope->source);
	if (envelope->time_us != -1 && rfc3339_format(envelope->time_us, time) == 0)
		add_text(out, &n, "ce_time", arena_strdup(arena, time));
	add_text(out, &n, "content-type", "application/avro");
	if (envelope->traceparent &&
	    traceparent_is_valid(envelope->traceparent, strlen(envelope->traceparent)))
		add_text(out, &n, "traceparent", envelope->traceparent);
	add_number(out, &n, arena, "ce_epoch", envelope->epoch);
	add_applied(out, &n, arena, envelope->applied);
	add_number(out, &n, arena, "ce_revision", envelope->revision);
	return n;
}

/* ---- reading ------------------------------------------------------------------------------- */

static const struct header *find(const struct header *headers, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(headers[i].name, name) == 0)
			return headers[i].value ? &headers[i] : NULL;
	return NULL;
}

/* A decimal number from `at` on; returns its end, or NULL. */
static const char *take_number(const char *at, const char *end, int64_t *ret_number)
{
	int64_t number = 0;
	const char *start = at;
	for (; at < end && *at >= '0' && *at <= '9'; at++) {
		if (__builtin_mul_overflow(number, 10, &number) ||
		    __builtin_add_overflow(number, *at - '0', &number))
			return NULL;
	}
	*ret_number = number;
	return at == start ? NULL : at;
}

static int64_t number_of(const struct header *header)
{
	int64_t number;
	if (!header)
		return -1;
	const char *end = (const char *)header->value + header->len;
	return take_number(header->value, end, &number) == end ? number : -1;
}

/* "NAME=" and a number or -1; returns its end, or NULL. */
static const char *take_position(const char *at, const char *end, const char *name,
				 int64_t *ret_position)
{
	size_t len = strlen(name);
	if ((size_t)(end - at) < len || memcmp(at, name, len) != 0)
		return NULL;
	at += len;
	if (end - at >= 2 && memcmp(at, "-1", 2) == 0) {
		*ret_position = -1;
		return at + 2;
	}
	return take_number(at, end, ret_position);
}

static struct input_positions positions_of(const struct header *header)
{
	const struct input_positions none = { -1, -1 };
	struct input_positions positions;
	if (!header)
		return none;

	const char *end = (const char *)header->value + header->len;
	const char *at = take_position(header->value, end, "requests=", &positions.requests);
	if (at)
		at = take_position(at, end, ",attachments=", &positions.attachments);
	return at == end ? positions : none;
}

int64_t headers_epoch(const struct header *headers, size_t n)
{
	return number_of(find(headers, n, "ce_epoch"));
}

int64_t headers_revision(const struct header *headers, size_t n)
{
	return number_of(find(headers, n, "ce_revision"));
}

struct input_positions headers_applied(const struct header *headers, size_t n)
{
	return positions_of(find(headers, n, "ce_applied"));
}

bool headers_are_of_type(const struct header *headers, size_t n, const char *type)
{
	const struct header *header = find(headers, n, "ce_type");
	return header && header->len == strlen(type) &&
	       memcmp(header->value, type, header->len) == 0;
}

/* Lower-case hex digits that are not all zero. */
static bool is_trace_id(const char *text, size_t len, bool may_be_zero)
{
	bool zero = true;
	for (size_t i = 0; i < len; i++) {
		if (!((text[i] >= '0' && text[i] <= '9') || (text[i] >= 'a' && text[i] <= 'f')))
			return false;
		if (text[i] != '0')
			zero = false;
	}
	return may_be_zero || !zero;
}

bool traceparent_is_valid(const void *data, size_t len)
{
	/* version "-" trace id "-" parent id "-" flags */
	enum { TRACE_ID = 3, PARENT_ID = 36, FLAGS = 53, LEN = 55 };
	const char *text = data;
	if (len < LEN || len > LIMIT_ID_BYTES || !utf8_is_text(data, len))
		return false;
	if (!is_trace_id(text, 2, true) || memcmp(text, "ff", 2) == 0)
		return false;
	if (len > LEN && (memcmp(text, "00", 2) == 0 || text[LEN] != '-'))
		return false;
	return text[TRACE_ID - 1] == '-' && is_trace_id(text + TRACE_ID, 32, false) &&
	       text[PARENT_ID - 1] == '-' && is_trace_id(text + PARENT_ID, 16, false) &&
	       text[FLAGS - 1] == '-' && is_trace_id(text + FLAGS, 2, true);
}

static const char *text_of(const struct header *header, struct arena *arena)
{
	if (!header || header->len > LIMIT_TEXT_BYTES || !utf8_is_text(header->value, header->len))
		return NULL;
	return arena_strndup(arena, header->value, header->len);
}

void envelope_from_headers(const struct header *headers, size_t n, struct arena *arena,
			   struct envelope *ret_envelope)
{
	struct envelope envelope = {
		.id = text_of(find(headers, n, "ce_id"), arena),
		.type = text_of(find(headers, n, "ce_type"), arena),
		.source = text_of(find(headers, n, "ce_source"), arena),
		.time_us = -1,
		.epoch = headers_epoch(headers, n),
		.applied = headers_applied(headers, n),
		.revision = headers_revision(headers, n),
	};

	const struct header *time = find(headers, n, "ce_time");
	int64_t time_us;
	if (time && rfc3339_parse(time->value, time->len, &time_us) == 0)
		envelope.time_us = time_us;
	const struct header *trace = find(headers, n, "traceparent");
	if (trace && traceparent_is_valid(trace->value, trace->len))
		envelope.traceparent = text_of(trace, arena);
	*ret_envelope = envelope;
}
