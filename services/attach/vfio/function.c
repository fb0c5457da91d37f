#include "attach/vfio/function.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "model/record.h"
#include "pci/attribute.h"
#include "pci/device.h"

struct function_name function_name(struct pci_address address)
{
	struct function_name name;
	pci_address_format(address, name.text);
	return name;
}

int vfio_problem_set(struct vfio_problem *problem, enum attach_code code, const char *format, ...)
{
	char text[2 * UNIT_REASON_BYTES];
	va_list args;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	problem->code = code;
	pci_copy_text(problem->reason, sizeof(problem->reason), text);
	return 1;
}

void function_path(const struct vfio_host *host, struct pci_address address, const char *name,
		   struct buf *out)
{
	buf_printf(out, "%s/bus/pci/devices/%s%s%s", host->sysfs_dir, function_name(address).text,
		   name ? "/" : "", name ? name : "");
}

int function_open(const struct vfio_host *host, struct pci_address address)
{
	cleanup(buf_deinit) struct buf path = { 0 };
	function_path(host, address, NULL, &path);
	return open(path.data, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

bool function_is_present(const struct vfio_host *host, struct pci_address address)
{
	int fd = function_open(host, address);
	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

int function_driver(const struct vfio_host *host, struct pci_address address,
		    char ret_driver[UNIT_DRIVER_BYTES])
{
	int fd = function_open(host, address);
	if (fd < 0)
		return 1;
	struct attribute_error error;
	char driver[UNIT_DRIVER_BYTES];
	int r = attribute_read_link(fd, "driver", driver, sizeof(driver), &error);
	close(fd);
	if (r == ATTRIBUTE_MALFORMED)
		return 1;
	if (r == ATTRIBUTE_MISSING)
		*ret_driver = '\0';
	else
		pci_copy_text(ret_driver, UNIT_DRIVER_BYTES, driver);
	return 0;
}

bool function_is_on_vfio(const struct vfio_host *host, struct pci_address address)
{
	char driver[UNIT_DRIVER_BYTES];
	return function_driver(host, address, driver) == 0 && pci_driver_is_vfio(driver);
}

int function_text(const struct vfio_host *host, struct pci_address address, const char *name,
		  char *text, size_t size)
{
	int fd = function_open(host, address);
	if (fd < 0)
		return 1;
	struct attribute_error error;
	int r = attribute_read_text(fd, name, text, size, &error);
	close(fd);
	return r;
}

int32_t function_number(const struct vfio_host *host, struct pci_address address, const char *name,
			int32_t max)
{
	char text[64];
	int32_t number;
	if (function_text(host, address, name, text, sizeof(text)) ||
	    attribute_parse_number(text, 0, max, &number))
		return ABSENT;
	return number;
}

int32_t function_group(const struct vfio_host *host, struct pci_address address)
{
	int fd = function_open(host, address);
	if (fd < 0)
		return ABSENT;
	struct attribute_error error;
	char text[32];
	int32_t group;
	int r = attribute_read_link(fd, "iommu_group", text, sizeof(text), &error);
	close(fd);
	return r || attribute_parse_number(text, 0, INT32_MAX, &group) ? ABSENT : group;
}
