/* The same against a real QEMU, with a guest that answers and without one. */

#include "real_qemu.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "fixture.h"

#define UNIT "0000:01:00.0 0000:01:00.1 0000:02:00.3"

/* rp1 has a device, rp2 takes none while the VM runs, two without a name count for nothing. */
#define PORTS                                                                                      \
	"-device", "pcie-root-port,id=rp1,chassis=1", "-device", "virtio-rng-pci,bus=rp1",         \
		"-device", "pcie-root-port,id=rp2,chassis=2,hotplug=off", "-device",               \
		"pcie-root-port,chassis=3", "-device", "pcie-root-port,chassis=4", "-device",      \
		"pcie-root-port,id=rp10,chassis=10", "-device", "pcie-root-port,id=rp3,chassis=5"

/* Stopped before the first instruction of its firmware. */
static const char *const no_guest[] = { "-S", PORTS, NULL };
/* With hot-plug by the ports themselves, a slot that no guest has switched on is given up at once. */
static const char *const no_guest_native[] = { "-S", PORTS, "-global",
					       "ICH9-LPC.acpi-pci-hotplug-with-bridge-support=off",
					       NULL };

static int setup(void **state)
{
	*state = memory_zeroed(1, sizeof(struct real_qemu));
	return 0;
}

static int teardown(void **state)
{
	struct real_qemu *qemu = *state;
	real_qemu_stop(qemu);
	free(qemu);
	return 0;
}

static void check_plugged(struct hypervisor *hypervisor, const char *unit, size_t n)
{
	struct answer answer = fixture_look(hypervisor, "vm-1", unit, IN_TIME_MS);
	assert_int_equal(answer.r, 0);
	assert_int_equal(answer.vm, VM_RUNNING);
	assert_int_equal(answer.n_plugged, n);
}

static void check_absent(struct hypervisor *hypervisor)
{
	struct answer answer = fixture_look(hypervisor, "vm-1", UNIT, IN_TIME_MS);
	assert_int_equal(answer.r, 0);
	assert_int_equal(answer.vm, VM_ABSENT);
}

static void a_vm_is_there_until_it_is_killed(void **state)
{
	struct real_qemu *qemu = *state;
	real_qemu_start(qemu, no_guest);
	check_plugged(qemu->real, UNIT, 0);
	real_qemu_kill(qemu);
	check_absent(qemu->real);
	assert_int_equal(fixture_plug(qemu->real, "vm-1", UNIT, IN_TIME_MS).r,
			 HYPERVISOR_VM_ABSENT);
	assert_int_equal(fixture_unplug(qemu->real, "vm-1", UNIT, IN_TIME_MS).r, 0);
}

static void a_function_that_is_not_on_the_host_is_refused_in_plain_words(void **state)
{
	struct real_qemu *qemu = *state;
	real_qemu_start(qemu, no_guest);
	struct answer answer = fixture_plug(qemu->real, "vm-1", "0000:0f:1f.7", IN_TIME_MS);
	assert_int_equal(answer.r, HYPERVISOR_REFUSED);
	fixture_says(&answer, "not bound to vfio-pci");
	fixture_says(&answer, "no such host device");
	check_plugged(qemu->real, "0000:0f:1f.7", 0);
}

static void slots_go_to_free_ports_and_stay_until_a_guest_lets_go(void **state)
{
	struct real_qemu *qemu = *state;
	real_qemu_start(qemu, no_guest);
	assert_int_equal(fixture_plug(qemu->interpreted, "vm-1", UNIT, IN_TIME_MS).r, 0);
	check_plugged(qemu->real, UNIT, 3);
	assert_int_equal(fixture_plug(qemu->real, "vm-1", UNIT, IN_TIME_MS).r, 0);
	struct answer more = fixture_plug(qemu->real, "vm-1", "0000:03:00.0", IN_TIME_MS);
	assert_int_equal(more.r, HYPERVISOR_NO_PORT);
	fixture_says(&more, "0 of the VM's 4 are free");
	for (int i = 0; i < 2; i++)
		assert_int_equal(fixture_unplug(qemu->real, "vm-1", UNIT, A_WHILE_MS).r,
				 HYPERVISOR_PENDING);
	check_plugged(qemu->real, UNIT, 3);
}

static void what_is_plugged_is_unplugged(void **state)
{
	struct real_qemu *qemu = *state;
	real_qemu_start(qemu, no_guest_native);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(fixture_plug(qemu->interpreted, "vm-1", UNIT, IN_TIME_MS).r, 0);
		check_plugged(qemu->real, UNIT, 3);
		assert_int_equal(fixture_unplug(qemu->real, "vm-1", UNIT, IN_TIME_MS).r, 0);
		check_plugged(qemu->real, UNIT, 0);
	}
}

static void what_was_added_before_a_refusal_is_taken_back(void **state)
{
	struct real_qemu *qemu = *state;
	real_qemu_start(qemu, no_guest_native);
	/* The interpreter leaves bus 0f to QEMU, which refuses it: the last of all, and function 0
	 * of a slot. */
	const char *unit = "0000:01:00.0 0000:01:00.1 0000:0f:00.0";
	struct answer answer = fixture_plug(qemu->interpreted, "vm-1", unit, IN_TIME_MS);
	assert_int_equal(answer.r, HYPERVISOR_REFUSED);
	assert_null(strstr(answer.reason, "taken back"));
	check_plugged(qemu->real, unit, 0);
	assert_int_equal(fixture_plug(qemu->interpreted, "vm-1", UNIT, IN_TIME_MS).r, 0);
}

