/*
 * The functions of gpubus.lua, called as the store calls them: from the right and from every wrong
 * position.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "store/library.h"
#include "support/redis_server.h"

#define KEY	   "1 {gpubus:1}:meta"
#define META(at)   "epoch 5 offset " #at " sequence " #at
#define APPLY	   "FCALL gpubus_apply " KEY " "
#define STAND_AT_1 "HSET {gpubus:1}:meta format 1 generation g epoch 5 offset 1 sequence 1"

static struct redis_server *server;

static int start_server(void **state)
{
	(void)state;
	server = redis_server_start(NULL);
	char *answer = redis_server_command(server, "FUNCTION LOAD %b", store_library_source,
					    store_library_source_len);
	assert_string_equal(answer, "gpubus");
	free(answer);
	return 0;
}

static int stop_server(void **state)
{
	(void)state;
	redis_server_stop(server);
	return 0;
}

static int wipe_server(void **state)
{
	(void)state;
	redis_server_wipe(server);
	return 0;
}

static void assert_answer(const char *command, const char *expected)
{
	char *answer = redis_server_command(server, command);
	if (strcmp(answer, expected) != 0)
		fail_msg("%s: %s", command, answer);
	free(answer);
}

static void test_version(void **state)
{
	(void)state;
	assert_int_equal(redis_server_number(server, "FCALL gpubus_version 0"),
			 store_library_version);
}

static void test_apply_only_from_where_it_stands(void **state)
{
	(void)state;
	static const char *const elsewhere[] = {
		APPLY "2 5 5 1 1 6 " META(2) " vms 1 0 a x", /* format */
		APPLY "1 5 4 1 1 6 " META(2) " vms 1 0 a x", /* epoch */
		APPLY "1 5 5 0 1 6 " META(2) " vms 1 0 a x", /* offset */
		APPLY "1 5 5 2 1 6 " META(2) " vms 1 0 a x",
		APPLY "1 5 5 1 0 6 " META(2) " vms 1 0 a x", /* sequence */
		APPLY "1 5 5 1 2 6 " META(2) " vms 1 0 a x",
	};
	assert_answer(APPLY "1 5 5 1 1 6 " META(2) " vms 1 0 a x", "ELSEWHERE");
	assert_int_equal(redis_server_number(server, "DBSIZE"), 0);

	free(redis_server_command(server, STAND_AT_1));
	for (size_t i = 0; i < sizeof(elsewhere) / sizeof(elsewhere[0]); i++)
		assert_answer(elsewhere[i], "ELSEWHERE");
	assert_answer(APPLY "1 4 5 1 1 6 " META(2) " vms 1 0 a x", "DEPOSED");
	assert_int_equal(redis_server_number(server, "DBSIZE"), 1);

	assert_answer(APPLY "1 5 5 1 1 6 " META(2) " vms 2 1 a x b y c gpus 0 1 a", "OK");
	assert_answer("HGETALL {gpubus:1}:g:vms", "a\nx\nb\ny");
	assert_answer("HMGET {gpubus:1}:meta offset sequence", "2\n2");
	assert_answer(APPLY "1 5 5 1 1 6 " META(2) " vms 1 0 a z", "ELSEWHERE");
	assert_answer(APPLY "1 6 5 2 2 6 epoch 6 offset 3 sequence 3 vms 0 2 a b", "OK");
	assert_answer("HMGET {gpubus:1}:meta epoch offset", "6\n3");
	assert_int_equal(redis_server_number(server, "EXISTS {gpubus:1}:g:vms"), 0);
}

static void test_a_rewrite_step_by_step(void **state)
{
	(void)state;
	free(redis_server_command(server, STAND_AT_1));
	free(redis_server_command(server, "HSET {gpubus:1}:g:vms old row"));

	assert_answer("FCALL gpubus_stage " KEY " n 0 vms 1 0 a x", "LOST");
	assert_answer("FCALL gpubus_begin " KEY " 4 n", "DEPOSED");
	assert_answer("FCALL gpubus_begin " KEY " 5 n", "OK");
	assert_answer("FCALL gpubus_begin " KEY " 4 zombie", "DEPOSED");
	assert_answer("FCALL gpubus_stage " KEY " n 1 vms 1 0 a x", "LOST");
	assert_answer("FCALL gpubus_stage " KEY " other 0 vms 1 0 a x", "LOST");
	assert_answer("FCALL gpubus_stage " KEY " n 0 vms 1 0 a x", "OK");
	assert_answer("FCALL gpubus_stage " KEY " n 0 vms 1 0 a again", "OK");
	assert_answer("HGET {gpubus:1}:n:vms a", "x");
	assert_answer("FCALL gpubus_stage " KEY " n 1 vms 1 0 b y", "OK");
	assert_answer("FCALL gpubus_stage " KEY " n 0 vms 1 0 a late", "LOST");

	assert_answer("FCALL gpubus_switch " KEY " n 1 5 1 " META(9), "LOST");
	assert_answer("FCALL gpubus_switch " KEY " other 2 5 1 " META(9), "LOST");
	assert_answer("FCALL gpubus_switch " KEY " n 2 4 1 " META(9), "DEPOSED");
	assert_answer("HMGET {gpubus:1}:meta generation offset", "g\n1");
	assert_answer("FCALL gpubus_switch " KEY " n 2 5 1 " META(9), "OK");
	assert_answer("HMGET {gpubus:1}:meta generation offset format", "n\n9\n1");
	assert_answer("HGETALL {gpubus:1}:n:vms", "a\nx\nb\ny");
	assert_int_equal(redis_server_number(server, "DBSIZE"), 2);
	/* Its answer was lost: asked again it says the same. */
	assert_answer("FCALL gpubus_switch " KEY " n 2 5 1 " META(9), "OK");
}

static void test_another_rewrite_takes_over(void **state)
{
	(void)state;
	assert_answer("FCALL gpubus_begin " KEY " 5 n", "OK");
	assert_answer("FCALL gpubus_stage " KEY " n 0 vms 1 0 a x", "OK");
	assert_answer("FCALL gpubus_begin " KEY " 6 m", "OK");
	assert_int_equal(redis_server_number(server, "DBSIZE"), 1);
	assert_answer("FCALL gpubus_stage " KEY " n 1 vms 1 0 a x", "LOST");
	assert_answer("FCALL gpubus_switch " KEY " n 1 5 1 " META(9), "LOST");
	assert_answer("FCALL gpubus_switch " KEY " m 0 6 1 " META(9), "OK");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_version, wipe_server),
		cmocka_unit_test_setup(test_apply_only_from_where_it_stands, wipe_server),
		cmocka_unit_test_setup(test_a_rewrite_step_by_step, wipe_server),
		cmocka_unit_test_setup(test_another_rewrite_takes_over, wipe_server),
	};
	return cmocka_run_group_tests(tests, start_server, stop_server);
}
