/*
 * What doctor says: of recorded hosts word for word (tests/data/doctor), of others line by line.
 */
#include "fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "cli/doctor.h"

/* ---- from a tree to text ----------------------------------------------------------------------- */

static struct doctor_place place_of(struct fixture *fixture, const char *sysfs)
{
	struct arena *arena = &fixture->arena;
	return (struct doctor_place){
		.sysfs_dir = sysfs,
		.proc_dir = arena_printf(arena, "%s/../proc", sysfs),
		.modules_dir = arena_printf(arena, "%s/../lib/modules", sysfs),
	};
}

static const char *diagnose(struct fixture *fixture, const char *sysfs, const char *drivers,
			    bool *ret_stop)
{
	struct pci_scan_options options = fixture_options(fixture, sysfs);
	struct doctor_place place = place_of(fixture, sysfs);
	struct doctor_facts facts;
	struct findings findings;
	struct pci_scan scan;
	struct buf text = { 0 };
	const char *error = NULL;

	options.passthrough_drivers = drivers;
	if (pci_scan(&options, &fixture->arena, &scan, &error))
		fail_msg("%s", error ? error : "no reader");
	doctor_read_facts(&place, &scan, &fixture->arena, &facts);
	findings_init(&findings, &fixture->arena);
	doctor_look_at_host(&facts, &findings);
	doctor_look_at_gpus(&options, &scan, &facts, &findings);
	findings_print(&findings, &text);
	*ret_stop = findings_stop(&findings);
	const char *copy = arena_strdup(&fixture->arena, text.data);
	buf_deinit(&text);
	findings_deinit(&findings);
	return copy;
}

/* With its directories. */
static void put_file(struct fixture *fixture, const char *dir, const char *name, const char *text)
{
	char *path = arena_printf(&fixture->arena, "%s/%s", dir, name);
	for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		(void)mkdir(path, 0755);
		*slash = '/';
	}
	FILE *file = fopen(path, "we");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

static void assert_says(const char *text, const char *line)
{
	if (!strstr(text, line))
		fail_msg("it does not say\n%s\nbut\n%s", line, text);
}

static void assert_silent(const char *text, const char *part)
{
	if (strstr(text, part))
		fail_msg("it says \"%s\":\n%s", part, text);
}

/* ---- recorded hosts ---------------------------------------------------------------------------- */

static void expect_golden(struct fixture *fixture, const char *host, bool stops)
{
	char golden[32768] = "";
	const char *path =
		arena_printf(&fixture->arena, "%s/doctor/%s.txt", getenv("TEST_DATA"), host);
	FILE *file = fopen(path, "re");
	if (file) {
		golden[fread(golden, 1, sizeof(golden) - 1, file)] = '\0';
		fclose(file);
	}
	bool stop;
	const char *text = diagnose(fixture, fixture_recorded(fixture, host), NULL, &stop);
	if (strcmp(text, golden) != 0)
		fail_msg("%s is not what it says now:\n%s", path, text);
	assert_int_equal(stop, stops);
}

static void laptop_with_one_gpu_in_use(void **state)
{
	expect_golden(*state, "ghw-intel-i7-1270p", true);
}

static void vm_with_a_tesla_and_no_iommu(void **state)
{
	expect_golden(*state, "ghw-nvidia-tesla-p100", true);
}

static void server_with_a_management_display(void **state)
{
	expect_golden(*state, "hwloc-40intel64-pcilocality", true);
}

static void power9_of_which_little_was_recorded(void **state)
{
	expect_golden(*state, "hwloc-nvidiagpunumanodes", true);
}

static void emulated_host_with_one_gpu_ready(void **state)
{
	expect_golden(*state, "qemu-gpu-topology", false);
}

/* ---- described hosts --------------------------------------------------------------------------- */

