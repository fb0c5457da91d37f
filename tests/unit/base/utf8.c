/* Which bytes are text: all of Unicode, nothing else, and no NUL. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/utf8.h"

/* A copy that ends where the bytes end, at every alignment to the eight-byte steps. */
static bool is_text(const void *bytes, size_t len)
{
	bool first = false;
	for (size_t before = 0; before < 9; before++) {
		char *copy = memory_alloc(before + len);
		memset(copy, 'x', before);
		memcpy(copy + before, bytes, len);
		bool result = utf8_is_text(copy, before + len);
		free(copy);
		if (before == 0)
			first = result;
		assert_int_equal(result, first);
	}
	return first;
}

static size_t put(uint32_t point, unsigned char bytes[4])
{
	if (point < 0x80) {
		bytes[0] = (unsigned char)point;
		return 1;
	}
	size_t len = point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
	for (size_t i = len - 1; i > 0; i--, point >>= 6)
		bytes[i] = (unsigned char)(0x80 | (point & 0x3f));
	static const unsigned char leads[] = { 0, 0, 0xc0, 0xe0, 0xf0 };
	bytes[0] = (unsigned char)(leads[len] | point);
	return len;
}

static void every_character_but_nul_is_text(void **state)
{
	(void)state;
	for (uint32_t point = 0; point <= 0x110000; point++) {
		unsigned char bytes[4];
		size_t len = put(point, bytes);
		bool expected =
			point != 0 && point < 0x110000 && !(point >= 0xd800 && point <= 0xdfff);
		if (utf8_is_text(bytes, len) != expected)
			fail_msg("U+%04X", point);
	}
}

static void what_is_no_character_is_no_text(void **state)
{
	(void)state;
	static const char *const texts[] = {
		"\x80",
		"\xbf",
		"\xc0\x80",
		"\xc1\xbf",
		"\xc3",
		"\xc3(",
		"\xe0\x80\x80",
		"\xe0\x9f\xbf",
		"\xe2\x82",
		"\xe2(\xac",
		"\xe2\x82(",
		"\xed\xa0\x80",
		"\xed\xbf\xbf",
		"\xf0\x80\x80\x80",
		"\xf0\x8f\xbf\xbf",
		"\xf0\x9f\x92",
		"\xf4\x90\x80\x80",
		"\xf5\x80\x80\x80",
		"\xfe",
		"\xff",
	};
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
		assert_false(is_text(texts[i], strlen(texts[i])));
	assert_false(is_text("\0", 1));
	assert_false(is_text("abcdefgh\0", 9));
	assert_true(is_text("", 0));
	assert_true(is_text("plain text of more than eight bytes", 35));
	assert_true(is_text("\x01\x7f\x7f\x7f\x01\x01\x01\x01", 8));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_character_but_nul_is_text),
		cmocka_unit_test(what_is_no_character_is_no_text),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
