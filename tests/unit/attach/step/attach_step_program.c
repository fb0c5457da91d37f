/* gpubus-attach-step as a process: its input and output, its life. Host trees below /tmp only. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "attach/step/crash.h"
#include "base/arena.h"
#include "base/buf.h"
#include "fake_host.h"

enum { PATIENCE_MS = 30000 };

struct program {
	pid_t pid;
	int in, out, err;
};

static void start(struct fake_host *fake, const char *const *options, const char *crash_at,
		  struct program *ret_program)
{
	const char *argv[16] = { STEP_PROGRAM, "--sysfs", fake->sys, "--proc",
				 fake->proc,   "--dev",	  fake->dev };
	char crash[64];
	char *environment[2] = { NULL, NULL };
	for (size_t n = 7; options && *options; n++)
		argv[n] = *options++;
	if (crash_at) {
		snprintf(crash, sizeof(crash), "GPUBUS_CRASH_AT=%s", crash_at);
		environment[0] = crash;
	}
	int in[2], out[2], err[2];
	assert_int_equal(pipe2(in, O_CLOEXEC) | pipe2(out, O_CLOEXEC) | pipe2(err, O_CLOEXEC), 0);
	posix_spawn_file_actions_t actions;
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, in[0], STDIN_FILENO);
	posix_spawn_file_actions_adddup2(&actions, out[1], STDOUT_FILENO);
	posix_spawn_file_actions_adddup2(&actions, err[1], STDERR_FILENO);
	assert_int_equal(posix_spawn(&ret_program->pid, STEP_PROGRAM, &actions, NULL,
				     (char *const *)argv, environment),
			 0);
	posix_spawn_file_actions_destroy(&actions);
	close(in[0]);
	close(out[1]);
	close(err[1]);
	ret_program->in = in[1];
	ret_program->out = out[0];
	ret_program->err = err[0];
}

static void say(struct program *program, const char *text)
{
	size_t len = strlen(text);
	/* It may have had enough before the end. */
	void (*before)(int) = signal(SIGPIPE, SIG_IGN);
	while (len) {
		ssize_t n = write(program->in, text, len);
		if (n < 0)
			break;
		text += n;
		len -= (size_t)n;
	}
	signal(SIGPIPE, before);
	close(program->in);
}

static void hear(int fd, struct buf *out)
{
	ssize_t n;
	while ((n = read(fd, buf_reserve(out, 4096), 4096)) > 0)
		out->len += (size_t)n;
	buf_putc(out, '\0');
	close(fd);
}

/* As of waitpid(). */
static int end(struct program *program, struct buf *out, struct buf *err)
{
	int status;
	hear(program->out, out);
	hear(program->err, err);
	assert_int_equal(waitpid(program->pid, &status, 0), program->pid);
	return status;
}

static void assert_run(struct fake_host *fake, const char *const *options, const char *step,
		       int exit_status, const char *out, const char *err)
{
	struct program program;
	cleanup(buf_deinit) struct buf said = { 0 }, complained = { 0 };
	start(fake, options, NULL, &program);
	say(&program, step);
	int status = end(&program, &said, &complained);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) != exit_status || !strstr(said.data, out) ||
	    !strstr(complained.data, err))
		fail_msg("%d: %s%s", WEXITSTATUS(status), said.data, complained.data);
	if (exit_status)
		assert_string_equal(said.data, "");
}

#define OPTIONS(...) ((const char *const[]){ __VA_ARGS__, NULL })

static const char look[] = "{\"step\": \"look\", \"functions\": [\"" GPU "\", \"" AUDIO "\"]}";
static const char bind_gpu[] = "{\"step\": \"bind\", \"functions\": [\"" GPU "\", \"" AUDIO "\"]}";

static void test_one_step(void **state)
{
	struct fake_host *fake = *state;
	fake_gpu_unit(fake);
	assert_run(fake, NULL, look, 0,
		   "{\"outcome\":\"done\",\"facts\":{\"functions\":[{\"present\":true,"
		   "\"driver\":\"nouveau\"},{\"present\":true,\"driver\":\"snd_hda_intel\"}],",
		   "");
	fake_attribute(fake, GPU, "boot_vga", "1\n");
	assert_run(fake, NULL, bind_gpu, 0,
		   "{\"outcome\":\"failed\",\"code\":\"BOOT_DISPLAY\",\"reason\":\"" GPU
		   ": it is the host's boot display",
		   "");
}

static void test_none_has_no_vm(void **state)
{
	struct fake_host *fake = *state;
	fake_gpu_unit(fake);
	fake_bind(fake, GPU, "vfio-pci");
	fake_bind(fake, AUDIO, "vfio-pci");
	assert_run(fake, NULL,
		   "{\"step\": \"plug\", \"functions\": [\"" GPU "\", \"" AUDIO
		   "\"], \"vm\": \"vm-1\"}",
		   0, "\"code\":\"VM_ABSENT\"", "");
}

