/*
 * Allocation that does not fail: running out of memory ends the process with a message, because a
 * scheduler that limps on without memory is worse than one that is restarted and takes over again.
 */
#pragma once

#include <stddef.h>

_Noreturn void memory_exhausted(void);
void *memory_alloc(size_t size);	    /* not zeroed */
void *memory_zeroed(size_t n, size_t size); /* zeroed */
void *memory_resize(void *old, size_t n, size_t size);
char *memory_strdup(const char *text); /* NULL gives NULL */
