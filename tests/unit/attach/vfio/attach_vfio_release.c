/* Taking back: clean, and give back. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "fake_host.h"

static struct unit bound_unit(struct fake_host *fake)
{
	struct unit unit = fake_gpu_unit(fake);
	struct vfio_problem problem;
	assert_int_equal(vfio_bind(&fake->host, &unit, &problem), 0);
	buf_clear(&fake->writes);
	return unit;
}

static void assert_clean(struct fake_host *fake, const struct unit *unit)
{
	struct vfio_problem problem;
	if (vfio_clean(&fake->host, unit, &problem))
		fail_msg("%s: %s", attach_code_name(problem.code), problem.reason);
}

static void assert_not_clean(struct fake_host *fake, const struct unit *unit, enum attach_code code,
			     const char *reason)
{
	struct vfio_problem problem;
	assert_true(vfio_clean(&fake->host, unit, &problem) > 0);
	assert_problem(&problem, code, reason);
}

/* ---- resetting ----------------------------------------------------------------------------- */

static void test_each_function_by_itself(void **state)
{
	struct fake_host *fake = *state;
	struct unit unit = bound_unit(fake);
	assert_clean(fake, &unit);
	assert_string_equal(fake->writes.data, GPU " reset=1\n" AUDIO " reset=1\n");
	assert_int_equal(fake->n_hot_resets, 0);
}

/* A GPU that has only the bus: the kernel lists it for the first function, which was alone when it was
 * found, and refuses it when it comes to it. */
static void test_together(void **state)
{
	struct fake_host *fake = *state;
	struct unit unit = bound_unit(fake);
	fake_attribute(fake, GPU, "reset_method", "bus\n");
	fake_fault(fake, GPU "/reset", FAKE_ERROR, ENOTTY, 0);
	fake_remove(fake, "sys/bus/pci/devices/" AUDIO "/reset");
	assert_clean(fake, &unit);
	assert_int_equal(fake->n_hot_resets, 1);
}

static void test_no_reset_at_all(void **state)
{
	struct fake_host *fake = *state;
	struct unit unit = bound_unit(fake);
	fake_remove(fake, "sys/bus/pci/devices/" AUDIO "/reset");
	fake->hot_reset_fails = "a reset of the bus would hit 0000:01:00.2, which is not in the "
				"unit";
	assert_not_clean(fake, &unit, ATTACH_RESET_FAILED,
			 AUDIO " was not reset: the kernel knows no reset for it; together with "
			       "its neighbours neither: a reset of the bus would hit 0000:01:00.2, "
			       "which is not in the unit");
	fake->host.allow_no_reset = true;
	assert_clean(fake, &unit);
}

/* Listed when it was found, and refused now: that is none, too. */
static void test_reset_that_the_kernel_refuses(void **state)
{
	struct fake_host *fake = *state;
	struct unit unit = bound_unit(fake);
	struct vfio_problem problem;
	fake_fault(fake, GPU "/reset", FAKE_ERROR, ENOTTY, 0);
	fake->hot_reset_fails = "its bus or slot cannot be reset";
	assert_true(vfio_clean(&fake->host, &unit, &problem) > 0);
	assert_int_equal(problem.code, ATTACH_RESET_FAILED);
	fake->host.allow_no_reset = true;
	assert_clean(fake, &unit);
}

/* A reset that there is and that fails is no choice of the operator's. */
static void test_reset_fails(void **state)
{
	struct fake_host *fake = *state;
	struct unit unit = bound_unit(fake);
	fake->host.allow_no_reset = true;
	fake->hot_reset_fails = "its bus or slot cannot be reset";
	fake_fault(fake, GPU "/reset", FAKE_ERROR, EIO, 0);
	assert_not_clean(fake, &unit, ATTACH_RESET_FAILED,
			 GPU " was not reset: its own reset (flr bus) does not work: Input/output "
			     "error; together with its neighbours neither: its bus or slot cannot "
			     "be reset");
}

static void test_config_reads_as_nonsense(void **state)
{
	struct fake_host *fake = *state;
	struct unit unit = bound_unit(fake);
	char ones[65];
	memset(ones, 0xff, 64);
	ones[64] = '\0';
	fake_attribute(fake, GPU, "config", ones);
	assert_not_clean(fake, &unit, ATTACH_CONFIG_UNREADABLE,
			 GPU " answers as ffff:ffff, not as 10de:1bb3");
	static const unsigned char sane[64] = { 0xde, 0x10, 0xb3, 0x1b, 0x03, 0x00 };
	unsigned char bridge[64], no_command[64];
	memcpy(bridge, sane, sizeof(sane));
	bridge[0x0e] = 0x81; /* of several functions, and a bridge */
	fake_config(fake, GPU, bridge);
	assert_not_clean(fake, &unit, ATTACH_CONFIG_UNREADABLE,
			 "the configuration space of " GPU
			 " reads as nonsense (command 0003, header type 81)");
	memcpy(no_command, sane, sizeof(sane));
	no_command[4] = no_command[5] = 0xff;
	no_command[0x0e] = 0x80;
	fake_config(fake, GPU, no_command);
	assert_not_clean(fake, &unit, ATTACH_CONFIG_UNREADABLE,
			 "the configuration space of " GPU
			 " reads as nonsense (command ffff, header type 80)");
	fake_attribute(fake, GPU, "config", "short");
	assert_not_clean(fake, &unit, ATTACH_CONFIG_UNREADABLE,
			 "the configuration space of " GPU " cannot be read: Input/output error");
	/* A virtual function has no ids of its own, but a header. */
	fake_attribute(fake, GPU, "physfn", "");
	fake_attribute(fake, GPU, "config", ones);
	assert_not_clean(fake, &unit, ATTACH_CONFIG_UNREADABLE,
			 "the configuration space of " GPU
			 " reads as nonsense (command ffff, header type ff)");
}

