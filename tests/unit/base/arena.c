/* Memory of an arena is zeroed, aligned, its own, and stays where it is until the reset. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

#include "base/arena.h"

static void values_are_zeroed_aligned_and_apart(void **state)
{
	(void)state;
	enum { N = 2000 };
	static unsigned char *values[N];
	struct arena arena;
	arena_init(&arena);
	/* Twice: the second round gets memory that the first one wrote on. */
	for (int round = 0; round < 2; round++) {
		for (size_t i = 0; i < N; i++) {
			size_t size = 1 + i * 7 % 300;
			values[i] = arena_alloc(&arena, size);
			assert_int_equal((uintptr_t)values[i] % _Alignof(max_align_t), 0);
			for (size_t k = 0; k < size; k++)
				assert_int_equal(values[i][k], 0);
			memset(values[i], (int)(i % 255) + 1, size);
		}
		for (size_t i = 0; i < N; i++)
			for (size_t k = 0; k < 1 + i * 7 % 300; k++)
				assert_int_equal(values[i][k], i % 255 + 1);
		arena_reset(&arena);
	}
	arena_deinit(&arena);
}

static void a_value_may_be_larger_than_any_block(void **state)
{
	(void)state;
	struct arena arena;
	arena_init(&arena);
	char *small = arena_strdup(&arena, "small");
	char *large = arena_alloc(&arena, 1 << 20);
	memset(large, 'x', 1 << 20);
	char *after = arena_strdup(&arena, "after");
	assert_string_equal(small, "small");
	assert_string_equal(after, "after");
	arena_deinit(&arena);
}

/* After a reset the same work needs no more memory: a service's footprint settles. */
static void a_reset_keeps_the_largest_block(void **state)
{
	(void)state;
	struct arena arena;
	arena_init(&arena);
	for (int i = 0; i < 100; i++)
		arena_alloc(&arena, 1000);
	arena_reset(&arena);
	void *block = arena.blocks;
	assert_non_null(block);
	for (int round = 0; round < 10; round++) {
		for (int i = 0; i < 50; i++)
			arena_alloc(&arena, 1000);
		assert_ptr_equal(arena.blocks, block);
		arena_reset(&arena);
	}
	arena_deinit(&arena);
	assert_null(arena.blocks);
}

static void an_unused_arena_may_be_reset_and_deinited(void **state)
{
	(void)state;
	struct arena arena;
	arena_init(&arena);
	arena_reset(&arena);
	arena_deinit(&arena);
	arena_deinit(&arena);
}

static void texts_are_copies(void **state)
{
	(void)state;
	struct arena arena;
	arena_init(&arena);
	char source[] = "text";
	char *copy = arena_strdup(&arena, source);
	char *part = arena_strndup(&arena, source, 2);
	source[0] = '!';
	assert_string_equal(copy, "text");
	assert_string_equal(part, "te");
	assert_string_equal(arena_strndup(&arena, "", 0), "");

	char long_text[10001];
	memset(long_text, 'y', 10000);
	long_text[10000] = '\0';
	const char *printed = arena_printf(&arena, "%s/%d", long_text, 42);
	assert_int_equal(strlen(printed), 10003);
	assert_string_equal(printed + 10000, "/42");
	arena_deinit(&arena);
}

static void an_array_of_nothing_is_null(void **state)
{
	(void)state;
	struct arena arena;
	arena_init(&arena);
	assert_null(arena_array(&arena, 0, 8));
	assert_null(arena.blocks);
	int64_t *numbers = arena_array(&arena, 3, sizeof(*numbers));
	assert_int_equal(numbers[0] | numbers[1] | numbers[2], 0);
	arena_deinit(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values_are_zeroed_aligned_and_apart),
		cmocka_unit_test(a_value_may_be_larger_than_any_block),
		cmocka_unit_test(a_reset_keeps_the_largest_block),
		cmocka_unit_test(an_unused_arena_may_be_reset_and_deinited),
		cmocka_unit_test(texts_are_copies),
		cmocka_unit_test(an_array_of_nothing_is_null),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