static void one_client_at_a_time_has_the_monitor(void **state)
{
	struct real_qemu *qemu = *state;
	real_qemu_start(qemu, no_guest);
	int second = real_qemu_connect(qemu, "second.qmp");
	check_plugged(qemu->real, UNIT, 0);
	int other = real_qemu_connect(qemu, "real/vm-1.qmp");
	struct answer answer = fixture_look(qemu->real, "vm-1", UNIT, SOON_MS);
	assert_int_equal(answer.r, HYPERVISOR_SILENT);
	fixture_says(&answer, "-qmp may be given several times");
	close(other);
	check_plugged(qemu->real, UNIT, 0);
	close(second);
}

struct unplugging {
	pthread_t thread;
	struct hypervisor *hypervisor;
	const char *unit;
	struct answer answer;
};

static void *unplug(void *context)
{
	struct unplugging *it = context;
	it->answer = fixture_unplug(it->hypervisor, "vm-1", it->unit, 10 * SOON_MS);
	return NULL;
}

/* Both are asked for, though each waits for the guest as long as the other. */
static void two_units_of_a_vm_are_unplugged_at_the_same_time(void **state)
{
	struct real_qemu *qemu = *state;
	real_qemu_start(qemu, no_guest);
	struct unplugging both[] = { { .unit = "0000:01:00.0" }, { .unit = "0000:02:00.0" } };
	for (size_t i = 0; i < 2; i++) {
		both[i].hypervisor = qemu->real;
		assert_int_equal(
			fixture_plug(qemu->interpreted, "vm-1", both[i].unit, IN_TIME_MS).r, 0);
	}
	for (size_t i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&both[i].thread, NULL, unplug, &both[i]), 0);
	for (size_t i = 0; i < 2; i++)
		pthread_join(both[i].thread, NULL);
	for (size_t i = 0; i < 2; i++)
		assert_int_equal(both[i].answer.r, HYPERVISOR_PENDING);
}

static void killed_in_the_middle(void **state, const char *command, const char *says)
{
	struct real_qemu *qemu = *state;
	qemu->kills_at = command;
	real_qemu_start(qemu, no_guest);
	struct answer answer = fixture_plug(qemu->interpreted, "vm-1", UNIT, IN_TIME_MS);
	if (says) {
		assert_int_equal(answer.r, HYPERVISOR_VM_ABSENT);
		fixture_says(&answer, says);
	} else {
		assert_int_equal(answer.r, 0);
		assert_int_equal(fixture_unplug(qemu->interpreted, "vm-1", UNIT, IN_TIME_MS).r, 0);
	}
	check_absent(qemu->interpreted);
}

static void a_vm_that_is_killed_while_it_is_given_a_device_is_absent(void **state)
{
	killed_in_the_middle(state, "device_add", "QEMU has ended");
}

static void a_vm_that_is_killed_while_it_is_asked_for_a_device_has_none(void **state)
{
	killed_in_the_middle(state, "device_del", NULL);
}

static void a_guest_gets_devices_and_lets_them_go(void **state)
{
	struct real_qemu *qemu = *state;
	const char *guest = getenv("PASSTHROUGH_GUEST");
	assert_non_null(guest);
	const char *const arguments[] = {
		"-kernel", guest,
		"-device", "pcie-root-port,id=rp1,chassis=1,slot=1,mem-reserve=32M",
		"-device", "pcie-root-port,id=rp2,chassis=2,slot=2,mem-reserve=32M",
		NULL
	};
	real_qemu_start(qemu, arguments);
	real_qemu_await_serial(qemu, "UP");
	assert_int_equal(fixture_plug(qemu->interpreted, "vm-1", UNIT, IN_TIME_MS).r, 0);
	real_qemu_await_serial(qemu, "READY slot 01");
	real_qemu_await_serial(qemu, "READY slot 02");
	check_plugged(qemu->real, UNIT, 3);
	assert_int_equal(fixture_unplug(qemu->real, "vm-1", UNIT, 3 * IN_TIME_MS).r, 0);
	check_plugged(qemu->real, UNIT, 0);
	real_qemu_await_serial(qemu, "GONE slot 01");
	real_qemu_await_serial(qemu, "GONE slot 02");
}

#define TRIAL(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TRIAL(a_vm_is_there_until_it_is_killed),
		TRIAL(a_function_that_is_not_on_the_host_is_refused_in_plain_words),
		TRIAL(slots_go_to_free_ports_and_stay_until_a_guest_lets_go),
		TRIAL(what_is_plugged_is_unplugged),
		TRIAL(what_was_added_before_a_refusal_is_taken_back),
		TRIAL(one_client_at_a_time_has_the_monitor),
		TRIAL(two_units_of_a_vm_are_unplugged_at_the_same_time),
		TRIAL(a_vm_that_is_killed_while_it_is_given_a_device_is_absent),
		TRIAL(a_vm_that_is_killed_while_it_is_asked_for_a_device_has_none),
		TRIAL(a_guest_gets_devices_and_lets_them_go),
	};
	return cmocka_run_group_tests_name("attach: a real QEMU", tests, NULL, NULL);
}
