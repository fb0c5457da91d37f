/*
 * Reaching Redis: URLs, users and their rights, back-off, and the version of the function library.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

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

static bool is_down(struct owner *owner)
{
	return !store_is_up(owner->store);
}

static bool has_failed(struct owner *owner)
{
	return owner_counts(owner).failed_connects > 0;
}

static bool says_newer(struct owner *owner)
{
	return strstr(store_status(owner->store), "function library is version 99") != NULL;
}

static bool says_forbidden(struct owner *owner)
{
	return strstr(store_status(owner->store), "can't run this command") != NULL;
}

/* "unix://USER:PASSWORD@/path/of/the/socket" */
static const char *url_with(const char *credentials)
{
	static char url[256];
	snprintf(url, sizeof(url), "unix://%s@%s", credentials, redis_server_socket(server));
	return url;
}

/* The rights that gpubus.lua asks for are enough for everything that the store does. */
static void test_a_user_with_just_the_rights_it_needs(void **state)
{
	(void)state;
	free(redis_server_command(
		server, "ACL SETUSER scheduler on >p%%40ss ~{gpubus:* +fcall +function|load +hset "
			"+hdel +hget +hmget +hgetall +hscan +hincrby +del +unlink"));
	free(redis_server_command(server, "ACL SETUSER reader on >read ~{gpubus:* +hget +hgetall "
					  "+hscan"));
	struct owner owner;
	owner_init(&owner, server, url_with("scheduler:p%2540ss"), NULL, 3000);
	owner.changes_per_tick = 2;
	owner_start(&owner);
	assert_int_equal(owner.load_status, STORE_EMPTY);
	owner_change(&owner, 500);
	owner_run_until(&owner, owner_in_step);
	free(redis_server_command(server, "HSET {gpubus:%d}:meta offset 0", SHARD));
	owner_run_until(&owner, owner_is_rewritten);
	owner_check(&owner);
	assert_null(strstr(store_status(owner.store), "p@ss"));
	assert_null(strstr(store_status(owner.store), "p%40ss"));
	assert_non_null(strstr(store_status(owner.store), "up: unix://scheduler@/tmp/"));
	store_close_shard(owner.store, SHARD);
	owner.loaded = false;
	owner_start(&owner);
	assert_int_equal(owner.load_status, STORE_LOADED);

	struct store_reader *reader;
	struct store_meta meta;
	assert_int_equal(store_reader_new(url_with("reader:read"), 5000, &reader, NULL), 0);
	assert_int_equal(store_read_meta(reader, SHARD, &meta, NULL), 0);
	assert_true(store_meta_same(&meta, &owner.meta));
	store_reader_free(reader);
	owner_deinit(&owner);
}

static void test_a_wrong_password_is_told_without_it(void **state)
{
	(void)state;
	free(redis_server_command(server, "ACL SETUSER alice on >right ~* +@all"));
	struct owner owner;
	owner_init(&owner, server, url_with("alice:s3cret"), NULL, 10);
	owner_run_until(&owner, has_failed);
	assert_non_null(strstr(store_status(owner.store), "down since 2"));
	assert_non_null(strstr(store_status(owner.store), "AUTH was refused: WRONGPASS"));
	assert_null(strstr(store_status(owner.store), "s3cret"));
	assert_false(store_is_up(owner.store));
	owner_deinit(&owner);

	struct store_reader *reader;
	char *error;
	assert_int_equal(store_reader_new(url_with("alice:s3cret"), 5000, &reader, &error),
			 -EACCES);
	assert_non_null(strstr(error, "user or password was refused"));
	assert_null(strstr(error, "s3cret"));
	free(error);
}

static void test_a_password_without_a_user(void **state)
{
	(void)state;
	free(redis_server_command(server, "CONFIG SET requirepass only"));
	struct owner owner;
	owner_init(&owner, server, url_with(":only"), NULL, 10);
	owner_start(&owner);
	assert_int_equal(owner.load_status, STORE_EMPTY);
	owner_deinit(&owner);
}

/* A right that is missing stops one call, says so, and is tried again. */
static void test_a_missing_right_is_told_and_heals(void **state)
{
	(void)state;
	free(redis_server_command(server, "ACL SETUSER half on >x ~{gpubus:* +fcall +function|load "
					  "+hset +hget +hmget +hgetall +hscan +hincrby +del "
					  "+unlink"));
	struct owner owner;
	owner_init(&owner, server, url_with("half:x"), NULL, 100);
	owner_start(&owner);
	for (int i = 0; i < 5; i++)
		owner_change(&owner, 20); /* some of them are deleted: HDEL */
	owner_run_until(&owner, says_forbidden);
	assert_false(owner_in_step(&owner));
	assert_non_null(strstr(store_status(owner.store), "shard 3: "));
	free(redis_server_command(server, "ACL SETUSER half +hdel"));
	owner_run_until(&owner, owner_in_step);
	owner_check(&owner);
	assert_null(strstr(store_status(owner.store), "shard 3"));
	assert_int_equal(owner_counts(&owner).connects, 1);
	owner_deinit(&owner);
}

