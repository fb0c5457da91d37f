#include "attach/vfio/hot_reset.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/vfio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "attach/vfio/function.h"
#include "base/memory.h"
#include "model/record.h"

enum { REACHED_MAX = 256 }; /* functions on one bus */

/* The unit's groups, opened in one container. */
struct groups {
	int container;
	int32_t numbers[LIMIT_FUNCTIONS_PER_UNIT];
	int fds[LIMIT_FUNCTIONS_PER_UNIT];
	size_t n;
};

static void groups_close(struct groups *groups)
{
	for (size_t i = 0; i < groups->n; i++)
		close(groups->fds[i]);
	if (groups->container >= 0)
		close(groups->container);
}

static int failed(struct buf *why, const char *what)
{
	buf_printf(why, "%s: %s", what, strerror(errno));
	return 1;
}

static const int *groups_find(const struct groups *groups, int32_t number)
{
	for (size_t i = 0; i < groups->n; i++)
		if (groups->numbers[i] == number)
			return &groups->fds[i];
	return NULL;
}

static int groups_add(struct groups *groups, const struct vfio_host *host, int32_t number,
		      struct buf *why)
{
	if (number == ABSENT || groups_find(groups, number))
		return 0;
	cleanup(buf_deinit) struct buf path = { 0 };
	buf_printf(&path, "%s/vfio/%d", host->dev_dir, number);
	int fd = open(path.data, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return failed(why, path.data);
	groups->numbers[groups->n] = number;
	groups->fds[groups->n++] = fd;
	if (ioctl(fd, VFIO_GROUP_SET_CONTAINER, &groups->container) < 0)
		return failed(why, "VFIO_GROUP_SET_CONTAINER");
	return 0;
}

/* A group gives its devices only to a container that has an IOMMU. */
static int groups_open(struct groups *groups, const struct vfio_host *host, const struct unit *unit,
		       struct buf *why)
{
	cleanup(buf_deinit) struct buf path = { 0 };
	buf_printf(&path, "%s/vfio/vfio", host->dev_dir);
	groups->container = open(path.data, O_RDWR | O_CLOEXEC);
	if (groups->container < 0)
		return failed(why, path.data);
	for (size_t i = 0; i < unit->n; i++) {
		int r = groups_add(groups, host, function_group(host, unit->functions[i]), why);
		if (r)
			return r;
	}
	if (ioctl(groups->container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU) < 0)
		return failed(why, "VFIO_SET_IOMMU");
	return 0;
}

/* The index in the unit, or unit->n. */
static size_t find_function(const struct unit *unit,
			    const struct vfio_pci_dependent_device *reached)
{
	struct pci_address address = {
		.domain = reached->segment,
		.bus = reached->bus,
		.device = (uint8_t)(reached->devfn >> 3),
		.function = reached->devfn & 7,
	};
	size_t i = 0;
	while (i < unit->n && pci_address_compare(unit->functions[i], address) != 0)
		i++;
	return i;
}

static int check_reached(const struct unit *unit, const struct vfio_pci_hot_reset_info *info,
			 struct buf *why)
{
	for (uint32_t i = 0; i < info->count; i++) {
		const struct vfio_pci_dependent_device *reached = &info->devices[i];
		if (find_function(unit, reached) < unit->n)
			continue;
		buf_printf(
			why,
			"a reset of the bus would hit %04x:%02x:%02x.%u, which is not in the unit",
			reached->segment, reached->bus, (unsigned)(reached->devfn >> 3),
			(unsigned)(reached->devfn & 7));
		return 1;
	}
	return 0;
}

/* The kernel wants the groups of the functions that are reached, and no other. */
static int reset_reached(int device, const struct groups *groups,
			 const struct vfio_pci_hot_reset_info *info, struct buf *why)
{
	struct vfio_pci_hot_reset *reset =
		memory_zeroed(1, sizeof(*reset) + groups->n * sizeof(int32_t));
	for (size_t i = 0; i < groups->n; i++)
		for (uint32_t j = 0; j < info->count; j++)
			if (info->devices[j].group_id == (uint32_t)groups->numbers[i]) {
				reset->group_fds[reset->count++] = groups->fds[i];
				break;
			}
	reset->argsz = (uint32_t)(sizeof(*reset) + reset->count * sizeof(int32_t));
	int r = ioctl(device, VFIO_DEVICE_PCI_HOT_RESET, reset);
	int error = errno;
	free(reset);
	errno = error;
	return r < 0 ? failed(why, "VFIO_DEVICE_PCI_HOT_RESET") : 0;
}

static int reset_by_device(int device, const struct groups *groups, const struct unit *unit,
			   bool was_reset[], struct buf *why)
{
	size_t size = sizeof(struct vfio_pci_hot_reset_info) +
		      REACHED_MAX * sizeof(struct vfio_pci_dependent_device);
	cleanup(freep) struct vfio_pci_hot_reset_info *info = memory_zeroed(1, size);
	info->argsz = (uint32_t)size;
	if (ioctl(device, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, info) < 0) {
		if (errno != ENODEV)
			return failed(why, "VFIO_DEVICE_GET_PCI_HOT_RESET_INFO");
		buf_puts(why, "its bus or slot cannot be reset");
		return 1;
	}
	int r = check_reached(unit, info, why);
	if (r == 0)
		r = reset_reached(device, groups, info, why);
	for (uint32_t i = 0; i < info->count && r == 0; i++)
		was_reset[find_function(unit, &info->devices[i])] = true;
	return r;
}

int vfio_hot_reset(const struct vfio_host *host, const struct unit *unit, size_t function,
		   bool was_reset[], struct buf *why)
{
	struct groups groups = { .container = -1 };
	int r = groups_open(&groups, host, unit, why);
	if (r == 0) {
		struct pci_address address = unit->functions[function];
		const int *group = groups_find(&groups, function_group(host, address));
		int device =
			group ? ioctl(*group, VFIO_GROUP_GET_DEVICE_FD, function_name(address).text)
			      : -1;
		if (device < 0) {
			r = failed(why, "VFIO_GROUP_GET_DEVICE_FD");
		} else {
			r = reset_by_device(device, &groups, unit, was_reset, why);
			close(device);
		}
	}
	groups_close(&groups);
	return r;
}
