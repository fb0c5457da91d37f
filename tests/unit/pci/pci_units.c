/* The rules that turn devices into GPUs, passthrough units and states, on data made by hand. */

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "model/gpu_state.h"
#include "pci/units.h"

enum { DEVICES_MAX = 512 };

struct bus {
	struct pci_device devices[DEVICES_MAX];
	size_t n;
	struct arena arena;
	struct gpu_discovered *gpus;
	size_t n_gpus, n_all;
	const char *passthrough_drivers;
};

/* Devices must be added in the order of their addresses. */
static struct pci_device *add(struct bus *bus, const char *address, int32_t class_id, int group)
{
	struct pci_address parsed;
	assert_int_equal(pci_address_parse(address, &parsed), 0);
	struct pci_device *device = &bus->devices[bus->n++];
	pci_device_init(device, parsed);
	device->class_id = class_id;
	device->vendor_id = 0x10de;
	device->device_id = 0x1bb3;
	device->iommu_group = group;
	return device;
}

static void set_driver(struct pci_device *device, const char *driver)
{
	pci_copy_text(device->driver, sizeof(device->driver), driver);
}

static void set_bridges(struct pci_device *device, const char *first, ...)
{
	va_list args;
	va_start(args, first);
	for (const char *text = first; text; text = va_arg(args, const char *))
		assert_int_equal(pci_address_parse(text, &device->bridges[device->n_bridges++]), 0);
	va_end(args);
}

static const struct gpu_discovered *find(struct bus *bus, const char *address)
{
	struct pci_units_options options = {
		.host = "h1",
		.pool_id = "p",
		.boot_id = "b",
		.now_us = 5,
		.passthrough_drivers = bus->passthrough_drivers,
	};
	if (!bus->gpus)
		bus->n_all = pci_units(&options, bus->devices, bus->n, &bus->arena, &bus->gpus,
				       &bus->n_gpus);
	for (size_t i = 0; i < bus->n_gpus; i++)
		if (strcmp(bus->gpus[i].pci_address, address) == 0)
			return &bus->gpus[i];
	return NULL;
}

static void assert_unit(const struct gpu_discovered *gpu, const char *expected)
{
	char text[1024] = "";
	for (size_t i = 0; i < gpu->n_functions; i++) {
		strcat(text, i ? " " : "");
		strcat(text, gpu->functions[i]);
	}
	assert_string_equal(text, expected);
}

static void assert_reason(const struct gpu_discovered *gpu, const char *part)
{
	assert_non_null(gpu->reason);
	if (!strstr(gpu->reason, part))
		fail_msg("\"%s\" does not say \"%s\"", gpu->reason, part);
}

static struct bus bus;

static int setup(void **state)
{
	(void)state;
	memset(&bus, 0, sizeof(bus));
	arena_init(&bus.arena);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	arena_deinit(&bus.arena);
	return 0;
}

static void free_gpu_is_available(void **state)
{
	(void)state;
	struct pci_device *gpu = add(&bus, "0000:3b:00.0", 0x030200, 12);
	gpu->numa_node = 1;
	gpu->subsystem_vendor_id = 0x10de;
	gpu->subsystem_device_id = 0x11d8;
	pci_copy_text(gpu->vendor_name, sizeof(gpu->vendor_name), "NVIDIA Corporation");
	pci_copy_text(gpu->device_name, sizeof(gpu->device_name), "GP104GL [Tesla P4]");

	const struct gpu_discovered *found = find(&bus, "0000:3b:00.0");
	assert_string_equal(found->gpu_id, "h1/0000:3b:00.0");
	assert_string_equal(found->host, "h1");
	assert_string_equal(found->pool_id, "p");
	assert_string_equal(found->model, "GP104GL [Tesla P4]");
	assert_string_equal(found->vendor, "NVIDIA Corporation");
	assert_string_equal(found->vendor_id, "10de");
	assert_string_equal(found->device_id, "1bb3");
	assert_string_equal(found->subsystem_vendor_id, "10de");
	assert_string_equal(found->subsystem_device_id, "11d8");
	assert_string_equal(found->class_id, "030200");
	assert_int_equal(found->iommu_group, 12);
	assert_int_equal(found->numa_node, 1);
	assert_string_equal(found->state, GPU_STATE_AVAILABLE);
	assert_null(found->reason);
	assert_null(found->driver);
	assert_string_equal(found->boot_id, "b");
	assert_int_equal(found->observed_at, 5);
	assert_unit(found, "0000:3b:00.0");
}

