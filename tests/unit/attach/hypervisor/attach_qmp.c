/* Plugging and unplugging, told by what a QEMU is asked to do. */

#include "fake_qemu.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "fixture.h"

#define GPU	       "0000:01:00.0"
#define GPU_AND_AUDIO  "0000:01:00.0 0000:01:00.1"
#define PERIPHERAL     "/machine/peripheral/"
#define ADD_GPU(place) "add gpubus-0000-01-00.0 host=0000:01:00.0 " place "\n"
#define ADD_AUDIO(place)                                                                           \
	"add gpubus-0000-01-00.1 host=0000:01:00.1 "                                               \
	"bus=" place " addr=0.1\n"

struct story {
	struct fake_qemu fake;
	struct hypervisor *qmp;
	bool is_over;
};

static int setup(void **state)
{
	*state = memory_zeroed(1, sizeof(struct story));
	return 0;
}

static void begin(struct story *story)
{
	fake_qemu_start(&story->fake);
	char target[128];
	snprintf(target, sizeof(target), "%s/{vm}.qmp", story->fake.dir);
	story->qmp = fixture_hypervisor("qmp", target);
}

static void expect(struct story *story, const char *log)
{
	fake_qemu_stop(&story->fake);
	story->is_over = true;
	assert_string_equal(story->fake.log.data, log);
}

static int teardown(void **state)
{
	struct story *story = *state;
	if (!story->is_over)
		fake_qemu_stop(&story->fake);
	fake_qemu_deinit(&story->fake);
	hypervisor_free(story->qmp);
	free(story);
	return 0;
}

static int plug(struct story *story, const char *unit)
{
	return fixture_plug(story->qmp, "vm-1", unit, IN_TIME_MS).r;
}

static int unplug(struct story *story, const char *unit)
{
	return fixture_unplug(story->qmp, "vm-1", unit, IN_TIME_MS).r;
}

static void check_plugged(struct story *story, const char *unit, size_t n)
{
	struct answer answer = fixture_look(story->qmp, "vm-1", unit, IN_TIME_MS);
	assert_int_equal(answer.r, 0);
	assert_int_equal(answer.vm, VM_RUNNING);
	assert_int_equal(answer.n_plugged, n);
}

/* ---- plug ------------------------------------------------------------------------------------ */

static void a_gpu_goes_to_the_first_free_port(void **state)
{
	struct story *story = *state;
	fake_qemu_port(&story->fake, "rp10");
	fake_qemu_port(&story->fake, "rp4");
	fake_qemu_port(&story->fake, "rp2");
	fake_qemu_device(&story->fake, PERIPHERAL "net0", "virtio-net-pci", "rp2", "");
	fake_qemu_port(&story->fake, "rp1");
	story->fake.devices[4].no_hotplug = true;
	fake_qemu_device(&story->fake, "/machine/peripheral-anon/device[0]", "pcie-root-port",
			 "pcie.1", "");
	begin(story);
	assert_int_equal(plug(story, GPU), 0);
	check_plugged(story, GPU, 1);
	assert_int_equal(plug(story, GPU), 0);
	expect(story, ADD_GPU("bus=rp4 addr=0.0"));
}

static void functions_of_one_slot_become_one_device_and_others_get_ports_of_their_own(void **state)
{
	struct story *story = *state;
	fake_qemu_port(&story->fake, "rp1");
	fake_qemu_port(&story->fake, "rp2");
	begin(story);
	const char *unit = GPU_AND_AUDIO " 0000:02:00.3";
	assert_int_equal(plug(story, unit), 0);
	check_plugged(story, unit, 3);
	expect(story,
	       ADD_AUDIO("rp1") ADD_GPU(
		       "bus=rp1 addr=0.0 multifunction") "add gpubus-0000-02-00.3 "
							 "host=0000:02:00.3 bus=rp2 addr=0.0\n");
}

static void downstream_ports_of_a_switch_are_ports(void **state)
{
	struct story *story = *state;
	fake_qemu_device(&story->fake, PERIPHERAL "ds1", "xio3130-downstream", "ds1", "");
	begin(story);
	assert_int_equal(plug(story, GPU), 0);
	expect(story, ADD_GPU("bus=ds1 addr=0.0"));
}

static void without_enough_ports_nothing_is_added(void **state)
{
	struct story *story = *state;
	fake_qemu_port(&story->fake, "rp1");
	begin(story);
	struct answer answer =
		fixture_plug(story->qmp, "vm-1", "0000:01:00.0 0000:02:00.0", IN_TIME_MS);
	assert_int_equal(answer.r, HYPERVISOR_NO_PORT);
	fixture_says(&answer, "2 free PCIe ports");
	expect(story, "");
}

