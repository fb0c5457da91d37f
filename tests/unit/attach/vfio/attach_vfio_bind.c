#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "fake_host.h"

static void assert_bound(struct fake_host *fake, const struct unit *unit)
{
	struct vfio_problem problem;
	if (vfio_bind(&fake->host, unit, &problem))
		fail_msg("%s: %s", attach_code_name(problem.code), problem.reason);
	assert_string_equal(fake_driver(fake, GPU), "vfio-pci");
	assert_string_equal(fake_driver(fake, AUDIO), "vfio-pci");
}

/* It fails as expected, and everything is as it was. */
static void assert_fails(struct fake_host *fake, const struct unit *unit, enum attach_code code,
			 const char *reason)
{
	struct vfio_problem problem;
	assert_true(vfio_bind(&fake->host, unit, &problem) > 0);
	assert_problem(&problem, code, reason);
	assert_false(problem.not_put_back);
	assert_string_equal(fake_driver(fake, GPU), "nouveau");
	assert_string_equal(fake_driver(fake, AUDIO), "snd_hda_intel");
	assert_string_equal(fake_override(fake, GPU), "");
	assert_string_equal(fake_override(fake, AUDIO), "");
}

static void test_every_function_is_bound(void **state)
{
	struct fake_host *fake = *state;
	struct unit unit = fake_gpu_unit(fake);
	assert_bound(fake, &unit);
	assert_string_equal(fake->writes.data,
			    GPU " driver_override=vfio-pci\n" GPU " unbind=" GPU "\n" GPU
				" drivers_probe=" GPU "\n" AUDIO " driver_override=vfio-pci\n" AUDIO
				" unbind=" AUDIO "\n" AUDIO " drivers_probe=" AUDIO "\n");
	assert_int_equal(fake->loaded.len, 0);
}

static void test_what_is_bound_stays(void **state)
{
	struct fake_host *fake = *state;
	struct unit unit = fake_gpu_unit(fake);
	fake_bind(fake, GPU, "vfio-pci");
	fake_bind(fake, AUDIO, "");
	assert_bound(fake, &unit);
	assert_null(strstr(fake->writes.data, GPU));
	buf_clear(&fake->writes);
	assert_bound(fake, &unit);
	assert_int_equal(fake->writes.len, 0);
}

static void test_prechecks_come_first(void **state)
{
	struct fake_host *fake = *state;
	struct unit unit = fake_gpu_unit(fake);
	fake_attribute(fake, GPU, "sriov_numvfs", "2\n");
	struct vfio_problem problem;
	assert_true(vfio_bind(&fake->host, &unit, &problem) > 0);
	assert_int_equal(problem.code, ATTACH_HAS_VIRTUAL_FUNCTIONS);
	assert_int_equal(fake->writes.len, 0);
}

static void test_vfio_is_loaded_when_missing(void **state)
{
	struct fake_host *fake = *state;
	struct unit unit = fake_gpu_unit(fake);
	fake_remove(fake, "sys/bus/pci/drivers/vfio-pci");
	assert_fails(fake, &unit, ATTACH_NO_VFIO_DRIVER,
		     "the kernel has no driver vfio-pci, and modprobe vfio-pci does not bring it");
	fake->modprobe_works = true;
	assert_bound(fake, &unit);
	assert_string_equal(fake->loaded.data,
			    "vfio_iommu_type1 vfio-pci vfio_iommu_type1 vfio-pci ");
}

/* ---- writes that fail, and writes that do nothing ------------------------------------------ */

static void test_override_refused(void **state)
{
	struct fake_host *fake = *state;
	struct unit unit = fake_gpu_unit(fake);
	fake_fault(fake, AUDIO "/driver_override", FAKE_ERROR, ENOSPC, 0);
	struct vfio_problem problem;
	assert_true(vfio_bind(&fake->host, &unit, &problem) > 0);
	assert_int_equal(problem.code, ATTACH_BIND_FAILED);
	/* Not cleared, because it cannot be written; but it is clear. */
	assert_fails(fake, &unit, ATTACH_BIND_FAILED,
		     "driver_override of " AUDIO " cannot be set to vfio-pci: No space left on "
		     "device");
}

static void test_override_ignored(void **state)
{
	struct fake_host *fake = *state;
	struct unit unit = fake_gpu_unit(fake);
	fake_fault(fake, GPU "/driver_override", FAKE_IGNORE, 0, 0);
	assert_fails(fake, &unit, ATTACH_BIND_FAILED,
		     "driver_override of " GPU " cannot be set to vfio-pci: the kernel took the "
		     "write, and nothing happened");
}

static void test_unbind_refused(void **state)
{
	struct fake_host *fake = *state;
	struct unit unit = fake_gpu_unit(fake);
	fake_fault(fake, AUDIO "/driver/unbind", FAKE_ERROR, EBUSY, 0);
	assert_fails(fake, &unit, ATTACH_BIND_FAILED,
		     "driver snd_hda_intel did not let go of " AUDIO ": Device or resource busy");
}

/* drivers_probe would then do nothing, too: another driver still owns it. */
static void test_unbind_ignored(void **state)
{
	struct fake_host *fake = *state;
	struct unit unit = fake_gpu_unit(fake);
	fake_fault(fake, GPU "/driver/unbind", FAKE_IGNORE, 0, 0);
	assert_fails(fake, &unit, ATTACH_BIND_FAILED,
		     "driver nouveau did not let go of " GPU
		     ": the kernel took the write, and nothing happened");
}

