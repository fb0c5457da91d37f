/* The kinds, where functions go in the guest, and what hypervisors' words mean. */

#include "fixture.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "attach/hypervisor/guest_slots.h"
#include "attach/hypervisor/words.h"

/* "01:00.1>1 01:00.0>0; ...": in the order of plugging, slots apart. */
static void check_slots(const char *addresses, const char *expected)
{
	struct unit unit = fixture_unit(addresses);
	struct guest_slots slots;
	guest_slots_of(&unit, &slots);
	cleanup(buf_deinit) struct buf text = { 0 };
	for (size_t i = 0; i < slots.n; i++) {
		buf_puts(&text, i ? "; " : "");
		for (size_t j = 0; j < slots.slots[i].n; j++) {
			struct pci_address a = unit.functions[slots.slots[i].functions[j]];
			buf_printf(&text, "%s%02x:%02x.%x>%d", j ? " " : "", a.bus, a.device,
				   a.function, slots.slots[i].numbers[j]);
		}
	}
	assert_string_equal(text.data, expected);
}

static void functions_of_a_slot_stay_together_and_function_0_comes_last(void **state)
{
	(void)state;
	check_slots("0000:01:00.0", "01:00.0>0");
	check_slots("0000:01:00.0 0000:01:00.1", "01:00.1>1 01:00.0>0");
	check_slots("0000:01:00.0 0000:01:00.3 0000:01:00.1 0000:01:00.2",
		    "01:00.3>3 01:00.2>2 01:00.1>1 01:00.0>0");
	check_slots("0000:02:01.0 0000:02:00.0 0000:02:01.1", "02:01.1>1 02:01.0>0; 02:00.0>0");
}

static void a_slot_has_a_function_0_in_the_guest(void **state)
{
	(void)state;
	check_slots("0000:01:00.4", "01:00.4>0");
	check_slots("0000:01:00.3 0000:01:00.5", "01:00.5>5 01:00.3>0");
}

static void a_function_that_is_listed_twice_is_taken_once(void **state)
{
	(void)state;
	check_slots("0000:01:00.0 0000:01:00.0", "01:00.0>0");
}

static void words_of_hypervisors_become_outcomes(void **state)
{
	(void)state;
	const struct {
		const char *words;
		int outcome;
		const char *meaning;
	} cases[] = {
		{ "vfio 0000:01:00.0: device is already attached", HYPERVISOR_HELD, "a VM has it" },
		{ "vfio 0000:01:00.0: failed to open /dev/vfio/7: Device or resource busy",
		  HYPERVISOR_HELD, "another VM or program" },
		{ "vfio 0000:01:00.0: group 7 is not viable", HYPERVISOR_REFUSED,
		  "all of the group" },
		{ "vfio 0000:01:00.0: failed to setup container for group 7: Failed to set iommu "
		  "for "
		  "container: Operation not permitted",
		  HYPERVISOR_REFUSED, "interrupt remapping" },
		{ "Bus 'pcie.0' does not support hotplugging", HYPERVISOR_REFUSED,
		  "while the VM runs" },
		{ "vfio 0000:01:00.0: failed to open /dev/vfio/7: No such file or directory",
		  HYPERVISOR_REFUSED, "not bound to vfio-pci" },
		{ "vfio 0000:01:00.0: failed to open /dev/vfio/7: Permission denied",
		  HYPERVISOR_REFUSED, "QEMU's user" },
		{ "vfio_container_dma_map(...) = -12 (Cannot allocate memory)", HYPERVISOR_REFUSED,
		  "locked memory" },
		{ "Requested operation is not valid: PCI device 0000:01:00.0 is in use by driver "
		  "QEMU, "
		  "domain vm-2",
		  HYPERVISOR_HELD, "another VM" },
		{ "internal error: No more available PCI slots", HYPERVISOR_NO_PORT, "PCIe port" },
		{ "unsupported configuration: host doesn't support passthrough of host PCI devices",
		  HYPERVISOR_REFUSED, "no IOMMU" },
		{ "something new", HYPERVISOR_REFUSED, "\"something new\"" },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct answer answer = { .vm = VM_UNKNOWN };
		struct buf reason = { 0 };
		struct unit unit = fixture_unit("0000:01:00.0");
		assert_int_equal(words_explain("QEMU", cases[i].words, unit.functions[0], &reason),
				 cases[i].outcome);
		snprintf(answer.reason, sizeof(answer.reason), "%s", reason.data);
		fixture_says(&answer, cases[i].meaning);
		fixture_says(&answer, cases[i].words);
		fixture_says(&answer, "0000:01:00.0");
		buf_deinit(&reason);
	}
}

static void a_kind_or_target_that_cannot_be_right_is_refused(void **state)
{
	(void)state;
	const struct {
		const char *kind, *target, *says;
	} cases[] = {
		{ "xen", "", "qmp, libvirt or none" },
		{ "qmp", "", "{vm}" },
		{ "qmp", "/run/vms/vm.qmp", "{vm}" },
		{ "qmp", "{vm}.qmp", "begins with /" },
		{ "none", "/run/vms/{vm}.qmp", "no target" },
		{ "libvirt", "system", "libvirt" },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct hypervisor *hypervisor = NULL;
		struct buf error = { 0 };
		assert_int_equal(
			hypervisor_new(cases[i].kind, cases[i].target, &hypervisor, &error), 1);
		assert_null(hypervisor);
		assert_non_null(strstr(error.data, cases[i].says));
		buf_deinit(&error);
	}
}

static void without_a_hypervisor_every_vm_is_absent(void **state)
{
	(void)state;
	cleanup(hypervisor_freep) struct hypervisor *none = fixture_hypervisor("none", NULL);
	struct answer answer = fixture_look(none, "vm-1", "0000:01:00.0", SOON_MS);
	assert_int_equal(answer.r, 0);
	assert_int_equal(answer.vm, VM_ABSENT);
	assert_int_equal(answer.n_plugged, 0);
	assert_int_equal(fixture_plug(none, "vm-1", "0000:01:00.0", SOON_MS).r,
			 HYPERVISOR_VM_ABSENT);
	assert_int_equal(fixture_unplug(none, "vm-1", "0000:01:00.0", SOON_MS).r, 0);
}

static void whether_libvirt_is_there_can_be_said(void **state)
{
	(void)state;
	assert_non_null(strstr(hypervisor_libvirt_status(), "libvirt"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(functions_of_a_slot_stay_together_and_function_0_comes_last),
		cmocka_unit_test(a_slot_has_a_function_0_in_the_guest),
		cmocka_unit_test(a_function_that_is_listed_twice_is_taken_once),
		cmocka_unit_test(words_of_hypervisors_become_outcomes),
		cmocka_unit_test(a_kind_or_target_that_cannot_be_right_is_refused),
		cmocka_unit_test(without_a_hypervisor_every_vm_is_absent),
		cmocka_unit_test(whether_libvirt_is_there_can_be_said),
	};
	return cmocka_run_group_tests_name("attach: hypervisors", tests, NULL, NULL);
}
