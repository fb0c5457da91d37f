/*
 * The nested VM's operating system: what runs in the VM that gets a GPU.
 *
 * A bare-metal program for QEMU's q35 machine, started as a multiboot kernel in 32-bit protected
 * mode; it is up a second or two after QEMU, also under emulation in emulation. It looks for
 * devices behind the root ports of bus 0, uses each that appears, and lets go of each that the
 * hypervisor asks for. What happens is told on COM1, one line each:
 *
 *   UP                                  it listens
 *   ADD slot NN BB:DD.F VVVV:DDDD class CCCC    a function appeared behind the root port whose
 *                                       slot number (QEMU's slot=) is NN, in decimal
 *   BAR0 BB:DD.F size Z at A            its BAR0 was given an address; or "none", or
 *                                       "size Z does not fit" the root port's window
 *   MMIO BB:DD.F wrote X read X OK      a display device kept what was written to BAR0 + 0x4000;
 *                                       else BAD. X differs from time to time
 *   DMA BB:DD.F OK                      QEMU's "edu" device copied this guest's memory; else BAD
 *   READY slot NN                       all functions of the slot have been tried
 *   EJECT                               the hypervisor asks to unplug; the guest lets go
 *   HOLD                                the hypervisor asks to unplug; the guest does not answer
 *   GONE slot NN                        the functions of the slot have disappeared
 *
 * One character sent to COM1 changes its ways: 'h' for hold (like a guest that hangs: no request
 * to unplug is answered), 'r' for release (they are answered, those of before too). It says
 * HOLDING or RELEASING.
 *
 * Names of registers and bits are those of the PCI Express Base Specification and of QEMU's
 * docs/specs/acpi_pci_hotplug and docs/specs/edu.
 */
#include <stddef.h>

#include "guest_io.h"

/* ---- time: the PIT interrupts 20 times a second, so that the guest sleeps between its looks ---- */

#define PIT_CHANNEL0   0x40
#define PIT_COMMAND    0x43
#define PIT_RATE_MODE  0x34  /* channel 0, both bytes, rate generator */
#define PIT_DIVISOR    59659 /* of 1.193182 MHz */
#define PIC_COMMAND    0x20
#define PIC_DATA       0x21
#define PIC2_DATA      0xa1
#define PIC_INIT       0x11
#define PIC_8086       0x01
#define TIMER_VECTOR   0x20
#define CODE_SEGMENT   8
#define INTERRUPT_GATE 0x8e00

void timer_interrupt(void); /* guest_start.S */

static void timer_init(void)
{
	static uint32_t gates[TIMER_VECTOR + 1][2];
	struct __attribute__((packed)) {
		uint16_t limit;
		const void *base;
	} table = { sizeof(gates) - 1, gates };
	uint32_t handler = (uint32_t)timer_interrupt;

	gates[TIMER_VECTOR][0] = CODE_SEGMENT << 16 | (handler & 0xffff);
	gates[TIMER_VECTOR][1] = (handler & 0xffff0000) | INTERRUPT_GATE;
	__asm__ volatile("lidt %0" ::"m"(table), "m"(gates));
	outb(PIC_COMMAND, PIC_INIT);
	outb(PIC_DATA, TIMER_VECTOR);
	outb(PIC_DATA, 1 << 2); /* where the second PIC is */
	outb(PIC_DATA, PIC_8086);
	outb(PIC_DATA, (uint8_t)~1u); /* nothing but the timer */
	outb(PIC2_DATA, 0xff);
	outb(PIT_COMMAND, PIT_RATE_MODE);
	outb(PIT_CHANNEL0, PIT_DIVISOR & 0xff);
	outb(PIT_CHANNEL0, PIT_DIVISOR >> 8);
}

static void sleep_until_tick(void)
{
	__asm__ volatile("sti\n\thlt\n\tcli" ::: "memory");
}

/* ---- root ports ---- */

#define ROOT_PORTS	  32 /* devices of bus 0 */
#define PCI_CAP_EXPRESS	  0x10
#define SLOT_CAPABILITIES 0x14 /* offsets into the Express capability */
#define SLOT_CONTROL	  0x18
#define SLOT_STATUS	  0x1a

#define SLOT_NUMBER(capabilities) ((capabilities) >> 19)
#define SLOT_BUTTON		  0x0001 /* status: attention button pressed */
#define SLOT_CHANGED		  0x0008 /* status: presence detect changed */
#define SLOT_PRESENT		  0x0040 /* status */
#define SLOT_INDICATOR		  0x0300 /* control: power indicator */
#define SLOT_INDICATOR_ON	  0x0100
#define SLOT_INDICATOR_OFF	  0x0300
#define SLOT_POWER_OFF		  0x0400 /* control */

struct root_port {
	uint32_t bdf;
	uint32_t bus; /* behind it */
	uint32_t express;
	uint32_t slot;
	uint32_t window, window_end; /* free part of the memory window that the firmware gave it */
};

