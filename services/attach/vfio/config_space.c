#include "attach/vfio/config_space.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "attach/vfio/function.h"
#include "model/record.h"

/* Offsets of the PCI local bus specification 3.0, 6.1. */
enum { HEADER_BYTES = 64, VENDOR = 0x00, DEVICE = 0x02, COMMAND = 0x04, HEADER_TYPE = 0x0e };

static int word(const unsigned char *header, int offset)
{
	return header[offset] | header[offset + 1] << 8;
}

/* 0, or the errno; EIO for a space that is too short. */
static int read_header(const struct vfio_host *host, struct pci_address address,
		       unsigned char header[HEADER_BYTES])
{
	cleanup(buf_deinit) struct buf path = { 0 };
	function_path(host, address, "config", &path);
	int fd = open(path.data, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return errno;
	ssize_t n = pread(fd, header, HEADER_BYTES, 0);
	int r = n < 0 ? errno : n < HEADER_BYTES ? EIO : 0;
	close(fd);
	return r;
}

int config_space_check(const struct vfio_host *host, struct pci_address address,
		       struct vfio_problem *problem)
{
	unsigned char header[HEADER_BYTES];
	struct function_name name = function_name(address);
	int error = read_header(host, address, header);
	if (error && !function_is_present(host, address))
		return vfio_problem_set(problem, ATTACH_DEVICE_GONE,
					"%s has vanished from the PCI bus", name.text);
	if (error)
		return vfio_problem_set(problem, ATTACH_CONFIG_UNREADABLE,
					"the configuration space of %s cannot be read: %s",
					name.text, strerror(error));

	/* A virtual function's ids read as all ones by design (SR-IOV 1.1, 3.4.1). */
	cleanup(buf_deinit) struct buf physfn = { 0 };
	function_path(host, address, "physfn", &physfn);
	bool is_virtual = access(physfn.data, F_OK) == 0;
	int vendor = function_number(host, address, "vendor", 0xffff);
	int device = function_number(host, address, "device", 0xffff);
	if (!is_virtual && (word(header, VENDOR) == 0xffff || word(header, VENDOR) != vendor ||
			    word(header, DEVICE) != device))
		return vfio_problem_set(problem, ATTACH_CONFIG_UNREADABLE,
					"%s answers as %04x:%04x, not as %04x:%04x", name.text,
					(unsigned)word(header, VENDOR),
					(unsigned)word(header, DEVICE), (unsigned)vendor & 0xffff,
					(unsigned)device & 0xffff);
	if (word(header, COMMAND) == 0xffff || (header[HEADER_TYPE] & 0x7f) != 0)
		return vfio_problem_set(problem, ATTACH_CONFIG_UNREADABLE,
					"the configuration space of %s reads as nonsense (command "
					"%04x, header type %02x)",
					name.text, (unsigned)word(header, COMMAND),
					(unsigned)header[HEADER_TYPE]);
	return 0;
}
