#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "attach/vfio/nodes.h"
#include "base/memory.h"
#include "fake_host.h"

#define GRAPHICS "sys/bus/pci/devices/" GPU "/"

static void assert_passes(struct fake_host *fake, const struct unit *unit)
{
	struct vfio_problem problem;
	int r = vfio_precheck(&fake->host, unit, &problem);
	if (r)
		fail_msg("%s: %s", attach_code_name(problem.code), problem.reason);
}

static void assert_fails(struct fake_host *fake, const struct unit *unit, enum attach_code code,
			 const char *reason)
{
	struct vfio_problem problem;
	assert_true(vfio_precheck(&fake->host, unit, &problem) > 0);
	assert_problem(&problem, code, reason);
	assert_int_equal(fake->writes.len, 0);
}

static void test_nothing_stands_in_the_way(void **state)
{
	struct fake_host *fake = *state;
	struct unit unit = fake_gpu_unit(fake);
	assert_passes(fake, &unit);
}

static void test_device_gone(void **state)
{
	struct fake_host *fake = *state;
	struct unit unit = fake_gpu_unit(fake);
	fake_remove(fake, "sys/bus/pci/devices/" AUDIO);
	assert_fails(fake, &unit, ATTACH_DEVICE_GONE, AUDIO " is not on the PCI bus");
}

static void test_no_unit(void **state)
{
	struct fake_host *fake = *state;
	fake_function(fake, GPU, "nouveau", 7);
	fake_function(fake, "0000:02:00.0", "nouveau", 8);
	fake_function(fake, "0000:00:1c.0", "pcieport", 7);
	fake_attribute(fake, "0000:00:1c.0", "class", "0x060400\n");
	const enum attach_code code = ATTACH_INVALID_ASSIGNMENT;

	struct unit two_gpus = fake_unit_of(GPU, "0000:02:00.0");
	assert_fails(fake, &two_gpus, code,
		     "0000:02:00.0 is neither in the slot nor in the IOMMU group of " GPU);
	struct unit twice = fake_unit_of(GPU, GPU);
	assert_fails(fake, &twice, code, GPU " is named twice");
	struct unit with_bridge = fake_unit_of(GPU, "0000:00:1c.0");
	assert_fails(fake, &with_bridge, code, "0000:00:1c.0 is a bridge");
	struct unit none = { 0 };
	assert_fails(fake, &none, code, "a unit has 1 to 64 functions, not 0");

	/* A card was added, and the addresses have moved. */
	fake_attribute(fake, GPU, "class", "0x010802\n");
	struct unit disk = fake_unit_of(GPU, NULL);
	assert_fails(fake, &disk, code,
		     GPU " is no GPU but of class 010802: has the host's hardware changed?");
}

static void test_companion_with_a_group_of_its_own(void **state)
{
	struct fake_host *fake = *state;
	fake_function(fake, GPU, "nouveau", 7);
	fake_function(fake, AUDIO, "snd_hda_intel", 8);
	struct unit unit = fake_unit_of(GPU, AUDIO);
	assert_passes(fake, &unit);
}

static void test_no_iommu(void **state)
{
	struct fake_host *fake = *state;
	fake_function(fake, GPU, "nouveau", -1);
	struct unit unit = fake_unit_of(GPU, NULL);
	assert_fails(fake, &unit, ATTACH_NO_IOMMU,
		     GPU " has no IOMMU group: switch on VT-d or AMD-Vi (SMMU on Arm) in the "
			 "firmware, and on Intel boot with intel_iommu=on");
}

static void test_no_iommu_mode_of_vfio(void **state)
{
	struct fake_host *fake = *state;
	struct unit unit = fake_gpu_unit(fake);
	struct vfio_problem problem;
	fake_write(fake, "sys/kernel/iommu_groups/7/name", "vfio-noiommu\n");
	assert_true(vfio_precheck(&fake->host, &unit, &problem) > 0);
	assert_int_equal(problem.code, ATTACH_NO_IOMMU);
}

static void test_no_interrupt_remapping(void **state)
{
	struct fake_host *fake = *state;
	struct unit unit = fake_gpu_unit(fake);
	fake_write(fake, "proc/interrupts", "  1:  9  0   IO-APIC   1-edge  i8042\n");
	assert_fails(fake, &unit, ATTACH_NO_INTERRUPT_REMAPPING,
		     "the IOMMU does not remap interrupts, so a VM could forge them: switch it on "
		     "in the firmware and do not boot with intremap=off");

	const char *parameter = "sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts";
	fake_write(fake, parameter, "N\n");
	struct vfio_problem problem;
	assert_true(vfio_precheck(&fake->host, &unit, &problem) > 0);
	fake_write(fake, parameter, "Y\n");
	assert_passes(fake, &unit);

	fake_write(fake, parameter, "N\n");
	fake->host.allow_no_interrupt_remapping = true;
	assert_passes(fake, &unit);
}

