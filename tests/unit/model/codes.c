/* Codes are unique, written in capitals, and say what they mean. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

#include "model/codes.h"

static void assert_code(const char *name, const char *meaning)
{
	assert_non_null(name);
	assert_true(strlen(name) > 0);
	assert_int_equal(strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_"), strlen(name));
	assert_non_null(meaning);
	assert_true(strlen(meaning) > 10);
}

static void every_code_has_a_name_and_a_meaning(void **state)
{
	(void)state;
	for (int i = 0; i < REJECTED_CODES; i++)
		assert_code(rejected_code_name((enum rejected_code)i),
			    rejected_code_meaning((enum rejected_code)i));
	for (int i = 0; i < COMPLETED_CODES; i++)
		assert_code(completed_code_name((enum completed_code)i),
			    completed_code_meaning((enum completed_code)i));
	for (int i = 0; i < HOST_CODES; i++)
		assert_code(host_code_name((enum host_code)i),
			    host_code_meaning((enum host_code)i));
}

static void a_code_has_its_own_name(void **state)
{
	(void)state;
	assert_string_equal(rejected_code_name(CODE_NO_CAPACITY), "NO_CAPACITY");
	assert_string_equal(completed_code_name(CODE_NOTHING_HELD), "NOTHING_HELD");
	assert_string_equal(host_code_name(CODE_GPUS_ASSIGNED), "GPUS_ASSIGNED");
	for (int i = 0; i < HOST_CODES; i++)
		for (int k = 0; k < i; k++)
			assert_string_not_equal(host_code_name((enum host_code)i),
						host_code_name((enum host_code)k));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_code_has_a_name_and_a_meaning),
		cmocka_unit_test(a_code_has_its_own_name),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
