/* Text from outside is UTF-8 without NUL, or it is refused. Source: Unicode 15, table 3-7. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* Bytes of the well-formed sequence at `data`, or 0; `left` > 0. A NUL is none, and ends one that is cut
 * off: of NUL-terminated text `left` need not be known. */
size_t utf8_sequence(const void *data, size_t left);
/* False also for a NUL among the bytes. */
bool utf8_is_text(const void *data, size_t len);
