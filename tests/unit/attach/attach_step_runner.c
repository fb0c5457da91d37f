/*
 * Steps in processes, played by small scripts: what the agent hears of those that end well, hang, crash,
 * talk nonsense or too much, cannot be started or are killed; and what is left of them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "attach/step/step_json.h"
#include "attach/step_runner.h"
#include "base/buf.h"
#include "base/memory.h"

/* What ends well has all the time that a busy machine needs; what hangs is not waited for that long. */
enum { DEADLINE_MS = 30000, HANG_MS = 1000, RETRY_MS = 20, PATIENCE_MS = 60000 };

struct test {
	struct loop *loop;
	struct step_runner *runner;
	struct loop_timer *patience;
	char dir[48];
	char program[64];
	const char *argv[4];
	size_t n_results, n_wanted;
	uint64_t token; /* of the last result, and the rest, too */
	struct step_result result;
	char vm_id[32];
	char trouble[256]; /* "": none */
	unsigned n_troubles;
};

static void on_result(void *context, uint64_t token, const struct step *step,
		      const struct step_result *result)
{
	struct test *test = context;
	test->n_results++;
	test->token = token;
	test->result = *result;
	snprintf(test->vm_id, sizeof(test->vm_id), "%s", step->vm_id ? step->vm_id : "-");
	if (test->n_results == test->n_wanted)
		loop_stop(test->loop);
}

static void on_trouble(void *context, const char *reason)
{
	struct test *test = context;
	snprintf(test->trouble, sizeof(test->trouble), "%s", reason ? reason : "");
	test->n_troubles++;
}

static void on_patience_over(void *context)
{
	(void)context;
	fail_msg("no result");
}

static int set_up_with(void **state, int64_t deadline_ms)
{
	struct test *test = memory_zeroed(1, sizeof(*test));
	strcpy(test->dir, "/tmp/gpubus-step.XXXXXX");
	if (!mkdtemp(test->dir))
		return -1;
	snprintf(test->program, sizeof(test->program), "%s/step", test->dir);
	test->argv[0] = test->program;
	test->argv[1] = "--argument";
	test->argv[2] = test->dir;
	test->loop = loop_new();
	test->patience = loop_timer_new(test->loop, on_patience_over, test);
	const struct step_runner_options options = { .argv = test->argv,
						     .deadline_ms = deadline_ms,
						     .retry_ms = RETRY_MS };
	const struct step_runner_callbacks callbacks = { on_result, on_trouble };
	test->runner = step_runner_new(test->loop, &options, &callbacks, test);
	*state = test;
	return 0;
}

static int set_up(void **state)
{
	return set_up_with(state, DEADLINE_MS);
}

static int set_up_impatient(void **state)
{
	return set_up_with(state, HANG_MS);
}

static int tear_down(void **state)
{
	struct test *test = *state;
	step_runner_free(test->runner);
	loop_timer_free(test->patience);
	loop_free(test->loop);
	char command[80];
	snprintf(command, sizeof(command), "rm -rf %s", test->dir);
	int r = system(command);
	free(test);
	return r;
}

/* What the process says when all is well, as a word of the shell. */
static void print_done(struct buf *out)
{
	const struct step_result done = { .outcome = STEP_DONE };
	cleanup(buf_deinit) struct buf json = { 0 };
	step_result_to_json(&done, &json);
	buf_printf(out, "printf %%s '%s'\n", json.data);
}

static void write_script(const struct test *test, const char *text)
{
	/* Another process may be forked in between and hold it open for writing (ETXTBSY): in a test of
	 * one thread there is none. */
	int fd = open(test->program, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);
	assert_true(fd >= 0);
	assert_true(dprintf(fd, "#!/bin/sh\n%s\n", text) > 0);
	close(fd);
}

static struct step step_of(enum step_verb verb)
{
	struct step step = { .verb = verb, .vm_id = "vm-1" };
	step.unit.n = 1;
	step.unit.functions[0] = (struct pci_address){ .bus = 1 };
	return step;
}

static void wait_for(struct test *test, size_t n)
{
	test->n_wanted = n;
	loop_timer_start(test->patience, PATIENCE_MS, 0);
	if (test->n_results < n)
		assert_int_equal(loop_run(test->loop), 0);
	assert_int_equal(test->n_results, n);
}

