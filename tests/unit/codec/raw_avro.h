/* Avro bytes by hand: what no encoder of ours would write. */
#pragma once

#include <stdint.h>

#include "base/buf.h"

/* C3 01 and the fingerprint. */
void raw_frame(struct buf *out, uint64_t fingerprint);
/* A zig-zag varint: int, long, a length, a count, a union branch. */
void raw_long(struct buf *out, int64_t value);
void raw_text(struct buf *out, const char *text);
