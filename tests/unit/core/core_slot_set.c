/* Sets of slots: members, and the next member that several sets have in common. */
#include "world.h"

#include <stdlib.h>

#include "core/slot_set.h"

enum { SLOTS = 9000, SETS = 3 };

static uint32_t naive_next(bool (*members)[SLOTS], size_t n, uint32_t from)
{
	for (uint32_t slot = from; slot < SLOTS; slot++) {
		bool all = true;
		for (size_t s = 0; s < n; s++)
			all &= members[s][slot];
		if (all)
			return slot;
	}
	return SLOT_SET_NONE;
}

static void sets_agree_with_arrays(void **state)
{
	(void)state;
	static bool members[SETS][SLOTS];
	struct slot_set sets[SETS] = { { 0 } };
	const struct slot_set *list[SETS] = { &sets[0], &sets[1], &sets[2] };
	unsigned seed = 7;

	for (int step = 0; step < 60000; step++) {
		unsigned s = (unsigned)rand_r(&seed) % SETS;
		uint32_t slot = (uint32_t)rand_r(&seed) % SLOTS;
		/* Sparse in the beginning, dense in the end. */
		bool add = rand_r(&seed) % 60000 < step / 2 + 10000;
		members[s][slot] = add;
		if (add)
			slot_set_add(&sets[s], slot);
		else
			slot_set_remove(&sets[s], slot);
		if (step % 20)
			continue;
		uint32_t from = (uint32_t)rand_r(&seed) % (SLOTS + 100);
		size_t n = 1 + (size_t)rand_r(&seed) % SETS;
		assert_int_equal(slot_set_next(list, n, from), naive_next(members, n, from));
		assert_int_equal(slot_set_has(&sets[s], slot), add);
	}
	for (size_t s = 0; s < SETS; s++) {
		uint32_t count = 0;
		for (uint32_t slot = 0; slot < SLOTS; slot++)
			count += members[s][slot];
		assert_int_equal(sets[s].count, count);
		slot_set_deinit(&sets[s]);
	}
}

static void the_ends(void **state)
{
	(void)state;
	struct slot_set set = { 0 }, empty = { 0 };
	const struct slot_set *one = &set, *both[] = { &set, &empty };
	assert_int_equal(slot_set_next(&one, 1, 0), SLOT_SET_NONE);
	slot_set_remove(&set, 70000);
	slot_set_add(&set, SLOT_SET_SLOTS - 1);
	slot_set_add(&set, 0);
	assert_int_equal(slot_set_next(&one, 1, 0), 0);
	assert_int_equal(slot_set_next(&one, 1, 1), SLOT_SET_SLOTS - 1);
	assert_int_equal(slot_set_next(&one, 1, SLOT_SET_SLOTS), SLOT_SET_NONE);
	assert_int_equal(slot_set_next(both, 2, 0), SLOT_SET_NONE);
	slot_set_deinit(&set);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sets_agree_with_arrays),
		cmocka_unit_test(the_ends),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
