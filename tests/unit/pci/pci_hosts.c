/* Reading the recorded hosts, and described ones, through libpci and the reader process. */

#include "fixture.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/gpu_state.h"
#include "pci/device.h"

struct expected {
	const char *address, *model, *state, *driver;
	int64_t group, numa;
	const char *unit;
	const char *pcie_switch;
};

static void assert_text(const char *address, const char *what, const char *found,
			const char *expected)
{
	if (!!found != !!expected || (found && strcmp(found, expected) != 0))
		fail_msg("%s: %s is %s, not %s", address, what, found ? found : "absent",
			 expected ? expected : "absent");
}

static void assert_gpus(const struct pci_scan *scan, const struct expected *expected, size_t n)
{
	assert_int_equal(scan->n_gpus, n);
	for (size_t i = 0; i < n; i++) {
		const struct gpu_discovered *gpu = &scan->gpus[i];
		const struct expected *e = &expected[i];
		assert_string_equal(gpu->pci_address, e->address);
		if (e->model)
			assert_text(e->address, "model", gpu->model, e->model);
		assert_text(e->address, "state", gpu->state, e->state);
		assert_text(e->address, "driver", gpu->driver, e->driver);
		assert_text(e->address, "switch", gpu->pcie_switch, e->pcie_switch);
		assert_int_equal(gpu->iommu_group, e->group);
		assert_int_equal(gpu->numa_node, e->numa);

		char unit[512] = "";
		for (size_t j = 0; j < gpu->n_functions; j++) {
			strcat(unit, j ? " " : "");
			strcat(unit, gpu->functions[j]);
		}
		assert_text(e->address, "unit", unit, e->unit);
		assert_int_equal(gpu->reason == NULL, strcmp(e->state, GPU_STATE_AVAILABLE) == 0);
	}
}

static void tesla_p100(void **state)
{
	struct fixture *fixture = *state;
	struct pci_scan scan =
		fixture_scan(fixture, fixture_recorded(fixture, "ghw-nvidia-tesla-p100"));
	static const struct expected expected[] = {
		{ "0000:04:00.0", "Virtio 1.0 GPU", GPU_STATE_IN_USE_BY_HOST, "virtio-pci", ABSENT,
		  ABSENT, "0000:04:00.0", NULL },
		{ "0000:06:00.0", "GP100GL [Tesla P100 PCIe 16GB]", GPU_STATE_IN_USE_BY_HOST,
		  "nvidia", ABSENT, ABSENT, "0000:06:00.0", NULL },
	};
	assert_gpus(&scan, expected, 2);
	const struct gpu_discovered *gpu = &scan.gpus[1];
	assert_string_equal(gpu->vendor, "NVIDIA Corporation");
	assert_string_equal(gpu->vendor_id, "10de");
	assert_string_equal(gpu->device_id, "15f8");
	assert_null(gpu->subsystem_vendor_id); /* was not recorded */
	assert_string_equal(gpu->class_id, "030200");
	assert_non_null(strstr(gpu->reason, "driver nvidia"));
	assert_non_null(strstr(gpu->reason, "IOMMU"));
}

static void intel_laptop(void **state)
{
	struct fixture *fixture = *state;
	struct pci_scan scan =
		fixture_scan(fixture, fixture_recorded(fixture, "ghw-intel-i7-1270p"));
	static const struct expected expected[] = {
		{ "0000:00:02.0", "Alder Lake-P Integrated Graphics Controller",
		  GPU_STATE_IN_USE_BY_HOST, "i915", 0, ABSENT, "0000:00:02.0", NULL },
	};
	assert_gpus(&scan, expected, 1);
	assert_int_equal(scan.n_devices, 23);
	assert_int_equal(scan.gpus[0].n_group_members, 1);
}

static void server_with_a_management_display(void **state)
{
	struct fixture *fixture = *state;
	struct pci_scan scan =
		fixture_scan(fixture, fixture_recorded(fixture, "hwloc-40intel64-pcilocality"));
	static const struct expected expected[] = {
		{ "0000:09:03.0", "MGA G200eW WPCM450", GPU_STATE_BOOT_DISPLAY, NULL, ABSENT,
		  ABSENT, "0000:09:03.0", NULL },
	};
	assert_gpus(&scan, expected, 1);
}