static void test_device_vanishes_in_its_reset(void **state)
{
	struct fake_host *fake = *state;
	struct unit unit = bound_unit(fake);
	fake_fault(fake, GPU "/reset", FAKE_VANISH, 0, 0);
	assert_not_clean(fake, &unit, ATTACH_DEVICE_GONE, GPU " has vanished from the PCI bus");
}

/* Nothing is reset beneath a VM. */
static void test_somebody_still_has_it(void **state)
{
	struct fake_host *fake = *state;
	struct unit unit = bound_unit(fake);
	fake_node(fake, "class/vfio/7", "/dev/null");
	fake_process(fake, 88, "qemu-system-x86", "/dev/null", false);
	const char *reason = GPU " is still open in qemu-system-x86 (pid 88, vfio/7)";
	assert_not_clean(fake, &unit, ATTACH_UNPLUG_PENDING, reason);

	struct vfio_problem problem;
	char drivers[][UNIT_DRIVER_BYTES] = { "nouveau", "snd_hda_intel" };
	assert_true(vfio_give_back(&fake->host, &unit, drivers, &problem) > 0);
	assert_problem(&problem, ATTACH_UNPLUG_PENDING, reason);
	assert_int_equal(fake->writes.len, 0);
}

static void test_somebody_hidden_still_has_it(void **state)
{
	struct fake_host *fake = *state;
	struct unit unit = bound_unit(fake);
	fake->group_taken = "/dev/vfio/7";
	const char *reason = GPU " is still open in a process that cannot be seen from here: the "
				 "kernel calls its IOMMU group 7 busy";
	assert_not_clean(fake, &unit, ATTACH_UNPLUG_PENDING, reason);

	struct vfio_problem problem;
	char drivers[][UNIT_DRIVER_BYTES] = { "nouveau", "snd_hda_intel" };
	assert_true(vfio_give_back(&fake->host, &unit, drivers, &problem) > 0);
	assert_problem(&problem, ATTACH_UNPLUG_PENDING, reason);
	assert_int_equal(fake->writes.len, 0);
}

/* A step was killed in the middle of giving back: nothing is reset beneath a driver. */
static void test_taken_from_its_driver_again(void **state)
{
	struct fake_host *fake = *state;
	struct unit unit = bound_unit(fake);
	fake_bind(fake, GPU, "nouveau");
	assert_clean(fake, &unit);
	assert_string_equal(fake_driver(fake, GPU), "vfio-pci");

	fake_bind(fake, GPU, "nouveau");
	fake_node(fake, "bus/pci/devices/" GPU "/drm/card0", "/dev/null");
	fake_process(fake, 5, "Xorg", "/dev/null", false);
	buf_clear(&fake->writes);
	assert_not_clean(fake, &unit, ATTACH_IN_USE, GPU " is open in Xorg (pid 5, card0)");
	assert_int_equal(fake->writes.len, 0);
}

/* ---- giving back --------------------------------------------------------------------------- */

static void give(struct fake_host *fake, const struct unit *unit, const char *gpu,
		 const char *audio, enum attach_code code, const char *reason)
{
	char drivers[2][UNIT_DRIVER_BYTES] = { 0 };
	struct vfio_problem problem;
	memcpy(drivers[0], gpu, strlen(gpu));
	memcpy(drivers[1], audio, strlen(audio));
	int r = vfio_give_back(&fake->host, unit, drivers, &problem);
	if (!reason && r)
		fail_msg("%s: %s", attach_code_name(problem.code), problem.reason);
	if (!reason)
		return;
	assert_true(r > 0);
	assert_problem(&problem, code, reason);
}

static void assert_given(struct fake_host *fake, const char *gpu, const char *audio)
{
	assert_string_equal(fake_driver(fake, GPU), gpu);
	assert_string_equal(fake_driver(fake, AUDIO), audio);
	assert_string_equal(fake_override(fake, GPU), "");
	assert_string_equal(fake_override(fake, AUDIO), "");
}

