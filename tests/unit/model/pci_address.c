/* PCI addresses as Linux writes them, with domains of four to eight digits. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "model/pci_address.h"

static void addresses_come_back_as_text(void **state)
{
	(void)state;
	static const char *const texts[] = { "0000:00:00.0", "0000:3b:00.0", "0000:ff:1f.7",
					     "10000:01:00.0", "ffffffff:ff:1f.7" };
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		struct pci_address address;
		char text[PCI_ADDRESS_TEXT_BYTES];
		assert_int_equal(pci_address_parse(texts[i], &address), 0);
		pci_address_format(address, text);
		assert_string_equal(text, texts[i]);
		assert_int_equal(
			pci_address_compare(address, pci_address_unpack(pci_address_pack(address))),
			0);
	}
}

static void the_parts_are_where_they_belong(void **state)
{
	(void)state;
	struct pci_address address;
	assert_int_equal(pci_address_parse("12345:67:1a.3", &address), 0);
	assert_int_equal(address.domain, 0x12345);
	assert_int_equal(address.bus, 0x67);
	assert_int_equal(address.device, 0x1a);
	assert_int_equal(address.function, 3);
}

static void upper_case_and_leading_zeros_are_read(void **state)
{
	(void)state;
	struct pci_address address;
	char text[PCI_ADDRESS_TEXT_BYTES];
	assert_int_equal(pci_address_parse("0000ABCD:EF:1A.7", &address), 0);
	pci_address_format(address, text);
	assert_string_equal(text, "abcd:ef:1a.7");
}

static void what_is_no_address_is_refused(void **state)
{
	(void)state;
	static const char *const texts[] = {
		"",
		"0000",
		"00:00.0",
		"000:00:00.0",
		"000000000:00:00.0",
		"0000:0:00.0",
		"0000:000:00.0",
		"0000:00:0.0",
		"0000:00:20.0",
		"0000:00:00.8",
		"0000:00:00.",
		"0000:00:00.00",
		"0000:00:00.0 ",
		" 0000:00:00.0",
		"0000:00:00:0",
		"0000.00.00.0",
		"000g:00:00.0",
		"0000:00:00.g",
		"0x00:00:00.0",
		"-000:00:00.0",
	};
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		struct pci_address address = { .domain = 42 };
		if (pci_address_parse(texts[i], &address) != 1)
			fail_msg("%s was read", texts[i]);
		assert_int_equal(address.domain, 42);
	}
}

static void order_is_domain_bus_device_function(void **state)
{
	(void)state;
	static const char *const ordered[] = { "0000:00:00.0",	  "0000:00:00.7", "0000:00:01.0",
					       "0000:01:00.0",	  "0001:00:00.0", "10000:00:00.0",
					       "ffffffff:00:00.0" };
	enum { N = sizeof(ordered) / sizeof(*ordered) };
	for (int i = 0; i < N; i++) {
		for (int k = 0; k < N; k++) {
			struct pci_address a, b;
			assert_int_equal(pci_address_parse(ordered[i], &a), 0);
			assert_int_equal(pci_address_parse(ordered[k], &b), 0);
			assert_int_equal(pci_address_compare(a, b), (i > k) - (i < k));
			assert_int_equal(pci_address_same_slot(a, b), i == k || i + k == 1);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses_come_back_as_text),
		cmocka_unit_test(the_parts_are_where_they_belong),
		cmocka_unit_test(upper_case_and_leading_zeros_are_read),
		cmocka_unit_test(what_is_no_address_is_refused),
		cmocka_unit_test(order_is_domain_bus_device_function),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
