/* A buffer holds what was appended, always with a NUL behind it. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

#include "base/buf.h"

static void what_is_appended_stands_in_order(void **state)
{
	(void)state;
	cleanup(buf_deinit) struct buf buf = { 0 };
	buf_puts(&buf, "one");
	buf_putc(&buf, ' ');
	buf_printf(&buf, "%s %d", "two", 3);
	buf_append(&buf, "\0four", 5);
	assert_int_equal(buf.len, 14);
	assert_memory_equal(buf.data, "one two 3\0four", 15);
	buf_append(&buf, NULL, 0);
	assert_int_equal(buf.len, 14);
}

static void it_grows_byte_by_byte(void **state)
{
	(void)state;
	cleanup(buf_deinit) struct buf buf = { 0 };
	for (int i = 0; i < 100000; i++) {
		buf_putc(&buf, (char)i);
		assert_int_equal(buf.data[buf.len], '\0');
	}
	assert_int_equal(buf.len, 100000);
	for (int i = 0; i < 100000; i++)
		assert_int_equal(buf.data[i], (char)i);
}

static void a_long_text_may_be_printed(void **state)
{
	(void)state;
	cleanup(buf_deinit) struct buf buf = { 0 };
	buf_puts(&buf, "x");
	buf_printf(&buf, "%05000d", 7);
	assert_int_equal(buf.len, 5001);
	assert_int_equal(buf.data[5000], '7');
	assert_int_equal(strlen(buf.data), 5001);
}

static void clearing_keeps_the_memory(void **state)
{
	(void)state;
	cleanup(buf_deinit) struct buf buf = { 0 };
	buf_clear(&buf);
	assert_null(buf.data);
	buf_puts(&buf, "something");
	const char *memory = buf.data;
	buf_clear(&buf);
	assert_int_equal(buf.len, 0);
	assert_string_equal(buf.data, "");
	buf_puts(&buf, "else");
	assert_ptr_equal(buf.data, memory);
	assert_string_equal(buf.data, "else");
}

/* The caller writes to the room, and says by adding to len how much of it is content. */
static void room_is_reserved_behind_the_content(void **state)
{
	(void)state;
	cleanup(buf_deinit) struct buf buf = { 0 };
	buf_puts(&buf, "ab");
	char *room = buf_reserve(&buf, 1000);
	assert_ptr_equal(room, buf.data + 2);
	assert_int_equal(buf.len, 2);
	memset(room, 'c', 1000);
	buf.len += 1000;
	buf_putc(&buf, 'd');
	assert_memory_equal(buf.data, "abcc", 4);
	assert_string_equal(buf.data + 1001, "cd");
}

static void stealing_leaves_an_empty_buffer(void **state)
{
	(void)state;
	struct buf buf = { 0 };
	cleanup(freep) char *empty = buf_steal(&buf);
	assert_string_equal(empty, "");
	buf_puts(&buf, "mine");
	cleanup(freep) char *text = buf_steal(&buf);
	assert_string_equal(text, "mine");
	assert_null(buf.data);
	assert_int_equal(buf.len, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_appended_stands_in_order),
		cmocka_unit_test(it_grows_byte_by_byte),
		cmocka_unit_test(a_long_text_may_be_printed),
		cmocka_unit_test(clearing_keeps_the_memory),
		cmocka_unit_test(room_is_reserved_behind_the_content),
		cmocka_unit_test(stealing_leaves_an_empty_buffer),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