static void run_step(struct test *test, enum step_verb verb, const char *script)
{
	const struct step step = step_of(verb);
	if (script)
		write_script(test, script);
	step_runner_start(test->runner, 7, &step);
	assert_int_equal(step_runner_pending(test->runner), 1);
	wait_for(test, 1);
	assert_int_equal(test->token, 7);
	assert_int_equal(step_runner_pending(test->runner), 0);
}

static void read_file(const struct test *test, const char *name, char *text, size_t size)
{
	char path[128];
	snprintf(path, sizeof(path), "%s/%s", test->dir, name);
	FILE *file = fopen(path, "re");
	size_t len = file ? fread(text, 1, size - 1, file) : 0;
	text[len] = '\0';
	if (file)
		fclose(file);
}

static unsigned lines_of(const struct test *test, const char *name)
{
	char text[256];
	unsigned n = 0;
	read_file(test, name, text, sizeof(text));
	for (const char *c = text; *c; c++)
		n += *c == '\n';
	return n;
}

/* ---- what the process says ----------------------------------------------------------------- */

static void test_a_step_goes_in_and_its_result_comes_out(void **state)
{
	struct test *test = *state;
	cleanup(buf_deinit) struct buf script = { 0 };
	cleanup(buf_deinit) struct buf json = { 0 };
	char input[4096];
	buf_puts(&script, "cat >$2/input\necho \"$1\" >$2/argument\n");
	print_done(&script);
	run_step(test, STEP_BIND, script.data);
	assert_int_equal(test->result.outcome, STEP_DONE);
	assert_string_equal(test->vm_id, "vm-1");

	const struct step step = step_of(STEP_BIND);
	step_to_json(&step, &json);
	read_file(test, "input", input, sizeof(input));
	assert_memory_equal(input, json.data, json.len);
	read_file(test, "argument", input, sizeof(input));
	assert_string_equal(input, "--argument\n");
}

static void test_a_step_that_fails_says_why(void **state)
{
	struct test *test = *state;
	struct step_result failed = { .outcome = STEP_FAILED, .code = ATTACH_IN_USE };
	cleanup(buf_deinit) struct buf script = { 0 };
	cleanup(buf_deinit) struct buf json = { 0 };
	strcpy(failed.reason, "pid 1 (init) has it open");
	step_result_to_json(&failed, &json);
	buf_printf(&script, "printf %%s '%s'", json.data);
	run_step(test, STEP_BIND, script.data);
	assert_int_equal(test->result.outcome, STEP_FAILED);
	assert_int_equal(test->result.code, ATTACH_IN_USE);
	assert_string_equal(test->result.reason, "pid 1 (init) has it open");
}

/* Neither its input nor a result that comes in pieces is waited for by the loop. */
static void test_a_slow_step_is_waited_for(void **state)
{
	struct test *test = *state;
	const struct step_result done = { .outcome = STEP_DONE };
	cleanup(buf_deinit) struct buf script = { 0 };
	cleanup(buf_deinit) struct buf json = { 0 };
	step_result_to_json(&done, &json);
	buf_printf(&script, "printf %%s '%.5s'\nread line\nprintf %%s '%s'", json.data,
		   json.data + 5);
	run_step(test, STEP_BIND, script.data);
	assert_int_equal(test->result.outcome, STEP_DONE);
}

/* ---- what goes wrong ----------------------------------------------------------------------- */

#define HANG "exec tail -f /dev/null"

static void test_a_step_that_hangs_is_stuck(void **state)
{
	struct test *test = *state;
	run_step(test, STEP_BIND, "echo $$ >$2/pid\n" HANG);
	assert_int_equal(test->result.outcome, STEP_STUCK);
	assert_non_null(strstr(test->result.reason, "\"bind\" did not end by its deadline"));
	char pid[16];
	read_file(test, "pid", pid, sizeof(pid));
	assert_int_equal(kill(atoi(pid), 0), -1);
	assert_int_equal(errno, ESRCH); /* dead, and no zombie */
}

static void test_a_look_that_hangs_changes_nothing(void **state)
{
	struct test *test = *state;
	run_step(test, STEP_LOOK, HANG);
	assert_int_equal(test->result.outcome, STEP_WAIT);
	assert_int_equal(test->result.code, ATTACH_STEP_PENDING);
	assert_non_null(strstr(test->result.reason, "deadline"));
}

