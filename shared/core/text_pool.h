/*
 * Strings that many things share (drivers, reasons, switch addresses), each kept once and counted.
 * A text's id is stable while it is held. Not thread-safe.
 */
#pragma once

#include <stdint.h>

#include "base/index.h"

#define TEXT_NONE UINT32_MAX /* the id of NULL */

struct text_item;

struct text_pool {
	struct text_item *items; /* owned */
	uint32_t n_items;
	uint32_t size;
	uint32_t vacant; /* first of the list of unused ids */
	struct index index;
};

void text_pool_init(struct text_pool *pool);
void text_pool_deinit(struct text_pool *pool);
/* Holds `text` (copied when new); every take needs a release. NULL gives TEXT_NONE. */
uint32_t text_pool_take(struct text_pool *pool, const char *text);
void text_pool_release(struct text_pool *pool, uint32_t id);
/* NULL for TEXT_NONE. */
const char *text_pool_get(const struct text_pool *pool, uint32_t id);
