#include "cli/random_id.h"

#include <stdio.h>
#include <uuid/uuid.h>

void random_uuid(char text[RANDOM_UUID_BYTES])
{
	uuid_t id;
	uuid_generate(id);
	uuid_unparse_lower(id, text);
}

static void put_hex(char *text, const unsigned char *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++)
		snprintf(text + 2 * i, 3, "%02x", bytes[i]);
}

void random_traceparent(char text[RANDOM_TRACEPARENT_BYTES])
{
	uuid_t trace, span; /* never all zero: each has its version in the first half */
	char trace_hex[33], span_hex[17];

	uuid_generate_random(trace);
	uuid_generate_random(span);
	put_hex(trace_hex, trace, 16);
	put_hex(span_hex, span, 8);
	snprintf(text, RANDOM_TRACEPARENT_BYTES, "00-%s-%s-01", trace_hex, span_hex);
}