static void test_what_is_no_step(void **state)
{
	struct fake_host *fake = *state;
	cleanup(buf_deinit) struct buf large = { 0 };
	assert_run(fake, NULL, "bind it", 2, "",
		   "gpubus-attach-step: the step on the standard input cannot be understood: it is "
		   "no JSON");
	assert_run(fake, NULL, "", 2, "", "cannot be understood: it is no JSON");
	while (large.len < 3 * LIMIT_VALUE_BYTES)
		buf_puts(&large, "          ");
	assert_run(fake, NULL, large.data, 2, "", "the step on the standard input is too long");
}

static void test_options(void **state)
{
	struct fake_host *fake = *state;
	assert_run(fake, OPTIONS("--deadline", "soon"), look, 2, "", "--deadline must be 1 to");
	assert_run(fake, OPTIONS("--deadline", "0"), look, 2, "", "--deadline must be 1 to");
	assert_run(fake, OPTIONS("--frobnicate"), look, 2, "", "Try gpubus-attach-step --help");
	assert_run(fake, OPTIONS("bind"), look, 2, "", "\"bind\" is no option");
	assert_run(fake, OPTIONS("--hypervisor", "xen"),
		   "{\"step\": \"look\", \"functions\": [\"" GPU "\"], \"vm\": \"vm-1\"}", 2, "",
		   "--hypervisor: ");
	assert_run(fake, OPTIONS("--help"), "", 0, "Usage: gpubus-attach-step", "");
	assert_run(fake, OPTIONS("--version"), "", 0, "gpubus-attach-step ", "");
}

/* Its agent has died, and another may be at work. */
static void test_nobody_waits_for_the_result(void **state)
{
	struct fake_host *fake = *state;
	struct program program;
	cleanup(buf_deinit) struct buf complained = { 0 };
	fake_gpu_unit(fake);
	start(fake, NULL, NULL, &program);
	/* Before it has read its step it has not looked, as it looks again behind that. */
	close(program.out);
	say(&program, bind_gpu);
	hear(program.err, &complained);
	int status;
	assert_int_equal(waitpid(program.pid, &status, 0), program.pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 2);
	assert_string_equal(complained.data, "gpubus-attach-step: nobody waits for the result\n");
	assert_string_equal(fake_override(fake, GPU), "");
}

/* ---- a kernel that does not answer --------------------------------------------------------- */

/* An unbind that blocks, as while a guest holds the device: nobody reads the FIFO. */
static void make_unbind_hang(struct fake_host *fake)
{
	char path[256];
	fake_gpu_unit(fake);
	snprintf(path, sizeof(path), "%s/bus/pci/drivers/nouveau/unbind", fake->sys);
	assert_int_equal(mkfifo(path, 0600), 0);
}

static void wait_until_it_hangs(struct fake_host *fake)
{
	for (int i = 0; strcmp(fake_override(fake, GPU), "vfio-pci") != 0; i++) {
		assert_true(i < PATIENCE_MS);
		(void)poll(NULL, 0, 1);
	}
}

static void test_hanging_step_can_be_killed(void **state)
{
	struct fake_host *fake = *state;
	struct program program;
	cleanup(buf_deinit) struct buf said = { 0 }, complained = { 0 };
	make_unbind_hang(fake);
	start(fake, NULL, NULL, &program);
	say(&program, bind_gpu);
	wait_until_it_hangs(fake);
	kill(program.pid, SIGKILL);
	int status = end(&program, &said, &complained);
	assert_true(WIFSIGNALED(status));
	assert_string_equal(said.data, "");
}

static int open_pid(pid_t pid)
{
	return (int)syscall(SYS_pidfd_open, pid, 0);
}

/* A dead agent's step that the kernel still has in its hands: its last write may yet come to pass. */
static void test_it_waits_for_an_earlier_step(void **state)
{
	static const char unplug[] = "{\"step\": \"unplug\", \"functions\": [\"" GPU "\", \"" AUDIO
				     "\"], \"vm\": \"vm-1\"}";
	static const char clean[] = "{\"step\": \"clean\", \"functions\": [\"" AUDIO "\"]}";
	struct fake_host *fake = *state;
	struct program earlier;
	char holder[64];
	cleanup(buf_deinit) struct buf said = { 0 }, complained = { 0 };
	make_unbind_hang(fake);
	start(fake, NULL, NULL, &earlier);
	say(&earlier, bind_gpu);
	wait_until_it_hangs(fake);
	assert_run(fake, OPTIONS("--proc", "/proc"), look, 0, "\"outcome\":\"done\"", "");
	snprintf(holder, sizeof(holder), "on " GPU " has not ended yet: pid %d (",
		 (int)earlier.pid);
	assert_run(fake, OPTIONS("--proc", "/proc"), unplug, 0, holder, "");
	assert_run(fake, NULL, clean, 0,
		   "{\"outcome\":\"wait\",\"code\":\"STEP_PENDING\",\"reason\":\"an earlier step "
		   "on " AUDIO " has not ended yet\"}",
		   "");
	kill(earlier.pid, SIGKILL);
	end(&earlier, &said, &complained);
	assert_run(fake, NULL, unplug, 0, "\"outcome\":\"done\"", "");
}

