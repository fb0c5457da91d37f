#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"

void buf_deinit(struct buf *buf)
{
	free(buf->data);
	*buf = (struct buf){ 0 };
}

void buf_clear(struct buf *buf)
{
	buf->len = 0;
	if (buf->data)
		buf->data[0] = '\0';
}

char *buf_reserve(struct buf *buf, size_t more)
{
	size_t need;
	if (__builtin_add_overflow(buf->len, more + 1, &need))
		memory_exhausted();
	if (need > buf->size) {
		size_t size = buf->size ? buf->size * 2 : 64;
		if (size < need)
			size = need;
		buf->data = memory_resize(buf->data, size, 1);
		buf->size = size;
		buf->data[buf->len] = '\0';
	}
	return buf->data + buf->len;
}

void buf_append(struct buf *buf, const void *data, size_t len)
{
	char *end = buf_reserve(buf, len);
	if (len)
		memcpy(end, data, len);
	buf->len += len;
	buf->data[buf->len] = '\0';
}

void buf_puts(struct buf *buf, const char *text)
{
	buf_append(buf, text, strlen(text));
}

void buf_putc(struct buf *buf, char c)
{
	buf_append(buf, &c, 1);
}

void buf_printf(struct buf *buf, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	int len = vsnprintf(NULL, 0, format, args);
	va_end(args);
	if (len < 0)
		memory_exhausted();

	char *end = buf_reserve(buf, (size_t)len);
	va_start(args, format);
	vsnprintf(end, (size_t)len + 1, format, args);
	va_end(args);
	buf->len += (size_t)len;
}

char *buf_steal(struct buf *buf)
{
	buf_reserve(buf, 0);
	char *text = steal(&buf->data);
	*buf = (struct buf){ 0 };
	return text;
}
