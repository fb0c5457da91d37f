#include "pci/reader.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <signal.h>
#include <unistd.h>

#include "pci/bus.h"
#include "pci/frame.h"

/*
 * Arguments: SYSFS_DIR, PCI_IDS_PATH ("": the system's; "-": none, do not load names), and AFTER ("": all
 * devices; an address: only those above it, because the reader before this one ended there).
 */
struct reader {
	const char *sysfs_dir;
	const char *pci_ids_path; /* NULL: the system's */
	bool names;
	bool has_after;
	struct pci_address after;
};

static int parse(int argc, char *const *argv, struct reader *ret_reader)
{
	if (argc != 3)
		return 1;
	struct reader reader = {
		.sysfs_dir = argv[0],
		.pci_ids_path = *argv[1] ? argv[1] : NULL,
		.names = strcmp(argv[1], "-") != 0,
		.has_after = *argv[2] != '\0',
	};
	if (reader.has_after && pci_address_parse(argv[2], &reader.after))
		return 1;
	*ret_reader = reader;
	return 0;
}

/* Nobody listens any more: there is nothing left to do. */
static void send_frame(const struct frame *frame)
{
	if (frame_write(STDOUT_FILENO, frame) < 0)
		_exit(EXIT_FAILURE);
}

static void send_text(enum frame_kind kind, const char *text)
{
	struct frame frame;
	frame_init(&frame, kind);
	pci_copy_text(frame.text, sizeof(frame.text), text);
	send_frame(&frame);
}

static void send_warning(void *context, const char *text)
{
	(void)context;
	send_text(FRAME_WARNING, text);
}

static void begin(enum frame_kind kind)
{
	struct frame frame;
	frame_init(&frame, kind);
	send_frame(&frame);
}

static void read_device(struct pci_bus *bus, struct pci_address address)
{
	struct frame frame;
	frame_init(&frame, FRAME_BEGIN_DEVICE);
	frame.address = address;
	send_frame(&frame);

	frame_init(&frame, FRAME_DEVICE);
	if (pci_bus_read(bus, address, &frame.device) == 0) {
		send_frame(&frame);
		return;
	}
	char text[PCI_ADDRESS_TEXT_BYTES + 64], name[PCI_ADDRESS_TEXT_BYTES];
	pci_address_format(address, name);
	snprintf(text, sizeof(text), "%s is listed but not there: left out", name);
	send_text(FRAME_WARNING, text);
}

static int read_bus(const struct reader *reader)
{
	struct pci_bus_error error;
	begin(FRAME_BEGIN_LIST);
	cleanup(pci_bus_closep) struct pci_bus *bus = NULL;
	cleanup(freep) struct pci_address *addresses = NULL;
	size_t n = 0;
	int r = pci_bus_open(reader->sysfs_dir, &bus, &error);
	if (r == 0)
		r = pci_bus_list(bus, send_warning, NULL, &addresses, &n, &error);
	if (r) {
		send_text(FRAME_FAILED, error.text);
		return EXIT_FAILURE;
	}

	if (reader->names) {
		begin(FRAME_BEGIN_NAMES);
		if (pci_bus_load_names(bus, reader->pci_ids_path, &error))
			send_text(FRAME_WARNING, error.text);
	}
	for (size_t i = 0; i < n; i++)
		if (!reader->has_after || pci_address_compare(addresses[i], reader->after) > 0)
			read_device(bus, addresses[i]);
	begin(FRAME_END);
	return EXIT_SUCCESS;
}

int pci_reader_main(int argc, char *const *argv)
{
	/* Whoever started it may end at any time; nobody else would end a reader that hangs. */
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	struct reader reader;
	if (parse(argc, argv, &reader)) {
		fprintf(stderr, "the PCI reader is started by gpubus itself, not by hand\n");
		return EXIT_FAILURE;
	}
	return read_bus(&reader);
}
