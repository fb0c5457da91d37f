#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "store/redis_url.h"

static struct redis_url *parse(const char *text)
{
	struct redis_url *url = NULL;
	const char *error = "";
	if (redis_url_parse(text, &url, &error) != 0)
		fail_msg("%s: %s", text, error);
	return url;
}

static void test_host_and_port(void **state)
{
	(void)state;
	struct redis_url *url = parse("redis://host");
	assert_string_equal(url->host, "host");
	assert_int_equal(url->port, 6379);
	assert_int_equal(url->db, 0);
	assert_null(url->user);
	assert_null(url->password);
	assert_false(url->tls);
	assert_string_equal(url->shown, "redis://host:6379/0");
	redis_url_free(url);

	url = parse("redis://user:pa%3ass%40@[fe80::1]:7000/12");
	assert_string_equal(url->host, "fe80::1");
	assert_int_equal(url->port, 7000);
	assert_int_equal(url->db, 12);
	assert_string_equal(url->user, "user");
	assert_string_equal(url->password, "pa:ss@");
	assert_string_equal(url->shown, "redis://user@[fe80::1]:7000/12");
	redis_url_free(url);

	url = parse("redis://:with@at@host:1/?db=3");
	assert_null(url->user);
	assert_string_equal(url->password, "with@at");
	assert_string_equal(url->shown, "redis://host:1/3");
	redis_url_free(url);
}

static void test_tls(void **state)
{
	(void)state;
	struct redis_url *url = parse("rediss://h:1?cacert=/a%20b&cert=c&key=k&db=2");
	assert_true(url->tls);
	assert_string_equal(url->cacert, "/a b");
	assert_string_equal(url->cert, "c");
	assert_string_equal(url->key, "k");
	assert_int_equal(url->db, 2);
	redis_url_free(url);
}

static void test_unix_socket(void **state)
{
	(void)state;
	struct redis_url *url = parse("unix:///run/redis.sock?db=4");
	assert_null(url->host);
	assert_string_equal(url->path, "/run/redis.sock");
	assert_int_equal(url->db, 4);
	assert_string_equal(url->shown, "unix:///run/redis.sock?db=4");
	redis_url_free(url);

	url = parse("unix://me:secret@/run/at@sign");
	assert_string_equal(url->user, "me");
	assert_string_equal(url->password, "secret");
	assert_string_equal(url->path, "/run/at@sign");
	assert_string_equal(url->shown, "unix://me@/run/at@sign?db=0");
	redis_url_free(url);
}

static void test_what_is_no_url(void **state)
{
	(void)state;
	static const char *const bad[] = {
		"",
		"host:6379",
		"http://host",
		"redis://",
		"redis://:6379",
		"redis://host:",
		"redis://host:0",
		"redis://host:65536",
		"redis://host:-1",
		"redis://host:6379x",
		"redis://host/one",
		"redis://host/1/2",
		"redis://host?db=",
		"redis://host?db=x",
		"redis://host?nonsense=1",
		"redis://host?cacert=/x",
		"redis://secret@host",
		"redis://u:s%zzecret@host",
		"redis://u:secret%4@host",
		"redis://u:secret%00@host",
		"redis://[::1",
		"redis://[::1]6379",
		"redis://[]:1",
		"unix://",
		"unix:///",
		"unix://relative/path",
		"unix:///path?x",
		"redis://host/99999999999999999999",
	};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct redis_url *url = NULL;
		const char *error = NULL;
		if (redis_url_parse(bad[i], &url, &error) <= 0)
			fail_msg("taken: %s", bad[i]);
		assert_null(url);
		assert_non_null(error);
		assert_null(strstr(error, "secret"));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_host_and_port),
		cmocka_unit_test(test_tls),
		cmocka_unit_test(test_unix_socket),
		cmocka_unit_test(test_what_is_no_url),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
