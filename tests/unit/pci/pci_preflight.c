/* What a host has, and what it lacks for passthrough, from generated trees. */

#include "fixture.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "pci/preflight.h"

static struct preflight preflight(struct fixture *fixture, const char *sysfs, size_t n_devices)
{
	struct pci_device *devices = arena_array(&fixture->arena, n_devices, sizeof(*devices));
	for (size_t i = 0; i < n_devices; i++)
		pci_device_init(&devices[i], (struct pci_address){ .bus = (uint8_t)i });
	struct pci_scan scan = { .devices = devices, .n_devices = n_devices };
	struct preflight found;
	preflight_read(sysfs, arena_printf(&fixture->arena, "%s/../proc", sysfs), &scan,
		       &fixture->arena, &found);
	return found;
}

static void host_with_everything(void **state)
{
	struct fixture *fixture = *state;
	const char *sysfs =
		fixture_host(fixture, "on", "host h cores=12 ram-gb=48\ngpu 10de:1bb3\n");
	struct preflight found = preflight(fixture, sysfs, 1);
	assert_int_equal(found.cpu_cores, 12);
	assert_int_equal(found.ram_gb, 48);
	assert_int_equal(found.iommu, 1);
	assert_int_equal(found.interrupt_remapping, 1);
	assert_int_equal(found.vfio, 1);
	assert_string_equal(found.boot_id, "h-boot-1");
}

static void host_with_everything_off(void **state)
{
	struct fixture *fixture = *state;
	const char *sysfs = fixture_host(
		fixture, "off", "host h iommu=off remapping=off vfio=off\ngpu 10de:1bb3\n");
	struct preflight found = preflight(fixture, sysfs, 1);
	assert_int_equal(found.iommu, 0);
	assert_int_equal(found.interrupt_remapping, 0);
	assert_int_equal(found.vfio, ABSENT);
}

static void host_that_says_nothing(void **state)
{
	struct fixture *fixture = *state;
	struct preflight found =
		preflight(fixture, arena_printf(&fixture->arena, "%s/no/sys", fixture->dir), 0);
	assert_int_equal(found.iommu, ABSENT);
	assert_int_equal(found.interrupt_remapping, ABSENT);
	assert_int_equal(found.vfio, ABSENT);
	assert_int_equal(found.cpu_cores, 0);
	assert_int_equal(found.ram_gb, 0);
	assert_string_equal(found.boot_id, "unknown");
}

static void interrupt_remapping(void **state)
{
	(void)state;
	assert_int_equal(preflight_interrupt_remapping(" 24:  0  IR-PCI-MSI 0-edge  nvme0q0\n"), 1);
	assert_int_equal(preflight_interrupt_remapping("  1:  9  IR-IO-APIC  1-edge  i8042\n"), 1);
	assert_int_equal(preflight_interrupt_remapping(" 24:  0   PCI-MSI 0-edge  nvme0q0\n"), 0);
	assert_int_equal(preflight_interrupt_remapping(" 13:  0  ITS-PCI-MSI-0000:01:00.0 0\n"), 1);
	assert_int_equal(preflight_interrupt_remapping(" 16:  0  XICS  2 Edge  IPI\n"), ABSENT);
	assert_int_equal(preflight_interrupt_remapping(""), ABSENT);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
	const struct CMUnitTest tests[] = {
		TEST(host_with_everything),
		TEST(host_with_everything_off),
		TEST(host_that_says_nothing),
		TEST(interrupt_remapping),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
