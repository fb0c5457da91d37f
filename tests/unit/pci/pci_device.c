/* What was read of a device, as a value that is bounded and text that is text. */

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "pci/device.h"

static void texts_are_cut_at_characters(void **state)
{
	(void)state;
	char text[8];
	pci_copy_text(text, sizeof(text), "äöüß");
	assert_string_equal(text, "äöü");
	pci_copy_text(text, sizeof(text), "a\xff\x01z");
	assert_string_equal(text, "a??z");
	pci_copy_text(text, sizeof(text), "\xc3");
	assert_string_equal(text, "?");
	pci_copy_text(text, sizeof(text), "\xed\xa0\x80"); /* a surrogate */
	assert_string_equal(text, "???");
}

static void insane_devices_are_refused(void **state)
{
	(void)state;
	struct pci_device sane, *device = &sane, good;
	pci_device_init(device, (struct pci_address){ .bus = 1 });
	good = *device;
	assert_true(pci_device_is_sane(device));
	memset(device->driver, 'x', sizeof(device->driver));
	assert_false(pci_device_is_sane(device));
	*device = good;
	device->n_bridges = PCI_BRIDGES_MAX + 1;
	assert_false(pci_device_is_sane(device));
	*device = good;
	device->class_id = 0x1000000;
	assert_false(pci_device_is_sane(device));
	*device = good;
	device->device_name[0] = (char)0xff;
	assert_false(pci_device_is_sane(device));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(texts_are_cut_at_characters),
		cmocka_unit_test(insane_devices_are_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