static void test_virtual_functions(void **state)
{
	struct fake_host *fake = *state;
	struct unit unit = fake_gpu_unit(fake);
	fake_attribute(fake, GPU, "sriov_numvfs", "0\n");
	assert_passes(fake, &unit);
	fake_attribute(fake, GPU, "sriov_numvfs", "4\n");
	assert_fails(fake, &unit, ATTACH_HAS_VIRTUAL_FUNCTIONS,
		     GPU " is divided into 4 virtual functions: write 0 to its sriov_numvfs, or "
			 "give those to VMs");
}

static void test_boot_display(void **state)
{
	struct fake_host *fake = *state;
	struct unit unit = fake_gpu_unit(fake);
	fake_attribute(fake, GPU, "boot_vga", "1\n");
	assert_fails(fake, &unit, ATTACH_BOOT_DISPLAY,
		     GPU ": it is the host's boot display: make another GPU the primary display "
			 "in the firmware");
	/* Somebody has decided that the host does without it. */
	fake_bind(fake, GPU, "vfio-pci");
	assert_passes(fake, &unit);
}

static void test_console_on_the_framebuffer(void **state)
{
	struct fake_host *fake = *state;
	struct unit unit = fake_gpu_unit(fake);
	fake_write(fake, GRAPHICS "graphics/fb1/name", "nouveaudrmfb\n");
	fake_write(fake, "sys/class/graphics/fb1/name", "nouveaudrmfb\n");
	fake_write(fake, "sys/class/vtconsole/vtcon0/name", "(S) dummy device\n");
	fake_write(fake, "sys/class/vtconsole/vtcon0/bind", "1\n");
	fake_write(fake, "sys/class/vtconsole/vtcon1/name", "(M) frame buffer device\n");
	fake_write(fake, "sys/class/vtconsole/vtcon1/bind", "0\n");
	assert_passes(fake, &unit);
	fake_write(fake, "sys/class/vtconsole/vtcon1/bind", "1\n");
	assert_fails(fake, &unit, ATTACH_BOOT_DISPLAY,
		     GPU ": the host's console is on its framebuffer fb1: unbind the console (0 "
			 "to the bind file in /sys/class/vtconsole) or keep the driver off the "
			 "GPU");
	/* Another GPU's comes first, so the console is there. */
	fake_write(fake, "sys/class/graphics/fb0/name", "astdrmfb\n");
	assert_passes(fake, &unit);
}

static void test_in_use(void **state)
{
	struct fake_host *fake = *state;
	struct unit unit = fake_gpu_unit(fake);
	fake_node(fake, GRAPHICS + 4, "/dev/null"); /* a "dev" of the function itself is none */
	fake_node(fake, "bus/pci/devices/" GPU "/drm/card0", "/dev/null");
	fake_process(fake, 811, "bash", "/dev/zero", false);
	assert_passes(fake, &unit);
	fake_process(fake, 812, "Xorg", "/dev/null", false);
	assert_fails(fake, &unit, ATTACH_IN_USE, GPU " is open in Xorg (pid 812, card0)");
	fake_bind(fake, GPU, "vfio-pci");
	assert_passes(fake, &unit);
}

static void test_in_use_by_a_mapping(void **state)
{
	struct fake_host *fake = *state;
	struct unit unit = fake_gpu_unit(fake);
	fake_node(fake, "bus/pci/devices/" AUDIO "/sound/card1/controlC1", "/dev/full");
	fake_process(fake, 99, "pipe\xff\nwire", "/dev/full", true);
	assert_fails(fake, &unit, ATTACH_IN_USE,
		     AUDIO " is open in pipe\?\?wire (pid 99, controlC1)");
}

static void test_in_use_by_a_bar(void **state)
{
	struct fake_host *fake = *state;
	struct unit unit = fake_gpu_unit(fake);
	char bar[256];
	fake_attribute(fake, GPU, "resource0", "");
	snprintf(bar, sizeof(bar), "%s/bus/pci/devices/" GPU "/resource0", fake->sys);
	fake_process(fake, 5, "dpdk", bar, false);
	assert_fails(fake, &unit, ATTACH_IN_USE, GPU " is open in dpdk (pid 5, resource0)");
}

