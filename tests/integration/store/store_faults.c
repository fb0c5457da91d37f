/*
 * Redis is wiped, rolled back, killed, stopped or too slow, while the state goes on changing: what stands
 * there in the end is the owner's state, exactly.
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
#include "store/read.h"

static struct redis_server *server;

static int start_server(void **state)
{
	(void)state;
	server = redis_server_start(NULL);
	return 0;
}

static int start_durable_server(void **state)
{
	(void)state;
	const struct redis_server_options options = { .aof = true };
	server = redis_server_start(&options);
	return 0;
}

static int stop_server(void **state)
{
	(void)state;
	redis_server_stop(server);
	return 0;
}

static bool is_down(struct owner *owner)
{
	return !store_is_up(owner->store);
}

static bool is_rewriting(struct owner *owner)
{
	return owner_progress(owner).state == STORE_STATE_REWRITING;
}

/* ---- wiped and rolled back ------------------------------------------------------------------ */

static void test_a_wipe_is_noticed_when_nothing_flows(void **state)
{
	(void)state;
	struct owner owner;
	owner_init(&owner, server, NULL, NULL, 500);
	owner_start(&owner);
	redis_server_wipe(server);
	owner_run_until(&owner, owner_is_rewritten);
	assert_string_equal(owner.reason, "Redis has nothing of it");
	owner_check(&owner);
	owner_deinit(&owner);
}

static void test_a_wipe_is_rewritten_while_submissions_go_on(void **state)
{
	(void)state;
	struct owner owner;
	/* Only the function can notice: the next look is far away. */
	const struct store_config rarely = { .check_interval_ms = 3600 * 1000 };
	owner_init(&owner, server, NULL, &rarely, 20000);
	owner.changes_per_tick = 10;
	owner_start(&owner);
	redis_server_wipe(server);
	owner_change(&owner, 3);
	owner_run_until(&owner, is_rewriting);
	assert_true(owner_progress(&owner).behind_us > 0);
	assert_true(owner_progress(&owner).behind_records > 0);
	owner_run_until(&owner, owner_is_rewritten);
	/* The snapshot has 200 chunks and 10 batches were submitted beside each. */
	assert_in_range(owner.meta.offset, 1000, 10000);
	owner_check(&owner);
	owner_deinit(&owner);
}

static void test_a_roll_back_is_noticed(void **state)
{
	(void)state;
	struct owner owner;
	owner_init(&owner, server, NULL, NULL, 500);
	owner_start(&owner);
	redis_server_snapshot(server);
	for (int i = 0; i < 20; i++)
		owner_change(&owner, 10);
	owner_run_until(&owner, owner_in_step);
	redis_server_roll_back(server);
	owner_run_until(&owner, owner_is_rewritten);
	assert_non_null(strstr(owner.reason, "Redis stands at epoch 0 offset 1 "));
	owner_check(&owner);
	owner_deinit(&owner);
}

/* The same offset, epoch and sequence, but other rows: only the digest tells. */
static void test_another_digest_is_noticed(void **state)
{
	(void)state;
	struct owner owner;
	owner_init(&owner, server, NULL, NULL, 500);
	owner_start(&owner);
	free(redis_server_command(server, "HSET {gpubus:%d}:meta digest 1", SHARD));
	owner_run_until(&owner, owner_is_rewritten);
	owner_check(&owner);
	owner_deinit(&owner);
}

static bool has_staged(struct owner *owner)
{
	return is_rewriting(owner) &&
	       redis_server_number(owner->server, "HGET {gpubus:%d}:staging chunks", SHARD) >= 2;
}

static bool has_staged_more(struct owner *owner)
{
	return redis_server_number(owner->server, "HGET {gpubus:%d}:staging chunks", SHARD) >= 5;
}

static void begin_large_rewrite(struct owner *owner, const struct store_config *config)
{
	owner_init(owner, server, NULL, config, 40000);
	owner->changes_per_tick = 3;
	owner->chunk = 4000;
	owner_start(owner);
	owner->chunk = 400;
	free(redis_server_command(server, "HSET {gpubus:%d}:meta offset 0", SHARD));
	owner_run_until(owner, has_staged);
}