static void host_where_all_is_well(void **state)
{
	struct fixture *fixture = *state;
	const char *sysfs = fixture_describe(
		fixture, "gpu 10de:1bb3 count=2 audio driver=vfio-pci slot=01:00\n");
	const char *proc = place_of(fixture, sysfs).proc_dir;
	put_file(fixture, proc, "cpuinfo",
		 "processor\t: 0\nvendor_id\t: AuthenticAMD\nflags\t\t: fpu vme svm lm\n");
	put_file(fixture, proc, "sys/kernel/osrelease", "6.1.0-18-amd64\n");
	put_file(fixture, sysfs, "../lib/modules/6.1.0-18-amd64/modules.dep",
		 "kernel/drivers/net/igb.ko: kernel/drivers/vfio/vfio_iommu_type1.ko\n"
		 "kernel/drivers/vfio/vfio_iommu_type1.ko.zst: kernel/drivers/vfio/vfio.ko.zst\n");
	put_file(fixture, fixture_path(sysfs, "0000:02:00.0", "."), "reset_method", "flr bus\n");
	bool stop;
	const char *text = diagnose(fixture, sysfs, NULL, &stop);
	assert_string_equal(text,
			    "ok    the CPU virtualizes (AMD-V)\n"
			    "ok    the IOMMU is on\n"
			    "ok    the IOMMU remaps interrupts\n"
			    "ok    the kernel has vfio-pci\n"
			    "ok    vfio_iommu_type1 is not loaded, and will be when it is needed\n"
			    "ok    0000:01:00.0 GP104GL [Tesla P4]: ready, with 0000:01:00.1; on "
			    "vfio-pci\n"
			    "ok    0000:02:00.0 GP104GL [Tesla P4]: ready, with 0000:02:00.1; on "
			    "vfio-pci\n"
			    "ok    2 GPUs ready for VMs, 0 not\n");
	assert_false(stop);
}

/* Without a reset of their own: the bus can be reset when nobody but the GPU and what goes along is on it. */
static void gpus_that_cannot_be_reset_by_themselves(void **state)
{
	struct fixture *fixture = *state;
	static const char says[] = "the kernel knows no way to reset";
	const char *sysfs = fixture_describe(fixture, "gpu 10de:1bb3 audio slot=01:00\n"
						      "gpu 10de:1bb3 audio slot=02:00\n"
						      "device 8086:1533 class=020000 slot=02:01\n");
	put_file(fixture, fixture_path(sysfs, "0000:01:00.0", "."), "resource", "");
	bool stop;
	assert_silent(diagnose(fixture, sysfs, NULL, &stop), says);
	put_file(fixture, fixture_path(sysfs, "0000:02:00.0", "."), "resource", "");
	assert_says(diagnose(fixture, sysfs, NULL, &stop),
		    "warn  0000:02:00.0 GP104GL [Tesla P4]: the kernel knows no way to reset");
}

static void gpus_on_drivers_of_the_host(void **state)
{
	struct fixture *fixture = *state;
	const char *sysfs =
		fixture_describe(fixture, "gpu 10de:1bb3 audio driver=nouveau "
					  "companion-driver=snd_hda_intel slot=01:00\n");
	bool stop;
	const char *text = diagnose(fixture, sysfs, NULL, &stop);
	assert_says(text, "stop  0000:01:00.0 GP104GL [Tesla P4]: driver nouveau holds it");
	assert_says(text, "the line \"blacklist nouveau\" in /etc/modprobe.d/gpubus.conf\n");
	assert_says(text, "warn  0000:01:00.0 GP104GL [Tesla P4]: 0000:01:00.1 goes along with it, "
			  "and the host uses that with driver snd_hda_intel");
	assert_true(stop);

	text = diagnose(fixture, sysfs, "nouveau", &stop);
	assert_says(text, "ok    0000:01:00.0 GP104GL [Tesla P4]: ready, with 0000:01:00.1; the "
			  "agent takes it from nouveau\n");
	assert_false(stop);

	/* A driver that the kernel knows as a module of another name. */
	put_file(fixture, sysfs, "module/nvidia_vendor/x", "");
	assert_int_equal(
		symlink("../../../../module/nouveau_next",
			arena_printf(&fixture->arena, "%s/bus/pci/drivers/nouveau/module", sysfs)),
		0);
	assert_says(diagnose(fixture, sysfs, NULL, &stop), "\"blacklist nouveau_next\"");
}

static void one_that_is_not_to_be_had_stops_nothing(void **state)
{
	struct fixture *fixture = *state;
	bool stop;
	const char *text =
		diagnose(fixture,
			 fixture_describe(fixture, "gpu 10de:1bb3 driver=vfio-pci slot=01:00\n"
						   "gpu 1a03:2000 driver=ast boot-vga slot=02:00\n"
						   "gpu 8086:56c0 vfs=2 slot=9a:00\n"),
			 NULL, &stop);
	assert_false(stop);
	assert_says(text, "warn  0000:02:00.0 ASPEED Graphics Family: the host's console is on it");
	assert_says(text,
		    "warn  0000:9a:00.0 Data Center GPU Flex 170: it is divided into virtual");
	assert_says(text, "ok    3 GPUs ready for VMs, 2 not\n");
	assert_silent(text, "blacklist"); /* the console needs its driver */
}

