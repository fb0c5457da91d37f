/* Trees that are wrong: each way has its outcome, and the GPU beside the broken one is listed as ever. */

#include "fixture.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "model/gpu_state.h"
#include "pci/attribute.h"

#define BROKEN "0000:01:00.0"
#define WHOLE  "0000:02:00.0"

static const char *two_gpus(struct fixture *fixture)
{
	return fixture_describe(fixture,
				"gpu 10de:1bb3 driver=vfio-pci\ngpu 10de:1bb3 driver=vfio-pci\n");
}

/* BROKEN is UNREADABLE for this reason, WHOLE as ever. */
static struct pci_scan assert_unreadable(struct fixture *fixture, const char *sysfs,
					 const char *reason)
{
	struct pci_scan scan = fixture_scan(fixture, sysfs);
	assert_int_equal(scan.n_gpus, 2);
	const struct gpu_discovered *broken = fixture_gpu(&scan, BROKEN);
	assert_string_equal(broken->state, GPU_STATE_UNREADABLE);
	if (!strstr(broken->reason, reason))
		fail_msg("\"%s\" does not say \"%s\"", broken->reason, reason);
	assert_string_equal(fixture_gpu(&scan, WHOLE)->state, GPU_STATE_AVAILABLE);
	assert_string_equal(fixture_gpu(&scan, WHOLE)->model, "GP104GL [Tesla P4]");
	return scan;
}

static void required_files(void **state)
{
	struct fixture *fixture = *state;
	static const char *const files[] = { "vendor", "device", "class" };
	static const struct {
		const char *text, *reason;
	} wrong[] = {
		{ "", "is empty" },
		{ "\n", "is empty" },
		{ "garbage\n", "does not hold a number" },
		{ "0x\n", "does not hold a number" },
		{ "0x10de and more\n", "does not hold a number" },
		{ "-1\n", "does not hold a number" },
		{ "0xfffffffff\n", "does not hold a number" },
		{ "99999999999999999999\n", "does not hold a number" },
		{ "\xff\xfe\x01\n", "does not hold a number" },
	};
	const char *sysfs = two_gpus(fixture);
	for (size_t f = 0; f < sizeof(files) / sizeof(*files); f++) {
		for (size_t w = 0; w < sizeof(wrong) / sizeof(*wrong); w++) {
			fixture_put(sysfs, BROKEN, files[f], wrong[w].text);
			struct pci_scan scan = assert_unreadable(fixture, sysfs, wrong[w].reason);
			assert_non_null(strstr(fixture_gpu(&scan, BROKEN)->reason, files[f]));
		}
		fixture_remove(sysfs, BROKEN, files[f]);
		assert_unreadable(fixture, sysfs, "is missing");
		fixture_put(sysfs, BROKEN, files[f], f == 2 ? "0x030200\n" : "0x10de\n");
	}
}

static void huge_file(void **state)
{
	struct fixture *fixture = *state;
	const char *sysfs = two_gpus(fixture);
	char *text = malloc(1 << 20);
	memset(text, '0', 1 << 20);
	text[(1 << 20) - 1] = '\0';
	fixture_put(sysfs, BROKEN, "class", text);
	free(text);
	assert_unreadable(fixture, sysfs, "class is longer than");
}

static void nul_in_a_file(void **state)
{
	struct fixture *fixture = *state;
	const char *sysfs = two_gpus(fixture);
	FILE *file = fopen(fixture_path(sysfs, BROKEN, "vendor"), "we");
	fwrite("0x10de\0\n", 1, 8, file);
	fclose(file);
	assert_unreadable(fixture, sysfs, "vendor is not text");
}

static void directory_in_place_of_a_file(void **state)
{
	struct fixture *fixture = *state;
	const char *sysfs = two_gpus(fixture);
	fixture_remove(sysfs, BROKEN, "class");
	assert_int_equal(mkdir(fixture_path(sysfs, BROKEN, "class"), 0755), 0);
	assert_unreadable(fixture, sysfs, "class is not a file");
}

static void fifo_in_place_of_a_file(void **state)
{
	struct fixture *fixture = *state;
	const char *sysfs = two_gpus(fixture);
	static const char *const files[] = { "vendor", "class", "boot_vga" };
	for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++) {
		fixture_remove(sysfs, BROKEN, files[i]);
		assert_int_equal(mkfifo(fixture_path(sysfs, BROKEN, files[i]), 0644), 0);
		assert_unreadable(fixture, sysfs, "is not a file");
		fixture_put(sysfs, BROKEN, files[i], i == 1 ? "0x030200\n" : "0\n");
	}
}