static void test_a_wipe_in_the_middle_of_a_rewrite(void **state)
{
	(void)state;
	struct owner owner;
	begin_large_rewrite(&owner, NULL);
	redis_server_wipe(server);
	owner_run_until(&owner, owner_is_rewritten);
	assert_int_equal(owner.n_needed, 3);
	owner_check(&owner);
	owner_deinit(&owner);
}

static void test_a_roll_back_in_the_middle_of_a_rewrite(void **state)
{
	(void)state;
	struct owner owner;
	begin_large_rewrite(&owner, NULL);
	redis_server_snapshot(server);
	owner_run_until(&owner, has_staged_more);
	assert_true(owner.feeding);
	redis_server_roll_back(server);
	owner_run_until(&owner, owner_is_rewritten);
	assert_int_equal(owner.n_needed, 3);
	owner_check(&owner);
	owner_deinit(&owner);
}

static void test_a_lost_connection_does_not_lose_what_was_staged(void **state)
{
	(void)state;
	struct owner owner;
	begin_large_rewrite(&owner, NULL);
	for (int i = 0; i < 3; i++) {
		free(redis_server_command(server, "CLIENT KILL TYPE normal SKIPME yes"));
		owner_run_until(&owner, is_down);
		owner_run_ms(&owner, 30);
	}
	owner_run_until(&owner, owner_is_rewritten);
	assert_int_equal(owner.n_needed, 2);
	assert_int_equal(owner_counts(&owner).connects, 4);
	owner_check(&owner);
	owner_deinit(&owner);
}

/* The chunk under way arrives, its answer does not: it is not fed again. */
static void test_a_chunk_without_answer_that_arrived(void **state)
{
	(void)state;
	struct owner owner;
	const struct store_config config = { .command_timeout_ms = 200 };
	begin_large_rewrite(&owner, &config);
	redis_server_pause(server);
	owner_run_until(&owner, is_down);
	redis_server_continue(server);
	owner_run_until(&owner, owner_is_rewritten);
	assert_int_equal(owner.n_needed, 2);
	owner_check(&owner);
	owner_deinit(&owner);
}

/* An owner stops in the middle; the next one leaves nothing behind of it. */
static void test_a_half_staged_generation_is_removed(void **state)
{
	(void)state;
	struct owner first, second;
	begin_large_rewrite(&first, NULL);
	owner_deinit(&first);
	assert_int_equal(redis_server_number(server, "EXISTS {gpubus:%d}:staging", SHARD), 1);
	owner_init(&second, server, NULL, NULL, 40000);
	owner_load(&second, 5000);
	owner_run_until(&second, owner_is_loaded);
	assert_int_equal(second.load_status, STORE_LOADED);
	second.meta.offset = 1;
	free(redis_server_command(server, "HSET {gpubus:%d}:meta offset 77", SHARD));
	owner_run_until(&second, owner_in_step);
	owner_check(&second);
	owner_deinit(&second);
}

/* ---- what a reader sees --------------------------------------------------------------------- */

struct mixture {
	uint64_t version;
	size_t n;
};

static int on_version(void *context, const struct store_row *row)
{
	struct mixture *seen = context;
	uint64_t version = (uint64_t)atoll(row->value);
	if (seen->n++ == 0)
		seen->version = version;
	assert_int_equal(version, seen->version);
	return 0;
}

static struct store_reader *reader;
static uint64_t versions_seen;

/* All rows of a table have the version of one rewrite, and none is missing. */
static void read_all(struct owner *owner)
{
	struct mixture seen = { 0 };
	assert_int_equal(store_read_table(reader, SHARD, STORE_GPUS, on_version, &seen), 0);
	assert_int_equal(seen.n, (owner->n_rows + 2) / 3);
	assert_true(seen.version == versions_seen || seen.version == versions_seen + 1);
	versions_seen = seen.version;
}