static bool occupied[ROOT_PORTS];
static bool holding;

static bool root_port_read(uint32_t device, struct root_port *ret_port)
{
	struct root_port port = { .bdf = device << 3 };
	uint32_t memory;

	if (!config_present(port.bdf) || config_read(port.bdf, PCI_CLASS) >> 16 != PCI_CLASS_BRIDGE)
		return false;
	port.bus = config_read(port.bdf, PCI_BUSES) >> 8 & 0xff;
	port.express = config_capability(port.bdf, PCI_CAP_EXPRESS);
	if (port.bus == 0 || port.express == 0)
		return false;
	port.slot = SLOT_NUMBER(config_read(port.bdf, port.express + SLOT_CAPABILITIES));
	memory = config_read(port.bdf, PCI_MEMORY);
	port.window = (memory & 0xfff0) << 16;
	port.window_end = memory | 0xfffff;
	*ret_port = port;
	return true;
}

/* ---- using a device ---- */

#define MMIO_OFFSET  0x4000
#define MMIO_PATTERN 0x5a5a0000u /* the low half counts, so that no pattern is an older one's */

#define EDU_ID		0x11e81234u
#define EDU_DMA_SOURCE	0x80
#define EDU_DMA_TARGET	0x88
#define EDU_DMA_COUNT	0x90
#define EDU_DMA_COMMAND 0x98
#define EDU_DMA_START	1u
#define EDU_DMA_TO_RAM	2u
#define EDU_BUFFER	0x40000
#define DMA_WORDS	64

static uint32_t dma_source[DMA_WORDS];
static volatile uint32_t dma_target[DMA_WORDS];

/* Gives BAR0 an address within the root port's window. Returns NULL when there is none to be had. */
static volatile uint32_t *assign_bar0(struct root_port *port, uint32_t bdf)
{
	uint32_t mask, size, address;

	config_write(bdf, PCI_BAR0, 0xffffffff);
	mask = config_read(bdf, PCI_BAR0);
	put_function("BAR0", bdf);
	if (mask == 0 || mask & 1) { /* not implemented, or IO ports */
		put(" none\n");
		return NULL;
	}
	size = ~(mask & ~15u) + 1;
	address = (port->window + size - 1) & ~(size - 1);
	put(" size ");
	put_hex(size, 8);
	if (address < port->window || address + size - 1 > port->window_end) {
		put(" does not fit\n");
		return NULL;
	}
	put(" at ");
	put_hex(address, 8);
	put("\n");
	port->window = address + size;
	config_write(bdf, PCI_BAR0, address);
	return (volatile uint32_t *)address;
}

static void try_mmio(uint32_t bdf, volatile uint32_t *bar)
{
	static uint32_t count;
	volatile uint32_t *word = bar + MMIO_OFFSET / sizeof(*bar);
	uint32_t wanted = MMIO_PATTERN | (++count & 0xffff), seen;

	word[0] = wanted;
	word[1] = ~wanted; /* what is read is not just what the bus saw last */
	seen = word[0];
	put_function("MMIO", bdf);
	put(" wrote ");
	put_hex(wanted, 8);
	put(" read ");
	put_hex(seen, 8);
	put(seen == wanted ? " OK\n" : " BAD\n");
}

static void edu_copy(volatile uint32_t *edu, uint32_t source, uint32_t target, uint32_t direction)
{
	edu[EDU_DMA_SOURCE / 4] = source;
	edu[EDU_DMA_SOURCE / 4 + 1] = 0;
	edu[EDU_DMA_TARGET / 4] = target;
	edu[EDU_DMA_TARGET / 4 + 1] = 0;
	edu[EDU_DMA_COUNT / 4] = sizeof(dma_source);
	edu[EDU_DMA_COUNT / 4 + 1] = 0;
	edu[EDU_DMA_COMMAND / 4] = EDU_DMA_START | direction;
	while (edu[EDU_DMA_COMMAND / 4] & EDU_DMA_START)
		;
}

/* Guest memory -> the device's buffer -> other guest memory. */
static void try_dma(uint32_t bdf, volatile uint32_t *edu)
{
	bool ok = true;

	for (uint32_t i = 0; i < DMA_WORDS; i++) {
		dma_source[i] = 0xc0de0000 + i;
		dma_target[i] = 0;
	}
	edu_copy(edu, (uint32_t)dma_source, EDU_BUFFER, 0);
	edu_copy(edu, EDU_BUFFER, (uint32_t)dma_target, EDU_DMA_TO_RAM);
	for (uint32_t i = 0; i < DMA_WORDS; i++)
		ok = ok && dma_target[i] == dma_source[i];
	put_function("DMA", bdf);
	put(ok ? " OK\n" : " BAD\n");
}

