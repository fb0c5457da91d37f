/*
 * What is submitted stands in Redis, exactly; what does not belong there is refused.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

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

static void test_an_empty_redis_is_written_and_followed(void **state)
{
	(void)state;
	struct owner owner;
	owner_init(&owner, server, NULL, NULL, 1000);
	owner_start(&owner);
	assert_int_equal(owner.load_status, STORE_EMPTY);
	assert_int_equal(owner_counts(&owner).rewrites, 1);
	owner_check(&owner);

	for (int i = 0; i < 50; i++) {
		for (int j = 0; j < 20; j++)
			owner_change(&owner, 7);
		if (i % 10 == 0)
			owner_run_ms(&owner, 5);
	}
	owner_run_until(&owner, owner_in_step);
	owner_check(&owner);
	assert_int_equal(owner_counts(&owner).rewrites, 1);
	/* 1,000 batches, far fewer calls: what waits goes out together. */
	assert_in_range(owner_counts(&owner).applies, 1, 100);
	assert_true(store_meta_same(&owner.last_stored, &owner.meta));
	assert_int_equal(owner_progress(&owner).behind_records, 0);
	assert_int_equal(owner_progress(&owner).behind_bytes, 0);
	assert_int_equal(owner_progress(&owner).behind_us, 0);
	owner_deinit(&owner);
}

static void test_the_next_owner_loads_what_the_last_one_left(void **state)
{
	(void)state;
	struct owner first, second;
	owner_init(&first, server, NULL, NULL, 5000);
	owner_start(&first);
	owner_change(&first, 1000);
	owner_run_until(&first, owner_in_step);

	owner_init(&second, server, NULL, NULL, 5000);
	owner_start(&second);
	assert_int_equal(second.load_status, STORE_LOADED);
	assert_int_equal(second.n_begins, 1);
	assert_true(store_meta_same(&second.load_meta, &first.meta));
	assert_int_equal(second.load_meta.applied.requests, first.meta.applied.requests);
	assert_int_equal(second.load_meta.applied.attachments, -1);
	assert_memory_equal(second.versions, first.versions, 5000 * sizeof(*first.versions));
	assert_int_equal(second.n_needed, 0);
	owner_change(&second, 10);
	owner_run_until(&second, owner_in_step);
	owner_check(&second);
	assert_int_equal(owner_counts(&second).rewrites, 0);
	owner_deinit(&first);
	owner_deinit(&second);
}

static bool is_deposed(struct owner *owner)
{
	return owner_progress(owner).state == STORE_STATE_DEPOSED;
}

static void test_a_zombie_is_refused_until_it_has_a_higher_epoch(void **state)
{
	(void)state;
	struct owner zombie, owner;
	/* Its next look at Redis is far away: the refusal must come from the function. */
	const struct store_config rarely = { .check_interval_ms = 3600 * 1000 };
	owner_init(&zombie, server, NULL, &rarely, 300);
	owner_start(&zombie);

	owner_init(&owner, server, NULL, NULL, 300);
	owner_start(&owner);
	owner_new_epoch(&owner, 50);
	owner_change(&owner, 20);
	owner_run_until(&owner, owner_in_step);

	owner_change(&zombie, 20);
	owner_run_until(&zombie, is_deposed);
	assert_int_equal(zombie.n_deposed, 1);
	assert_int_equal(zombie.deposed_epoch, 50);
	assert_int_equal(zombie.n_needed, 1); /* that of its start */
	owner_change(&zombie, 20);
	owner_run_ms(&zombie, 20);
	owner_check(&owner);

	/* The same epoch is not enough, a higher one is. */
	zombie.meta = owner.meta;
	owner_change(&zombie, 1);
	assert_true(is_deposed(&zombie));
	owner_new_epoch(&zombie, 60);
	owner_run_until(&zombie, owner_in_step);
	owner_check(&zombie);
	owner_run_until(&owner, is_deposed);
	owner_deinit(&zombie);
	owner_deinit(&owner);
}

