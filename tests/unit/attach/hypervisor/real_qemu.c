#include "real_qemu.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <jansson.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "attach/hypervisor/deadline.h"
#include "fixture.h"

static struct sockaddr_un address_of(const struct real_qemu *qemu, const char *monitor)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	snprintf(address.sun_path, sizeof(address.sun_path), "%s/%s", qemu->dir, monitor);
	return address;
}

static int try_connect(const struct real_qemu *qemu, const char *monitor)
{
	struct sockaddr_un address = address_of(qemu, monitor);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
		return fd;
	close(fd);
	return -1;
}

int real_qemu_connect(const struct real_qemu *qemu, const char *monitor)
{
	int64_t deadline = deadline_in_ms(IN_TIME_MS);
	for (;;) {
		int fd = try_connect(qemu, monitor);
		if (fd >= 0)
			return fd;
		assert_true(deadline_left_ms(deadline) > 0);
		poll(NULL, 0, 10);
	}
}

/* ---- the interpreter ------------------------------------------------------------------------- */

static void send_all(int fd, const char *data, size_t len)
{
	while (len) {
		ssize_t n = send(fd, data, len, MSG_NOSIGNAL);
		if (n < 0)
			return;
		data += n;
		len -= (size_t)n;
	}
}

static void interpret(int fd, json_t *message)
{
	json_t *arguments = json_object_get(message, "arguments");
	const char *driver = json_string_value(json_object_get(arguments, "driver"));
	const char *host = json_string_value(json_object_get(arguments, "host"));
	if (driver && strcmp(driver, "vfio-pci") == 0 && host &&
	    strncmp(host, "0000:0f:", 8) != 0) {
		json_object_set_new(arguments, "driver", json_string("pci-testdev"));
		json_object_del(arguments, "host");
	}
	char *text = json_dumps(message, 0);
	send_all(fd, text, strlen(text));
	send_all(fd, "\n", 1);
	free(text);
}

/* False: QEMU is dead. */
static bool pass_line(struct real_qemu *qemu, int fd, const char *line)
{
	json_t *message = json_loads(line, 0, NULL);
	const char *command = json_string_value(json_object_get(message, "execute"));
	bool kills = qemu->kills_at && command && strcmp(command, qemu->kills_at) == 0;
	if (kills) {
		close(qemu->listener);
		qemu->listener = -1;
		kill(qemu->pid, SIGKILL);
	} else {
		interpret(fd, message);
	}
	json_decref(message);
	return !kills;
}

static bool pass_lines(struct real_qemu *qemu, int from, int to, struct buf *input)
{
	ssize_t n = recv(from, buf_reserve(input, 4096), 4096, 0);
	if (n <= 0)
		return false;
	input->len += (size_t)n;
	input->data[input->len] = '\0';
	char *end;
	while ((end = strchr(input->data, '\n'))) {
		*end = '\0';
		if (!pass_line(qemu, to, input->data))
			return false;
		input->len -= (size_t)(end + 1 - input->data);
		memmove(input->data, end + 1, input->len + 1);
	}
	return true;
}

static bool pass_bytes(int from, int to)
{
	char bytes[4096];
	ssize_t n = recv(from, bytes, sizeof(bytes), 0);
	if (n > 0)
		send_all(to, bytes, (size_t)n);
	return n > 0;
}

static void serve(struct real_qemu *qemu, int client)
{
	struct buf input = { 0 };
	int fd = try_connect(qemu, "real/vm-1.qmp");
	struct pollfd fds[] = { { .fd = qemu->stop[0], .events = POLLIN },
				{ .fd = client, .events = POLLIN },
				{ .fd = fd, .events = POLLIN } };
	bool goes_on = fd >= 0;
	while (goes_on && poll(fds, 3, -1) > 0 && !fds[0].revents) {
		if (fds[1].revents)
			goes_on = pass_lines(qemu, client, fd, &input);
		if (goes_on && fds[2].revents)
			goes_on = pass_bytes(fd, client);
	}
	close(client);
	if (fd >= 0)
		close(fd);
	buf_deinit(&input);
}

static void *run(void *context)
{
	struct real_qemu *qemu = context;
	while (qemu->listener >= 0) {
		struct pollfd fds[] = { { .fd = qemu->stop[0], .events = POLLIN },
					{ .fd = qemu->listener, .events = POLLIN } };
		if (poll(fds, 2, -1) < 0 || fds[0].revents)
			break;
		int client = accept(qemu->listener, NULL, NULL);
		if (client >= 0)
			serve(qemu, client);
	}
	return NULL;
}

/* ---- QEMU ------------------------------------------------------------------------------------ */

enum { ARGUMENTS = 64, ARGUMENT_BYTES = 160 };

