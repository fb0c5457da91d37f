#include "model/pci_address.h"

#include <stddef.h>

/* Between `min` and `max` hex digits; NULL when there are fewer. */
static const char *parse_hex(const char *text, int min, int max, uint32_t *ret_value)
{
	uint32_t value = 0;
	int digits = 0;
	for (; digits < max; digits++, text++) {
		char c = *text;
		if (c >= '0' && c <= '9')
			value = value << 4 | (uint32_t)(c - '0');
		else if (c >= 'a' && c <= 'f')
			value = value << 4 | (uint32_t)(c - 'a' + 10);
		else if (c >= 'A' && c <= 'F')
			value = value << 4 | (uint32_t)(c - 'A' + 10);
		else
			break;
	}
	*ret_value = value;
	return digits < min ? NULL : text;
}

int pci_address_parse(const char *text, struct pci_address *ret_address)
{
	uint32_t domain, bus, device, function;

	text = parse_hex(text, 4, 8, &domain);
	if (!text || *text++ != ':')
		return 1;
	text = parse_hex(text, 2, 2, &bus);
	if (!text || *text++ != ':')
		return 1;
	text = parse_hex(text, 2, 2, &device);
	if (!text || *text++ != '.')
		return 1;
	text = parse_hex(text, 1, 1, &function);
	if (!text || *text || device > 0x1f || function > 7)
		return 1;

	*ret_address = (struct pci_address){
		.domain = domain,
		.bus = (uint8_t)bus,
		.device = (uint8_t)device,
		.function = (uint8_t)function,
	};
	return 0;
}

static char *put_hex(char *at, uint32_t value, int digits)
{
	for (int shift = (digits - 1) * 4; shift >= 0; shift -= 4)
		*at++ = "0123456789abcdef"[value >> shift & 0xf];
	return at;
}

/* By hand, because it is called for every function of every GPU that is assigned. */
void pci_address_format(struct pci_address address, char text[PCI_ADDRESS_TEXT_BYTES])
{
	int digits = 4;
	while (digits < 8 && address.domain >> (digits * 4))
		digits++;
	char *at = put_hex(text, address.domain, digits);
	*at++ = ':';
	at = put_hex(at, address.bus, 2);
	*at++ = ':';
	at = put_hex(at, address.device & 0x1fu, 2);
	*at++ = '.';
	at = put_hex(at, address.function & 7u, 1);
	*at = '\0';
}

bool pci_address_same_slot(struct pci_address a, struct pci_address b)
{
	return a.domain == b.domain && a.bus == b.bus && a.device == b.device;
}

uint64_t pci_address_pack(struct pci_address address)
{
	return (uint64_t)address.domain << 24 | (uint64_t)address.bus << 16 |
	       (uint64_t)address.device << 8 | address.function;
}

struct pci_address pci_address_unpack(uint64_t packed)
{
	return (struct pci_address){
		.domain = (uint32_t)(packed >> 24),
		.bus = (uint8_t)(packed >> 16),
		.device = (uint8_t)(packed >> 8),
		.function = (uint8_t)packed,
	};
}

int pci_address_compare(struct pci_address a, struct pci_address b)
{
	uint64_t left = pci_address_pack(a), right = pci_address_pack(b);
	return (left > right) - (left < right);
}
