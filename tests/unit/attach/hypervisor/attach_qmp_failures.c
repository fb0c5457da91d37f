/* Monitors that are not there, are taken, hang, die or speak nonsense. */

#include "fake_qemu.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "fixture.h"

#define GPU "0000:01:00.0"
#define ID  "/machine/peripheral/gpubus-0000-01-00.0"

struct trial {
	struct fake_qemu fake;
	struct hypervisor *qmp;
};

/* One port, and a GPU in it when `is_plugged`. */
static void begin(struct trial *trial, bool is_plugged)
{
	fake_qemu_port(&trial->fake, "rp1");
	if (is_plugged)
		fake_qemu_device(&trial->fake, ID, "vfio-pci", "rp1", GPU);
	fake_qemu_start(&trial->fake);
	char target[128];
	snprintf(target, sizeof(target), "%s/{vm}.qmp", trial->fake.dir);
	trial->qmp = fixture_hypervisor("qmp", target);
}

static void end(struct trial *trial)
{
	hypervisor_free(trial->qmp);
	fake_qemu_stop(&trial->fake);
	fake_qemu_deinit(&trial->fake);
}

static void a_monitor_that_does_not_greet_as_qemu_does_is_silent(void **state)
{
	(void)state;
	const struct {
		enum fake_greeting greeting;
		const char *says;
	} cases[] = {
		{ GREETING_NONE, "monitor of its own" },
		{ GREETING_GARBAGE, "no QEMU monitor" },
		{ GREETING_ENDLESS, "a line without an end" },
		{ GREETING_OTHER, "something else than a greeting" },
		{ GREETING_CLOSE, "closed the connection" },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct trial trial = { .fake.greeting = cases[i].greeting };
		begin(&trial, true);
		int64_t deadline = cases[i].greeting == GREETING_ENDLESS ? IN_TIME_MS : SOON_MS;
		struct answer answer = fixture_look(trial.qmp, "vm-1", GPU, deadline);
		assert_int_equal(answer.r, HYPERVISOR_SILENT);
		fixture_says(&answer, cases[i].says);
		assert_int_equal(fixture_plug(trial.qmp, "vm-1", GPU, deadline).r,
				 HYPERVISOR_SILENT);
		assert_int_equal(fixture_unplug(trial.qmp, "vm-1", GPU, deadline).r,
				 HYPERVISOR_SILENT);
		end(&trial);
	}
}

static int connect_to(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_return_code(connect(fd, (struct sockaddr *)&address, sizeof(address)), errno);
	return fd;
}

static void a_monitor_that_somebody_else_has_is_silent_and_says_what_to_do(void **state)
{
	(void)state;
	struct trial trial = { .fake.greeting = GREETING };
	begin(&trial, true);
	int others[8];
	for (size_t n = 1; n <= 3; n++) { /* then not even waiting is possible */
		others[n - 1] = connect_to(trial.fake.socket);
		struct answer answer = fixture_look(trial.qmp, "vm-1", GPU, SOON_MS);
		assert_int_equal(answer.r, HYPERVISOR_SILENT);
		fixture_says(&answer, "-qmp may be given several times");
		if (strstr(answer.reason, "cannot connect")) {
			for (size_t i = 0; i < n; i++)
				close(others[i]);
			end(&trial);
			return;
		}
	}
	fail_msg("the backlog of the socket is never full");
}

static void commands_are_given_time_until_the_deadline_only(void **state)
{
	(void)state;
	const char *const commands[] = { "qmp_capabilities", "query-status", "qom-list", "qom-get",
					 "device_add" };
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		struct trial trial = { .fake.hangs_at = commands[i] };
		begin(&trial, false);
		struct answer answer = fixture_plug(trial.qmp, "vm-1", GPU, SOON_MS);
		assert_int_equal(answer.r, HYPERVISOR_SILENT);
		fixture_says(&answer, commands[i]);
		end(&trial);
	}
	struct trial trial = { .fake.hangs_at = "device_del" };
	begin(&trial, true);
	assert_int_equal(fixture_unplug(trial.qmp, "vm-1", GPU, SOON_MS).r, HYPERVISOR_SILENT);
	end(&trial);
}

static void a_vm_that_dies_in_the_middle_is_absent(void **state)
{
	(void)state;
	const char *const commands[] = { "qmp_capabilities", "query-status", "qom-list", "qom-get",
					 "device_add" };
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		struct trial trial = { .fake.dies_at = commands[i] };
		begin(&trial, false);
		assert_int_equal(fixture_plug(trial.qmp, "vm-1", GPU, IN_TIME_MS).r,
				 HYPERVISOR_VM_ABSENT);
		end(&trial);
	}
	struct trial trial = { .fake.dies_at = "device_del" };
	begin(&trial, true);
	assert_int_equal(fixture_unplug(trial.qmp, "vm-1", GPU, IN_TIME_MS).r, 0);
	end(&trial);

	struct trial looked_at = { .fake.dies_at = "query-status" };
	begin(&looked_at, true);
	struct answer answer = fixture_look(looked_at.qmp, "vm-1", GPU, IN_TIME_MS);
	assert_int_equal(answer.r, 0);
	assert_int_equal(answer.vm, VM_ABSENT);
	end(&looked_at);
}