/* A probe that fails in the driver: success for the writer, and no driver. The first probe of the second
 * function goes wrong; those that put back go well. */
static void test_probe_ignored(void **state)
{
	struct fake_host *fake = *state;
	struct unit unit = fake_gpu_unit(fake);
	fake_write(fake, "sys/bus/pci/drivers/vfio-pci/new_id", "");
	fake_fault(fake, "/drivers_probe", FAKE_IGNORE, 0, 1);
	struct vfio_problem problem;
	assert_true(vfio_bind(&fake->host, &unit, &problem) > 0);
	assert_int_equal(problem.code, ATTACH_BIND_FAILED);
	assert_non_null(strstr(problem.reason,
			       AUDIO " did not get driver vfio-pci but none: the kernel took the "
				     "write, and nothing happened"));
	/* No probe works any more, so it cannot be put back, and that is said. */
	assert_true(problem.not_put_back);
	assert_non_null(strstr(problem.reason, "; not put back: " AUDIO));
	assert_string_equal(fake_driver(fake, GPU), "");
	assert_string_equal(fake_override(fake, GPU), "");
	assert_string_equal(fake_override(fake, AUDIO), "");
}

static void test_probe_refused(void **state)
{
	struct fake_host *fake = *state;
	struct unit unit = fake_gpu_unit(fake);
	fake_fault(fake, "/drivers_probe", FAKE_ERROR, EINVAL, 0);
	struct vfio_problem problem;
	assert_true(vfio_bind(&fake->host, &unit, &problem) > 0);
	assert_non_null(strstr(problem.reason, GPU " did not get driver vfio-pci but none: Invalid "
						   "argument; not put back: "));
}

/* ---- putting back -------------------------------------------------------------------------- */

static void test_the_last_is_put_back_first(void **state)
{
	struct fake_host *fake = *state;
	struct unit unit = fake_gpu_unit(fake);
	fake_attribute(fake, GPU, "driver_override", "nouveau\n"); /* as driverctl does it */
	fake_fault(fake, AUDIO "/driver/unbind", FAKE_ERROR, EIO, 0);
	struct vfio_problem problem;
	assert_true(vfio_bind(&fake->host, &unit, &problem) > 0);
	assert_false(problem.not_put_back);
	assert_string_equal(fake_driver(fake, GPU), "nouveau");
	assert_string_equal(fake_override(fake, GPU), "nouveau");
	const char *audio = strstr(fake->writes.data, AUDIO " driver_override=\n");
	const char *gpu = strstr(fake->writes.data, GPU " driver_override=nouveau\n");
	assert_true(audio && gpu && audio < gpu);
}

static void test_what_was_on_vfio_is_not_put_back(void **state)
{
	struct fake_host *fake = *state;
	struct unit unit = fake_gpu_unit(fake);
	fake_bind(fake, GPU, "vfio-pci");
	fake_fault(fake, AUDIO "/driver/unbind", FAKE_ERROR, EIO, 0);
	struct vfio_problem problem;
	assert_true(vfio_bind(&fake->host, &unit, &problem) > 0);
	assert_string_equal(fake_driver(fake, GPU), "vfio-pci");
	assert_null(strstr(fake->writes.data, GPU));
}

static void test_device_vanishes(void **state)
{
	static const char *const moments[] = { GPU "/driver_override", GPU "/driver/unbind",
					       "/drivers_probe" };
	struct fake_host *fake = *state;
	struct unit unit = fake_gpu_unit(fake);
	for (size_t i = 0; i < sizeof(moments) / sizeof(*moments); i++) {
		if (i)
			fake_function(fake, GPU, "nouveau", 7);
		fake->n_faults = 0;
		fake_fault(fake, moments[i], FAKE_VANISH, 0, 0);
		struct vfio_problem problem;
		assert_true(vfio_bind(&fake->host, &unit, &problem) > 0);
		assert_int_equal(problem.code, ATTACH_DEVICE_GONE);
		assert_false(problem.not_put_back);
		assert_string_equal(fake_driver(fake, AUDIO), "snd_hda_intel");
	}
}

static void test_look(void **state)
{
	struct fake_host *fake = *state;
	struct unit unit = fake_gpu_unit(fake);
	struct unit_facts facts;
	fake_bind(fake, AUDIO, "");
	vfio_look(&fake->host, &unit, &facts);
	assert_int_equal(facts.n, 2);
	assert_true(facts.functions[0].present);
	assert_string_equal(facts.functions[0].driver, "nouveau");
	assert_true(facts.functions[1].present);
	assert_string_equal(facts.functions[1].driver, "");
	fake_remove(fake, "sys/bus/pci/devices/" AUDIO);
	vfio_look(&fake->host, &unit, &facts);
	assert_false(facts.functions[1].present);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fake_host_setup, fake_host_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_every_function_is_bound),
		TEST(test_what_is_bound_stays),
		TEST(test_prechecks_come_first),
		TEST(test_vfio_is_loaded_when_missing),
		TEST(test_override_refused),
		TEST(test_override_ignored),
		TEST(test_unbind_refused),
		TEST(test_unbind_ignored),
		TEST(test_probe_ignored),
		TEST(test_probe_refused),
		TEST(test_the_last_is_put_back_first),
		TEST(test_what_was_on_vfio_is_not_put_back),
		TEST(test_device_vanishes),
		TEST(test_look),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
