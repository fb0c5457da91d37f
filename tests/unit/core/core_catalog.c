/* Definitions of pools and VM types: the latest of each id counts. */
#include "world.h"

#include <string.h>

#include "core/catalog.h"

static struct gpu_ask one_p4[] = { { "10de:1bb3", 1 } };

static struct vm_type_defined type(const char *id, const char *pool)
{
	return (struct vm_type_defined){ id, pool, "a type", 4, 8, one_p4, 1 };
}

static int put_pool(struct catalog *catalog, const char *id, const char *attach, const char *policy)
{
	const struct vm_pool_defined pool = { .pool_id = id,
					      .name = "a pool",
					      .attach = attach,
					      .policy = policy,
					      .attach_attempts = 3 };
	const char *error;
	return catalog_fold_pool(catalog, &pool, &error);
}

static void the_latest_definition_counts(void **state)
{
	(void)state;
	struct catalog *catalog = catalog_new();
	const char *error;
	assert_null(catalog_pool(catalog, "1"));
	assert_int_equal(put_pool(catalog, "1", "", NULL), 0);
	assert_string_equal(catalog_pool(catalog, "1")->attach, "agent");
	assert_string_equal(catalog_pool(catalog, "1")->policy, "pack");
	assert_string_equal(catalog_pool(catalog, "1")->on_attach_failure, "reschedule");
	assert_string_equal(catalog_pool(catalog, "1")->after_release, "keep-vfio");
	assert_int_equal(catalog_pool(catalog, "1")->attach_attempts, 3);
	uint64_t version = catalog_version(catalog);
	assert_int_equal(put_pool(catalog, "1", "external", "spread"), 0);
	assert_true(catalog_version(catalog) > version);
	assert_string_equal(catalog_pool(catalog, "1")->attach, "external");
	assert_string_equal(catalog_pool(catalog, "1")->policy, "spread");
	assert_null(catalog_pool_at(catalog, 1));

	struct vm_type_defined t = type("t", "1");
	assert_int_equal(catalog_fold_type(catalog, &t, &error), 0);
	assert_int_equal(catalog_type(catalog, "1", "t")->cpu_cores, 4);
	assert_string_equal(catalog_type(catalog, "1", "t")->gpus[0].name, "10de:1bb3");
	assert_null(catalog_type(catalog, "2", "t"));
	t.pool_id = "2"; /* a type belongs to one pool */
	assert_int_equal(catalog_fold_type(catalog, &t, &error), 0);
	assert_null(catalog_type(catalog, "1", "t"));
	assert_non_null(catalog_type(catalog, "2", "t"));
	catalog_free(catalog);
}

static void tombstones_remove(void **state)
{
	(void)state;
	struct catalog *catalog = catalog_new();
	const char *error;
	for (int i = 0; i < 40; i++) {
		char id[] = { (char)('A' + i), '\0' };
		const struct vm_type_defined t = type(id, "1");
		assert_int_equal(put_pool(catalog, id, "agent", "pack"), 0);
		assert_int_equal(catalog_fold_type(catalog, &t, &error), 0);
	}
	/* A pool and a type of one id are two things. */
	assert_int_equal(catalog_remove(catalog, "pool/B", 6), 0);
	assert_null(catalog_pool(catalog, "B"));
	assert_non_null(catalog_type(catalog, "1", "B"));
	assert_int_equal(catalog_remove(catalog, "type/C", 6), 0);
	assert_null(catalog_type(catalog, "1", "C"));
	for (int i = 2; i < 40; i++) {
		char id[] = { (char)('A' + i), '\0' };
		assert_string_equal(catalog_pool(catalog, id)->pool_id, id);
	}
	size_t n = 0;
	while (catalog_pool_at(catalog, n))
		n++;
	assert_int_equal(n, 39);

	uint64_t version = catalog_version(catalog);
	assert_int_equal(catalog_remove(catalog, "pool/unknown", 12), 0);
	assert_int_equal(catalog_version(catalog), version);
	assert_int_equal(catalog_remove(catalog, "pool/", 5), 1);
	assert_int_equal(catalog_remove(catalog, "B", 1), 1);
	assert_int_equal(catalog_remove(catalog, "host/B", 6), 1);
	assert_int_equal(catalog_remove(catalog, "pool/D\0", 7), 1);
	catalog_free(catalog);
}

static void unusable_definitions_change_nothing(void **state)
{
	(void)state;
	struct catalog *catalog = catalog_new();
	const char *error = NULL;
	assert_int_equal(put_pool(catalog, "", "agent", "pack"), 1);
	assert_int_equal(put_pool(catalog, "a\tb", "agent", "pack"), 1);
	assert_int_equal(put_pool(catalog, "1", "robot", "pack"), 1);
	assert_int_equal(put_pool(catalog, "1", "agent", "best"), 1);

	struct vm_pool_defined pool[5];
	for (size_t i = 0; i < 5; i++)
		pool[i] = (struct vm_pool_defined){ .pool_id = "1", .attach_attempts = 1 };
	pool[0].on_attach_failure = "panic";
	pool[1].after_release = "sell";
	pool[2].attach_attempts = 0;
	pool[3].attach_attempts = 17;
	pool[4].attach_attempts = -1;
	for (size_t i = 0; i < 5; i++)
		assert_int_equal(catalog_fold_pool(catalog, &pool[i], &error), 1);

	struct gpu_ask negative[] = { { "x", -1 } }, nameless[] = { { "", 1 } };
	struct vm_type_defined bad[7];
	for (size_t i = 0; i < 7; i++)
		bad[i] = type("t", "1");
	bad[0].vm_type_id = NULL;
	bad[1].pool_id = "";
	bad[2].cpu_cores = -1;
	bad[3].ram_gb = INT64_MAX;
	bad[4].n_gpus = 0;
	bad[5].gpus = negative;
	bad[6].gpus = nameless;
	for (size_t i = 0; i < 7; i++) {
		assert_int_equal(catalog_fold_type(catalog, &bad[i], &error), 1);
		assert_non_null(error);
	}
	assert_int_equal(catalog_version(catalog), 0);
	catalog_free(catalog);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_latest_definition_counts),
		cmocka_unit_test(tombstones_remove),
		cmocka_unit_test(unusable_definitions_change_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