/* Above all: nonsense never means that the VM has nothing. */
static void nonsense_is_not_taken_for_an_answer(void **state)
{
	(void)state;
	const char *const answers[] = {
		"[]",
		"{}",
		"{\"return\": []}",
		"{\"id\": #, \"return\": \"nothing\"}",
		"{\"id\": #, \"error\": {}}",
		"{\"error\": {\"class\": \"GenericError\", \"desc\": \"JSON parse error\"}}",
		"{\"id\": #",
		"\x01\x02\xff",
		"",
	};
	for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
		struct trial trial = { .fake.answers_at = "qom-list", .fake.answer = answers[i] };
		begin(&trial, true);
		assert_int_equal(fixture_look(trial.qmp, "vm-1", GPU, IN_TIME_MS).r,
				 HYPERVISOR_SILENT);
		assert_int_equal(fixture_unplug(trial.qmp, "vm-1", GPU, IN_TIME_MS).r,
				 HYPERVISOR_SILENT);
		end(&trial);
	}
}

static void check_absent(struct hypervisor *qmp)
{
	struct answer answer = fixture_look(qmp, "vm-1", GPU, IN_TIME_MS);
	assert_int_equal(answer.r, 0);
	assert_int_equal(answer.vm, VM_ABSENT);
	assert_int_equal(answer.n_plugged, 0);
	assert_int_equal(fixture_plug(qmp, "vm-1", GPU, IN_TIME_MS).r, HYPERVISOR_VM_ABSENT);
	assert_int_equal(fixture_unplug(qmp, "vm-1", GPU, IN_TIME_MS).r, 0);
}

static void a_vm_without_socket_or_listener_is_absent(void **state)
{
	(void)state;
	struct trial trial = { .fake.greeting = GREETING };
	begin(&trial, true);
	fake_qemu_stop(&trial.fake); /* the file of the socket remains */
	check_absent(trial.qmp);
	assert_return_code(unlink(trial.fake.socket), errno);
	check_absent(trial.qmp);
	hypervisor_free(trial.qmp);
	fake_qemu_deinit(&trial.fake);
}

static void a_socket_that_cannot_be_reached_is_not_an_absent_vm(void **state)
{
	(void)state;
	/* A file in place of a directory. */
	cleanup(hypervisor_freep) struct hypervisor *qmp =
		fixture_hypervisor("qmp", "/proc/self/exe/{vm}.qmp");
	assert_int_equal(fixture_look(qmp, "vm-1", GPU, SOON_MS).r, HYPERVISOR_SILENT);
	assert_int_equal(fixture_unplug(qmp, "vm-1", GPU, SOON_MS).r, HYPERVISOR_SILENT);
}

static void an_id_that_is_no_file_name_never_becomes_a_path(void **state)
{
	(void)state;
	struct trial trial = { .fake.greeting = GREETING };
	begin(&trial, true);
	const char *const ids[] = { "",		 ".",	      "..",    "./vm-1",
				    "../x/vm-1", "x/../vm-1", "/vm-1", "a\nb" };
	for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
		struct answer answer = fixture_look(trial.qmp, ids[i], GPU, IN_TIME_MS);
		assert_int_equal(answer.r, HYPERVISOR_SILENT);
		fixture_says(&answer, "cannot stand in the path");
		assert_int_equal(fixture_plug(trial.qmp, ids[i], GPU, IN_TIME_MS).r,
				 HYPERVISOR_REFUSED);
		assert_int_equal(fixture_unplug(trial.qmp, ids[i], GPU, IN_TIME_MS).r, 0);
	}
	end(&trial);
	assert_int_equal(trial.fake.n_clients, 0);
}

static void a_path_that_is_too_long_for_a_socket_is_said(void **state)
{
	(void)state;
	cleanup(hypervisor_freep) struct hypervisor *qmp =
		fixture_hypervisor("qmp", "/tmp/{vm}/{vm}.qmp");
	char id[64];
	memset(id, 'v', sizeof(id));
	id[48] = '\0'; /* 106 bytes; 107 fit */
	assert_int_equal(fixture_look(qmp, id, GPU, SOON_MS).r, 0);
	id[48] = 'v';
	id[49] = '\0';
	struct answer answer = fixture_look(qmp, id, GPU, SOON_MS);
	assert_int_equal(answer.r, HYPERVISOR_SILENT);
	fixture_says(&answer, "has 108 bytes");
	assert_int_equal(fixture_plug(qmp, id, GPU, SOON_MS).r, HYPERVISOR_REFUSED);
	assert_int_equal(fixture_unplug(qmp, id, GPU, SOON_MS).r, HYPERVISOR_SILENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_monitor_that_does_not_greet_as_qemu_does_is_silent),
		cmocka_unit_test(a_monitor_that_somebody_else_has_is_silent_and_says_what_to_do),
		cmocka_unit_test(commands_are_given_time_until_the_deadline_only),
		cmocka_unit_test(a_vm_that_dies_in_the_middle_is_absent),
		cmocka_unit_test(nonsense_is_not_taken_for_an_answer),
		cmocka_unit_test(a_vm_without_socket_or_listener_is_absent),
		cmocka_unit_test(a_socket_that_cannot_be_reached_is_not_an_absent_vm),
		cmocka_unit_test(an_id_that_is_no_file_name_never_becomes_a_path),
		cmocka_unit_test(a_path_that_is_too_long_for_a_socket_is_said),
	};
	return cmocka_run_group_tests_name("attach: QEMU's monitor", tests, NULL, NULL);
}