static void power9_with_most_files_missing(void **state)
{
	struct fixture *fixture = *state;
	struct pci_scan scan =
		fixture_scan(fixture, fixture_recorded(fixture, "hwloc-nvidiagpunumanodes"));
	static const char *const addresses[] = { "0004:05:00.0", "0004:06:00.0", "0006:00:00.0",
						 "0007:00:00.0", "0035:04:00.0", "0035:05:00.0" };
	struct expected expected[6];
	for (size_t i = 0; i < 6; i++)
		expected[i] = (struct expected){
			addresses[i], "unknown device", GPU_STATE_UNREADABLE, NULL,
			ABSENT,	      ABSENT,		addresses[i],	      NULL
		};
	assert_gpus(&scan, expected, 6);
	assert_non_null(strstr(scan.gpus[0].reason, "vendor is missing"));
	assert_non_null(strstr(scan.gpus[0].reason, "device is missing"));
	assert_string_equal(scan.gpus[0].class_id, "030000");
}

static void qemu_topology(void **state)
{
	struct fixture *fixture = *state;
	struct pci_scan scan =
		fixture_scan(fixture, fixture_recorded(fixture, "qemu-gpu-topology"));
	static const struct expected expected[] = {
		{ "0000:00:02.0", NULL, GPU_STATE_BOOT_DISPLAY, "bochs-drm", 1, ABSENT,
		  "0000:00:02.0", NULL },
		{ "0000:00:09.0", NULL, GPU_STATE_IN_USE_BY_HOST, "bochs-drm", 8, ABSENT,
		  "0000:00:09.0", NULL },
		{ "0000:01:00.0", NULL, GPU_STATE_IN_USE_BY_HOST, "bochs-drm", 11, ABSENT,
		  "0000:01:00.0 0000:01:00.1", NULL },
		{ "0000:04:00.0", NULL, GPU_STATE_IN_USE_BY_HOST, "bochs-drm", 13, ABSENT,
		  "0000:04:00.0", "0000:02:00.0" },
		{ "0000:05:00.0", "Virtio 1.0 GPU", GPU_STATE_IN_USE_BY_HOST, "virtio-pci", 14,
		  ABSENT, "0000:05:00.0", "0000:02:00.0" },
		{ "0000:07:01.0", "Rage 4 [Rage 128 PRO AGP 4X]", GPU_STATE_GROUP_SHARED, NULL, 15,
		  ABSENT, "0000:07:01.0", NULL },
		{ "0000:07:02.0", "GD 5446", GPU_STATE_GROUP_SHARED, NULL, 15, ABSENT,
		  "0000:07:02.0", NULL },
		{ "0000:08:00.0", "QXL paravirtual graphic card", GPU_STATE_IN_USE_BY_HOST, "qxl",
		  16, ABSENT, "0000:08:00.0", NULL },
		{ "0000:41:00.0", NULL, GPU_STATE_AVAILABLE, "vfio-pci", 20, 1, "0000:41:00.0",
		  NULL },
	};
	assert_gpus(&scan, expected, sizeof(expected) / sizeof(*expected));
	assert_int_equal(fixture_gpu(&scan, "0000:07:01.0")->n_group_members, 3);
	assert_int_equal(fixture_gpu(&scan, "0000:04:00.0")->n_group_members, 2);
}

/* "Class:\tDisplay controller [0380]" -> 0x0380 */
static long id_in_brackets(const char *line)
{
	const char *open = strrchr(line, '[');
	return open ? strtol(open + 1, NULL, 16) : -1;
}

/* lspci -vmm -nn -k wrote down the same bus at the same moment. */
static void qemu_topology_agrees_with_lspci(void **state)
{
	struct fixture *fixture = *state;
	const char *sysfs = fixture_recorded(fixture, "qemu-gpu-topology");
	struct pci_scan scan = fixture_scan(fixture, sysfs);
	char path[256], line[512];
	snprintf(path, sizeof(path), "%s/lspci-mm.txt", sysfs);
	FILE *file = fopen(path, "re");
	assert_non_null(file);

	size_t n = 0;
	const struct pci_device *device = NULL;
	while (fgets(line, sizeof(line), file)) {
		line[strcspn(line, "\n")] = '\0';
		char *value = strchr(line, '\t');
		if (!value)
			continue;
		*value++ = '\0';
		if (strcmp(line, "Slot:") == 0) {
			char address[PCI_ADDRESS_TEXT_BYTES];
			device = &scan.devices[n++];
			pci_address_format(device->address, address);
			assert_string_equal(address, value);
		} else if (strcmp(line, "Class:") == 0) {
			assert_int_equal(device->class_id >> 8, id_in_brackets(value));
		} else if (strcmp(line, "Vendor:") == 0) {
			assert_int_equal(device->vendor_id, id_in_brackets(value));
		} else if (strcmp(line, "Device:") == 0) {
			assert_int_equal(device->device_id, id_in_brackets(value));
		} else if (strcmp(line, "SVendor:") == 0) {
			assert_int_equal(device->subsystem_vendor_id, id_in_brackets(value));
		} else if (strcmp(line, "SDevice:") == 0) {
			assert_int_equal(device->subsystem_device_id, id_in_brackets(value));
		} else if (strcmp(line, "ProgIf:") == 0) {
			assert_int_equal(device->class_id & 0xff, strtol(value, NULL, 16));
		} else if (strcmp(line, "Driver:") == 0) {
			assert_string_equal(device->driver, value);
		} else if (strcmp(line, "NUMANode:") == 0) {
			assert_int_equal(device->numa_node, atoi(value));
		} else if (strcmp(line, "IOMMUGroup:") == 0) {
			assert_int_equal(device->iommu_group, atoi(value));
		}
	}
	fclose(file);
	assert_int_equal(n, 31);
	assert_int_equal(scan.n_devices, 31);
}