static void classes_of_gpus(void **state)
{
	(void)state;
	add(&bus, "0000:01:00.0", 0x030000, 1); /* VGA */
	add(&bus, "0000:02:00.0", 0x030200, 2); /* 3D controller */
	add(&bus, "0000:03:00.0", 0x038000, 3); /* other display */
	add(&bus, "0000:04:00.0", 0x120000, 4); /* processing accelerator */
	add(&bus, "0000:05:00.0", 0x0b4000, 5); /* co-processor */
	add(&bus, "0000:06:00.0", 0x0b3000, 6); /* MIPS processor */
	add(&bus, "0000:07:00.0", 0x040300, 7); /* audio */
	add(&bus, "0000:08:00.0", 0x068000, 8); /* NVSwitch */
	assert_null(find(&bus, "0000:06:00.0"));
	assert_int_equal(bus.n_gpus, 5);
}

static void names_without_a_list(void **state)
{
	(void)state;
	add(&bus, "0000:01:00.0", 0x030000, 1);
	struct pci_device *nothing = add(&bus, "0000:02:00.0", 0x030000, 1);
	nothing->vendor_id = nothing->device_id = ABSENT;
	assert_string_equal(find(&bus, "0000:01:00.0")->model, "Device 10de:1bb3");
	assert_string_equal(find(&bus, "0000:01:00.0")->vendor, "Vendor 10de");
	assert_string_equal(find(&bus, "0000:02:00.0")->model, "unknown device");
	assert_string_equal(find(&bus, "0000:02:00.0")->vendor, "unknown vendor");
	assert_string_equal(find(&bus, "0000:02:00.0")->vendor_id, "");
}

static void companions_go_along(void **state)
{
	(void)state;
	add(&bus, "0000:01:00.0", 0x030000, 4);
	set_driver(add(&bus, "0000:01:00.1", 0x040300, 4), "snd_hda_intel");
	set_driver(add(&bus, "0000:01:00.2", 0x0c0330, 4), "xhci_hcd");
	add(&bus, "0000:01:00.3", 0x0c8000, 4);
	add(&bus, "0000:02:00.1", 0x040300, 5); /* another card's */
	const struct gpu_discovered *gpu = find(&bus, "0000:01:00.0");
	assert_unit(gpu, "0000:01:00.0 0000:01:00.1 0000:01:00.2 0000:01:00.3");
	assert_string_equal(gpu->state, GPU_STATE_AVAILABLE);
	assert_int_equal(gpu->n_group_members, 4);
}

static void companions_in_groups_of_their_own_go_along(void **state)
{
	(void)state;
	add(&bus, "0000:01:00.0", 0x030000, 4);
	add(&bus, "0000:01:00.1", 0x040300, 5);
	assert_unit(find(&bus, "0000:01:00.0"), "0000:01:00.0 0000:01:00.1");
}

static void processor_parts_in_the_slot_stay(void **state)
{
	(void)state;
	add(&bus, "0000:05:00.0", 0x030000, 4)->vendor_id = 0x1002;
	add(&bus, "0000:05:00.1", 0x040300, 5)->vendor_id = 0x1002;
	struct pci_device *usb = add(&bus, "0000:05:00.3", 0x0c0330, 6);
	usb->vendor_id = 0x1022;
	set_driver(usb, "xhci_hcd");
	const struct gpu_discovered *gpu = find(&bus, "0000:05:00.0");
	assert_unit(gpu, "0000:05:00.0 0000:05:00.1");
	assert_string_equal(gpu->state, GPU_STATE_AVAILABLE);
}

static void companions_without_iommu(void **state)
{
	(void)state;
	add(&bus, "0000:01:00.0", 0x030000, ABSENT);
	add(&bus, "0000:01:00.1", 0x040300, ABSENT);
	add(&bus, "0000:02:00.0", 0x020000, ABSENT);
	const struct gpu_discovered *gpu = find(&bus, "0000:01:00.0");
	assert_unit(gpu, "0000:01:00.0 0000:01:00.1");
	assert_int_equal(gpu->n_group_members, 0);
	assert_string_equal(gpu->state, GPU_STATE_NO_IOMMU);
	assert_reason(gpu, "intel_iommu=on");
}

static void idle_group_members_go_along(void **state)
{
	(void)state;
	add(&bus, "0000:01:00.0", 0x030000, 4);
	add(&bus, "0000:02:00.0", 0x020000, 4);
	set_driver(add(&bus, "0000:03:00.0", 0x010802, 4), "vfio-pci");
	set_driver(add(&bus, "0000:04:00.0", 0x020000, 4), "mlx5_vfio_pci");
	const struct gpu_discovered *gpu = find(&bus, "0000:01:00.0");
	assert_unit(gpu, "0000:01:00.0 0000:02:00.0 0000:03:00.0 0000:04:00.0");
	assert_string_equal(gpu->state, GPU_STATE_AVAILABLE);
}