static void try_function(struct root_port *port, uint32_t bdf)
{
	uint32_t id = config_read(bdf, PCI_ID), class = config_read(bdf, PCI_CLASS) >> 16;
	volatile uint32_t *bar;

	put_slot("ADD", port->slot);
	put_function("", bdf);
	put(" ");
	put_hex(id & 0xffff, 4);
	put(":");
	put_hex(id >> 16, 4);
	put(" class ");
	put_hex(class, 4);
	put("\n");
	bar = assign_bar0(port, bdf);
	if (!bar)
		return;
	config_write16(bdf, PCI_COMMAND,
		       config_read16(bdf, PCI_COMMAND) | PCI_COMMAND_MEMORY |
			       PCI_COMMAND_BUS_MASTER);
	if (class >> 8 == PCI_BASE_CLASS_DISPLAY)
		try_mmio(bdf, bar);
	if (id == EDU_ID)
		try_dma(bdf, bar);
}

static void look_behind(uint32_t device, struct root_port *port)
{
	bool present = config_present(port->bus << 8);

	if (present && !occupied[device]) {
		config_write16(port->bdf, PCI_COMMAND,
			       config_read16(port->bdf, PCI_COMMAND) | PCI_COMMAND_IO |
				       PCI_COMMAND_MEMORY | PCI_COMMAND_BUS_MASTER);
		for (uint32_t function = 0; function < 8; function++)
			if (config_present(port->bus << 8 | function))
				try_function(port, port->bus << 8 | function);
		put_slot("READY", port->slot);
		put("\n");
	} else if (!present && occupied[device]) {
		put_slot("GONE", port->slot);
		put("\n");
	}
	occupied[device] = present;
}

/* ---- hot-plug ---- */

/* Whether to answer a request to unplug; `told` is the memory of one that is not answered. */
static bool let_go(bool *told)
{
	if (!holding) {
		*told = false;
		put("EJECT\n");
		return true;
	}
	if (!*told)
		put("HOLD\n");
	*told = true;
	return false;
}

/* PCI Express native: the attention button is pressed for both, to plug in and to unplug. */
static void answer_button(const struct root_port *port)
{
	static bool told[ROOT_PORTS];
	uint16_t status = config_read16(port->bdf, port->express + SLOT_STATUS);
	uint16_t control = config_read16(port->bdf, port->express + SLOT_CONTROL);

	if (status & SLOT_CHANGED) /* these bits are cleared by writing 1 */
		config_write16(port->bdf, port->express + SLOT_STATUS, SLOT_CHANGED);
	if (!(status & SLOT_BUTTON))
		return;
	if (control & SLOT_POWER_OFF) {
		control &= (uint16_t) ~(SLOT_POWER_OFF | SLOT_INDICATOR);
		control |= SLOT_INDICATOR_ON;
	} else if (status & SLOT_PRESENT) {
		if (!let_go(&told[port->bdf >> 3]))
			return; /* the button stays pressed */
		control |= SLOT_POWER_OFF | SLOT_INDICATOR_OFF;
	}
	config_write16(port->bdf, port->express + SLOT_STATUS, SLOT_BUTTON);
	config_write16(port->bdf, port->express + SLOT_CONTROL, control);
}

/* ACPI, q35's default: registers per bus, which QEMU numbers in its own way. */
#define ACPI_HOTPLUG_DOWN   0xcc4 /* bit N: device N of the selected bus is to be ejected */
#define ACPI_HOTPLUG_EJECT  0xcc8
#define ACPI_HOTPLUG_SELECT 0xcd0
#define ACPI_HOTPLUG_BUSES  32

static void answer_acpi(void)
{
	static bool told[ACPI_HOTPLUG_BUSES];

	for (uint32_t bus = 0; bus < ACPI_HOTPLUG_BUSES; bus++) {
		uint32_t down;

		outl(ACPI_HOTPLUG_SELECT, bus);
		down = inl(ACPI_HOTPLUG_DOWN);
		if (down != 0 && down != 0xffffffff && let_go(&told[bus]))
			outl(ACPI_HOTPLUG_EJECT, down & -down);
	}
}

static void take_orders(void)
{
	if (!(inb(COM_LINE_STATUS) & COM_RECEIVED))
		return;
	switch (inb(COM_DATA)) {
	case 'h':
		holding = true;
		put("HOLDING\n");
		break;
	case 'r':
		holding = false;
		put("RELEASING\n");
		break;
	}
}

_Noreturn void guest_main(void);

void guest_main(void)
{
	serial_init();
	timer_init();
	put("UP\n");
	for (;;) {
		sleep_until_tick();
		take_orders();
		for (uint32_t device = 0; device < ROOT_PORTS; device++) {
			struct root_port port;

			if (!root_port_read(device, &port))
				continue;
			answer_button(&port);
			look_behind(device, &port);
		}
		answer_acpi();
	}
}