static void test_a_zombies_rewrite_is_refused(void **state)
{
	(void)state;
	struct owner zombie, owner;
	owner_init(&zombie, server, NULL, NULL, 300);
	owner_start(&zombie);
	zombie.rewrites = false;
	redis_server_wipe(server);
	owner_run_until(&zombie, owner_was_asked_again);

	owner_init(&owner, server, NULL, NULL, 300);
	owner_load(&owner, 5000);
	owner_run_until(&owner, owner_is_loaded);
	owner_new_epoch(&owner, 50);
	owner_run_until(&owner, owner_in_step);

	zombie.rewrites = true;
	owner_run_until(&zombie, is_deposed);
	owner_check(&owner);
	owner_deinit(&zombie);
	owner_deinit(&owner);
}

static void test_a_foreign_format_is_not_read_but_replaced(void **state)
{
	(void)state;
	struct owner old, new;
	owner_init(&old, server, NULL, NULL, 100);
	owner_start(&old);
	const struct store_config config = { .format = "2" };
	owner_init(&new, server, NULL, &config, 100);
	owner_start(&new);
	assert_int_equal(new.load_status, STORE_FOREIGN_FORMAT);
	assert_int_equal(new.n_begins, 0);
	owner_check(&new);
	owner_deinit(&old);
	owner_deinit(&new);
}

static void change_generation_in_the_middle(struct owner *owner)
{
	if (owner->n_loaded_rows != 1500 || owner->n_begins != 1)
		return;
	char *generation = redis_server_command(server, "HGET {gpubus:%d}:meta generation", SHARD);
	static const char *const names[] = { "gpus", "vms", "requests" };
	for (int i = 0; i < 3; i++)
		free(redis_server_command(server, "RENAME {gpubus:%d}:%s:%s {gpubus:%d}:new:%s",
					  SHARD, generation, names[i], SHARD, names[i]));
	free(redis_server_command(server, "HSET {gpubus:%d}:meta generation new", SHARD));
	free(generation);
}

static void test_a_load_starts_again_when_the_generation_changes(void **state)
{
	(void)state;
	struct owner first, second;
	owner_init(&first, server, NULL, NULL, 30000);
	first.chunk = 2000;
	owner_start(&first);
	owner_init(&second, server, NULL, NULL, 30000);
	second.on_loaded_row = change_generation_in_the_middle;
	owner_start(&second);
	assert_int_equal(second.load_status, STORE_LOADED);
	assert_int_equal(second.n_begins, 2);
	assert_memory_equal(second.versions, first.versions, 30000 * sizeof(*first.versions));
	owner_check(&second);
	owner_deinit(&first);
	owner_deinit(&second);
}

static bool is_stored(struct owner *owner)
{
	return owner_in_step(owner);
}

