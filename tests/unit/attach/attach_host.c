/*
 * What an agent has of its host: the lock that makes it the only one, its memory on disk, and what it logs
 * when assignments change.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "attach/agent_file.h"
#include "attach/change_log.h"
#include "attach/host_lock.h"
#include "base/memory.h"

struct test {
	char dir[48];
	char path[96]; /* of the agent's file */
	struct agent *agent;
	struct buf error;
};

static int save(void *context, const char *text, size_t len)
{
	(void)context;
	(void)text;
	(void)len;
	return 0;
}

static void start_step(void *context, uint64_t token, const struct step *step)
{
	(void)context;
	(void)token;
	(void)step;
}

static void report(void *context, const struct gpu_attachment *attachment)
{
	(void)context;
	(void)attachment;
}

static int set_up(void **state)
{
	static const struct agent_io io = { NULL, save, start_step, report };
	const struct agent_options options = {
		.host = "h", .pool_id = "1", .boot_id = "b", .look_every_us = 1, .max_steps = 1
	};
	struct test *test = memory_zeroed(1, sizeof(*test));
	strcpy(test->dir, "/tmp/gpubus-host.XXXXXX");
	if (!mkdtemp(test->dir))
		return -1;
	snprintf(test->path, sizeof(test->path), "%s/agent.json", test->dir);
	test->agent = agent_new(&options, &io);
	*state = test;
	return 0;
}

static int tear_down(void **state)
{
	struct test *test = *state;
	char command[80];
	snprintf(command, sizeof(command), "rm -rf %s", test->dir);
	int r = system(command);
	agent_free(test->agent);
	buf_deinit(&test->error);
	free(test);
	return r;
}

static void make_bus(const struct test *test)
{
	char path[96];
	snprintf(path, sizeof(path), "%s/bus", test->dir);
	assert_int_equal(mkdir(path, 0755), 0);
	snprintf(path, sizeof(path), "%s/bus/pci", test->dir);
	assert_int_equal(mkdir(path, 0755), 0);
}

static void write_file(const char *path, const char *text)
{
	FILE *file = fopen(path, "we");
	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

static void read_file(const char *path, char *text, size_t size)
{
	FILE *file = fopen(path, "re");
	size_t len = file ? fread(text, 1, size - 1, file) : 0;
	text[len] = '\0';
	if (file)
		fclose(file);
}

/* ---- the lock ------------------------------------------------------------------------------ */

static void test_a_second_agent_is_refused_and_told_whom_by(void **state)
{
	struct test *test = *state;
	char expected[64];
	make_bus(test);
	assert_int_equal(host_lock_take(test->dir, "/proc", &test->error), 0);
	assert_true(host_lock_take(test->dir, "/proc", &test->error) > 0);
	assert_non_null(strstr(test->error.data, "another agent acts on this host"));
	/* The lock belongs to an open file: it conflicts within one process, too. */
	snprintf(expected, sizeof(expected), ": pid %d (", (int)getpid());
	assert_non_null(strstr(test->error.data, expected));
}

static void test_a_second_agent_is_refused_without_locks_to_read(void **state)
{
	struct test *test = *state;
	make_bus(test);
	assert_int_equal(host_lock_take(test->dir, test->dir, &test->error), 0);
	assert_true(host_lock_take(test->dir, test->dir, &test->error) > 0);
	assert_non_null(strstr(test->error.data, "another agent acts on this host"));
	assert_null(strstr(test->error.data, "pid"));
}

static void test_a_tree_without_a_bus_is_named(void **state)
{
	struct test *test = *state;
	assert_true(host_lock_take(test->dir, "/proc", &test->error) > 0);
	assert_non_null(strstr(test->error.data, "/bus/pci: No such file"));
}

/* ---- the memory ---------------------------------------------------------------------------- */

static void test_what_is_saved_is_there_whole(void **state)
{
	struct test *test = *state;
	char text[64], fresh[112];
	assert_int_equal(agent_file_save(test->path, "first and long", 14), 0);
	assert_int_equal(agent_file_save(test->path, "second", 6), 0);
	read_file(test->path, text, sizeof(text));
	assert_string_equal(text, "second");
	snprintf(fresh, sizeof(fresh), "%s.new", test->path);
	assert_int_equal(access(fresh, F_OK), -1);
}

static void test_what_cannot_be_saved_is_said(void **state)
{
	struct test *test = *state;
	char path[112];
	snprintf(path, sizeof(path), "%s/nowhere/agent.json", test->dir);
	assert_int_equal(agent_file_save(path, "text", 4), -ENOENT);
}

static void test_an_agent_without_a_memory_starts_at_the_beginning(void **state)
{
	struct test *test = *state;
	int64_t next, epoch;
	assert_int_equal(agent_file_load(test->path, test->agent), 0);
	agent_position(test->agent, &next, &epoch);
	assert_int_equal(next, 0);
	assert_int_equal(epoch, -1);
}

static void test_a_memory_that_is_none_is_put_aside(void **state)
{
	static const char *const texts[] = { "", "no JSON", "{}", "[1]" };
	struct test *test = *state;
	char aside[112], text[64];
	snprintf(aside, sizeof(aside), "%s.unusable", test->path);
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		write_file(test->path, texts[i]);
		assert_int_equal(agent_file_load(test->path, test->agent), 0);
		assert_int_equal(access(test->path, F_OK), -1);
		read_file(aside, text, sizeof(text));
		assert_string_equal(text, texts[i]);
	}
}

static void test_a_memory_that_cannot_be_read_is_an_error(void **state)
{
	struct test *test = *state;
	assert_int_equal(mkdir(test->path, 0755), 0);
	assert_int_equal(agent_file_load(test->path, test->agent), -EISDIR);
}

/* ---- what is logged ------------------------------------------------------------------------ */

static size_t tell(struct change_log *log, const char *text)
{
	cleanup(buf_deinit) struct buf lines = { 0 };
	buf_puts(&lines, text);
	return change_log_tell(log, &lines, 2);
}

static void test_only_changes_are_logged(void **state)
{
	struct change_log log = { 0 };
	(void)state;
	assert_int_equal(tell(&log, "vm-1 r-1/1 BINDING\nvm-2 r-2/1 BOUND\n"), 2);
	assert_int_equal(tell(&log, "vm-1 r-1/1 BINDING\nvm-2 r-2/1 BOUND\n"), 0);
	assert_int_equal(tell(&log, "vm-1 r-1/1 BOUND\nvm-2 r-2/1 BOUND\n"), 1);
	/* One whose words begin alike is another. */
	assert_int_equal(tell(&log, "vm-1 r-1/1 BOUND\nvm-2 r-2/10 BOUND\n"), 2);
	assert_int_equal(tell(&log, ""), 2);
	assert_int_equal(tell(&log, ""), 0);
	assert_int_equal(tell(&log, "vm-1 r-1/1 BOUND\n  gpu IN_USE\n"), 2);
	assert_int_equal(tell(&log, "vm-1 r-1/1 BOUND\n"),
			 0); /* a detail that is gone is no news */
	change_log_deinit(&log);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_a_second_agent_is_refused_and_told_whom_by),
		TEST(test_a_second_agent_is_refused_without_locks_to_read),
		TEST(test_a_tree_without_a_bus_is_named),
		TEST(test_what_is_saved_is_there_whole),
		TEST(test_what_cannot_be_saved_is_said),
		TEST(test_an_agent_without_a_memory_starts_at_the_beginning),
		TEST(test_a_memory_that_is_none_is_put_aside),
		TEST(test_a_memory_that_cannot_be_read_is_an_error),
		cmocka_unit_test(test_only_changes_are_logged),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
