/* What is told about the GPUs of a host, scan by scan. */

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "inventory/gpu_book.h"
#include "inventory/gpu_book_file.h"
#include "model/gpu_state.h"

struct test {
	struct codec *codec;
	struct gpu_book book;
	struct arena arena;
	const char *told[16]; /* gpu ids, in the order of on_change */
	size_t n_told;
	const char *stray;
};

static int setup(void **state)
{
	struct test *test = calloc(1, sizeof(*test));
	arena_init(&test->arena);
	if (codec_new(&test->codec))
		return -1;
	gpu_book_init(&test->book, test->codec, "h1", 3);
	*state = test;
	return 0;
}

static int teardown(void **state)
{
	struct test *test = *state;
	gpu_book_deinit(&test->book);
	codec_free(test->codec);
	arena_deinit(&test->arena);
	free(test);
	return 0;
}

static struct gpu_discovered gpu(struct test *test, const char *address, const char *driver,
				 int64_t now_us)
{
	const char **functions = arena_array(&test->arena, 2, sizeof(*functions));
	functions[0] = address;
	functions[1] = "0000:01:00.1";
	return (struct gpu_discovered){
		.gpu_id = arena_printf(&test->arena, "h1/%s", address),
		.host = "h1",
		.pool_id = "1",
		.pci_address = address,
		.model = "GP104GL [Tesla P4]",
		.vendor = "NVIDIA Corporation",
		.vendor_id = "10de",
		.device_id = "1bb3",
		.class_id = "030200",
		.driver = driver,
		.iommu_group = 1,
		.numa_node = ABSENT,
		.functions = functions,
		.n_functions = 2,
		.state = driver ? GPU_STATE_IN_USE_BY_HOST : GPU_STATE_AVAILABLE,
		.reason = driver,
		.boot_id = "b",
		.observed_at = now_us,
	};
}

static void on_change(void *context, struct gpu_entry *entry)
{
	struct test *test = context;
	test->told[test->n_told++] = entry->gpu_id;
}

static void scan(struct test *test, const struct gpu_discovered *gpus, size_t n, bool complete,
		 bool tell_all, int64_t now_us)
{
	test->n_told = 0;
	const struct gpu_book_scan book_scan = {
		.gpus = gpus, .n = n, .complete = complete, .tell_all = tell_all, .now_us = now_us
	};
	gpu_book_update(&test->book, &book_scan, on_change, test);
}

static struct gpu_discovered record_of(struct test *test, size_t i)
{
	struct gpu_discovered found;
	assert_int_equal(gpu_book_record(&test->book, test->book.entries[i], &test->arena, &found),
			 0);
	return found;
}

static void only_changes_are_told(void **state)
{
	struct test *test = *state;
	struct gpu_discovered gpus[] = { gpu(test, "0000:01:00.0", NULL, 10),
					 gpu(test, "0000:02:00.0", NULL, 10) };
	scan(test, gpus, 2, true, true, 10);
	assert_int_equal(test->n_told, 2);
	assert_int_equal(test->book.entries[0]->announcement.partition, 3);
	assert_string_equal(test->book.entries[0]->announcement.key, "h1/0000:01:00.0");

	gpus[0].observed_at = gpus[1].observed_at = 20;
	scan(test, gpus, 2, true, false, 20);
	assert_int_equal(test->n_told, 0);

	gpus[1] = gpu(test, "0000:02:00.0", "nvidia", 30);
	scan(test, gpus, 2, true, false, 30);
	assert_int_equal(test->n_told, 1);
	assert_string_equal(test->told[0], "h1/0000:02:00.0");
	struct gpu_discovered told = record_of(test, 1);
	assert_string_equal(told.state, GPU_STATE_IN_USE_BY_HOST);
	assert_int_equal(told.observed_at, 30);
}

static void absence_is_told_once_and_never_as_a_tombstone(void **state)
{
	struct test *test = *state;
	struct gpu_discovered gpus[] = { gpu(test, "0000:01:00.0", NULL, 10),
					 gpu(test, "0000:02:00.0", "nvidia", 10) };
	scan(test, gpus, 2, true, true, 10);
	scan(test, gpus, 1, true, false, 1000000);
	assert_int_equal(test->n_told, 1);
	struct gpu_discovered gone = record_of(test, 1);
	assert_string_equal(gone.state, GPU_STATE_UNREADABLE);
	assert_non_null(strstr(gone.reason, "gone since 1970-01-01T00:00:01"));
	assert_string_equal(gone.model, "GP104GL [Tesla P4]");
	assert_null(gone.driver);
	assert_int_equal(gone.n_functions, 1);
	assert_int_equal(gone.observed_at, 1000000);
	assert_true(test->book.entries[1]->announcement.value.len > 0);

	scan(test, gpus, 1, true, false, 2000000);
	assert_int_equal(test->n_told, 0);
	assert_int_equal(test->book.n, 2);

	scan(test, gpus, 2, true, false, 3000000);
	assert_int_equal(test->n_told, 1);
	assert_string_equal(record_of(test, 1).state, GPU_STATE_IN_USE_BY_HOST);
}