static void test_to_named_drivers(void **state)
{
	struct fake_host *fake = *state;
	struct unit unit = bound_unit(fake);
	/* Another driver for the same device, which the kernel would not choose by itself. */
	fake_write(fake, "sys/bus/pci/drivers/nvidia/new_id", "");
	give(fake, &unit, "nvidia", "snd_hda_intel", 0, NULL);
	assert_given(fake, "nvidia", "snd_hda_intel");
	buf_clear(&fake->writes);
	give(fake, &unit, "nvidia", "snd_hda_intel", 0, NULL);
	assert_given(fake, "nvidia", "snd_hda_intel");
	assert_null(strstr(fake->writes.data, "unbind"));
}

static void test_to_none_and_any(void **state)
{
	struct fake_host *fake = *state;
	struct unit unit = bound_unit(fake);
	give(fake, &unit, "?", "", 0, NULL);
	assert_given(fake, "nouveau", "");
	/* Again, also after the override was left behind by a step that was killed. */
	fake_attribute(fake, AUDIO, "driver_override", "vfio-pci\n");
	give(fake, &unit, "?", "", 0, NULL);
	assert_given(fake, "nouveau", "");
}

static void test_stays_on_vfio(void **state)
{
	struct fake_host *fake = *state;
	struct unit unit = bound_unit(fake);
	give(fake, &unit, "vfio-pci", "vfio-pci", 0, NULL);
	assert_given(fake, "vfio-pci", "vfio-pci");
}

static void test_driver_is_not_there_any_more(void **state)
{
	struct fake_host *fake = *state;
	struct unit unit = bound_unit(fake);
	fake_remove(fake, "sys/bus/pci/drivers/nouveau");
	give(fake, &unit, "nouveau", "snd_hda_intel", ATTACH_DRIVER_NOT_RESTORED,
	     GPU " did not get driver nouveau but none: the kernel took the write, and nothing "
		 "happened");
	assert_given(fake, "", "snd_hda_intel");
}

static void test_vfio_does_not_let_go(void **state)
{
	struct fake_host *fake = *state;
	struct unit unit = bound_unit(fake);
	fake_fault(fake, GPU "/driver/unbind", FAKE_ERROR, EBUSY, 0);
	give(fake, &unit, "nouveau", "snd_hda_intel", ATTACH_DRIVER_NOT_RESTORED,
	     "driver vfio-pci did not let go of " GPU ": Device or resource busy");
	assert_given(fake, "vfio-pci", "snd_hda_intel");
}

static void test_the_first_of_two_problems_is_told(void **state)
{
	struct fake_host *fake = *state;
	struct unit unit = bound_unit(fake);
	fake_fault(fake, GPU "/driver/unbind", FAKE_ERROR, EBUSY, 0);
	fake_fault(fake, AUDIO "/driver/unbind", FAKE_ERROR, EIO, 0);
	give(fake, &unit, "nouveau", "snd_hda_intel", ATTACH_DRIVER_NOT_RESTORED,
	     "driver vfio-pci did not let go of " GPU ": Device or resource busy");
}

static void test_another_driver_has_come_between(void **state)
{
	struct fake_host *fake = *state;
	struct unit unit = bound_unit(fake);
	fake_bind(fake, GPU, "nvidia");
	give(fake, &unit, "nouveau", "snd_hda_intel", ATTACH_DRIVER_NOT_RESTORED,
	     GPU " has driver nvidia now, not nouveau");
	assert_given(fake, "nvidia", "snd_hda_intel");
}

static void test_override_stays(void **state)
{
	struct fake_host *fake = *state;
	struct unit unit = bound_unit(fake);
	fake_fault(fake, GPU "/driver_override", FAKE_IGNORE, 0, 1);
	give(fake, &unit, "nouveau", "snd_hda_intel", ATTACH_DRIVER_NOT_RESTORED,
	     "driver_override of " GPU
	     " cannot be cleared: the kernel took the write, and nothing happened");
}

static void test_gone_while_given_back(void **state)
{
	struct fake_host *fake = *state;
	struct unit unit = bound_unit(fake);
	fake_fault(fake, GPU "/driver/unbind", FAKE_VANISH, 0, 0);
	give(fake, &unit, "nouveau", "snd_hda_intel", ATTACH_DEVICE_GONE,
	     GPU " has vanished from the PCI bus");
	assert_string_equal(fake_driver(fake, AUDIO), "snd_hda_intel");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fake_host_setup, fake_host_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_each_function_by_itself),
		TEST(test_together),
		TEST(test_no_reset_at_all),
		TEST(test_reset_that_the_kernel_refuses),
		TEST(test_reset_fails),
		TEST(test_config_reads_as_nonsense),
		TEST(test_device_vanishes_in_its_reset),
		TEST(test_somebody_still_has_it),
		TEST(test_somebody_hidden_still_has_it),
		TEST(test_taken_from_its_driver_again),
		TEST(test_to_named_drivers),
		TEST(test_to_none_and_any),
		TEST(test_stays_on_vfio),
		TEST(test_driver_is_not_there_any_more),
		TEST(test_vfio_does_not_let_go),
		TEST(test_the_first_of_two_problems_is_told),
		TEST(test_another_driver_has_come_between),
		TEST(test_override_stays),
		TEST(test_gone_while_given_back),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