static void bridges_do_not_count(void **state)
{
	(void)state;
	set_driver(add(&bus, "0000:00:01.0", 0x060400, 4), "pcieport");
	add(&bus, "0000:00:1f.0", 0x060100, 4);
	add(&bus, "0000:01:00.0", 0x030000, 4);
	const struct gpu_discovered *gpu = find(&bus, "0000:01:00.0");
	assert_unit(gpu, "0000:01:00.0");
	assert_string_equal(gpu->state, GPU_STATE_AVAILABLE);
	assert_int_equal(gpu->n_group_members, 3);
}

static void isa_bridge_with_a_driver_is_in_the_way(void **state)
{
	(void)state;
	set_driver(add(&bus, "0000:00:1f.0", 0x060100, 4), "lpc_ich");
	add(&bus, "0000:01:00.0", 0x030000, 4);
	assert_string_equal(find(&bus, "0000:01:00.0")->state, GPU_STATE_GROUP_SHARED);
}

static void shared_with_a_device_in_use(void **state)
{
	(void)state;
	add(&bus, "0000:01:00.0", 0x030000, 4);
	struct pci_device *nic = add(&bus, "0000:02:00.0", 0x020000, 4);
	set_driver(nic, "igb");
	pci_copy_text(nic->class_name, sizeof(nic->class_name), "Ethernet controller");
	pci_copy_text(nic->device_name, sizeof(nic->device_name), "I350");
	const struct gpu_discovered *gpu = find(&bus, "0000:01:00.0");
	assert_string_equal(gpu->state, GPU_STATE_GROUP_SHARED);
	assert_reason(
		gpu,
		"0000:02:00.0 (Ethernet controller I350, which the host uses with driver igb)");
	assert_unit(gpu, "0000:01:00.0");
}

static void shared_with_another_gpu(void **state)
{
	(void)state;
	set_driver(add(&bus, "0000:01:00.0", 0x030000, 4), "vfio-pci");
	set_driver(add(&bus, "0000:02:00.0", 0x030000, 4), "vfio-pci");
	const struct gpu_discovered *gpu = find(&bus, "0000:02:00.0");
	assert_string_equal(gpu->state, GPU_STATE_GROUP_SHARED);
	assert_reason(gpu, "0000:01:00.0");
	assert_reason(gpu, "another GPU");
}

static void shared_with_what_cannot_be_read(void **state)
{
	(void)state;
	add(&bus, "0000:01:00.0", 0x030000, 4);
	pci_device_add_problem(add(&bus, "0000:02:00.0", ABSENT, 4), "the file class is missing");
	const struct gpu_discovered *gpu = find(&bus, "0000:01:00.0");
	assert_string_equal(gpu->state, GPU_STATE_GROUP_SHARED);
	assert_reason(gpu, "its class cannot be read");
	assert_string_equal(find(&bus, "0000:02:00.0")->state, GPU_STATE_UNREADABLE);
}

static void virtual_functions_are_gpus_of_their_own(void **state)
{
	(void)state;
	struct pci_device *pf = add(&bus, "0000:41:00.0", 0x038000, 4);
	pf->n_virtual_functions = 2;
	add(&bus, "0000:41:00.1", 0x040300, 4);
	for (int i = 4; i < 6; i++) {
		char address[PCI_ADDRESS_TEXT_BYTES];
		snprintf(address, sizeof(address), "0000:41:00.%d", i);
		struct pci_device *vf = add(&bus, address, 0x038000, 10 + i);
		vf->is_virtual_function = 1;
		vf->physical_function = pf->address;
	}
	const struct gpu_discovered *gpu = find(&bus, "0000:41:00.0");
	assert_string_equal(gpu->state, GPU_STATE_HAS_VIRTUAL_FUNCTIONS);
	assert_unit(gpu, "0000:41:00.0 0000:41:00.1");
	const struct gpu_discovered *vf = find(&bus, "0000:41:00.4");
	assert_string_equal(vf->state, GPU_STATE_AVAILABLE);
	assert_unit(vf, "0000:41:00.4");
}

static void no_virtual_functions_switched_on(void **state)
{
	(void)state;
	add(&bus, "0000:41:00.0", 0x038000, 4)->n_virtual_functions = 0;
	assert_string_equal(find(&bus, "0000:41:00.0")->state, GPU_STATE_AVAILABLE);
}

