/*
 * Scoped cleanup: `cleanup(thing_freep) struct thing *t = NULL;` frees t when it leaves its scope,
 * and `steal(&t)` hands it on. A module declares its cleanup beside its free function with
 * DEFINE_CLEANUP. Free functions accept NULL.
 */
#pragma once

#include <stdlib.h>

#define cleanup(fn) __attribute__((cleanup(fn)))

#define DEFINE_CLEANUP(type, free_fn)                                                              \
	static inline void free_fn##p(type *value)                                                 \
	{                                                                                          \
		if (*value)                                                                        \
			free_fn(*value);                                                           \
	}                                                                                          \
	struct cleanup_needs_a_semicolon

#define steal(ptr)                                                                                 \
	__extension__({                                                                            \
		__typeof__(ptr) steal_from_ = (ptr);                                               \
		__typeof__(*steal_from_) stolen_ = *steal_from_;                                   \
		*steal_from_ = NULL;                                                               \
		stolen_;                                                                           \
	})

static inline void freep(void *ptr)
{
	free(*(void **)ptr);
}