static void scan_that_is_not_whole_misses_nobody(void **state)
{
	struct test *test = *state;
	struct gpu_discovered gpus[] = { gpu(test, "0000:01:00.0", NULL, 10),
					 gpu(test, "0000:02:00.0", NULL, 10) };
	scan(test, gpus, 2, true, true, 10);
	scan(test, gpus, 1, false, false, 20);
	assert_int_equal(test->n_told, 0);
	assert_string_equal(record_of(test, 1).state, GPU_STATE_AVAILABLE);
}

static void save(struct test *test, char path[32])
{
	strcpy(path, "/tmp/gpubus-book.XXXXXX");
	int fd = mkstemp(path);
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(gpu_book_save(&test->book, path), 0);
}

static void on_stray(void *context, const struct gpu_discovered *stray)
{
	struct test *test = context;
	test->stray = arena_strdup(&test->arena, stray->gpu_id);
}

static void what_disappeared_meanwhile_is_missed(void **state)
{
	struct test *test = *state;
	char path[32];
	struct gpu_discovered gpus[] = { gpu(test, "0000:01:00.0", NULL, 10),
					 gpu(test, "0000:02:00.0", NULL, 10),
					 gpu(test, "0000:03:00.0", NULL, 10) };
	scan(test, gpus, 3, true, true, 10);
	scan(test, gpus, 2, true, false, 1000000); /* the third is gone, and told so */
	save(test, path);

	gpu_book_deinit(&test->book);
	gpu_book_init(&test->book, test->codec, "h1", 3);
	gpu_book_load(&test->book, path, "1", on_stray, test);
	unlink(path);
	assert_int_equal(test->book.n, 3);
	assert_null(test->stray);

	scan(test, gpus, 1, true, true, 2000000);
	assert_int_equal(test->n_told, 3); /* the first scan tells all */
	assert_string_equal(record_of(test, 0).state, GPU_STATE_AVAILABLE);
	assert_non_null(strstr(record_of(test, 1).reason, "gone since 1970-01-01T00:00:02"));
	assert_non_null(strstr(record_of(test, 2).reason, "gone since 1970-01-01T00:00:01"));
}

static void gpus_of_another_pool_are_strays(void **state)
{
	struct test *test = *state;
	char path[32];
	struct gpu_discovered one = gpu(test, "0000:01:00.0", NULL, 10);
	scan(test, &one, 1, true, true, 10);
	save(test, path);
	gpu_book_deinit(&test->book);
	gpu_book_init(&test->book, test->codec, "h1", 3);
	gpu_book_load(&test->book, path, "2", on_stray, test);
	unlink(path);
	assert_int_equal(test->book.n, 0);
	assert_string_equal(test->stray, "h1/0000:01:00.0");
}

/* Whatever the file says: an announcement without a value would remove the GPU. */
static void what_cannot_be_encoded_is_not_told(void **state)
{
	struct test *test = *state;
	char *reason = arena_alloc(&test->arena, 70001);
	memset(reason, 'x', 70000);
	struct gpu_discovered found = gpu(test, "0000:01:00.0", NULL, 10);
	found.reason = reason;
	gpu_book_remember(&test->book, &found, true);
	scan(test, NULL, 0, true, true, 20);
	assert_int_equal(test->n_told, 0);
}

static void malformed_file_is_an_empty_book(void **state)
{
	struct test *test = *state;
	static const char *const wrong[] = {
		"",
		"{",
		"{}",
		"[1, null]",
		"[{\"gone\": true}]",
		"[{\"gone\": true, \"gpu\": {\"gpu_id\": 1}}]",
	};
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		char path[32] = "/tmp/gpubus-book.XXXXXX";
		int fd = mkstemp(path);
		assert_true(write(fd, wrong[i], strlen(wrong[i])) >= 0);
		close(fd);
		gpu_book_load(&test->book, path, "1", on_stray, test);
		unlink(path);
		assert_int_equal(test->book.n, 0);
		assert_null(test->stray);
	}
	gpu_book_load(&test->book, "/nonexistent/gpus.json", "1", on_stray, test);
	assert_int_equal(test->book.n, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(only_changes_are_told),
		TEST(absence_is_told_once_and_never_as_a_tombstone),
		TEST(scan_that_is_not_whole_misses_nobody),
		TEST(what_disappeared_meanwhile_is_missed),
		TEST(gpus_of_another_pool_are_strays),
		TEST(what_cannot_be_encoded_is_not_told),
		TEST(malformed_file_is_an_empty_book),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
