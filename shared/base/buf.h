/*
 * A growable byte buffer. `data` is always NUL-terminated behind `len`, so that text in it can be
 * used as a C string. Never fails (see base/memory.h). Not thread-safe.
 */
#pragma once

#include <stddef.h>

#include "base/cleanup.h"
#include "base/error.h"

struct buf {
	char *data; /* owned; NULL while nothing was appended */
	size_t len;
	size_t size;
};

void buf_deinit(struct buf *buf);
/* Forgets the content, keeps the memory. */
void buf_clear(struct buf *buf);
/* Room for `more` bytes behind len; returns where they start. The caller adds to len. */
char *buf_reserve(struct buf *buf, size_t more);
void buf_append(struct buf *buf, const void *data, size_t len);
void buf_puts(struct buf *buf, const char *text);
void buf_putc(struct buf *buf, char c);
void buf_printf(struct buf *buf, const char *format, ...) PRINTF_LIKE(2, 3);
/* The content as a heap string that the caller frees; the buffer is empty afterwards. */
char *buf_steal(struct buf *buf);