/* Subsystem and NUMA node say nothing about who may have the GPU: wrong ones are as absent. */
static void optional_files_count_as_absent(void **state)
{
	struct fixture *fixture = *state;
	const char *sysfs = two_gpus(fixture);
	fixture_put(sysfs, BROKEN, "numa_node", "many\n");
	fixture_put(sysfs, BROKEN, "subsystem_vendor", "?\n");
	struct pci_scan scan = fixture_scan(fixture, sysfs);
	const struct gpu_discovered *gpu = fixture_gpu(&scan, BROKEN);
	assert_string_equal(gpu->state, GPU_STATE_AVAILABLE);
	assert_int_equal(gpu->numa_node, ABSENT);
	assert_null(gpu->subsystem_vendor_id);
	assert_null(gpu->subsystem_device_id);
}

/* Whether the host uses it can then not be known. */
static void what_decides_must_be_right(void **state)
{
	struct fixture *fixture = *state;
	const char *sysfs = two_gpus(fixture);
	fixture_put(sysfs, BROKEN, "boot_vga", "perhaps\n");
	assert_unreadable(fixture, sysfs, "boot_vga");
	fixture_remove(sysfs, BROKEN, "boot_vga");
	fixture_put(sysfs, BROKEN, "sriov_numvfs", "some\n");
	assert_unreadable(fixture, sysfs, "sriov_numvfs");
	fixture_remove(sysfs, BROKEN, "sriov_numvfs");
	fixture_put(sysfs, BROKEN, "driver", "nvidia\n");
	assert_unreadable(fixture, sysfs, "driver is not a link");
	fixture_remove(sysfs, BROKEN, "driver");
	fixture_remove(sysfs, BROKEN, "iommu_group");
	assert_int_equal(symlink("../../group", fixture_path(sysfs, BROKEN, "iommu_group")), 0);
	assert_unreadable(fixture, sysfs, "iommu_group does not lead to a number");
}

static void dangling_links_of_a_device_read_right(void **state)
{
	struct fixture *fixture = *state;
	const char *sysfs = two_gpus(fixture);
	fixture_remove(sysfs, BROKEN, "driver");
	fixture_remove(sysfs, BROKEN, "iommu_group");
	assert_int_equal(symlink("/nowhere/drivers/nvidia", fixture_path(sysfs, BROKEN, "driver")),
			 0);
	assert_int_equal(symlink("../none/77", fixture_path(sysfs, BROKEN, "iommu_group")), 0);
	struct pci_scan scan = fixture_scan(fixture, sysfs);
	const struct gpu_discovered *gpu = fixture_gpu(&scan, BROKEN);
	assert_string_equal(gpu->driver, "nvidia");
	assert_int_equal(gpu->iommu_group, 77);
	assert_string_equal(gpu->state, GPU_STATE_IN_USE_BY_HOST);
}

static void entries_that_are_no_device(void **state)
{
	struct fixture *fixture = *state;
	const char *sysfs = two_gpus(fixture);
	static const char *const names[] = { "garbage",	      "0000:01:00",	"0000:01:00.9",
					     "0000:01:20.0",  "0000:0A:00.0",	"000:01:00.0",
					     "00000:01:00.0", "0000:01:00.0.1", "\xff\xfe" };
	char path[256];
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		snprintf(path, sizeof(path), "%s/bus/pci/devices/%s", sysfs, names[i]);
		assert_int_equal(mkdir(path, 0755), 0);
	}
	snprintf(path, sizeof(path), "%s/bus/pci/devices/0000:05:00.0", sysfs);
	assert_int_equal(symlink("../../../devices/gone", path), 0);

	struct pci_scan scan = fixture_scan(fixture, sysfs);
	assert_int_equal(scan.n_gpus, 2);
	assert_true(scan.n_warnings >= 9);
	bool found = false;
	for (size_t i = 0; i < scan.n_warnings; i++)
		found = found || strstr(scan.warnings[i], "0000:05:00.0 is listed but not there");
	assert_true(found);
}