static void test_a_reader_sees_the_old_or_the_new_and_never_both(void **state)
{
	(void)state;
	struct owner owner;
	owner_init(&owner, server, NULL, NULL, 6000);
	owner_start(&owner);
	assert_int_equal(store_reader_new(redis_server_url(server), 5000, &reader, NULL), 0);
	versions_seen = 1;
	owner.on_tick = read_all;
	for (uint64_t version = 2; version < 5; version++) {
		for (size_t i = 0; i < owner.n_rows; i++)
			owner.versions[i] = version;
		free(redis_server_command(server, "HSET {gpubus:%d}:meta offset 0", SHARD));
		owner_run_until(&owner, is_rewriting);
		owner_run_until(&owner, owner_in_step);
		owner_run_ms(&owner, 5);
		assert_int_equal(versions_seen, version);
		owner_check(&owner);
	}
	store_reader_free(reader);
	owner_deinit(&owner);
}

/* ---- the answer that never came ------------------------------------------------------------- */

static void test_a_batch_without_answer_that_arrived(void **state)
{
	(void)state;
	struct owner owner;
	const struct store_config config = { .command_timeout_ms = 60,
					     .check_interval_ms = 3600 * 1000 };
	owner_init(&owner, server, NULL, &config, 500);
	owner_start(&owner);
	uint64_t n_stored = owner.n_stored;
	/* A stopped Redis has the batch in its socket, and carries it out when it wakes up. */
	redis_server_pause(server);
	owner_change(&owner, 10);
	struct store_meta sent = owner.meta;
	owner_run_until(&owner, is_down);
	owner_change(&owner, 10);
	redis_server_continue(server);
	owner_run_until(&owner, owner_in_step);
	owner_check(&owner);
	assert_int_equal(owner_counts(&owner).rewrites, 1);
	assert_int_equal(owner_counts(&owner).elsewhere, 0);
	assert_int_equal(owner.n_stored, n_stored + 2);
	assert_true(sent.offset < owner.meta.offset);
	owner_deinit(&owner);
}

static void test_a_batch_without_answer_that_did_not_arrive(void **state)
{
	(void)state;
	struct owner owner;
	owner_init(&owner, server, NULL, NULL, 500);
	owner_start(&owner);
	owner_change(&owner, 10);
	owner_run_until(&owner, owner_in_step);
	redis_server_pause(server);
	owner_change(&owner, 10);
	owner_run_ms(&owner, 20);
	redis_server_kill(server);
	owner_run_until(&owner, is_down);
	redis_server_restart(server);
	owner_run_until(&owner, owner_in_step);
	owner_check(&owner);
	assert_int_equal(owner_counts(&owner).rewrites, 1);
	owner_deinit(&owner);
}

static void test_killed_again_and_again(void **state)
{
	(void)state;
	struct owner owner;
	owner_init(&owner, server, NULL, NULL, 2000);
	owner_start(&owner);
	for (int i = 0; i < 10; i++) {
		for (int j = 0; j < 20; j++) {
			owner_change(&owner, 20);
			owner_run_ms(&owner, j % 4);
		}
		redis_server_restart(server);
	}
	owner_run_until(&owner, owner_in_step);
	owner_check(&owner);
	assert_int_equal(owner_counts(&owner).rewrites, 1);
	owner_deinit(&owner);
}

/* ---- too much, too late --------------------------------------------------------------------- */

static void test_what_waits_is_bounded_and_then_rewritten(void **state)
{
	(void)state;
	struct owner owner;
	const struct store_config config = { .queue_bytes_max = 1024 * 1024 };
	owner_init(&owner, server, NULL, &config, 5000);
	owner_start(&owner);
	redis_server_pause(server);
	uint64_t most = 0;
	for (int i = 0; i < 1000; i++) {
		owner_change(&owner, 50);
		uint64_t bytes = owner_progress(&owner).behind_bytes;
		most = bytes > most ? bytes : most;
		if (i == 400)
			owner_run_ms(&owner, 10);
	}
	assert_in_range(most, 512 * 1024, 1024 * 1024);
	/* Once more if a rewrite was begun meanwhile, which Redis does not take either. */
	assert_in_range(owner_counts(&owner).overflows, 1, 2);
	assert_int_equal(owner_progress(&owner).behind_records, 1000);
	redis_server_continue(server);
	owner_run_until(&owner, owner_is_rewritten);
	assert_string_equal(owner.reason, "the queue to Redis overflowed");
	assert_int_equal(owner_progress(&owner).behind_records, 0);
	owner_check(&owner);
	owner_deinit(&owner);
}

