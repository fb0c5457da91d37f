/*
 * A hash index from a key to a slot number in an array of the caller's: open addressing, 8 bytes an
 * entry. The index holds no keys; `equals` compares a slot of the caller's array with the key sought.
 * Slots are any uint32_t below INDEX_NONE. Not thread-safe.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define INDEX_NONE UINT32_MAX

struct index_entry {
	uint32_t hash; /* the upper half of the key's hash */
	uint32_t slot; /* INDEX_NONE: empty */
};

struct index {
	struct index_entry *entries; /* owned */
	size_t size;		     /* a power of two, or 0 */
	size_t used;
};

typedef bool (*index_equals_fn)(const void *context, uint32_t slot, const void *key);

uint64_t index_hash(const void *data, size_t len, uint64_t seed);
void index_deinit(struct index *index);
/* The slot of the key, or INDEX_NONE. */
uint32_t index_find(const struct index *index, uint64_t hash, index_equals_fn equals,
		    const void *context, const void *key);
/* The key must not be there yet. */
void index_add(struct index *index, uint64_t hash, uint32_t slot);
/* The slot must be there under this hash. */
void index_remove(struct index *index, uint64_t hash, uint32_t slot);