/* Its nodes are not in sysfs; no test can have one open where there is no such GPU. */
static void test_node_of_nvidia(void **state)
{
	struct fake_host *fake = *state;
	struct unit unit = fake_gpu_unit(fake);
	cleanup(freep) struct nodes *nodes = memory_zeroed(1, sizeof(*nodes));
	fake_write(fake, "proc/driver/nvidia/gpus/" GPU "/information",
		   "Model: \t\t Tesla P4\nDevice Minor: \t 3\n");
	nodes_add_function(nodes, &fake->host, unit.functions[0]);
	struct stat status = { .st_mode = S_IFCHR | 0666, .st_rdev = makedev(195, 3) };
	assert_string_equal(nodes_find(nodes, &status)->name, "nvidia3");
	status.st_rdev = makedev(195, 4);
	assert_null(nodes_find(nodes, &status));
	status = (struct stat){ .st_mode = S_IFBLK | 0666, .st_rdev = makedev(195, 3) };
	assert_null(nodes_find(nodes, &status));
}

static void test_in_use_by_many(void **state)
{
	struct fake_host *fake = *state;
	struct unit unit = fake_gpu_unit(fake);
	fake_node(fake, "bus/pci/devices/" GPU "/drm/renderD128", "/dev/null");
	for (int pid = 1; pid <= 9; pid++)
		fake_process(fake, pid, "ffmpeg", "/dev/null", false);
	struct vfio_problem problem;
	assert_true(vfio_precheck(&fake->host, &unit, &problem) > 0);
	assert_int_equal(problem.code, ATTACH_IN_USE);
	assert_non_null(strstr(problem.reason, "ffmpeg (pid "));
	assert_non_null(strstr(problem.reason, ") and 5 more"));
	size_t n_named = 0;
	for (const char *name = problem.reason; (name = strstr(name, "ffmpeg")); name++)
		n_named++;
	assert_int_equal(n_named, 4);
}

static void test_group_not_viable(void **state)
{
	struct fake_host *fake = *state;
	fake_function(fake, GPU, "nouveau", 7);
	fake_function(fake, AUDIO, "snd_hda_intel", 7);
	fake_function(fake, "0000:00:01.0", "pcieport", 7);
	fake_attribute(fake, "0000:00:01.0", "class", "0x060400\n");
	struct unit alone = fake_unit_of(GPU, NULL);
	assert_fails(fake, &alone, ATTACH_GROUP_NOT_VIABLE,
		     AUDIO " is in IOMMU group 7 too and has driver snd_hda_intel: a group goes to "
			   "one VM as a whole");
	static const char *const harmless[] = { "vfio-pci", "nvgrace-gpu-vfio-pci", "pci-stub",
						"" };
	for (size_t i = 0; i < sizeof(harmless) / sizeof(*harmless); i++) {
		fake_bind(fake, AUDIO, harmless[i]);
		assert_passes(fake, &alone);
	}
}

/* What is most fundamental is said first. */
static void test_order(void **state)
{
	struct fake_host *fake = *state;
	fake_function(fake, GPU, "nouveau", -1);
	struct unit unit = fake_unit_of(GPU, NULL);
	fake_attribute(fake, GPU, "boot_vga", "1\n");
	fake_attribute(fake, GPU, "sriov_numvfs", "4\n");
	fake_write(fake, "proc/interrupts", "IO-APIC\n");
	struct vfio_problem problem;
	assert_true(vfio_precheck(&fake->host, &unit, &problem) > 0);
	assert_int_equal(problem.code, ATTACH_NO_IOMMU);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fake_host_setup, fake_host_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_nothing_stands_in_the_way),
		TEST(test_device_gone),
		TEST(test_no_unit),
		TEST(test_companion_with_a_group_of_its_own),
		TEST(test_no_iommu),
		TEST(test_no_iommu_mode_of_vfio),
		TEST(test_no_interrupt_remapping),
		TEST(test_virtual_functions),
		TEST(test_boot_display),
		TEST(test_console_on_the_framebuffer),
		TEST(test_in_use),
		TEST(test_in_use_by_a_mapping),
		TEST(test_in_use_by_a_bar),
		TEST(test_node_of_nvidia),
		TEST(test_in_use_by_many),
		TEST(test_group_not_viable),
		TEST(test_order),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
