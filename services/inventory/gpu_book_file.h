/*
 * A host's book of GPUs on disk, so that a GPU which disappears while inventory does not run is missed
 * all the same. JSON, for people to look at: [{"gone": false, "gpu": GpuDiscovered}, ...].
 */
#pragma once

#include "base/error.h"
#include "inventory/gpu_book.h"

typedef void (*gpu_book_stray_fn)(void *context, const struct gpu_discovered *gpu);

/* A file that is missing is an empty book; what is malformed in one is logged and left out, as the content
 * only serves to notice what is missing. A GPU that was told to another pool than `pool_id` does not go
 * into the book but to `on_stray`: the host has moved, and that pool has to hear of it. */
void gpu_book_load(struct gpu_book *book, const char *path, const char *pool_id,
		   gpu_book_stray_fn on_stray, void *context);
/* Negative: -errno. */
int gpu_book_save(const struct gpu_book *book, const char *path) MUST_CHECK;