static void when_function_0_is_refused_the_others_are_taken_back(void **state)
{
	struct story *story = *state;
	fake_qemu_port(&story->fake, "rp1");
	story->fake.refuses = "01-00.0";
	story->fake.words = "vfio 0000:01:00.0: group 7 is not viable";
	begin(story);
	struct answer answer = fixture_plug(story->qmp, "vm-1", GPU_AND_AUDIO, IN_TIME_MS);
	assert_int_equal(answer.r, HYPERVISOR_REFUSED);
	fixture_says(&answer, "all of the group");
	assert_null(strstr(answer.reason, "taken back yet"));
	check_plugged(story, GPU_AND_AUDIO, 0);
	expect(story,
	       ADD_AUDIO("rp1") ADD_GPU("bus=rp1 addr=0.0 multifunction") "del "
									  "/machine/peripheral/"
									  "gpubus-0000-01-00.1\n");
}

static void only_what_was_added_is_taken_back(void **state)
{
	struct story *story = *state;
	fake_qemu_port(&story->fake, "rp1");
	fake_qemu_port(&story->fake, "rp2");
	fake_qemu_port(&story->fake, "rp3");
	fake_qemu_device(&story->fake, PERIPHERAL "gpubus-0000-01-00.0", "vfio-pci", "rp1", GPU);
	story->fake.refuses = "03-00.0";
	story->fake.words =
		"vfio 0000:03:00.0: failed to open /dev/vfio/7: Device or resource busy";
	begin(story);
	const char *unit = "0000:01:00.0 0000:02:00.0 0000:03:00.0";
	assert_int_equal(plug(story, unit), HYPERVISOR_HELD);
	check_plugged(story, unit, 1);
	expect(story, "add gpubus-0000-02-00.0 host=0000:02:00.0 bus=rp2 addr=0.0\n"
		      "add gpubus-0000-03-00.0 host=0000:03:00.0 bus=rp3 addr=0.0\n"
		      "del /machine/peripheral/gpubus-0000-02-00.0\n");
}

static void what_a_guest_does_not_give_back_is_said(void **state)
{
	struct story *story = *state;
	fake_qemu_port(&story->fake, "rp1");
	fake_qemu_port(&story->fake, "rp2");
	story->fake.guest = GUEST_IS_DEAF;
	story->fake.refuses = "02-00.0";
	story->fake.words = "no";
	begin(story);
	struct answer answer =
		fixture_plug(story->qmp, "vm-1", "0000:01:00.0 0000:02:00.0", 10 * SOON_MS);
	assert_int_equal(answer.r, HYPERVISOR_REFUSED);
	fixture_says(&answer, "could not be taken back yet");
	check_plugged(story, "0000:01:00.0 0000:02:00.0", 1);
}

static void a_plug_that_was_cut_off_is_gone_on_with_on_its_port(void **state)
{
	struct story *story = *state;
	fake_qemu_port(&story->fake, "rp1");
	fake_qemu_port(&story->fake, "rp2");
	fake_qemu_device(&story->fake, PERIPHERAL "gpubus-0000-01-00.1", "vfio-pci", "rp2",
			 "0000:01:00.1");
	begin(story);
	assert_int_equal(plug(story, GPU_AND_AUDIO), 0);
	expect(story, ADD_GPU("bus=rp2 addr=0.0 multifunction"));
}

static void a_slot_that_the_guest_has_seen_takes_no_more_functions(void **state)
{
	struct story *story = *state;
	fake_qemu_port(&story->fake, "rp1");
	fake_qemu_device(&story->fake, PERIPHERAL "gpubus-0000-01-00.0", "vfio-pci", "rp1", GPU);
	begin(story);
	assert_int_equal(plug(story, GPU_AND_AUDIO), HYPERVISOR_REFUSED);
	expect(story, "");
}

static void a_domain_of_more_than_four_digits_goes_by_its_path(void **state)
{
	struct story *story = *state;
	fake_qemu_port(&story->fake, "rp1");
	begin(story);
	assert_int_equal(plug(story, "10000:01:00.0"), 0);
	expect(story, "add gpubus-10000-01-00.0 host=/sys/bus/pci/devices/10000:01:00.0 bus=rp1 "
		      "addr=0.0\n");
}

static void a_vm_that_is_being_received_gets_nothing(void **state)
{
	struct story *story = *state;
	fake_qemu_port(&story->fake, "rp1");
	story->fake.status = "inmigrate";
	begin(story);
	assert_int_equal(plug(story, GPU), HYPERVISOR_VM_ABSENT);
	check_plugged(story, GPU, 0);
	expect(story, "");
}

/* ---- unplug ---------------------------------------------------------------------------------- */

static void of_a_slot_only_function_0_is_asked_for(void **state)
{
	struct story *story = *state;
	fake_qemu_port(&story->fake, "rp1");
	begin(story);
	assert_int_equal(plug(story, GPU_AND_AUDIO), 0);
	assert_int_equal(unplug(story, GPU_AND_AUDIO), 0);
	check_plugged(story, GPU_AND_AUDIO, 0);
	assert_int_equal(unplug(story, GPU_AND_AUDIO), 0);
	expect(story,
	       ADD_AUDIO("rp1") ADD_GPU("bus=rp1 addr=0.0 multifunction") "del "
									  "/machine/peripheral/"
									  "gpubus-0000-01-00.0\n");
}