static void described_host(void **state)
{
	struct fixture *fixture = *state;
	struct pci_scan scan = fixture_scan(
		fixture,
		fixture_describe(fixture,
				 "gpu 10de:1bb3 count=2 audio driver=vfio-pci numa=1 switch=1\n"
				 "gpu 1a03:2000 driver=ast boot-vga slot=00:02\n"
				 "gpu 10de:1eb8 audio usb usb-c slot=10000:e1:00 group=none\n"
				 "gpu 8086:56c0 vfs=2 slot=9a:00\n"));
	static const struct expected expected[] = {
		{ "0000:00:02.0", "ASPEED Graphics Family", GPU_STATE_BOOT_DISPLAY, "ast", 7,
		  ABSENT, "0000:00:02.0", NULL },
		{ "0000:41:00.0", "GP104GL [Tesla P4]", GPU_STATE_AVAILABLE, "vfio-pci", 4, 1,
		  "0000:41:00.0 0000:41:00.1", "0000:42:00.0" },
		{ "0000:44:00.0", "GP104GL [Tesla P4]", GPU_STATE_AVAILABLE, "vfio-pci", 6, 1,
		  "0000:44:00.0 0000:44:00.1", "0000:42:00.0" },
		{ "0000:9a:00.0", "Data Center GPU Flex 170", GPU_STATE_HAS_VIRTUAL_FUNCTIONS, NULL,
		  10, ABSENT, "0000:9a:00.0", NULL },
		{ "0000:9a:00.4", "Data Center GPU Flex 170", GPU_STATE_AVAILABLE, NULL, 11, ABSENT,
		  "0000:9a:00.4", NULL },
		{ "0000:9a:00.5", "Data Center GPU Flex 170", GPU_STATE_AVAILABLE, NULL, 12, ABSENT,
		  "0000:9a:00.5", NULL },
		{ "10000:e1:00.0", "TU104GL [Tesla T4]", GPU_STATE_NO_IOMMU, NULL, ABSENT, ABSENT,
		  "10000:e1:00.0 10000:e1:00.1 10000:e1:00.2 10000:e1:00.3", NULL },
	};
	assert_gpus(&scan, expected, sizeof(expected) / sizeof(*expected));
}

static void names_of_a_list_of_ones_own(void **state)
{
	struct fixture *fixture = *state;
	const char *sysfs = fixture_describe(fixture, "gpu 10de:1bb3\ngpu 1002:7408\n");
	char path[128];
	snprintf(path, sizeof(path), "%s/pci.ids", fixture->dir);
	FILE *file = fopen(path, "we");
	fputs("10de  Vendor \xff One\n\t1bb3  Model Ä\n", file);
	fclose(file);

	struct pci_scan_options options = fixture_options(fixture, sysfs);
	options.pci_ids_path = path;
	struct pci_scan scan;
	const char *error;
	assert_int_equal(pci_scan(&options, &fixture->arena, &scan, &error), 0);
	assert_int_equal(scan.n_gpus, 2);
	assert_string_equal(scan.gpus[0].vendor, "Vendor ? One");
	assert_string_equal(scan.gpus[0].model, "Model Ä");
	assert_string_equal(scan.gpus[1].model, "Device 1002:7408");
	assert_int_equal(scan.n_warnings, 0);
}

static void host_without_gpus(void **state)
{
	struct fixture *fixture = *state;
	struct pci_scan scan = fixture_scan(
		fixture, fixture_describe(fixture, "device 8086:1521 class=020000 driver=igb\n"));
	assert_int_equal(scan.n_gpus, 0);
	assert_int_equal(scan.n_devices, 3);
}

int main(int argc, char **argv)
{
	int status;
	if (fixture_is_reader(argc, argv, &status))
		return status;
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
	const struct CMUnitTest tests[] = {
		TEST(tesla_p100),
		TEST(intel_laptop),
		TEST(server_with_a_management_display),
		TEST(power9_with_most_files_missing),
		TEST(qemu_topology),
		TEST(qemu_topology_agrees_with_lspci),
		TEST(described_host),
		TEST(names_of_a_list_of_ones_own),
		TEST(host_without_gpus),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