/* Each obstacle alone gives its state; together the first in the list wins and all are named. */
static void states_have_an_order(void **state)
{
	(void)state;
	static const char *const order[] = { GPU_STATE_UNREADABLE, GPU_STATE_HAS_VIRTUAL_FUNCTIONS,
					     GPU_STATE_BOOT_DISPLAY, GPU_STATE_IN_USE_BY_HOST,
					     GPU_STATE_GROUP_SHARED };
	static const char *const says[] = { "vendor is empty", "sriov_numvfs", "boot display",
					    "driver nvidia", "another GPU" };
	enum { N = 5 };
	for (unsigned set = 1; set < 1 << N; set++) {
		assert_int_equal(teardown(NULL), 0);
		assert_int_equal(setup(NULL), 0);
		struct pci_device *gpu = add(&bus, "0000:01:00.0", 0x030000, 4);
		if (set & 1)
			pci_device_add_problem(gpu, "the file vendor is empty");
		gpu->n_virtual_functions = set & 2 ? 2 : 0;
		gpu->boot_vga = set & 4 ? 1 : 0;
		set_driver(gpu, set & 8 ? "nvidia" : "");
		if (set & 16)
			add(&bus, "0000:02:00.0", 0x030000, 4);

		const struct gpu_discovered *found = find(&bus, "0000:01:00.0");
		bool first = true;
		for (unsigned i = 0; i < N; i++) {
			if (!(set & 1u << i))
				continue;
			if (first)
				assert_string_equal(found->state, order[i]);
			first = false;
			assert_reason(found, says[i]);
		}
	}
}

static void no_iommu_comes_after_the_driver(void **state)
{
	(void)state;
	set_driver(add(&bus, "0000:01:00.0", 0x030000, ABSENT), "nvidia");
	const struct gpu_discovered *gpu = find(&bus, "0000:01:00.0");
	assert_string_equal(gpu->state, GPU_STATE_IN_USE_BY_HOST);
	assert_reason(gpu, "bind it to vfio-pci");
	assert_reason(gpu, "no IOMMU group");
	assert_string_equal(gpu->driver, "nvidia");
}

static void gpu_on_a_driver_that_it_may_be_taken_from(void **state)
{
	(void)state;
	bus.passthrough_drivers = "nouveau,amdgpu";
	set_driver(add(&bus, "0000:01:00.0", 0x030000, 1), "nouveau");
	set_driver(add(&bus, "0000:02:00.0", 0x030000, 2), "nvidia");
	struct pci_device *console = add(&bus, "0000:03:00.0", 0x030000, 3);
	set_driver(console, "amdgpu");
	console->boot_vga = 1;
	const struct gpu_discovered *gpu = find(&bus, "0000:01:00.0");
	assert_string_equal(gpu->state, GPU_STATE_AVAILABLE);
	assert_string_equal(gpu->driver, "nouveau");
	assert_string_equal(find(&bus, "0000:02:00.0")->state, GPU_STATE_IN_USE_BY_HOST);
	assert_reason(find(&bus, "0000:02:00.0"), "--passthrough-drivers");
	assert_string_equal(find(&bus, "0000:03:00.0")->state, GPU_STATE_BOOT_DISPLAY);
}

static void group_member_on_a_driver_that_it_may_be_taken_from(void **state)
{
	(void)state;
	bus.passthrough_drivers = "igb,nouveau,lpc_ich";
	set_driver(add(&bus, "0000:00:1f.0", 0x060100, 4), "lpc_ich");
	add(&bus, "0000:01:00.0", 0x030000, 4);
	set_driver(add(&bus, "0000:02:00.0", 0x020000, 4), "igb");
	set_driver(add(&bus, "0000:03:00.0", 0x030000, 5), "nouveau");
	set_driver(add(&bus, "0000:04:00.0", 0x030000, 5), "nouveau");
	const struct gpu_discovered *gpu = find(&bus, "0000:01:00.0");
	assert_string_equal(gpu->state, GPU_STATE_AVAILABLE);
	assert_unit(gpu, "0000:01:00.0 0000:00:1f.0 0000:02:00.0");
	/* A group with two GPUs stays shared: whose would it be? */
	assert_string_equal(find(&bus, "0000:03:00.0")->state, GPU_STATE_GROUP_SHARED);
}

static void boot_display_that_was_given_away(void **state)
{
	(void)state;
	struct pci_device *gpu = add(&bus, "0000:01:00.0", 0x030000, 4);
	gpu->boot_vga = 1;
	set_driver(gpu, "vfio-pci");
	assert_string_equal(find(&bus, "0000:01:00.0")->state, GPU_STATE_AVAILABLE);
}