static void what_somebody_else_plugged_counts_and_leaves_too(void **state)
{
	struct story *story = *state;
	fake_qemu_port(&story->fake, "rp1");
	fake_qemu_port(&story->fake, "rp2");
	fake_qemu_port(&story->fake, "rp3");
	fake_qemu_device(&story->fake, PERIPHERAL "hostdev0", "vfio-pci", "rp1", GPU);
	fake_qemu_device(&story->fake, "/machine/peripheral-anon/device[1]", "vfio-pci", "rp2",
			 "/sys/bus/pci/devices/0000:01:00.1");
	fake_qemu_device(&story->fake, PERIPHERAL "hostdev1", "vfio-pci", "rp3", "0000:09:00.0");
	begin(story);
	check_plugged(story, GPU_AND_AUDIO, 2);
	assert_int_equal(plug(story, GPU_AND_AUDIO), 0);
	assert_int_equal(unplug(story, GPU_AND_AUDIO), 0);
	check_plugged(story, "0000:09:00.0", 1);
	expect(story, "del /machine/peripheral/hostdev0\n"
		      "del /machine/peripheral-anon/device[1]\n");
}

static void a_guest_that_does_not_let_go_is_asked_again_without_harm(void **state)
{
	struct story *story = *state;
	fake_qemu_port(&story->fake, "rp1");
	story->fake.guest = GUEST_IS_DEAF;
	begin(story);
	assert_int_equal(plug(story, GPU), 0);
	for (int i = 0; i < 2; i++) {
		struct answer answer = fixture_unplug(story->qmp, "vm-1", GPU, A_WHILE_MS);
		assert_int_equal(answer.r, HYPERVISOR_PENDING);
		fixture_says(&answer, "not yet let go of 1 function");
	}
	check_plugged(story, GPU, 1);
	expect(story, ADD_GPU("bus=rp1 addr=0.0") "del /machine/peripheral/gpubus-0000-01-00.0\n"
						  "del /machine/peripheral/gpubus-0000-01-00.0\n");
}

static void a_slow_guest_is_waited_for_and_others_get_their_turn(void **state)
{
	struct story *story = *state;
	fake_qemu_port(&story->fake, "rp1");
	story->fake.guest = GUEST_IS_SLOW;
	begin(story);
	assert_int_equal(plug(story, GPU), 0);
	assert_int_equal(unplug(story, GPU), 0);
	expect(story, ADD_GPU("bus=rp1 addr=0.0") "del /machine/peripheral/gpubus-0000-01-00.0\n");
	assert_true(story->fake.n_clients > 2);
}

static void a_guest_that_declines_is_not_waited_for(void **state)
{
	struct story *story = *state;
	fake_qemu_port(&story->fake, "rp1");
	story->fake.guest = GUEST_DECLINES;
	begin(story);
	assert_int_equal(plug(story, GPU), 0);
	struct answer answer = fixture_unplug(story->qmp, "vm-1", GPU, 1000 * IN_TIME_MS);
	assert_int_equal(answer.r, HYPERVISOR_PENDING);
	fixture_says(&answer, "declines");
}

static void events_pieces_and_old_answers_do_not_disturb(void **state)
{
	struct story *story = *state;
	fake_qemu_port(&story->fake, "rp1");
	story->fake.dribbles = true;
	story->fake.stale = "{\"id\": 4711, \"return\": []}";
	begin(story);
	assert_int_equal(plug(story, GPU_AND_AUDIO), 0);
	check_plugged(story, GPU_AND_AUDIO, 2);
	assert_int_equal(unplug(story, GPU_AND_AUDIO), 0);
	check_plugged(story, GPU_AND_AUDIO, 0);
}

#define STORY(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		STORY(a_gpu_goes_to_the_first_free_port),
		STORY(functions_of_one_slot_become_one_device_and_others_get_ports_of_their_own),
		STORY(downstream_ports_of_a_switch_are_ports),
		STORY(without_enough_ports_nothing_is_added),
		STORY(when_function_0_is_refused_the_others_are_taken_back),
		STORY(only_what_was_added_is_taken_back),
		STORY(what_a_guest_does_not_give_back_is_said),
		STORY(a_plug_that_was_cut_off_is_gone_on_with_on_its_port),
		STORY(a_slot_that_the_guest_has_seen_takes_no_more_functions),
		STORY(a_domain_of_more_than_four_digits_goes_by_its_path),
		STORY(a_vm_that_is_being_received_gets_nothing),
		STORY(of_a_slot_only_function_0_is_asked_for),
		STORY(what_somebody_else_plugged_counts_and_leaves_too),
		STORY(a_guest_that_does_not_let_go_is_asked_again_without_harm),
		STORY(a_slow_guest_is_waited_for_and_others_get_their_turn),
		STORY(a_guest_that_declines_is_not_waited_for),
		STORY(events_pieces_and_old_answers_do_not_disturb),
	};
	return cmocka_run_group_tests_name("attach: QEMU's devices", tests, NULL, NULL);
}
