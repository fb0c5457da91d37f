/* Lists of drivers as operators write them. */

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "base/limits.h"
#include "pci/driver_list.h"

static void assert_list(const char *list, int expected)
{
	cleanup(buf_deinit) struct buf error = { 0 };
	assert_int_equal(driver_list_check(list, &error), expected);
	assert_int_equal(error.len > 0, expected);
}

static void what_is_a_list(void **state)
{
	(void)state;
	assert_list("nouveau", 0);
	assert_list("nouveau,amdgpu,snd_hda_intel,bochs-drm", 0);
	assert_list("", 1);
	assert_list("nouveau,", 1);
	assert_list(",nouveau", 1);
	assert_list("nouveau amdgpu", 1);
	assert_list("../vfio", 1);
	char name[65];
	memset(name, 'x', 64);
	name[64] = '\0';
	assert_list(name, 1);
	name[63] = '\0';
	assert_list(name, 0);
	char list[LIMIT_TEXT_BYTES + 2];
	for (size_t i = 0; i < sizeof(list); i++)
		list[i] = i % 2 ? ',' : 'x';
	list[LIMIT_TEXT_BYTES + 1] = '\0';
	assert_list(list, 1);
	list[LIMIT_TEXT_BYTES - 1] = '\0';
	assert_list(list, 0);
}

static void whole_names_only(void **state)
{
	(void)state;
	assert_true(driver_list_has("nouveau,amdgpu", "nouveau"));
	assert_true(driver_list_has("nouveau,amdgpu", "amdgpu"));
	assert_false(driver_list_has("nouveau,amdgpu", "amd"));
	assert_false(driver_list_has("nouveau,amdgpu", "gpu"));
	assert_false(driver_list_has("amdgpu", "amdgpu2"));
	assert_false(driver_list_has("nouveau,amdgpu", ""));
	assert_false(driver_list_has("", "nouveau"));
	assert_false(driver_list_has(NULL, "nouveau"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_a_list),
		cmocka_unit_test(whole_names_only),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
