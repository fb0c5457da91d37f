/*
 * Commands in Redis' wire format (RESP arrays of bulk strings), appended to a buffer. The number of
 * arguments is told first and is the caller's to keep.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

void redis_command_begin(struct buf *command, size_t n_args);
void redis_command_bytes(struct buf *command, const void *data, size_t len);
void redis_command_text(struct buf *command, const char *text);
void redis_command_number(struct buf *command, int64_t number);
/* The common case: all arguments are text, the last one NULL. */
void redis_command_words(struct buf *command, ...) __attribute__((sentinel));
