#include "core/slot_set.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

enum { LEVELS = 3 };

static uint32_t middle_words(uint32_t n_leaves)
{
	return (n_leaves + 63) / 64;
}

static uint64_t *level_words(const struct slot_set *set, int level)
{
	if (level == 0)
		return set->words;
	return set->words + set->n_leaves + (level == 1 ? 0 : middle_words(set->n_leaves));
}

void slot_set_deinit(struct slot_set *set)
{
	free(set->words);
	*set = (struct slot_set){ 0 };
}

static void grow(struct slot_set *set, uint32_t slot)
{
	uint32_t n_leaves = set->n_leaves ? set->n_leaves : 1;
	while (slot / 64 >= n_leaves)
		n_leaves *= 2;

	struct slot_set grown = { .n_leaves = n_leaves, .count = set->count };
	grown.words = memory_zeroed(n_leaves + middle_words(n_leaves) + 1, sizeof(uint64_t));
	if (set->words) {
		memcpy(grown.words, set->words, set->n_leaves * sizeof(uint64_t));
		memcpy(level_words(&grown, 1), level_words(set, 1),
		       middle_words(set->n_leaves) * sizeof(uint64_t));
		*level_words(&grown, 2) = *level_words(set, 2);
	}
	free(set->words);
	*set = grown;
}

void slot_set_add(struct slot_set *set, uint32_t slot)
{
	assert(slot < SLOT_SET_SLOTS);
	if (slot / 64 >= set->n_leaves)
		grow(set, slot);

	uint64_t *leaf = &set->words[slot / 64];
	uint64_t bit = UINT64_C(1) << (slot % 64);
	if (*leaf & bit)
		return;
	set->count++;
	*leaf |= bit;
	level_words(set, 1)[slot / (64 * 64)] |= UINT64_C(1) << (slot / 64 % 64);
	*level_words(set, 2) |= UINT64_C(1) << (slot / (64 * 64));
}

void slot_set_remove(struct slot_set *set, uint32_t slot)
{
	if (!slot_set_has(set, slot))
		return;
	set->count--;
	uint64_t *word = &set->words[slot / 64];
	*word &= ~(UINT64_C(1) << (slot % 64));
	if (*word)
		return;
	word = &level_words(set, 1)[slot / (64 * 64)];
	*word &= ~(UINT64_C(1) << (slot / 64 % 64));
	if (*word)
		return;
	*level_words(set, 2) &= ~(UINT64_C(1) << (slot / (64 * 64)));
}

bool slot_set_has(const struct slot_set *set, uint32_t slot)
{
	return slot / 64 < set->n_leaves && (set->words[slot / 64] >> (slot % 64) & 1);
}

static uint64_t common_word(const struct slot_set *const *sets, size_t n, int level, uint32_t i)
{
	uint64_t common = ~UINT64_C(0);
	for (size_t s = 0; s < n; s++) {
		uint32_t words = sets[s]->n_leaves;
		if (level > 0)
			words = level == 1 ? middle_words(words) : (words > 0);
		if (i >= words)
			return 0;
		common &= level_words(sets[s], level)[i];
	}
	return common;
}

static uint32_t descend(const struct slot_set *const *sets, size_t n, int level, uint32_t i,
			uint32_t from)
{
	uint64_t bits = common_word(sets, n, level, i);
	uint32_t shift = 6 * (uint32_t)level;

	/* Of the word where `from` lies, what stands before it does not count. */
	uint32_t first = from >> shift;
	if (first / 64 == i)
		bits &= ~UINT64_C(0) << (first % 64);
	else if (first / 64 > i)
		return SLOT_SET_NONE;

	for (; bits; bits &= bits - 1) {
		uint32_t child = i * 64 + (uint32_t)__builtin_ctzll(bits);
		uint32_t found = level == 0 ? child : descend(sets, n, level - 1, child, from);
		if (found != SLOT_SET_NONE)
			return found;
	}
	return SLOT_SET_NONE;
}

uint32_t slot_set_next(const struct slot_set *const *sets, size_t n, uint32_t from)
{
	if (from >= SLOT_SET_SLOTS)
		return SLOT_SET_NONE;
	return descend(sets, n, LEVELS - 1, 0, from);
}
