#include "raw_avro.h"

#include <string.h>

void raw_frame(struct buf *out, uint64_t fingerprint)
{
	buf_append(out, "\xc3\x01", 2);
	for (int i = 0; i < 8; i++)
		buf_putc(out, (char)(fingerprint >> (8 * i)));
}

void raw_long(struct buf *out, int64_t value)
{
	uint64_t bits = ((uint64_t)value << 1) ^ (uint64_t)(value >> 63);
	for (; bits >= 0x80; bits >>= 7)
		buf_putc(out, (char)(bits | 0x80));
	buf_putc(out, (char)bits);
}

void raw_text(struct buf *out, const char *text)
{
	raw_long(out, (int64_t)strlen(text));
	buf_puts(out, text);
}