static void test_it_dies_with_its_parent(void **state)
{
	struct fake_host *fake = *state;
	int told[2];
	pid_t pid;
	make_unbind_hang(fake);
	assert_int_equal(pipe2(told, O_CLOEXEC), 0);
	pid_t parent = fork();
	assert_true(parent >= 0);
	if (parent == 0) {
		struct program program;
		start(fake, NULL, NULL, &program);
		say(&program, bind_gpu);
		if (write(told[1], &program.pid, sizeof(pid)) != sizeof(pid))
			_exit(1);
		for (;;)
			pause();
	}
	assert_int_equal(read(told[0], &pid, sizeof(pid)), sizeof(pid));
	int step = open_pid(pid);
	assert_true(step >= 0);
	wait_until_it_hangs(fake);
	kill(parent, SIGKILL);
	struct pollfd ended = { .fd = step, .events = POLLIN };
	int n = poll(&ended, 1, PATIENCE_MS);
	if (n != 1)
		kill(pid, SIGKILL);
	assert_int_equal(n, 1);
	assert_int_equal(waitpid(parent, NULL, 0), parent);
	close(step);
	close(told[0]);
	close(told[1]);
}

/* ---- crash points -------------------------------------------------------------------------- */

#ifdef GPUBUS_CRASH_POINTS

static void test_crash_points(void **state)
{
	struct fake_host *fake = *state;
	cleanup(buf_deinit) struct buf expected = { 0 };
	for (unsigned int n = 0; step_crash_point(n); n++)
		buf_printf(&expected, "%s\n", step_crash_point(n));
	assert_run(fake, OPTIONS("--crash-points"), "", 0, expected.data, "");

	struct program program;
	cleanup(buf_deinit) struct buf said = { 0 }, complained = { 0 };
	fake_gpu_unit(fake);
	start(fake, NULL, "bind-override-set", &program);
	say(&program, bind_gpu);
	int status = end(&program, &said, &complained);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	assert_string_equal(fake_override(fake, GPU), "vfio-pci");
	assert_string_equal(fake_driver(fake, GPU), "nouveau");
}

/* The agent goes with its step; whoever else has started it does not (as above). */
static void test_crash_takes_the_agent_along(void **state)
{
	struct fake_host *fake = *state;
	fake_gpu_unit(fake);
	pid_t agent = fork();
	assert_true(agent >= 0);
	if (agent == 0) {
		struct program program;
		prctl(PR_SET_NAME, "gpubus-attach");
		start(fake, NULL, "bind-before", &program);
		say(&program, bind_gpu);
		waitpid(program.pid, NULL, 0);
		_exit(0);
	}
	int status;
	assert_int_equal(waitpid(agent, &status, 0), agent);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

/* Each name in the list is a moment in the code. */
static void test_crash_points_are_in_the_code(void **state)
{
	(void)state;
	static const char *const files[] = { "step/perform.c", "vfio/bind.c", "vfio/binding.c",
					     "vfio/clean.c" };
	cleanup(buf_deinit) struct buf code = { 0 };
	for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++) {
		char path[512];
		snprintf(path, sizeof(path), "%s/../../services/attach/%s", getenv("TEST_DATA"),
			 files[i]);
		int fd = open(path, O_RDONLY | O_CLOEXEC);
		assert_true(fd >= 0);
		hear(fd, &code);
		code.len--; /* the NUL between two files */
	}
	for (unsigned int n = 0; step_crash_point(n); n++) {
		char call[128];
		snprintf(call, sizeof(call), "crash_point(\"%s\")", step_crash_point(n));
		if (!strstr(code.data, call))
			fail_msg("no %s", call);
	}
}

#else

static void test_crash_points(void **state)
{
	assert_run(*state, OPTIONS("--crash-points"), "", 1, "", "built without crash points");
}

static void test_crash_takes_the_agent_along(void **state)
{
	struct fake_host *fake = *state;
	struct program program;
	cleanup(buf_deinit) struct buf said = { 0 }, complained = { 0 };
	fake_gpu_unit(fake);
	start(fake, NULL, "bind-before", &program);
	say(&program, look);
	assert_true(WIFEXITED(end(&program, &said, &complained)));
}

static void test_crash_points_are_in_the_code(void **state)
{
	(void)state;
	assert_null(step_crash_point(0));
}

#endif

#define TEST(name) cmocka_unit_test_setup_teardown(name, fake_host_setup, fake_host_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_one_step),
		TEST(test_none_has_no_vm),
		TEST(test_what_is_no_step),
		TEST(test_options),
		TEST(test_nobody_waits_for_the_result),
		TEST(test_hanging_step_can_be_killed),
		TEST(test_it_waits_for_an_earlier_step),
		TEST(test_it_dies_with_its_parent),
		TEST(test_crash_points),
		TEST(test_crash_takes_the_agent_along),
		TEST(test_crash_points_are_in_the_code),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