static void host_without_gpus(void **state)
{
	bool stop;
	const char *sysfs = fixture_describe(*state, "device 8086:1521 class=020000\n");
	assert_says(diagnose(*state, sysfs, NULL, &stop),
		    "stop  there is no GPU: none of the 3 PCI functions");
	assert_true(stop);
}

static void facts_are_read_as_they_stand(void **state)
{
	struct fixture *fixture = *state;
	const char *sysfs = fixture_describe(fixture, "gpu 10de:1bb3\n");
	struct doctor_place place = place_of(fixture, sysfs);
	struct pci_scan scan = fixture_scan(fixture, sysfs);
	struct doctor_facts facts;

	doctor_read_facts(&place, &scan, &fixture->arena, &facts);
	assert_int_equal(facts.cpu_virtualization, ABSENT);
	assert_int_equal(facts.acpi_dmar, ABSENT);
	assert_null(facts.kernel_arguments);
	assert_int_equal(facts.vfio_iommu_type1, MODULE_UNKNOWN);
	assert_int_equal(facts.unsafe_interrupts, ABSENT);

	put_file(fixture, place.proc_dir, "cpuinfo",
		 "vendor_id\t: GenuineIntel\nflags\t\t: fpu xsvm vmxoff hypervisor\n");
	put_file(fixture, place.proc_dir, "cmdline", "quiet intel_iommu=on\n");
	put_file(fixture, place.proc_dir, "sys/kernel/osrelease", "6.1\n");
	put_file(fixture, sysfs, "firmware/acpi/tables/DSDT", "");
	put_file(fixture, sysfs, "firmware/acpi/tables/DMAR", "");
	put_file(fixture, sysfs, "module/vfio_iommu_type1/parameters/allow_unsafe_interrupts",
		 "Y\n");
	doctor_read_facts(&place, &scan, &fixture->arena, &facts);
	assert_int_equal(facts.cpu, CPU_INTEL);
	assert_int_equal(facts.cpu_virtualization, 0);
	assert_true(facts.is_vm);
	assert_int_equal(facts.acpi_dmar, 1);
	assert_int_equal(facts.acpi_ivrs, 0);
	assert_string_equal(facts.kernel_arguments, "quiet intel_iommu=on");
	assert_string_equal(facts.kernel_release, "6.1");
	assert_int_equal(facts.vfio_iommu_type1, MODULE_LOADED);
	assert_int_equal(facts.unsafe_interrupts, 1);
}

static void modules_are_loaded_or_loadable_or_missing(void **state)
{
	struct fixture *fixture = *state;
	const char *sysfs = fixture_host(fixture, "h", "host h vfio=off\ngpu 10de:1bb3\n");
	struct doctor_place place = place_of(fixture, sysfs);
	struct pci_scan scan = fixture_scan(fixture, sysfs);
	struct doctor_facts facts;

	put_file(fixture, place.proc_dir, "sys/kernel/osrelease", "6.1\n");
	doctor_read_facts(&place, &scan, &fixture->arena, &facts);
	assert_int_equal(facts.vfio_pci, MODULE_UNKNOWN);
	place.is_this_machine = true;
	doctor_read_facts(&place, &scan, &fixture->arena, &facts);
	assert_int_equal(facts.vfio_pci, MODULE_NO_LIST);

	put_file(fixture, place.modules_dir, "6.1/modules.dep",
		 "kernel/drivers/vfio/pci/vfio-pci-core.ko: kernel/drivers/vfio/pci/vfio-pci.ko\n");
	doctor_read_facts(&place, &scan, &fixture->arena, &facts);
	assert_int_equal(facts.vfio_pci, MODULE_MISSING);

	put_file(fixture, place.modules_dir, "6.1/modules.dep",
		 "kernel/drivers/vfio/pci/vfio-pci.ko.xz:\n");
	put_file(fixture, place.modules_dir, "6.1/modules.builtin",
		 "kernel/drivers/vfio/vfio_iommu_type1.ko\n");
	doctor_read_facts(&place, &scan, &fixture->arena, &facts);
	assert_int_equal(facts.vfio_pci, MODULE_LOADABLE);
	assert_int_equal(facts.vfio_iommu_type1, MODULE_LOADED);
}

/* ---- facts made by hand ------------------------------------------------------------------------ */

static const struct doctor_facts well = {
	.preflight = { .iommu = 1, .interrupt_remapping = 1, .vfio = 1 },
	.cpu = CPU_INTEL,
	.cpu_virtualization = 1,
	.acpi_dmar = 1,
	.kernel_arguments = "quiet intel_iommu=on",
	.kernel_release = "6.1",
	.vfio_pci = MODULE_LOADED,
	.vfio_iommu_type1 = MODULE_LOADED,
	.unsafe_interrupts = ABSENT,
};

