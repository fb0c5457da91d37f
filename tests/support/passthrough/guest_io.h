/* The PC as guest.c sees it: ports, the serial line COM1, PCI configuration space. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* ---- port IO ---- */

static inline void outb(uint16_t port, uint8_t value)
{
	__asm__ volatile("outb %0, %1" ::"a"(value), "Nd"(port));
}

static inline uint8_t inb(uint16_t port)
{
	uint8_t value;

	__asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
	return value;
}

static inline void outw(uint16_t port, uint16_t value)
{
	__asm__ volatile("outw %0, %1" ::"a"(value), "Nd"(port));
}

static inline uint16_t inw(uint16_t port)
{
	uint16_t value;

	__asm__ volatile("inw %1, %0" : "=a"(value) : "Nd"(port));
	return value;
}

static inline void outl(uint16_t port, uint32_t value)
{
	__asm__ volatile("outl %0, %1" ::"a"(value), "Nd"(port));
}

static inline uint32_t inl(uint16_t port)
{
	uint32_t value;

	__asm__ volatile("inl %1, %0" : "=a"(value) : "Nd"(port));
	return value;
}

/* ---- COM1: a 16550 ---- */

#define COM1		     0x3f8
#define COM_DATA	     (COM1 + 0)
#define COM_INTERRUPTS	     (COM1 + 1)
#define COM_LINE_CONTROL     (COM1 + 3)
#define COM_LINE_STATUS	     (COM1 + 5)
#define COM_8N1		     0x03
#define COM_RECEIVED	     0x01
#define COM_TRANSMITTER_IDLE 0x20

static void serial_init(void)
{
	outb(COM_INTERRUPTS, 0);
	outb(COM_LINE_CONTROL, COM_8N1);
}

static void put_char(char c)
{
	while (!(inb(COM_LINE_STATUS) & COM_TRANSMITTER_IDLE))
		;
	outb(COM_DATA, (uint8_t)c);
}

static void put(const char *text)
{
	while (*text != '\0')
		put_char(*text++);
}

static void put_hex(uint32_t value, int digits)
{
	while (digits-- > 0)
		put_char("0123456789abcdef"[value >> (digits * 4) & 15]);
}

static void put_slot(const char *what, uint32_t slot)
{
	put(what);
	put(" slot ");
	put_char((char)('0' + slot / 10 % 10));
	put_char((char)('0' + slot % 10));
}

/* The beginning of a line about a function. */
static void put_function(const char *what, uint32_t bdf)
{
	put(what);
	put(" ");
	put_hex(bdf >> 8, 2);
	put(":");
	put_hex(bdf >> 3 & 31, 2);
	put(".");
	put_hex(bdf & 7, 1);
}

/* ---- PCI configuration space; a function is its 16-bit bus:device.function ---- */

#define PCI_CONFIG_ADDRESS 0xcf8
#define PCI_CONFIG_DATA	   0xcfc
#define PCI_CONFIG_ENABLE  0x80000000u

#define PCI_ID		 0x00 /* vendor in the low half, device in the high half */
#define PCI_COMMAND	 0x04
#define PCI_CLASS	 0x08 /* class and subclass in the high half */
#define PCI_BAR0	 0x10
#define PCI_BUSES	 0x18 /* of a bridge: primary, secondary, subordinate */
#define PCI_MEMORY	 0x20 /* of a bridge: base and limit of its memory window, in units of 1 MiB */
#define PCI_CAPABILITIES 0x34

#define PCI_COMMAND_IO	       0x1
#define PCI_COMMAND_MEMORY     0x2
#define PCI_COMMAND_BUS_MASTER 0x4
#define PCI_ABSENT	       0xffffffffu
#define PCI_CLASS_BRIDGE       0x0604
#define PCI_BASE_CLASS_DISPLAY 0x03

static void config_select(uint32_t bdf, uint32_t offset)
{
	outl(PCI_CONFIG_ADDRESS, PCI_CONFIG_ENABLE | bdf << 8 | (offset & 0xfc));
}

static uint32_t config_read(uint32_t bdf, uint32_t offset)
{
	config_select(bdf, offset);
	return inl(PCI_CONFIG_DATA);
}

static void config_write(uint32_t bdf, uint32_t offset, uint32_t value)
{
	config_select(bdf, offset);
	outl(PCI_CONFIG_DATA, value);
}

static uint16_t config_read16(uint32_t bdf, uint32_t offset)
{
	config_select(bdf, offset);
	return inw((uint16_t)(PCI_CONFIG_DATA + (offset & 2)));
}

static void config_write16(uint32_t bdf, uint32_t offset, uint16_t value)
{
	config_select(bdf, offset);
	outw((uint16_t)(PCI_CONFIG_DATA + (offset & 2)), value);
}

static bool config_present(uint32_t bdf)
{
	uint32_t id = config_read(bdf, PCI_ID);

	return id != PCI_ABSENT && id != 0;
}

/* The offset of a capability, 0 when there is none. */
static uint32_t config_capability(uint32_t bdf, uint8_t id)
{
	uint32_t offset = config_read(bdf, PCI_CAPABILITIES) & 0xfc;

	for (int i = 0; offset != 0 && i < 48; i++) {
		uint32_t header = config_read(bdf, offset);

		if ((header & 0xff) == id)
			return offset;
		offset = header >> 8 & 0xfc;
	}
	return 0;
}
