/*
 * The agent's memory as text: JSON with a version, so that a person can read what stands on disk. Loading
 * takes what saving wrote and nothing else: a file that is damaged, of another version, host or pool is
 * refused whole.
 */
#pragma once

#include <stddef.h>

#include "attach/agent/book.h"
#include "base/buf.h"
#include "base/error.h"

enum {
	MEMORY_VERSION = 1,
	MEMORY_ASSIGNMENTS_MAX = 16384,
};

struct memory_place {
	const char *host;
	const char *pool_id;
	const char *boot_id;
	int64_t next; /* where to go on reading decisions */
	int64_t epoch;
};

void memory_save(const struct book *book, const struct memory_place *place, struct buf *out);

struct memory_loaded {
	bool same_boot;
	int64_t next;
	int64_t epoch;
};

/* `book` is empty. Positive: refused, `error` says why, and the book is empty still. `place`: the first
 * three. */
int memory_load(struct book *book, const struct memory_place *place, const char *text, size_t len,
		struct memory_loaded *ret_loaded, struct buf *error) MUST_CHECK;

/* Names in the text. */
#define MEMORY_STATES                                                                              \
	{                                                                                          \
		"WANTED", "RELEASING", "ENDED"                                                     \
	}
#define MEMORY_MARKS                                                                               \
	{                                                                                          \
		"NONE", "DIRTY", "STUCK"                                                           \
	}
