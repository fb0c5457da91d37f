/* Which hosts there are, what they have, and which kernel events are about them. */

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hostgen/description.h"
#include "hostgen/layout.h"
#include "hostgen/tree.h"
#include "inventory/host_list.h"
#include "inventory/uevents.h"

struct test {
	char dir[48];
	struct arena arena;
	struct buf error;
};

static int setup(void **state)
{
	struct test *test = calloc(1, sizeof(*test));
	arena_init(&test->arena);
	strcpy(test->dir, "/tmp/gpubus-inventory.XXXXXX");
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

static void make_host(struct test *test, const char *name, const char *description)
{
	struct host *hosts;
	struct function *functions;
	size_t n_hosts, n;
	const char *error;
	assert_int_equal(description_parse(arena_strdup(&test->arena, description), &test->arena,
					   &hosts, &n_hosts, &error),
			 0);
	assert_int_equal(layout_host(hosts, &test->arena, &functions, &n, &error), 0);
	assert_int_equal(tree_write(below(test, name), hosts->name, hosts, functions, n), 0);
}

static void hosts_of_a_directory(void **state)
{
	struct test *test = *state;
	make_host(test, "b", "host b pool=7 cores=8 ram-gb=32\n");
	make_host(test, "a", "host a\n");
	assert_int_equal(unlink(below(test, "a/host.conf")), 0);
	assert_int_equal(mkdir(below(test, "not-a-host"), 0755), 0);

	struct inventory_options options = { .hosts_dir = test->dir,
					     .pool_id = "1",
					     .state_dir = "/state" };
	struct host_place *places;
	size_t n;
	assert_int_equal(host_list(&options, &test->arena, &places, &n, &test->error), 0);
	assert_int_equal(n, 2);
	assert_string_equal(places[0].name, "a");
	assert_string_equal(places[0].pool_id, "1");
	assert_string_equal(places[0].state_dir, "/state/a");
	assert_string_equal(places[1].name, "b");
	assert_string_equal(places[1].pool_id, "7");
	assert_false(places[1].is_this_machine);

	/* Two directories that say that they are one host. */
	make_host(test, "c", "host b\n");
	assert_int_equal(host_list(&options, &test->arena, &places, &n, &test->error), 1);
	assert_non_null(strstr(test->error.data, "two hosts called b"));
}

static void host_that_cannot_be(void **state)
{
	struct test *test = *state;
	struct host_place *places;
	size_t n;
	struct inventory_options options = {
		.host = "h", .pool_id = "1", .state_dir = "/state", .sysfs_dir = test->dir
	};
	assert_int_equal(host_list(&options, &test->arena, &places, &n, &test->error), 1);
	assert_non_null(strstr(test->error.data, "has no bus/pci/devices"));

	assert_true(host_name_is_valid("h1.example.org"));
	assert_false(host_name_is_valid(""));
	assert_false(host_name_is_valid("a/b"));
	assert_false(host_name_is_valid(".."));
	assert_false(host_name_is_valid("a b"));
	assert_false(host_name_is_valid("h\xc3\xa4"));
	char name[300];
	memset(name, 'a', 256);
	name[256] = '\0';
	assert_false(host_name_is_valid(name));
	name[255] = '\0';
	assert_true(host_name_is_valid(name));
}

static void pool_that_cannot_be(void **state)
{
	struct test *test = *state;
	make_host(test, "h", "host h\n");
	char longest[257];
	memset(longest, 'p', sizeof(longest) - 1);
	longest[256] = '\0';
	const char *const pools[] = { "", "1\n2", "\x7f", "\xff", longest };
	for (size_t i = 0; i < sizeof(pools) / sizeof(*pools); i++) {
		struct inventory_options options = { .host = "h",
						     .pool_id = pools[i],
						     .state_dir = "/state",
						     .sysfs_dir = below(test, "h/sys") };
		struct host_place *places;
		size_t n;
		buf_clear(&test->error);
		assert_int_equal(host_list(&options, &test->arena, &places, &n, &test->error), 1);
		assert_non_null(strstr(test->error.data, "its pool (--pool)"));
		options.pool_id = "p\xc3\xa4 1";
		assert_int_equal(host_list(&options, &test->arena, &places, &n, &test->error), 0);
	}
}

static int list_one(struct test *test, const char *passthrough_drivers,
		    struct host_place **ret_place)
{
	struct inventory_options options = { .hosts_dir = test->dir,
					     .pool_id = "1",
					     .state_dir = "/state",
					     .passthrough_drivers = passthrough_drivers };
	size_t n;
	buf_clear(&test->error);
	return host_list(&options, &test->arena, ret_place, &n, &test->error);
}

static void drivers_that_gpus_may_be_taken_from(void **state)
{
	struct test *test = *state;
	struct host_place *place;
	make_host(test, "h", "host h\n");
	assert_int_equal(list_one(test, NULL, &place), 0);
	assert_null(place->passthrough_drivers);
	assert_int_equal(list_one(test, "nouveau,snd_hda_intel", &place), 0);
	assert_string_equal(place->passthrough_drivers, "nouveau,snd_hda_intel");
	assert_int_equal(list_one(test, "nouveau, amdgpu", &place), 1);
	assert_non_null(strstr(test->error.data, "host h: --passthrough-drivers must be names"));

	/* What the host says itself is nearer. */
	FILE *file = fopen(below(test, "h/host.conf"), "ae");
	assert_non_null(file);
	fputs("passthrough-drivers=amdgpu\n", file);
	fclose(file);
	assert_int_equal(list_one(test, "nouveau", &place), 0);
	assert_string_equal(place->passthrough_drivers, "amdgpu");
}

#define UEVENT(text) uevent_is_about_pci(text, sizeof(text) - 1)

static void events_of_the_kernel(void **state)
{
	(void)state;
	assert_true(UEVENT("bind@/devices/pci0000:00/0000:00:02.0\0ACTION=bind\0SUBSYSTEM=pci\0"
			   "SEQNUM=12"));
	assert_true(UEVENT("remove@/devices/x\0ACTION=remove\0SUBSYSTEM=pci"));
	assert_false(UEVENT("add@/devices/pci0000:00/0000:00:02.0/net/eth0\0SUBSYSTEM=net\0"));
	assert_false(UEVENT("add@/x\0SUBSYSTEM=pci_express\0"));
	assert_false(UEVENT("add@/x\0NOTSUBSYSTEM=pci\0"));
	assert_false(UEVENT(""));
	assert_false(uevent_is_about_pci("SUBSYSTEM=pci", 12));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(hosts_of_a_directory), TEST(host_that_cannot_be),
		TEST(pool_that_cannot_be),  TEST(drivers_that_gpus_may_be_taken_from),
		TEST(events_of_the_kernel),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
