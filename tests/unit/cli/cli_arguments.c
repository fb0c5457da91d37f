/*
 * What people type and scripts hand in: GPUs, JSON texts, tables that come back.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "cli/event_input.h"
#include "cli/gpu_option.h"
#include "cli/table.h"

/* ---- --gpu ---------------------------------------------------------------------------------------- */

static void expect_ask(const char *text, const char *name, int64_t count)
{
	struct gpu_asks asks;
	struct buf error = { 0 };
	gpu_asks_init(&asks);
	assert_int_equal(gpu_asks_add(&asks, text, &error), 0);
	assert_int_equal(asks.n, 1);
	assert_string_equal(asks.items[0].name, name);
	assert_int_equal(asks.items[0].count, count);
	gpu_asks_deinit(&asks);
	buf_deinit(&error);
}

static void gpus_are_written_in_three_ways(void **state)
{
	(void)state;
	expect_ask("GP104GL [Tesla P4]=2", "GP104GL [Tesla P4]", 2);
	expect_ask("10de:1bb3=1", "10de:1bb3", 1);
	expect_ask("2 x GP104GL [Tesla P4]", "GP104GL [Tesla P4]", 2);
	expect_ask("12x Navi 31", "Navi 31", 12);
	expect_ask("GP104GL [Tesla P4]", "GP104GL [Tesla P4]", 1);
	expect_ask("a=b=3", "a=b", 3);
	expect_ask(" Navi 31 =3", "Navi 31", 3);
}

/* Zero and negative counts are for the scheduler to refuse: its answer stands in the log. */
static void absurd_counts_are_passed_on(void **state)
{
	(void)state;
	expect_ask("x=0", "x", 0);
	expect_ask("x=-3", "x", -3);
}

static void what_is_no_gpu_is_refused(void **state)
{
	static const char *const wrong[] = {
		"", "=2", "2 x ", "name=", "name=two", "name=2x", "name=99999999999999999999"
	};
	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		struct gpu_asks asks;
		struct buf error = { 0 };
		gpu_asks_init(&asks);
		assert_int_equal(gpu_asks_add(&asks, wrong[i], &error), 1);
		assert_int_equal(asks.n, 0);
		assert_true(error.len > 0);
		gpu_asks_deinit(&asks);
		buf_deinit(&error);
	}
}

static void models_are_limited(void **state)
{
	struct gpu_asks asks;
	struct buf error = { 0 };
	(void)state;

	gpu_asks_init(&asks);
	for (int i = 0; i < LIMIT_ASKS; i++)
		assert_int_equal(gpu_asks_add(&asks, "10de:1bb3=1", &error), 0);
	assert_int_equal(gpu_asks_add(&asks, "10de:1bb3=1", &error), 1);
	gpu_asks_deinit(&asks);
	buf_deinit(&error);
}

/* ---- events in JSON -------------------------------------------------------------------------------- */

static void expect_items(const char *text, size_t n)
{
	struct buf error = { 0 };
	json_t *items = NULL;
	if (event_input_parse(text, strlen(text), &items, &error))
		fail_msg("%s", error.data);
	assert_int_equal(json_array_size(items), n);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(json_integer_value(json_object_get(json_array_get(items, i), "n")),
				 i);
	json_decref(items);
	buf_deinit(&error);
}

static void events_come_in_three_forms(void **state)
{
	(void)state;
	expect_items("{\"n\": 0}", 1);
	expect_items(" [ {\"n\": 0}, {\"n\": 1} ]\n", 2);
	expect_items("{\"n\": 0}\n{\"n\": 1}\n\n{\"n\": 2}", 3);
	expect_items("[{\"n\": 0}]\n{\"n\": 1}\n[{\"n\": 2}, {\"n\": 3}]", 4);
}

static void expect_refused(const char *text, const char *sentence)
{
	struct buf error = { 0 };
	json_t *items = NULL;
	assert_int_equal(event_input_parse(text, strlen(text), &items, &error), 1);
	assert_null(items);
	if (!strstr(error.data, sentence))
		fail_msg("\"%s\" has no \"%s\"", error.data, sentence);
	buf_deinit(&error);
}

static void mistakes_in_json_are_located(void **state)
{
	(void)state;
	expect_refused("", "no event in it");
	expect_refused("[]", "no event in it");
	expect_refused("{\"n\": 0", "not JSON");
	expect_refused("{\"n\": 0}\n{\"n\": }\n", "line 2");
	expect_refused("[{\"n\": 0}, 7]", "item 2 of the array is not an object");
	expect_refused("{\"n\": 0, \"n\": 1}", "not JSON");
	expect_refused("7", "not JSON");
}

/* ---- tables ---------------------------------------------------------------------------------------- */

static void columns_are_as_wide_as_their_widest_cell(void **state)
{
	struct table table;
	struct buf out = { 0 };
	(void)state;

	table_init(&table, (const char *[]){ "A", "LONG TITLE", "C" }, 3);
	table_add(&table, (const char *[]){ "four", "x", "last" });
	table_add(&table, (const char *[]){ "\xc3\x97\xc3\x97", NULL, "" });
	table_print(&table, &out);
	assert_string_equal(out.data, "A     LONG TITLE  C\n"
				      "four  x           last\n"
				      "\xc3\x97\xc3\x97    -           -\n");
	table_deinit(&table);
	buf_deinit(&out);
}

/* What came from outside must not move the cursor of whoever looks at it. */
static void control_characters_are_not_printed(void **state)
{
	struct table table;
	struct buf out = { 0 };
	(void)state;

	table_init(&table, (const char *[]){ "A" }, 1);
	table_add(&table, (const char *[]){ "a\033[2Jb\nc\x7f" });
	table_print(&table, &out);
	assert_string_equal(out.data, "A\na?[2Jb?c?\n");
	table_deinit(&table);
	buf_deinit(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(gpus_are_written_in_three_ways),
		cmocka_unit_test(absurd_counts_are_passed_on),
		cmocka_unit_test(what_is_no_gpu_is_refused),
		cmocka_unit_test(models_are_limited),
		cmocka_unit_test(events_come_in_three_forms),
		cmocka_unit_test(mistakes_in_json_are_located),
		cmocka_unit_test(columns_are_as_wide_as_their_widest_cell),
		cmocka_unit_test(control_characters_are_not_printed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