static void launch(struct real_qemu *qemu, const char *const *more)
{
	char real[ARGUMENT_BYTES], second[ARGUMENT_BYTES], serial[ARGUMENT_BYTES];
	snprintf(real, sizeof(real), "unix:%s/real/vm-1.qmp,server=on,wait=off", qemu->dir);
	snprintf(second, sizeof(second), "unix:%s/second.qmp,server=on,wait=off", qemu->dir);
	snprintf(serial, sizeof(serial), "file:%s/serial", qemu->dir);
	const char *argv[ARGUMENTS] = { "qemu-system-x86_64",
					"-accel",
					"tcg",
					"-machine",
					"q35",
					"-m",
					"32",
					"-nodefaults",
					"-no-user-config",
					"-display",
					"none",
					"-qmp",
					real,
					"-qmp",
					second,
					"-serial",
					serial };
	size_t n = 0;
	while (argv[n])
		n++;
	while (*more)
		argv[n++] = *more++;
	assert_true(n < ARGUMENTS);

	pid_t parent = getpid();
	qemu->pid = fork();
	assert_return_code(qemu->pid, errno);
	if (qemu->pid)
		return;
	/* Not even a test that crashes leaves a VM behind. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	execvp(argv[0], (char *const *)argv);
	_exit(127);
}

static struct hypervisor *hypervisor_at(const struct real_qemu *qemu, const char *directory)
{
	char target[ARGUMENT_BYTES];
	snprintf(target, sizeof(target), "%s/%s/{vm}.qmp", qemu->dir, directory);
	return fixture_hypervisor("qmp", target);
}

static void make_directory(const struct real_qemu *qemu, const char *name)
{
	char path[ARGUMENT_BYTES];
	snprintf(path, sizeof(path), "%s/%s", qemu->dir, name);
	assert_return_code(mkdir(path, 0700), errno);
}

void real_qemu_start(struct real_qemu *qemu, const char *const *arguments)
{
	snprintf(qemu->dir, sizeof(qemu->dir), "/tmp/gpubus-qemu.XXXXXX");
	assert_non_null(mkdtemp(qemu->dir));
	make_directory(qemu, "real");
	make_directory(qemu, "interpreted");
	launch(qemu, arguments);
	close(real_qemu_connect(qemu, "real/vm-1.qmp"));

	struct sockaddr_un address = address_of(qemu, "interpreted/vm-1.qmp");
	qemu->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_return_code(bind(qemu->listener, (struct sockaddr *)&address, sizeof(address)),
			   errno);
	assert_return_code(listen(qemu->listener, 1), errno);
	assert_return_code(pipe(qemu->stop), errno);
	assert_int_equal(pthread_create(&qemu->interpreter, NULL, run, qemu), 0);
	qemu->real = hypervisor_at(qemu, "real");
	qemu->interpreted = hypervisor_at(qemu, "interpreted");
}

void real_qemu_kill(struct real_qemu *qemu)
{
	kill(qemu->pid, SIGKILL);
	assert_int_equal(waitpid(qemu->pid, NULL, 0), qemu->pid);
	qemu->pid = 0;
}

static void remove_files(const struct real_qemu *qemu)
{
	const char *const names[] = {
		"real/vm-1.qmp", "interpreted/vm-1.qmp", "second.qmp", "serial",
		"real",		 "interpreted",		 "."
	};
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		char path[ARGUMENT_BYTES];
		snprintf(path, sizeof(path), "%s/%s", qemu->dir, names[i]);
		if (remove(path) < 0 && strcmp(names[i], ".") == 0)
			rmdir(qemu->dir);
	}
}

void real_qemu_stop(struct real_qemu *qemu)
{
	close(qemu->stop[1]);
	pthread_join(qemu->interpreter, NULL);
	close(qemu->stop[0]);
	if (qemu->listener >= 0)
		close(qemu->listener);
	if (qemu->pid)
		real_qemu_kill(qemu);
	hypervisor_free(qemu->real);
	hypervisor_free(qemu->interpreted);
	remove_files(qemu);
}

void real_qemu_await_serial(const struct real_qemu *qemu, const char *text)
{
	char path[ARGUMENT_BYTES];
	snprintf(path, sizeof(path), "%s/serial", qemu->dir);
	int64_t deadline = deadline_in_ms(3 * IN_TIME_MS);
	for (;;) {
		char content[16384] = "";
		FILE *file = fopen(path, "r");
		if (file) {
			content[fread(content, 1, sizeof(content) - 1, file)] = '\0';
			fclose(file);
		}
		if (strstr(content, text))
			return;
		if (!deadline_left_ms(deadline))
			fail_msg("the guest does not say \"%s\" but \"%s\"", text, content);
		poll(NULL, 0, 20);
	}
}