static void test_a_load_ends_at_its_deadline(void **state)
{
	(void)state;
	struct owner owner;
	owner_init(&owner, server, NULL, NULL, 500);
	redis_server_pause(server);
	int64_t start_us = clock_monotonic_us();
	owner_load(&owner, 50);
	owner_run_until(&owner, owner_is_loaded);
	assert_int_equal(owner.load_status, STORE_UNAVAILABLE);
	assert_in_range(clock_monotonic_us() - start_us, 49000, 1000000);
	owner_change(&owner, 10);
	redis_server_continue(server);
	owner_run_until(&owner, owner_in_step);
	owner_check(&owner);
	owner_deinit(&owner);
}

/* Not loaded in time, but it stands where the owner is anyhow: nothing to rewrite. */
static void test_a_late_redis_that_stands_right_is_not_rewritten(void **state)
{
	(void)state;
	struct owner first, second;
	owner_init(&first, server, NULL, NULL, 500);
	owner_start(&first);
	owner_init(&second, server, NULL, NULL, 500);
	redis_server_pause(server);
	owner_load(&second, 20);
	owner_run_until(&second, owner_is_loaded);
	const struct store_batch batch = { .to = first.meta, .n_records = 1 };
	store_submit(second.store, SHARD, &batch);
	second.meta = first.meta;
	redis_server_continue(server);
	owner_run_until(&second, owner_in_step);
	assert_int_equal(second.n_needed, 0);
	owner_change(&second, 10);
	owner_run_until(&second, owner_in_step);
	owner_check(&second);
	owner_deinit(&first);
	owner_deinit(&second);
}

static void test_a_shard_is_closed_in_the_middle_of_anything(void **state)
{
	(void)state;
	struct owner owner;
	owner_init(&owner, server, NULL, NULL, 2000);
	for (int i = 0; i < 40; i++) {
		owner.asked = owner.feeding = false;
		owner_load(&owner, 5000);
		owner_run_ms(&owner, i % 13);
		if (owner.loaded)
			owner_change(&owner, 10);
		owner_run_ms(&owner, i % 3);
		store_close_shard(owner.store, SHARD);
		assert_int_equal(owner_progress(&owner).state, STORE_STATE_CLOSED);
	}
	owner.asked = owner.feeding = false;
	owner_start(&owner);
	owner_check(&owner);
	owner_deinit(&owner);
}

#define with_server(test)  cmocka_unit_test_setup_teardown(test, start_server, stop_server)
#define with_durable(test) cmocka_unit_test_setup_teardown(test, start_durable_server, stop_server)

int main(void)
{
	const struct CMUnitTest tests[] = {
		with_server(test_a_wipe_is_noticed_when_nothing_flows),
		with_server(test_a_wipe_is_rewritten_while_submissions_go_on),
		with_server(test_a_roll_back_is_noticed),
		with_server(test_another_digest_is_noticed),
		with_server(test_a_wipe_in_the_middle_of_a_rewrite),
		with_server(test_a_roll_back_in_the_middle_of_a_rewrite),
		with_server(test_a_lost_connection_does_not_lose_what_was_staged),
		with_server(test_a_chunk_without_answer_that_arrived),
		with_server(test_a_half_staged_generation_is_removed),
		with_server(test_a_reader_sees_the_old_or_the_new_and_never_both),
		with_server(test_a_batch_without_answer_that_arrived),
		with_durable(test_a_batch_without_answer_that_did_not_arrive),
		with_durable(test_killed_again_and_again),
		with_server(test_what_waits_is_bounded_and_then_rewritten),
		with_server(test_a_load_ends_at_its_deadline),
		with_server(test_a_late_redis_that_stands_right_is_not_rewritten),
		with_server(test_a_shard_is_closed_in_the_middle_of_anything),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