static void expect(struct fixture *fixture, struct doctor_facts facts, bool stops, const char *line)
{
	struct findings findings;
	struct buf text = { 0 };
	findings_init(&findings, &fixture->arena);
	doctor_look_at_host(&facts, &findings);
	findings_print(&findings, &text);
	assert_says(text.data, line);
	assert_int_equal(findings_stop(&findings), stops);
	buf_deinit(&text);
	findings_deinit(&findings);
}

static void what_to_change_in_firmware_and_kernel(void **state)
{
	struct doctor_facts facts = well;
	expect(*state, facts, false, "ok    the IOMMU remaps interrupts\n");

	facts.cpu_virtualization = 0;
	expect(*state, facts, true,
	       "stop  the CPU does not virtualize: switch on Intel Virtualization");
	facts.is_vm = true;
	expect(*state, facts, true, "stop  this machine is a VM itself");

	facts = well;
	facts.preflight.iommu = 0;
	facts.preflight.interrupt_remapping = 0;
	facts.kernel_arguments = "quiet";
	expect(*state, facts, true, "boot with the kernel argument intel_iommu=on\n");
	facts.kernel_arguments = "quiet intel_iommu=on iommu=off";
	expect(*state, facts, true, "remove iommu=off from the kernel's arguments\n");
	facts.kernel_arguments = "quiet intel_iommu=on";
	expect(*state, facts, true, "`dmesg | grep -i -e dmar -e amd-vi` says why\n");
	facts.acpi_dmar = 0;
	expect(*state, facts, true,
	       "the firmware offers none (no ACPI table DMAR or IVRS): switch on VT-d");
	facts.is_vm = true;
	expect(*state, facts, true, "-device intel-iommu,intremap=on");
	facts.acpi_dmar = facts.acpi_ivrs = ABSENT;
	expect(*state, facts, true, "stop  the IOMMU is off (no device has an IOMMU group)");

	facts = well;
	facts.cpu = CPU_AMD;
	facts.acpi_dmar = 0;
	facts.acpi_ivrs = 1;
	facts.preflight.iommu = 0;
	facts.kernel_arguments = "amd_iommu=off";
	expect(*state, facts, true, "remove amd_iommu=off from the kernel's arguments\n");
}

static void what_to_change_about_interrupts_and_modules(void **state)
{
	struct doctor_facts facts = well;
	facts.preflight.interrupt_remapping = 0;
	expect(*state, facts, true,
	       "stop  the IOMMU does not remap interrupts, so VFIO refuses it");
	facts.kernel_arguments = "intremap=off";
	expect(*state, facts, true, "remove intremap=off from the kernel's arguments\n");
	facts = well;
	facts.unsafe_interrupts = 1;
	expect(*state, facts, false, "warn  vfio_iommu_type1 has allow_unsafe_interrupts on");

	facts = well;
	facts.vfio_pci = MODULE_MISSING;
	expect(*state, facts, true, "stop  kernel 6.1 has no vfio-pci (CONFIG_VFIO_PCI)");
	facts.vfio_pci = MODULE_NO_LIST;
	expect(*state, facts, true,
	       "stop  vfio-pci is not loaded, and there is no /lib/modules/6.1");
	facts.vfio_pci = MODULE_LOADABLE;
	expect(*state, facts, false,
	       "ok    vfio-pci is not loaded, and will be when it is needed\n");
	facts.vfio_pci = MODULE_UNKNOWN;
	expect(*state, facts, false,
	       "warn  vfio-pci is not loaded; whether it can be is not known here\n");
}

int main(int argc, char **argv)
{
	int status;
	if (fixture_is_reader(argc, argv, &status))
		return status;
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
	const struct CMUnitTest tests[] = {
		TEST(laptop_with_one_gpu_in_use),
		TEST(vm_with_a_tesla_and_no_iommu),
		TEST(server_with_a_management_display),
		TEST(power9_of_which_little_was_recorded),
		TEST(emulated_host_with_one_gpu_ready),
		TEST(host_where_all_is_well),
		TEST(gpus_that_cannot_be_reset_by_themselves),
		TEST(gpus_on_drivers_of_the_host),
		TEST(one_that_is_not_to_be_had_stops_nothing),
		TEST(host_without_gpus),
		TEST(facts_are_read_as_they_stand),
		TEST(modules_are_loaded_or_loadable_or_missing),
		TEST(what_to_change_in_firmware_and_kernel),
		TEST(what_to_change_about_interrupts_and_modules),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