static void test_another_database(void **state)
{
	(void)state;
	char url[256];
	snprintf(url, sizeof(url), "%s?db=5", redis_server_url(server));
	struct owner owner;
	owner_init(&owner, server, url, NULL, 10);
	owner_start(&owner);
	assert_int_equal(redis_server_number(server, "DBSIZE"), 0);
	free(redis_server_command(server, "SELECT 5"));
	assert_int_equal(redis_server_number(server, "EXISTS {gpubus:%d}:meta", SHARD), 1);
	owner_deinit(&owner);
}

static int free_port(void)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, len), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
	close(fd);
	return ntohs(address.sin_port);
}

/* localhost is two addresses, and Redis listens on one of them. */
static void test_a_host_name_and_a_port(void **state)
{
	(void)state;
	char url[64], order[64];
	int port = free_port();
	struct owner owner;
	snprintf(url, sizeof(url), "redis://localhost:%d", port);
	owner_init(&owner, server, url, NULL, 10);
	owner_run_until(&owner, has_failed);
	assert_non_null(strstr(store_status(owner.store), "onnection refused"));
	free(redis_server_command(server, "CONFIG SET bind 127.0.0.1"));
	snprintf(order, sizeof(order), "CONFIG SET port %d", port);
	free(redis_server_command(server, order));
	owner_start(&owner);
	owner_check(&owner);
	owner_deinit(&owner);
}

static void test_a_host_that_does_not_exist(void **state)
{
	(void)state;
	struct owner owner;
	owner_init(&owner, server, "redis://no-such-host.invalid", NULL, 10);
	owner_run_until(&owner, has_failed);
	assert_non_null(strstr(store_status(owner.store), "redis://no-such-host.invalid:6379/0"));
	owner_deinit(&owner);

	/* And one that is freed while the name is being looked up. */
	owner_init(&owner, server, "redis://no-such-host-either.invalid", NULL, 10);
	owner_run_ms(&owner, 1);
	owner_deinit(&owner);
}

/* Something listens, but never says a word. */
static void test_a_silent_server(void **state)
{
	(void)state;
	struct owner owner;
	const struct store_config config = { .connect_timeout_ms = 30, .command_timeout_ms = 30 };
	redis_server_pause(server);
	owner_init(&owner, server, url_with("user:password"), &config, 10);
	owner_run_until(&owner, has_failed);
	assert_non_null(strstr(store_status(owner.store), "no connection within 30 ms"));
	owner_deinit(&owner);
	redis_server_continue(server);
}

static void test_attempts_back_off(void **state)
{
	(void)state;
	struct owner owner;
	const struct store_config config = { .backoff_max_ms = 640 };
	owner_init(&owner, server, NULL, &config, 10);
	owner_start(&owner);
	redis_server_kill(server);
	owner_run_until(&owner, is_down);
	owner_run_ms(&owner, 60);
	assert_in_range(owner_counts(&owner).failed_connects, 0, 5);
	owner_run_ms(&owner, 940);
	/* 10, 20, 40, ... 640 ms, each up to half as long. Without back-off there would be hundreds. */
	assert_in_range(owner_counts(&owner).failed_connects, 3, 11);
	redis_server_restart(server);
	owner_run_until(&owner, owner_in_step);
	assert_int_equal(owner_counts(&owner).connects, 2);
	owner_check(&owner);
	owner_deinit(&owner);
}

static void load_other_version(int version)
{
	char *answer = redis_server_command(
		server, "FUNCTION LOAD REPLACE %s%d%s",
		"#!lua name=gpubus\nredis.register_function{function_name='gpubus_version', "
		"callback=function() return ",
		version, " end, flags={'no-writes'}}");
	assert_string_equal(answer, "gpubus");
	free(answer);
}

static void test_an_older_library_is_replaced(void **state)
{
	(void)state;
	load_other_version(0);
	struct owner owner;
	owner_init(&owner, server, NULL, NULL, 10);
	owner_start(&owner);
	owner_check(&owner);
	assert_int_not_equal(redis_server_number(server, "FCALL gpubus_version 0"), 0);
	owner_deinit(&owner);
}

