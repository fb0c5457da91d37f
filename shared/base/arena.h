/*
 * A bump allocator for values that live and die together: the strings and lists of one decoded event,
 * or of one decision. arena_reset() keeps the largest block for the next round; nothing is freed one
 * by one. Not thread-safe.
 *
 * Out of memory ends the process (as in arena_alloc's users there is no sensible way on): allocation
 * functions here never return NULL.
 */
#pragma once

#include <stddef.h>

#include "base/error.h"

struct arena_block;

struct arena {
	struct arena_block *blocks; /* newest first; owned */
	size_t used;		    /* bytes used in the newest block */
};

void arena_init(struct arena *arena);
void arena_deinit(struct arena *arena);
void arena_reset(struct arena *arena);

/* Zeroed memory, aligned for any type. */
void *arena_alloc(struct arena *arena, size_t size);
/* `n` zeroed items of `size` bytes; n == 0 gives NULL. */
void *arena_array(struct arena *arena, size_t n, size_t size);
char *arena_strdup(struct arena *arena, const char *text);
char *arena_strndup(struct arena *arena, const char *text, size_t len);
char *arena_printf(struct arena *arena, const char *format, ...) PRINTF_LIKE(2, 3);
