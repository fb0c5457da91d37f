/*
 * What the store costs Redis: time per call and per row of 200 bytes from INFO commandstats, and the
 * rewrite of a large shard. The figures are printed; the bounds are far above them and only catch what is
 * wrong by an order of magnitude.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "loop/clock.h"
#include "loop/loop.h"
#include "owner.h"

enum { ROWS = 150000, BATCHES = 300 };

static struct redis_server *server;
static struct owner owner;

static int set_up(void **state)
{
	(void)state;
	server = redis_server_start(NULL);
	owner_init(&owner, server, NULL, NULL, ROWS);
	owner.value_len = 200;
	owner.chunk = 4000;
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	owner_deinit(&owner);
	redis_server_stop(server);
	return 0;
}

static double statistic(const char *command, const char *name)
{
	char *info = redis_server_command(server, "INFO commandstats"), start[64];
	snprintf(start, sizeof(start), "cmdstat_%s:", command);
	const char *line = strstr(info, start);
	assert_non_null(line);
	const char *value = strstr(line, name);
	assert_non_null(value);
	double number = strtod(value + strlen(name) + 1, NULL);
	free(info);
	return number;
}

static void test_a_rewrite_of_150_000_rows(void **state)
{
	(void)state;
	free(redis_server_command(server, "CONFIG RESETSTAT"));
	int64_t start_us = clock_monotonic_us();
	owner_start(&owner);
	double seconds = (double)(clock_monotonic_us() - start_us) / 1e6;
	double us = statistic("fcall", "usec");
	owner_check(&owner);
	assert_true(owner.n_full > 0);
	assert_int_equal(owner.n_more, owner.n_full);
	print_message("rewrite: %d rows of 200 bytes in %.2f s; Redis: %.2f us per row\n", ROWS,
		      seconds, us / ROWS);
	assert_true(us / ROWS < 30);

	owner.loaded = false;
	store_close_shard(owner.store, SHARD);
	start_us = clock_monotonic_us();
	owner_load(&owner, 20000);
	owner_run_until(&owner, owner_is_loaded);
	assert_int_equal(owner.load_status, STORE_LOADED);
	print_message("load: %d rows in %.2f s\n", ROWS,
		      (double)(clock_monotonic_us() - start_us) / 1e6);
}

static void test_the_cost_of_a_batch(void **state)
{
	(void)state;
	owner_start(&owner);
	static const size_t sizes[] = { 0, 1, 5, 20, 100, 1000 };
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		uint64_t applies = owner_counts(&owner).applies;
		uint64_t rows = owner_counts(&owner).applied_rows;
		free(redis_server_command(server, "CONFIG RESETSTAT"));
		for (int n = 0; n < BATCHES; n++) {
			owner_change(&owner, sizes[i]);
			owner_run_until(&owner, owner_in_step);
		}
		applies = owner_counts(&owner).applies - applies;
		rows = owner_counts(&owner).applied_rows - rows;
		assert_int_equal(applies, BATCHES);
		double us = statistic("fcall", "usec") / (double)applies;
		print_message("apply of %4zu rows: %7.1f us per call, %.2f us per row\n", sizes[i],
			      us, rows ? us * (double)applies / (double)rows : 0);
		assert_true(us < 200 + 30 * (double)sizes[i]);
	}
	owner_check(&owner);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_a_rewrite_of_150_000_rows, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_the_cost_of_a_batch, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
