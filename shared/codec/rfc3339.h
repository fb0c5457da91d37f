/*
 * Times as text, "2026-11-22T16:50:28.000000Z". Source: RFC 3339, section 5.6. No locale, no time zone
 * database, no clock.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

enum { RFC3339_TEXT_BYTES = 28 };

/* UTC with six digits of a second. Positive: before the year 0 or after 9999. */
int rfc3339_format(int64_t time_us, char text[RFC3339_TEXT_BYTES]) MUST_CHECK;
/* Any offset and any number of digits of a second (what is below a microsecond is cut off). Positive: not
 * such a time. */
int rfc3339_parse(const char *text, size_t len, int64_t *ret_time_us) MUST_CHECK;
