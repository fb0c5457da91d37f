#include "core/text_pool.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

struct text_item {
	char *text;    /* owned; NULL: unused */
	uint32_t refs; /* unused: the next unused id */
};

void text_pool_init(struct text_pool *pool)
{
	*pool = (struct text_pool){ .vacant = TEXT_NONE };
}

void text_pool_deinit(struct text_pool *pool)
{
	for (uint32_t i = 0; i < pool->n_items; i++)
		free(pool->items[i].text);
	free(pool->items);
	index_deinit(&pool->index);
	text_pool_init(pool);
}

static bool same_text(const void *context, uint32_t slot, const void *key)
{
	const struct text_pool *pool = context;
	return strcmp(pool->items[slot].text, key) == 0;
}

static uint32_t unused_id(struct text_pool *pool)
{
	uint32_t id = pool->vacant;
	if (id != TEXT_NONE) {
		pool->vacant = pool->items[id].refs;
		return id;
	}
	if (pool->n_items == pool->size) {
		pool->size = pool->size ? pool->size * 2 : 16;
		pool->items = memory_resize(pool->items, pool->size, sizeof(*pool->items));
	}
	return pool->n_items++;
}

uint32_t text_pool_take(struct text_pool *pool, const char *text)
{
	if (!text)
		return TEXT_NONE;
	uint64_t hash = index_hash(text, strlen(text), 0);
	uint32_t id = index_find(&pool->index, hash, same_text, pool, text);
	if (id == INDEX_NONE) {
		id = unused_id(pool);
		pool->items[id] = (struct text_item){ .text = memory_strdup(text) };
		index_add(&pool->index, hash, id);
	}
	pool->items[id].refs++;
	return id;
}

void text_pool_release(struct text_pool *pool, uint32_t id)
{
	if (id == TEXT_NONE || --pool->items[id].refs > 0)
		return;
	struct text_item *item = &pool->items[id];
	index_remove(&pool->index, index_hash(item->text, strlen(item->text), 0), id);
	free(item->text);
	*item = (struct text_item){ .refs = pool->vacant };
	pool->vacant = id;
}

const char *text_pool_get(const struct text_pool *pool, uint32_t id)
{
	return id == TEXT_NONE ? NULL : pool->items[id].text;
}
