/*
 * A set of slot numbers as a 64-way tree of bits, three levels deep: adding, removing and finding the
 * next member take three words each, whatever the size. The next common member of several sets is
 * found by descending where all of them have members; only where they interleave inside one subtree
 * is more than one path looked at.
 *
 * Not thread-safe. A zeroed struct is an empty set.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SLOT_SET_NONE UINT32_MAX

enum { SLOT_SET_SLOTS = 64 * 64 * 64 }; /* slots are below this */

struct slot_set {
	uint64_t *words;   /* owned: the leaves, then the middle level, then the root */
	uint32_t n_leaves; /* words of the lowest level */
	uint32_t count;	   /* members */
};

void slot_set_deinit(struct slot_set *set);
void slot_set_add(struct slot_set *set, uint32_t slot);	   /* may be there already */
void slot_set_remove(struct slot_set *set, uint32_t slot); /* may be absent */
bool slot_set_has(const struct slot_set *set, uint32_t slot);
/* The smallest slot >= from that is in all `n` sets, or SLOT_SET_NONE. n > 0. */
uint32_t slot_set_next(const struct slot_set *const *sets, size_t n, uint32_t from);
