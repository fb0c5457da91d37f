/*
 * The function library in Redis (gpubus.lua): it must be there in our version before anything else is
 * called. Checked once per connection; without answer (connection lost) on_done is not called.
 */
#pragma once

#include <stddef.h>

struct redis_link;

/* Generated from gpubus.lua. */
extern const int store_library_version;
extern const char store_library_source[];
extern const size_t store_library_source_len;

/* `problem` is NULL when the library is in place. `context` must live as long as the link. */
void store_library_check(struct redis_link *link,
			 void (*on_done)(void *context, const char *problem), void *context);
