/* Text from outside is UTF-8 without NUL, or it is refused. Source: Unicode 15, table 3-7. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* False also for a NUL among the bytes. */
bool utf8_is_text(const void *data, size_t len);
