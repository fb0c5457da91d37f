/* The index against an array that is searched from its beginning. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

#include "base/index.h"

enum { KEYS = 3000 };

struct table {
	uint64_t keys[KEYS];
	bool present[KEYS];
	uint64_t hash_mask; /* how much of a hash counts: few bits make collisions */
	struct index index;
};

static uint64_t hash(const struct table *table, uint64_t key)
{
	return index_hash(&key, sizeof(key), 0) & table->hash_mask;
}

static bool equals(const void *context, uint32_t slot, const void *key)
{
	const struct table *table = context;
	/* A slot that was removed must never be asked about. */
	assert_true(table->present[slot]);
	return table->keys[slot] == *(const uint64_t *)key;
}

static void assert_agrees(const struct table *table)
{
	size_t n = 0;
	for (uint32_t slot = 0; slot < KEYS; slot++) {
		uint64_t key = table->keys[slot];
		uint32_t found = index_find(&table->index, hash(table, key), equals, table, &key);
		assert_int_equal(found, table->present[slot] ? slot : INDEX_NONE);
		n += table->present[slot];
	}
	assert_int_equal(table->index.used, n);
}

static void add_and_remove(uint64_t hash_mask, uint32_t keys)
{
	static struct table table;
	table = (struct table){ .hash_mask = hash_mask };
	for (uint32_t slot = 0; slot < KEYS; slot++)
		table.keys[slot] = slot * UINT64_C(0x9e3779b97f4a7c15);

	uint64_t seed = 1;
	for (uint32_t step = 0; step < 8 * keys; step++) {
		seed = seed * 6364136223846793005u + 1442695040888963407u;
		uint32_t slot = (uint32_t)(seed >> 33) % keys;
		/* More and more of them, then fewer and fewer. */
		bool add = (seed >> 20 & 3) != 0;
		if (step >= 4 * keys)
			add = !add;
		if (add && !table.present[slot])
			index_add(&table.index, hash(&table, table.keys[slot]), slot);
		else if (!add && table.present[slot])
			index_remove(&table.index, hash(&table, table.keys[slot]), slot);
		table.present[slot] = add;
		if (step % (keys / 4) == 0)
			assert_agrees(&table);
	}
	assert_agrees(&table);
	index_deinit(&table.index);
	assert_int_equal(table.index.size, 0);
}

static void keys_come_and_go(void **state)
{
	(void)state;
	add_and_remove(UINT64_MAX, KEYS);
}

/* One place for all, and a few places whose probe paths run into each other and around the end. */
static void keys_that_collide_are_told_apart(void **state)
{
	(void)state;
	add_and_remove(0, 100);
	add_and_remove(UINT64_C(0x0000000f00000000), 200);
	add_and_remove(UINT64_C(0xfffffff800000000), 500);
}

static void an_empty_index_has_nothing(void **state)
{
	(void)state;
	static struct table table;
	uint64_t key = 1;
	assert_int_equal(index_find(&table.index, 0, equals, &table, &key), INDEX_NONE);
	index_deinit(&table.index);
}

static void a_hash_depends_on_all_of_its_input(void **state)
{
	(void)state;
	assert_true(index_hash("abc", 3, 0) == index_hash("abcd", 3, 0));
	assert_true(index_hash("abc", 3, 0) != index_hash("abd", 3, 0));
	assert_true(index_hash("abc", 3, 0) != index_hash("abc", 2, 0));
	assert_true(index_hash("abc", 3, 0) != index_hash("abc", 3, 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys_come_and_go),
		cmocka_unit_test(keys_that_collide_are_told_apart),
		cmocka_unit_test(an_empty_index_has_nothing),
		cmocka_unit_test(a_hash_depends_on_all_of_its_input),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