static void switch_is_found_from_the_path(void **state)
{
	(void)state;
	/* root port, upstream, downstream */
	set_bridges(add(&bus, "0000:04:00.0", 0x030200, 1), "0000:00:04.0", "0000:02:00.0",
		    "0000:03:00.0", NULL);
	set_bridges(add(&bus, "0000:05:00.0", 0x030200, 2), "0000:00:04.0", "0000:02:00.0",
		    "0000:03:01.0", NULL);
	/* root port, PCIe-to-PCI bridge */
	set_bridges(add(&bus, "0000:07:01.0", 0x030000, 3), "0000:00:05.0", "0000:06:00.0", NULL);
	/* root port only */
	set_bridges(add(&bus, "0000:08:00.0", 0x030000, 4), "0000:00:06.0", NULL);
	assert_string_equal(find(&bus, "0000:04:00.0")->pcie_switch, "0000:02:00.0");
	assert_string_equal(find(&bus, "0000:05:00.0")->pcie_switch, "0000:02:00.0");
	assert_null(find(&bus, "0000:07:01.0")->pcie_switch);
	assert_null(find(&bus, "0000:08:00.0")->pcie_switch);
}

static void switch_on_the_card_itself_does_not_count(void **state)
{
	(void)state;
	/* root port, upstream, downstream, the card's own upstream and downstream */
	set_bridges(add(&bus, "0000:06:00.0", 0x030000, 1), "0000:00:01.0", "0000:01:00.0",
		    "0000:02:00.0", "0000:04:00.0", "0000:05:00.0", NULL);
	set_bridges(add(&bus, "0000:09:00.0", 0x030000, 2), "0000:00:01.0", "0000:01:00.0",
		    "0000:02:01.0", "0000:07:00.0", "0000:08:00.0", NULL);
	assert_string_equal(find(&bus, "0000:06:00.0")->pcie_switch, "0000:01:00.0");
	assert_string_equal(find(&bus, "0000:09:00.0")->pcie_switch, "0000:01:00.0");
}

static void too_many_gpus_and_members_are_bounded(void **state)
{
	(void)state;
	for (int i = 0; i < LIMIT_GPUS_PER_HOST + 10; i++) {
		char address[PCI_ADDRESS_TEXT_BYTES];
		snprintf(address, sizeof(address), "%04x:%02x:00.0", i >> 8, i & 0xff);
		add(&bus, address, 0x030200, 1);
	}
	const struct gpu_discovered *gpu = find(&bus, "0000:00:00.0");
	assert_int_equal(bus.n_gpus, LIMIT_GPUS_PER_HOST);
	assert_int_equal(bus.n_all, LIMIT_GPUS_PER_HOST + 10);
	assert_true(strlen(gpu->reason) <= LIMIT_TEXT_BYTES);
	assert_reason(gpu, "and 261 more");
}

static void unit_too_large(void **state)
{
	(void)state;
	add(&bus, "0000:00:00.0", 0x030200, 1);
	for (int i = 1; i < 100; i++) {
		char address[PCI_ADDRESS_TEXT_BYTES];
		snprintf(address, sizeof(address), "0000:%02x:00.0", i);
		add(&bus, address, 0x020000, 1);
	}
	const struct gpu_discovered *gpu = find(&bus, "0000:00:00.0");
	assert_int_equal(gpu->n_functions, LIMIT_FUNCTIONS_PER_UNIT);
	assert_string_equal(gpu->state, GPU_STATE_GROUP_SHARED);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(free_gpu_is_available),
		TEST(classes_of_gpus),
		TEST(names_without_a_list),
		TEST(companions_go_along),
		TEST(companions_in_groups_of_their_own_go_along),
		TEST(processor_parts_in_the_slot_stay),
		TEST(companions_without_iommu),
		TEST(idle_group_members_go_along),
		TEST(bridges_do_not_count),
		TEST(isa_bridge_with_a_driver_is_in_the_way),
		TEST(shared_with_a_device_in_use),
		TEST(shared_with_another_gpu),
		TEST(shared_with_what_cannot_be_read),
		TEST(virtual_functions_are_gpus_of_their_own),
		TEST(no_virtual_functions_switched_on),
		TEST(states_have_an_order),
		TEST(no_iommu_comes_after_the_driver),
		TEST(gpu_on_a_driver_that_it_may_be_taken_from),
		TEST(group_member_on_a_driver_that_it_may_be_taken_from),
		TEST(boot_display_that_was_given_away),
		TEST(switch_is_found_from_the_path),
		TEST(switch_on_the_card_itself_does_not_count),
		TEST(too_many_gpus_and_members_are_bounded),
		TEST(unit_too_large),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
