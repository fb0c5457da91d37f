#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "store/row_queue.h"

static struct row_queue queue;

static int set_up(void **state)
{
	(void)state;
	row_queue_init(&queue, 4, 1000);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	row_queue_clear(&queue);
	assert_int_equal(queue.bytes, 0);
	assert_int_equal(queue.n_rows, 0);
	return 0;
}

static void add(enum store_table table, const char *field, const char *value, int64_t offset)
{
	const struct store_row row = { table, field, strlen(field), value,
				       value ? strlen(value) : 0 };
	const struct store_meta to = { .offset = offset };
	row_queue_add(&queue, &row, 1, &to, 1, offset * 10);
}

/* The arguments of the group that is taken, one per line. */
static void assert_next(const char *expected, int64_t offset, uint64_t n_records)
{
	struct row_group *group = row_queue_take(&queue);
	struct buf wire = { 0 }, words = { 0 };
	assert_non_null(group);
	row_group_append_args(group, &wire);
	size_t n_words = 0;
	for (const char *at = wire.data; at && *at; n_words++) {
		assert_int_equal(*at, '$');
		char *word;
		size_t len = strtoul(at + 1, &word, 10);
		assert_memory_equal(word, "\r\n", 2);
		buf_append(&words, word + 2, len);
		buf_putc(&words, ' ');
		at = word + 2 + len + 2;
	}
	assert_int_equal(n_words, row_group_n_args(group));
	assert_string_equal(words.data ? words.data : "", expected);
	assert_int_equal(group->to.offset, offset);
	assert_int_equal(group->n_records, n_records);
	buf_deinit(&wire);
	buf_deinit(&words);
	row_group_free(group);
}

static void test_a_later_row_replaces_an_earlier(void **state)
{
	(void)state;
	add(STORE_VMS, "a", "one", 1);
	add(STORE_GPUS, "a", "other table", 2);
	add(STORE_VMS, "b", "x", 3);
	add(STORE_VMS, "a", "a longer value than before", 4);
	add(STORE_VMS, "a", "short", 5);
	add(STORE_VMS, "a", "shorty", 6);
	add(STORE_VMS, "b", NULL, 7);
	assert_int_equal(queue.n_rows, 3);
	assert_next("gpus 1 0 a other table vms 1 1 a shorty b ", 7, 7);
	assert_null(row_queue_take(&queue));
}

static void test_a_deleted_row_comes_back(void **state)
{
	(void)state;
	add(STORE_VMS, "a", NULL, 1);
	assert_next("vms 0 1 a ", 1, 1);
	add(STORE_VMS, "a", "x", 2);
	add(STORE_VMS, "a", NULL, 3);
	add(STORE_VMS, "a", "y", 4);
	assert_next("vms 1 0 a y ", 4, 3);
}

static void test_groups_are_in_order_and_limited(void **state)
{
	(void)state;
	for (int i = 0; i < 10; i++) {
		char field[8];
		snprintf(field, sizeof(field), "f%d", i);
		add(STORE_HOSTS, field, "v", i);
	}
	add(STORE_HOSTS, "f0", "again", 10); /* its group is closed: it must come after it */
	assert_next("hosts 4 0 f0 v f1 v f2 v f3 v ", 3, 4);
	assert_next("hosts 4 0 f4 v f5 v f6 v f7 v ", 7, 4);
	assert_next("hosts 3 0 f8 v f9 v f0 again ", 10, 3);
	assert_null(row_queue_take(&queue));
}

static void test_one_batch_is_never_cut(void **state)
{
	(void)state;
	struct store_row rows[9];
	char fields[9][4];
	for (int i = 0; i < 9; i++) {
		snprintf(fields[i], sizeof(fields[i]), "%d", i);
		rows[i] = (struct store_row){ STORE_TYPES, fields[i], 1, "", 0 };
	}
	const struct store_meta to = { .offset = 2 };
	add(STORE_TYPES, "x", "y", 1);
	row_queue_add(&queue, rows, 9, &to, 3, 5);
	assert_next("types 1 0 x y ", 1, 1);
	assert_next("types 9 0 0  1  2  3  4  5  6  7  8  ", 2, 3);
}

static void test_large_values_make_their_own_group(void **state)
{
	(void)state;
	static char large[901];
	memset(large, 'l', 900);
	add(STORE_REQUESTS, "a", large, 1);
	add(STORE_REQUESTS, "b", large, 2);
	assert_non_null(queue.first->next);
	assert_true(queue.bytes > 1800);
	row_group_free(row_queue_take(&queue));
	row_group_free(row_queue_take(&queue));
}

static void test_a_position_without_rows(void **state)
{
	(void)state;
	const struct store_meta to = { .offset = 9 };
	row_queue_add(&queue, NULL, 0, &to, 1, 0);
	assert_next("", 9, 1);
}

static void test_bytes_are_those_of_the_groups(void **state)
{
	(void)state;
	for (int i = 0; i < 100; i++) {
		char field[8];
		snprintf(field, sizeof(field), "f%d", i % 37);
		add(STORE_HOSTS, field, "0123456789012345678901234567890123456789", i);
		size_t bytes = 0, n_rows = 0;
		for (struct row_group *group = queue.first; group; group = group->next) {
			bytes += row_group_bytes(group);
			n_rows += group->n_rows;
		}
		assert_int_equal(queue.bytes, bytes);
		assert_int_equal(queue.n_rows, n_rows);
		if (i % 5 == 4)
			row_group_free(row_queue_take(&queue));
	}
}

#define with_queue(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		with_queue(test_a_later_row_replaces_an_earlier),
		with_queue(test_a_deleted_row_comes_back),
		with_queue(test_groups_are_in_order_and_limited),
		with_queue(test_one_batch_is_never_cut),
		with_queue(test_large_values_make_their_own_group),
		with_queue(test_a_position_without_rows),
		with_queue(test_bytes_are_those_of_the_groups),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