static void test_a_newer_library_is_refused(void **state)
{
	(void)state;
	load_other_version(99);
	struct owner owner;
	owner_init(&owner, server, NULL, NULL, 10);
	owner_load(&owner, 100);
	owner_run_until(&owner, owner_is_loaded);
	assert_int_equal(owner.load_status, STORE_UNAVAILABLE);
	owner_run_until(&owner, says_newer);
	assert_false(store_is_up(owner.store));
	assert_int_equal(redis_server_number(server, "FCALL gpubus_version 0"), 99);
	free(redis_server_command(server, "FUNCTION DELETE gpubus"));
	owner_run_until(&owner, owner_in_step);
	owner_check(&owner);
	owner_deinit(&owner);
}

/* A library that goes away while we are connected is loaded again. */
static void test_a_deleted_library_comes_back(void **state)
{
	(void)state;
	struct owner owner;
	owner_init(&owner, server, NULL, NULL, 10);
	owner_start(&owner);
	free(redis_server_command(server, "FUNCTION FLUSH"));
	owner_change(&owner, 3);
	owner_run_until(&owner, owner_in_step);
	owner_check(&owner);
	owner_deinit(&owner);
}

#ifdef GPUBUS_REDIS_TLS

/* Its own server, with a certificate made for this test. */
static void test_tls(void **state)
{
	(void)state;
	char dir[] = "/tmp/gpubus-tls-XXXXXX", cert[64], key[64], port[16], command[512], url[256];
	assert_non_null(mkdtemp(dir));
	snprintf(cert, sizeof(cert), "%s/cert.pem", dir);
	snprintf(key, sizeof(key), "%s/key.pem", dir);
	snprintf(port, sizeof(port), "%d", free_port());
	snprintf(command, sizeof(command),
		 "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -keyout %s "
		 "-out %s 2>/dev/null",
		 key, cert);
	assert_int_equal(system(command), 0);
	const char *const extra[] = { "--tls-port",
				      port,
				      "--tls-cert-file",
				      cert,
				      "--tls-key-file",
				      key,
				      "--tls-ca-cert-file",
				      cert,
				      "--tls-auth-clients",
				      "no",
				      "--bind",
				      "127.0.0.1",
				      NULL };
	const struct redis_server_options options = { .extra = extra };
	server = redis_server_start(&options);

	struct owner owner;
	snprintf(url, sizeof(url), "rediss://127.0.0.1:%s?cacert=%s", port, cert);
	owner_init(&owner, server, url, NULL, 5000);
	owner_start(&owner);
	owner_change(&owner, 500);
	owner_run_until(&owner, owner_in_step);
	owner_check(&owner);
	free(redis_server_command(server, "CLIENT KILL TYPE normal SKIPME yes"));
	owner_run_until(&owner, is_down);
	owner_change(&owner, 10);
	owner_run_until(&owner, owner_in_step);
	owner_check(&owner);

	struct store_reader *reader;
	struct store_meta meta;
	assert_int_equal(store_reader_new(url, 5000, &reader, NULL), 0);
	assert_int_equal(store_read_meta(reader, SHARD, &meta, NULL), 0);
	assert_true(store_meta_same(&meta, &owner.meta));
	store_reader_free(reader);
	owner_deinit(&owner);

	/* A certificate that nobody we trust has signed. */
	snprintf(url, sizeof(url), "rediss://127.0.0.1:%s", port);
	owner_init(&owner, server, url, NULL, 10);
	owner_run_until(&owner, has_failed);
	assert_int_equal(owner_counts(&owner).connects, 0);
	owner_deinit(&owner);
	redis_server_stop(server);
	unlink(cert);
	unlink(key);
	rmdir(dir);
}

#else

static void test_tls(void **state)
{
	(void)state;
	struct loop *loop = loop_new();
	const struct store_config config = { .url = "rediss://:secret@localhost", .format = "1" };
	const struct store_callbacks callbacks = { 0 };
	struct store *store;
	char *error;
	assert_true(store_new(loop, &config, &callbacks, &store, &error) > 0);
	assert_non_null(strstr(error, "no TLS"));
	assert_null(strstr(error, "secret"));
	free(error);
	loop_free(loop);
}

#endif

#define with_server(test) cmocka_unit_test_setup_teardown(test, start_server, stop_server)

int main(void)
{
	const struct CMUnitTest tests[] = {
		with_server(test_a_user_with_just_the_rights_it_needs),
		with_server(test_a_wrong_password_is_told_without_it),
		with_server(test_a_password_without_a_user),
		with_server(test_a_missing_right_is_told_and_heals),
		with_server(test_another_database),
		with_server(test_a_host_name_and_a_port),
		with_server(test_a_host_that_does_not_exist),
		with_server(test_a_silent_server),
		with_server(test_attempts_back_off),
		with_server(test_an_older_library_is_replaced),
		with_server(test_a_newer_library_is_refused),
		with_server(test_a_deleted_library_comes_back),
		cmocka_unit_test(test_tls),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
