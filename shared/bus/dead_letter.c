#include "bus/dead_letter.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/limits.h"

static void format_time(int64_t us, char *text, size_t size)
{
	time_t seconds = (time_t)(us / 1000000);
	struct tm utc;
	size_t len;

	gmtime_r(&seconds, &utc);
	len = strftime(text, size, "%Y-%m-%dT%H:%M:%S", &utc);
	snprintf(text + len, size - len, ".%06lldZ", (long long)(us % 1000000));
}

/* Cuts between characters, so that the header stays UTF-8. */
static void copy_text(char *to, size_t size, const char *from)
{
	size_t len = strlen(from);

	if (len >= size) {
		len = size - 1;
		while (len && ((unsigned char)from[len] & 0xc0) == 0x80)
			len--;
	}
	memcpy(to, from, len);
	to[len] = '\0';
}

static void add_header(struct dead_letter *letter, const char *name, const char *value)
{
	letter->headers[letter->message.n_headers++] =
		(struct header){ .name = name, .value = value, .len = strlen(value) };
}

/* Returns what had to be left out, for dl_cut; NULL: nothing. */
static const char *take_original(struct dead_letter *letter, const struct message *original)
{
	bool value = original->value_len > LIMIT_DEAD_VALUE_BYTES;
	bool meta = message_meta_bytes(original) > LIMIT_META_BYTES;

	letter->message = *original;
	letter->message.headers = letter->headers;
	letter->message.n_headers = original->n_headers < MESSAGE_HEADERS_MAX ? original->n_headers
									      : MESSAGE_HEADERS_MAX;
	if (value)
		letter->message.value_len = LIMIT_DEAD_VALUE_BYTES;
	if (meta) {
		letter->message.key = NULL;
		letter->message.key_len = letter->message.n_headers = 0;
	}
	if (letter->message.n_headers)
		memcpy(letter->headers, original->headers,
		       letter->message.n_headers * sizeof(struct header));
	return value && meta ? "both" : value ? "value" : meta ? "meta" : NULL;
}

void dead_letter_make(struct dead_letter *ret_letter, const struct message *original,
		      const char *code, const char *error, int64_t now_us)
{
	const char *cut = take_original(ret_letter, original);

	ret_letter->message.topic = TOPIC_DEAD_LETTERS;
	ret_letter->message.timestamp_us = 0;
	snprintf(ret_letter->partition, sizeof(ret_letter->partition), "%d", original->partition);
	snprintf(ret_letter->offset, sizeof(ret_letter->offset), "%lld",
		 (long long)original->offset);
	copy_text(ret_letter->code, sizeof(ret_letter->code), code);
	copy_text(ret_letter->error, sizeof(ret_letter->error), error);
	format_time(now_us, ret_letter->time, sizeof(ret_letter->time));
	add_header(ret_letter, "dl_topic", topic_name(original->topic));
	add_header(ret_letter, "dl_partition", ret_letter->partition);
	add_header(ret_letter, "dl_offset", ret_letter->offset);
	add_header(ret_letter, "dl_code", ret_letter->code);
	add_header(ret_letter, "dl_error", ret_letter->error);
	add_header(ret_letter, "dl_time", ret_letter->time);
	if (cut)
		add_header(ret_letter, "dl_cut", cut);
}