static void test_rows_are_binary_safe(void **state)
{
	(void)state;
	static char all[256 * 64];
	for (size_t i = 0; i < sizeof(all); i++)
		all[i] = (char)i;
	const struct store_row rows[] = {
		{ STORE_POOLS, "a\0b\r\n", 5, all, sizeof(all) },
		{ STORE_POOLS, "", 0, "", 0 },
		{ STORE_TYPES, all, 256, "\r\n$-1\r\n", 7 },
		{ STORE_HOSTS, "gone", 4, "x", 1 },
		{ STORE_HOSTS, "gone", 4, NULL, 0 },
		{ STORE_HOSTS, "back", 4, NULL, 0 },
		{ STORE_HOSTS, "back", 4, "longer than before", 18 },
		{ STORE_HOSTS, "back", 4, "short", 5 },
	};
	struct owner owner;
	owner_init(&owner, server, NULL, NULL, 10);
	owner_start(&owner);
	owner.meta.offset++;
	const struct store_batch batch = { .rows = rows, .n_rows = 8, .to = owner.meta };
	store_submit(owner.store, SHARD, &batch);
	owner_run_until(&owner, is_stored);

	struct store_reader *reader;
	char *value;
	size_t len;
	assert_int_equal(store_reader_new(redis_server_url(server), 5000, &reader, NULL), 0);
	assert_int_equal(store_read_row(reader, SHARD, STORE_POOLS, "a\0b\r\n", 5, &value, &len),
			 0);
	assert_int_equal(len, sizeof(all));
	assert_memory_equal(value, all, len);
	free(value);
	assert_int_equal(store_read_row(reader, SHARD, STORE_POOLS, "", 0, &value, &len), 0);
	assert_int_equal(len, 0);
	free(value);
	assert_int_equal(store_read_row(reader, SHARD, STORE_TYPES, all, 256, &value, &len), 0);
	assert_int_equal(len, 7);
	assert_memory_equal(value, "\r\n$-1\r\n", 7);
	free(value);
	assert_int_equal(store_read_row(reader, SHARD, STORE_HOSTS, "gone", 4, &value, &len),
			 STORE_READ_EMPTY);
	assert_int_equal(store_read_row(reader, SHARD, STORE_HOSTS, "back", 4, &value, &len), 0);
	assert_string_equal(value, "short");
	free(value);
	store_reader_free(reader);

	/* The owner's state has no such tables: with the old generation all of it goes. */
	free(redis_server_command(server, "HSET {gpubus:%d}:meta offset 0", SHARD));
	owner_run_until(&owner, owner_is_rewritten);
	owner_check(&owner);
	owner_deinit(&owner);
}

/* The arguments of HSET go through Lua's unpack, which has a limit. */
static void test_one_batch_of_many_rows(void **state)
{
	(void)state;
	struct owner owner;
	owner_init(&owner, server, NULL, NULL, 40000);
	owner.chunk = 2000;
	owner_start(&owner);
	const size_t n = 30000;
	struct store_row *rows = calloc(n, sizeof(*rows));
	char(*fields)[16] = calloc(n, sizeof(*fields));
	for (size_t i = 0; i < n; i++) {
		int len = snprintf(fields[i], sizeof(fields[i]), "f%zu", i);
		rows[i] = (struct store_row){ STORE_TYPES, fields[i], (size_t)len, "v", 1 };
	}
	for (int deleted = 0; deleted <= 1; deleted++) {
		for (size_t i = 0; deleted && i < n; i++)
			rows[i].value = NULL;
		owner.meta.offset++;
		const struct store_batch batch = { .rows = rows, .n_rows = n, .to = owner.meta };
		store_submit(owner.store, SHARD, &batch);
		owner_run_until(&owner, is_stored);
		char *generation =
			redis_server_command(server, "HGET {gpubus:%d}:meta generation", SHARD);
		assert_int_equal(
			redis_server_number(server, "HLEN {gpubus:%d}:%s:types", SHARD, generation),
			deleted ? 0 : n);
		free(generation);
	}
	owner_check(&owner);
	free(fields);
	free(rows);
	owner_deinit(&owner);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_an_empty_redis_is_written_and_followed, wipe_server),
		cmocka_unit_test_setup(test_the_next_owner_loads_what_the_last_one_left,
				       wipe_server),
		cmocka_unit_test_setup(test_a_zombie_is_refused_until_it_has_a_higher_epoch,
				       wipe_server),
		cmocka_unit_test_setup(test_a_zombies_rewrite_is_refused, wipe_server),
		cmocka_unit_test_setup(test_a_foreign_format_is_not_read_but_replaced, wipe_server),
		cmocka_unit_test_setup(test_a_load_starts_again_when_the_generation_changes,
				       wipe_server),
		cmocka_unit_test_setup(test_rows_are_binary_safe, wipe_server),
		cmocka_unit_test_setup(test_one_batch_of_many_rows, wipe_server),
	};
	return cmocka_run_group_tests(tests, start_server, stop_server);
}