/* What the class cannot say, uevent and modalias can: a broken NIC does not become a GPU. */
static void class_from_elsewhere(void **state)
{
	struct fixture *fixture = *state;
	const char *sysfs = two_gpus(fixture);
	fixture_put(sysfs, BROKEN, "class", "garbage\n");
	fixture_put(sysfs, BROKEN, "uevent", "DRIVER=igb\nPCI_CLASS=20000\nPCI_ID=8086:1521\n");
	struct pci_scan scan = fixture_scan(fixture, sysfs);
	assert_int_equal(scan.n_gpus, 1);

	fixture_put(sysfs, BROKEN, "uevent", "PCI_CLASS=30000\n");
	scan = assert_unreadable(fixture, sysfs, "class does not hold a number");
	assert_string_equal(fixture_gpu(&scan, BROKEN)->class_id, "030000");

	fixture_remove(sysfs, BROKEN, "uevent");
	fixture_put(sysfs, BROKEN, "modalias",
		    "pci:v00008086d00001521sv00008086sd00000001bc02sc00i00\n");
	scan = fixture_scan(fixture, sysfs);
	assert_int_equal(scan.n_gpus, 1);
}

static void device_that_does_not_answer(void **state)
{
	struct fixture *fixture = *state;
	const char *sysfs = two_gpus(fixture);
	fixture_put(sysfs, BROKEN, "vendor", "0xffff\n");
	fixture_put(sysfs, BROKEN, "device", "0xffff\n");
	assert_unreadable(fixture, sysfs, "does not answer");
}

/* root reads everything, so this runs as nobody. */
static int read_as_nobody(const char *dir_path)
{
	int dir = open(dir_path, O_RDONLY | O_DIRECTORY);
	if (geteuid() == 0 && setresuid(65534, 65534, 65534) < 0)
		return 10;
	int32_t number;
	struct attribute_error error;
	int r = attribute_read_number(dir, "class", 0, 0xffffff, &number, &error);
	if (r != ATTRIBUTE_MALFORMED)
		return 11;
	return strstr(error.text, "class cannot be opened: Permission denied") ? 0 : 12;
}

static void file_that_may_not_be_read(void **state)
{
	struct fixture *fixture = *state;
	const char *sysfs = two_gpus(fixture);
	assert_int_equal(chmod(fixture_path(sysfs, BROKEN, "class"), 0), 0);
	pid_t pid = fork();
	if (pid == 0)
		_exit(read_as_nobody(fixture_path(sysfs, BROKEN, "")));
	int status;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void no_bus(void **state)
{
	struct fixture *fixture = *state;
	struct pci_scan_options options = fixture_options(fixture, fixture->dir);
	struct pci_scan scan;
	const char *error = NULL;
	assert_int_equal(pci_scan(&options, &fixture->arena, &scan, &error), 1);
	assert_non_null(strstr(error, "bus/pci/devices: there is no such directory"));
}

static void list_of_names_that_is_malformed(void **state)
{
	struct fixture *fixture = *state;
	const char *sysfs = two_gpus(fixture);
	char path[128];
	snprintf(path, sizeof(path), "%s/pci.ids", fixture->dir);
	FILE *file = fopen(path, "we");
	fputs("10de  NVIDIA\nzzzz  what is this\n\t1bb3  Tesla P4\n", file);
	fclose(file);
	struct pci_scan_options options = fixture_options(fixture, sysfs);
	options.pci_ids_path = path;
	struct pci_scan scan;
	const char *error;
	assert_int_equal(pci_scan(&options, &fixture->arena, &scan, &error), 0);
	assert_int_equal(scan.n_gpus, 2);
	assert_int_equal(scan.n_warnings, 1);
	assert_string_equal(scan.gpus[0].model, "Device 10de:1bb3");

	options.pci_ids_path = "/nonexistent/pci.ids";
	assert_int_equal(pci_scan(&options, &fixture->arena, &scan, &error), 0);
	assert_int_equal(scan.n_gpus, 2);
	assert_string_equal(scan.gpus[0].model, "Device 10de:1bb3");
	assert_non_null(strstr(scan.warnings[0], "/nonexistent/pci.ids"));
}

int main(int argc, char **argv)
{
	int status;
	if (fixture_is_reader(argc, argv, &status))
		return status;
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
	const struct CMUnitTest tests[] = {
		TEST(required_files),
		TEST(huge_file),
		TEST(nul_in_a_file),
		TEST(directory_in_place_of_a_file),
		TEST(fifo_in_place_of_a_file),
		TEST(optional_files_count_as_absent),
		TEST(what_decides_must_be_right),
		TEST(dangling_links_of_a_device_read_right),
		TEST(entries_that_are_no_device),
		TEST(class_from_elsewhere),
		TEST(device_that_does_not_answer),
		TEST(file_that_may_not_be_read),
		TEST(no_bus),
		TEST(list_of_names_that_is_malformed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
