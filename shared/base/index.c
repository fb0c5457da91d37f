#include "base/index.h"

#include <assert.h>
#include <stdlib.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/memory.h"

uint64_t index_hash(const void *data, size_t len, uint64_t seed)
{
	return XXH3_64bits_withSeed(data, len, seed);
}

void index_deinit(struct index *index)
{
	free(index->entries);
	*index = (struct index){ 0 };
}

/*
 * The place of an entry is taken from the lower bits of what is stored of its hash, so that growing
 * and removing need no key.
 */
static uint32_t stored(uint64_t hash)
{
	return (uint32_t)(hash >> 32);
}

uint32_t index_find(const struct index *index, uint64_t hash, index_equals_fn equals,
		    const void *context, const void *key)
{
	if (index->size == 0)
		return INDEX_NONE;
	size_t mask = index->size - 1;
	for (size_t i = stored(hash) & mask; index->entries[i].slot != INDEX_NONE;
	     i = (i + 1) & mask) {
		const struct index_entry *entry = &index->entries[i];
		if (entry->hash == stored(hash) && equals(context, entry->slot, key))
			return entry->slot;
	}
	return INDEX_NONE;
}

static void place(struct index_entry *entries, size_t size, struct index_entry entry)
{
	size_t i = entry.hash & (size - 1);
	while (entries[i].slot != INDEX_NONE)
		i = (i + 1) & (size - 1);
	entries[i] = entry;
}

static void grow(struct index *index)
{
	size_t size = index->size ? index->size * 2 : 16;
	struct index_entry *entries = memory_alloc(size * sizeof(*entries));
	for (size_t i = 0; i < size; i++)
		entries[i].slot = INDEX_NONE;
	for (size_t i = 0; i < index->size; i++)
		if (index->entries[i].slot != INDEX_NONE)
			place(entries, size, index->entries[i]);
	free(index->entries);
	index->entries = entries;
	index->size = size;
}

void index_add(struct index *index, uint64_t hash, uint32_t slot)
{
	if ((index->used + 1) * 4 > index->size * 3)
		grow(index);
	place(index->entries, index->size,
	      (struct index_entry){ .hash = stored(hash), .slot = slot });
	index->used++;
}

/* Linear probing without tombstones: what follows the hole moves up if its probe path crosses it. */
void index_remove(struct index *index, uint64_t hash, uint32_t slot)
{
	size_t mask = index->size - 1;
	size_t hole = stored(hash) & mask;
	while (index->entries[hole].slot != slot) {
		assert(index->entries[hole].slot != INDEX_NONE);
		hole = (hole + 1) & mask;
	}

	for (size_t i = (hole + 1) & mask; index->entries[i].slot != INDEX_NONE;
	     i = (i + 1) & mask) {
		size_t home = index->entries[i].hash & mask;
		if (((i - home) & mask) >= ((i - hole) & mask)) {
			index->entries[hole] = index->entries[i];
			hole = i;
		}
	}
	index->entries[hole].slot = INDEX_NONE;
	index->used--;
}