/* As modprobe might: what the step has started goes with it. */
static void test_what_a_step_has_started_is_killed_with_it(void **state)
{
	struct test *test = *state;
	run_step(test, STEP_BIND, "tail -f /dev/null &\necho $! >$2/pid\nwait");
	assert_int_equal(test->result.outcome, STEP_STUCK);
	char pid[16], path[64], status[32] = "";
	read_file(test, "pid", pid, sizeof(pid));
	/* It may be a zombie as long as whoever adopted it has not looked. */
	snprintf(path, sizeof(path), "/proc/%d/cmdline", atoi(pid));
	FILE *file = fopen(path, "re");
	if (file) {
		assert_int_equal(fread(status, 1, sizeof(status), file), 0);
		fclose(file);
	}
}

static void test_a_result_counts_although_somebody_keeps_the_output_open(void **state)
{
	struct test *test = *state;
	cleanup(buf_deinit) struct buf script = { 0 };
	buf_puts(&script, "tail -f /dev/null &\necho $! >$2/pid\n");
	print_done(&script);
	run_step(test, STEP_BIND, script.data);
	assert_int_equal(test->result.outcome, STEP_DONE);
	char pid[16];
	read_file(test, "pid", pid, sizeof(pid));
	kill(atoi(pid), SIGKILL);
}

static void test_a_crash_is_repeated_and_then_nobody_knows(void **state)
{
	struct test *test = *state;
	run_step(test, STEP_CLEAN, "echo >>$2/runs\nkill -SEGV $$");
	assert_int_equal(test->result.outcome, STEP_STUCK);
	assert_non_null(strstr(test->result.reason, "signal 11"));
	assert_int_equal(lines_of(test, "runs"), STEP_ATTEMPTS);
}

static void test_a_crash_that_does_not_come_again_is_forgotten(void **state)
{
	struct test *test = *state;
	cleanup(buf_deinit) struct buf script = { 0 };
	buf_puts(&script, "[ -e $2/once ] || { echo >$2/once; exit 3; }\n");
	print_done(&script);
	run_step(test, STEP_BIND, script.data);
	assert_int_equal(test->result.outcome, STEP_DONE);
}

static void test_nonsense_is_repeated_and_then_nobody_knows(void **state)
{
	struct test *test = *state;
	run_step(test, STEP_PLUG, "echo >>$2/runs\necho '{ \"outcome\": \"HAPPY\" }'");
	assert_int_equal(test->result.outcome, STEP_STUCK);
	assert_int_equal(lines_of(test, "runs"), STEP_ATTEMPTS);
}

static void test_saying_nothing_is_no_result(void **state)
{
	struct test *test = *state;
	run_step(test, STEP_LOOK, "echo >>$2/runs");
	assert_int_equal(test->result.outcome, STEP_WAIT);
	assert_int_equal(test->result.code, ATTACH_STEP_PENDING);
	assert_int_equal(lines_of(test, "runs"), STEP_ATTEMPTS);
}

static void test_a_result_of_a_process_that_failed_does_not_count(void **state)
{
	struct test *test = *state;
	cleanup(buf_deinit) struct buf script = { 0 };
	print_done(&script);
	buf_puts(&script, "exit 1");
	run_step(test, STEP_BIND, script.data);
	assert_int_equal(test->result.outcome, STEP_STUCK);
	assert_non_null(strstr(test->result.reason, "status 1"));
}

static void test_endless_output_is_cut_off(void **state)
{
	struct test *test = *state;
	run_step(test, STEP_BIND, "exec yes");
	assert_int_equal(test->result.outcome, STEP_STUCK);
	assert_non_null(strstr(test->result.reason, "more than a result may have"));
}

static void write_late(void *context)
{
	struct test *test = context;
	cleanup(buf_deinit) struct buf script = { 0 };
	print_done(&script);
	write_script(test, script.data);
}

static void test_a_program_that_is_not_there_is_waited_for(void **state)
{
	struct test *test = *state;
	struct loop_timer *later = loop_timer_new(test->loop, write_late, test);
	loop_timer_start(later, 3L * RETRY_MS, 0);
	run_step(test, STEP_BIND, NULL);
	loop_timer_free(later);
	assert_int_equal(test->result.outcome, STEP_DONE);
	assert_int_equal(test->n_troubles, 2); /* there was one, and it is over */
	assert_string_equal(test->trouble, "");
}

