/* What stays on disk: one process a directory, one pool a host, files that are never torn. */

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "service/state_dir.h"

struct test {
	char dir[48];
	struct arena arena;
	struct buf error;
};

static int setup(void **state)
{
	struct test *test = calloc(1, sizeof(*test));
	arena_init(&test->arena);
	strcpy(test->dir, "/tmp/gpubus-state.XXXXXX");
	*state = test;
	return mkdtemp(test->dir) ? 0 : -1;
}

static int teardown(void **state)
{
	struct test *test = *state;
	char command[80];
	snprintf(command, sizeof(command), "rm -rf %s", test->dir);
	int r = system(command);
	buf_deinit(&test->error);
	arena_deinit(&test->arena);
	free(test);
	return r;
}

static const char *below(struct test *test, const char *name)
{
	return arena_printf(&test->arena, "%s/%s", test->dir, name);
}

static void host_belongs_to_one_pool(void **state)
{
	struct test *test = *state;
	const char *dir = below(test, "h1");
	assert_int_equal(pool_claim(dir, "h1", "1", false, &test->error), 0);
	assert_int_equal(pool_claim(dir, "h1", "1", false, &test->error), 0);
	assert_int_equal(pool_claim(dir, "h1", "2", false, &test->error), 1);
	assert_non_null(strstr(test->error.data, "host h1 belongs to pool 1"));
	assert_non_null(strstr(test->error.data, "--move-pool"));
	/* The refusal changed nothing. */
	assert_int_equal(pool_claim(dir, "h1", "1", false, &test->error), 0);
	assert_int_equal(pool_claim(dir, "h1", "2", true, &test->error), 0);
	assert_int_equal(pool_claim(dir, "h1", "2", false, &test->error), 0);
	assert_int_equal(pool_claim(dir, "h1", "1", false, &test->error), 1);
}

static void state_that_cannot_be_kept_is_an_error(void **state)
{
	struct test *test = *state;
	assert_int_equal(pool_claim("/nonexistent/dir/h", "h", "1", false, &test->error), 1);
	assert_int_equal(state_dir_take(below(test, "a/b/c"), &test->error), 0);
	assert_int_equal(access(below(test, "a/b/c/lock"), F_OK), 0);
	buf_clear(&test->error);
	assert_int_equal(state_dir_take(below(test, "a/b/c"), &test->error), 1);
	assert_non_null(strstr(test->error.data, "another process"));
}

static void file_is_replaced_whole(void **state)
{
	struct test *test = *state;
	const char *path = below(test, "file");
	assert_int_equal(state_file_write(path, "a longer text", 13), 0);
	assert_int_equal(state_file_write(path, "short", 5), 0);
	char text[32] = "";
	FILE *file = fopen(path, "re");
	assert_non_null(file);
	assert_int_equal(fread(text, 1, sizeof(text), file), 5);
	fclose(file);
	assert_string_equal(text, "short");
	assert_int_equal(access(below(test, "file.new"), F_OK), -1);
	assert_int_equal(state_file_write(below(test, "no/such/dir"), "x", 1), -ENOENT);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(host_belongs_to_one_pool),
		TEST(state_that_cannot_be_kept_is_an_error),
		TEST(file_is_replaced_whole),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
