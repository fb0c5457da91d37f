/*
 * A pool's partition is the one that Java producers pick. The hashes are those that the tests of other
 * Kafka clients use to agree with Java's Utils.murmur2.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

#include "model/partition.h"

static const struct {
	const char *pool;
	int32_t murmur2;
} known[] = {
	{ "21", -973932308 },
	{ "foobar", -790332482 },
	{ "a-little-bit-long-string", -985981536 },
	{ "a-little-bit-longer-string", -1486304829 },
	{ "lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971 },
	{ "abc", 479470107 },
};

static void partitions_are_those_of_java(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++) {
		int32_t positive = known[i].murmur2 & INT32_MAX;
		/* A count above every positive hash but one shows all of its bits. */
		assert_int_equal(partition_of_pool(known[i].pool, INT32_MAX), positive);
		for (int32_t n = 1; n < 100; n++)
			assert_int_equal(partition_of_pool(known[i].pool, n), positive % n);
	}
}

/* Every length of the tail behind whole words, and bytes above 7f, which C may take for negative. */
static void every_byte_counts(void **state)
{
	(void)state;
	char text[] = "\xff\xfe\xfd\xfc\xfb\xfa\xf9\xf8";
	for (size_t len = 1; len < sizeof(text); len++) {
		char pool[sizeof(text)] = { 0 };
		memcpy(pool, text, len);
		int32_t before = partition_of_pool(pool, INT32_MAX);
		for (size_t i = 0; i < len; i++) {
			pool[i] ^= 1;
			assert_true(partition_of_pool(pool, INT32_MAX) != before);
			pool[i] ^= 1;
		}
	}
}

static void an_empty_pool_id_has_a_partition(void **state)
{
	(void)state;
	for (int32_t n = 1; n < 100; n++) {
		int32_t partition = partition_of_pool("", n);
		assert_in_range(partition, 0, n - 1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(partitions_are_those_of_java),
		cmocka_unit_test(every_byte_counts),
		cmocka_unit_test(an_empty_pool_id_has_a_partition),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
