#include "attach/hypervisor/words.h"

#include <string.h>

/* QEMU's texts (hw/vfio, hw/pci, qdev-monitor.c), which libvirt passes on, parts of them strerror()'s, and
 * libvirt's own (virhostdev.c, domain_addr.c). The first match counts. */
static const struct {
	const char *words;
	int outcome;
	const char *meaning;
} meanings[] = {
	{ "already attached", HYPERVISOR_HELD, "a VM has it already" },
	{ "is in use by", HYPERVISOR_HELD, "another VM has it" },
	{ "No more available PCI", HYPERVISOR_NO_PORT,
	  "no PCIe port of the VM is free; start it with more pcie-root-ports" },
	{ "host doesn't support", HYPERVISOR_REFUSED,
	  "the host has no IOMMU in use, or VFIO is not loaded" },
	{ "is not viable", HYPERVISOR_REFUSED,
	  "another device of its IOMMU group is still used by a driver of the host; all of the "
	  "group have to "
	  "be bound to vfio-pci" },
	{ "resource busy", HYPERVISOR_HELD,
	  "another VM or program has it, or its IOMMU group, open" },
	{ "Operation not permitted", HYPERVISOR_REFUSED,
	  "the kernel does not let QEMU use the IOMMU, which is so on hosts without interrupt "
	  "remapping" },
	{ "Permission denied", HYPERVISOR_REFUSED,
	  "QEMU's user may not open the device's node in /dev/vfio" },
	{ "Cannot allocate memory", HYPERVISOR_REFUSED,
	  "the VM's memory could not be locked; QEMU needs a higher limit of locked memory "
	  "(memlock)" },
	{ "does not support hotplugging", HYPERVISOR_REFUSED,
	  "the port takes no devices while the VM runs" },
	{ "No such file or directory", HYPERVISOR_REFUSED,
	  "it is not on the host's bus, or not bound to vfio-pci" },
	{ "not a valid device model", HYPERVISOR_REFUSED, "this QEMU was built without VFIO" },
	{ "not available for", HYPERVISOR_REFUSED, "somebody else has just used the port" },
};

int words_explain(const char *who, const char *words, struct pci_address function,
		  struct buf *reason)
{
	char address[PCI_ADDRESS_TEXT_BYTES];
	pci_address_format(function, address);
	for (size_t i = 0; i < sizeof(meanings) / sizeof(meanings[0]); i++)
		if (strstr(words, meanings[i].words)) {
			buf_printf(reason, "%s does not give %s to the VM: %s (\"%s\")", who,
				   address, meanings[i].meaning, words);
			return meanings[i].outcome;
		}
	buf_printf(reason, "%s does not give %s to the VM: \"%s\"", who, address, words);
	return HYPERVISOR_REFUSED;
}
