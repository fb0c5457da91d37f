/* What a domain has, read from libvirt's XML. */

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "attach/hypervisor/domain_xml.h"
#include "base/memory.h"
#include "fixture.h"

#define HOSTDEV(type, address, alias)                                                              \
	"<hostdev mode='subsystem' type='" type "' managed='no'><driver name='vfio'/><source>"     \
	"<address " address "/></source><alias name='" alias "'/>"                                 \
	"<address type='pci' domain='0x0000' bus='0x09' slot='0x00' function='0x0'/></hostdev>"
#define AT_01_00_0 "domain='0x0000' bus='0x01' slot='0x00' function='0x0'"
#define AT_01_00_1 "domain='0x0000' bus='0x01' slot='0x00' function='0x1'"
#define DOMAIN(devices)                                                                            \
	"<domain type='kvm'><name>vm-1</name><devices><emulator>/usr/bin/qemu</emulator>" devices  \
	"</devices></domain>"

static struct domain_devices find(const char *xml, const char *addresses)
{
	struct unit unit = fixture_unit(addresses);
	struct domain_devices devices;
	assert_int_equal(domain_xml_find(xml, &unit, &devices), 0);
	return devices;
}

static void host_devices_are_found_by_their_address_on_the_host(void **state)
{
	(void)state;
	const char *xml = DOMAIN(HOSTDEV("pci", AT_01_00_1, "ua-gpubus-0000-01-00-1")
					 HOSTDEV("pci", AT_01_00_0, "hostdev0"));
	struct domain_devices found =
		find(xml, "0000:01:00.0 0000:01:00.1 0000:09:00.0 0001:01:00.0");
	assert_int_equal(found.n, 2);
	assert_true(found.has[0] && found.has[1] && !found.has[2] && !found.has[3]);
	assert_string_equal(found.aliases[0], "hostdev0");
	assert_string_equal(found.aliases[1], "ua-gpubus-0000-01-00-1");
}

static void other_devices_and_places_mean_nothing(void **state)
{
	(void)state;
	const char *const xmls[] = {
		DOMAIN(""),
		DOMAIN(HOSTDEV("usb", AT_01_00_0, "a")),
		DOMAIN("<x>" HOSTDEV("pci", AT_01_00_0, "a") "</x>"),
		"<domain><metadata><devices>" HOSTDEV("pci", AT_01_00_0,
						      "a") "</devices></metadata></domain>",
		"<domain><metadata><domain><devices>" HOSTDEV(
			"pci", AT_01_00_0, "a") "</devices></domain></metadata></domain>",
		DOMAIN("<hostdev type='pci'><address " AT_01_00_0 "/></hostdev>"),
		DOMAIN("<hostdev type='pci'><x><source><address " AT_01_00_0
		       "/></source></x></hostdev>"),
		DOMAIN("<hostdev type='pci'><source/></hostdev>"
		       "<hostdev type='pci'><address " AT_01_00_0 "/></hostdev>"),
		DOMAIN(HOSTDEV("pci", "bus='0x101' slot='0' function='0'", "a")),
		DOMAIN(HOSTDEV("pci", "bus='one' slot='0' function='0'", "a")),
		DOMAIN(HOSTDEV("pci", "uuid='c2177883-f1bb-47f0-914d-32a22e3a8804'", "a")),
		DOMAIN("<hostdev type='pci'><!-- <source><address " AT_01_00_0
		       "/></source> --></hostdev>"),
	};
	for (size_t i = 0; i < sizeof(xmls) / sizeof(xmls[0]); i++)
		assert_int_equal(find(xmls[i], "0000:01:00.0").n, 0);
}

static void a_device_after_others_is_found(void **state)
{
	(void)state;
	const char *xml =
		DOMAIN(HOSTDEV("usb", "bus='1' device='2'", "a") "<disk><source/></disk>" HOSTDEV(
			"pci", "bus='1' slot='0' function='0'", "b"));
	assert_string_equal(find(xml, "0000:01:00.0").aliases[0], "b");
}

#define PORT(index, model, inside)                                                                 \
	"<controller type='pci' index='" index "' model='" model "'>" inside                       \
	"<address type='pci' domain='0x0000' bus='0x00' slot='0x01' function='0x0'/></controller>"

static void ports_are_free_when_nothing_is_behind_them(void **state)
{
	(void)state;
	const char *xml = DOMAIN(
		PORT("0", "pcie-root", "") PORT("1", "pcie-root-port", "") PORT(
			"2", "pcie-root-port", "<target chassis='2' hotplug='off'/>")
			PORT("3", "pcie-root-port",
			     "<target chassis='3'/>") PORT("4", "pcie-switch-downstream-port",
							   "") PORT("5", "pcie-to-pci-bridge", "")
				PORT("256", "pcie-root-port",
				     "") "<rng><address type='pci' bus='0x01' slot='0x00' "
					 "function='0x0'/></rng>"
					 "<disk><source><address type='pci' "
					 "bus='0x03'/></source></disk>" HOSTDEV(
						 "pci", "domain='0' bus='4' slot='0' function='0'",
						 "a"));
	struct domain_devices found = find(xml, "0000:01:00.0");
	for (size_t bus = 0; bus < DOMAIN_BUSES; bus++)
		assert_int_equal(found.has_free_port[bus], bus == 3 || bus == 4);
}

static void what_is_no_domain_is_not_read(void **state)
{
	(void)state;
	char *large = memory_alloc(LIMIT_DOMAIN_XML_BYTES + 2);
	memset(large, ' ', LIMIT_DOMAIN_XML_BYTES + 1);
	large[LIMIT_DOMAIN_XML_BYTES + 1] = '\0';
	memcpy(large, "<domain/>", strlen("<domain/>"));
	const char *const texts[] = {
		"",
		"nonsense",
		"<domain>",
		"<domain><devices></domain>",
		"<network/>",
		large,
		"<!DOCTYPE d [<!ENTITY a SYSTEM 'file:///etc/passwd'>]><network>&a;</network>",
	};
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct unit unit = fixture_unit("0000:01:00.0");
		struct domain_devices devices;
		assert_int_equal(domain_xml_find(texts[i], &unit, &devices), 1);
	}
	free(large);
}

static void what_is_written_is_found(void **state)
{
	(void)state;
	struct unit unit = fixture_unit("10000:01:1f.7");
	struct buf xml = { 0 };
	buf_puts(&xml, "<domain><devices>");
	domain_xml_hostdev(unit.functions[0], 7, &xml);
	assert_non_null(strstr(xml.data, "bus='0x07' slot='0x00' function='0x0'"));
	buf_puts(&xml, "</devices></domain>");
	assert_string_equal(find(xml.data, "10000:01:1f.7").aliases[0], "ua-gpubus-10000-01-1f-7");
	buf_deinit(&xml);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(host_devices_are_found_by_their_address_on_the_host),
		cmocka_unit_test(other_devices_and_places_mean_nothing),
		cmocka_unit_test(a_device_after_others_is_found),
		cmocka_unit_test(ports_are_free_when_nothing_is_behind_them),
		cmocka_unit_test(what_is_no_domain_is_not_read),
		cmocka_unit_test(what_is_written_is_found),
	};
	return cmocka_run_group_tests_name("attach: domain XML", tests, NULL, NULL);
}
