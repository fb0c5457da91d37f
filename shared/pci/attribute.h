/*
 * One file or link of a device's directory in sysfs, read strictly: what is not exactly what the kernel
 * writes is malformed, not guessed at. Never blocks on a FIFO or a device node that stands in the place of
 * a file (a read that the kernel itself never ends is the deadline's business, see pci/scan.h).
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

enum attribute_outcome {
	ATTRIBUTE_MISSING = 1, /* there is no such file */
	ATTRIBUTE_MALFORMED    /* it cannot be opened or read, or is not what it should be */
};

/* Why the last outcome was ATTRIBUTE_MALFORMED: "class is empty". */
struct attribute_error {
	char text[160];
};

/* The content without trailing white space; at most `size` - 1 bytes, and longer is malformed. */
int attribute_read_text(int directory_fd, const char *name, char *text, size_t size,
			struct attribute_error *error) MUST_CHECK;

/* A whole number, decimal or with 0x, min <= number <= max. */
int attribute_read_number(int directory_fd, const char *name, int32_t min, int32_t max,
			  int32_t *ret_number, struct attribute_error *error) MUST_CHECK;

/* The last component of what a symbolic link points to, whether or not that exists (the links of a
 * recorded tree often lead nowhere). */
int attribute_read_link(int directory_fd, const char *name, char *text, size_t size,
			struct attribute_error *error) MUST_CHECK;

/* A whole number as above, all of the text. Positive: it is not one. */
int attribute_parse_number(const char *text, int32_t min, int32_t max,
			   int32_t *ret_number) MUST_CHECK;