static void test_a_program_that_refuses_its_options_has_done_nothing(void **state)
{
	struct test *test = *state;
	cleanup(buf_deinit) struct buf script = { 0 };
	buf_puts(&script, "echo >>$2/runs; [ $(wc -l <$2/runs) -gt 5 ] || exit 2\n");
	print_done(&script);
	run_step(test, STEP_BIND, script.data);
	assert_int_equal(test->result.outcome, STEP_DONE);
	assert_int_equal(test->n_troubles, 2);
}

/* ---- what is left -------------------------------------------------------------------------- */

static unsigned open_files(void)
{
	unsigned n = 0;
	DIR *dir = opendir("/proc/self/fd");
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

static void test_a_step_inherits_three_files_and_leaves_none(void **state)
{
	struct test *test = *state;
	cleanup(buf_deinit) struct buf script = { 0 };
	/* As some library opens one: without O_CLOEXEC. */
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC), leaky = fcntl(null, F_DUPFD, 70);
	assert_true(leaky >= 70);
	buf_puts(&script, "for f in /proc/self/fd/*; do echo ${f##*/}; done >$2/files\n");
	print_done(&script);
	run_step(test, STEP_BIND, script.data);
	close(null);
	close(leaky);
	char files[64];
	read_file(test, "files", files, sizeof(files));
	/* Besides what the shell opens itself, which is below 70. */
	assert_non_null(strstr(files, "0\n1\n"));
	for (const char *line = files; *line; line = strchr(line, '\n') + 1)
		assert_true(atoi(line) < 70);

	unsigned before = open_files();
	const struct step step = step_of(STEP_BIND);
	for (uint64_t i = 0; i < 20; i++)
		step_runner_start(test->runner, i, &step);
	wait_for(test, 21);
	step_runner_free(steal(&test->runner)); /* a turn of the loop for what closes last */
	loop_timer_start(test->patience, 0, 0);
	assert_true(open_files() <= before + 3);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
}

static void test_the_end_of_the_runner_is_the_end_of_its_steps(void **state)
{
	struct test *test = *state;
	const struct step step = step_of(STEP_BIND);
	write_script(test, "echo $$ >$2/pid.new; mv $2/pid.new $2/pid\n" HANG);
	step_runner_start(test->runner, 1, &step);
	/* Another, of which nothing is to be heard either. */
	test->n_wanted = 2;
	char pid[16] = "";
	loop_timer_free(steal(&test->patience));
	struct loop_timer *tick = loop_timer_new(test->loop, (loop_fn)loop_stop, test->loop);
	while (!*pid) {
		loop_timer_start(tick, 1, 0);
		assert_int_equal(loop_run(test->loop), 0);
		read_file(test, "pid", pid, sizeof(pid));
	}
	loop_timer_free(tick);
	step_runner_free(steal(&test->runner));
	int status = 0;
	assert_int_equal(waitpid(atoi(pid), &status, 0), atoi(pid));
	assert_int_equal(WTERMSIG(status), SIGKILL);
	assert_int_equal(test->n_results, 0);
}

#define TEST(name)	     cmocka_unit_test_setup_teardown(name, set_up, tear_down)
#define IMPATIENT_TEST(name) cmocka_unit_test_setup_teardown(name, set_up_impatient, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_a_step_goes_in_and_its_result_comes_out),
		TEST(test_a_step_that_fails_says_why),
		TEST(test_a_slow_step_is_waited_for),
		IMPATIENT_TEST(test_a_step_that_hangs_is_stuck),
		IMPATIENT_TEST(test_a_look_that_hangs_changes_nothing),
		IMPATIENT_TEST(test_what_a_step_has_started_is_killed_with_it),
		IMPATIENT_TEST(test_a_result_counts_although_somebody_keeps_the_output_open),
		TEST(test_a_crash_is_repeated_and_then_nobody_knows),
		TEST(test_a_crash_that_does_not_come_again_is_forgotten),
		TEST(test_nonsense_is_repeated_and_then_nobody_knows),
		TEST(test_saying_nothing_is_no_result),
		TEST(test_a_result_of_a_process_that_failed_does_not_count),
		TEST(test_endless_output_is_cut_off),
		TEST(test_a_program_that_is_not_there_is_waited_for),
		TEST(test_a_program_that_refuses_its_options_has_done_nothing),
		TEST(test_a_step_inherits_three_files_and_leaves_none),
		TEST(test_the_end_of_the_runner_is_the_end_of_its_steps),
	};
	signal(SIGPIPE, SIG_IGN); /* as loop_catch_signals() does */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
