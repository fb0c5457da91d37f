#include "attach/vfio/group.h"

#include <dirent.h>
#include <string.h>

#include "attach/vfio/function.h"
#include "attach/vfio/kernel.h"
#include "model/record.h"
#include "pci/device.h"

static bool is_in_unit(const struct unit *unit, struct pci_address address)
{
	for (size_t i = 0; i < unit->n; i++)
		if (pci_address_compare(unit->functions[i], address) == 0)
			return true;
	return false;
}

/*
 * The kernel's rule (vfio_group's viability; drivers with driver_managed_dma): no driver, one that does no
 * DMA of its own, or a bridge's. A device whose driver cannot be read is taken to have one.
 */
static bool is_in_the_way(const struct vfio_host *host, struct pci_address address,
			  char driver[UNIT_DRIVER_BYTES])
{
	struct pci_device device;
	pci_device_init(&device, address);
	device.class_id = function_number(host, address, "class", 0xffffff);
	if (pci_device_is_bridge(&device))
		return false;
	if (function_driver(host, address, driver)) {
		pci_copy_text(driver, UNIT_DRIVER_BYTES, "(unreadable)");
		return function_is_present(host, address);
	}
	return *driver && !pci_driver_is_vfio(driver) && strcmp(driver, "pci-stub") != 0;
}

static int check_one(const struct vfio_host *host, const struct unit *unit, int32_t group,
		     struct vfio_problem *problem)
{
	cleanup(buf_deinit) struct buf path = { 0 };
	buf_printf(&path, "%s/kernel/iommu_groups/%d/devices", host->sysfs_dir, group);
	DIR *members = opendir(path.data);
	if (!members)
		return vfio_problem_set(problem, ATTACH_GROUP_NOT_VIABLE,
					"the members of IOMMU group %d cannot be listed", group);
	int r = 0;
	struct dirent *entry;
	while (r == 0 && (entry = readdir(members))) {
		struct pci_address address;
		char driver[UNIT_DRIVER_BYTES];
		if (pci_address_parse(entry->d_name, &address) || is_in_unit(unit, address) ||
		    !is_in_the_way(host, address, driver))
			continue;
		r = vfio_problem_set(problem, ATTACH_GROUP_NOT_VIABLE,
				     "%s is in IOMMU group %d too and has driver %s: a group goes "
				     "to one VM as a whole",
				     function_name(address).text, group, driver);
	}
	closedir(members);
	return r;
}

int group_check(const struct vfio_host *host, const struct unit *unit, struct vfio_problem *problem)
{
	for (size_t i = 0; i < unit->n; i++) {
		int32_t group = function_group(host, unit->functions[i]);
		int r = group == ABSENT ? 0 : check_one(host, unit, group, problem);
		if (r)
			return r;
	}
	return 0;
}

/* Processes may be hidden from this one (a PID namespace, a missing right): the kernel knows them all. */
static int check_taken(const struct vfio_host *host, struct pci_address address,
		       struct vfio_problem *problem)
{
	const struct vfio_kernel *kernel = vfio_kernel_of(host);
	int32_t group = function_group(host, address);
	cleanup(buf_deinit) struct buf node = { 0 };
	buf_printf(&node, "%s/vfio/%d", host->dev_dir, group);
	if (group == ABSENT || !kernel->group_is_taken(kernel->context, node.data))
		return 0;
	return vfio_problem_set(problem, ATTACH_UNPLUG_PENDING,
				"%s is still open in a process that cannot be seen from here: the "
				"kernel calls its IOMMU group %d busy",
				function_name(address).text, group);
}

int group_check_let_go(const struct vfio_host *host, const struct unit *unit,
		       struct vfio_problem *problem)
{
	cleanup(buf_deinit) struct buf holders = { 0 };
	if (vfio_group_holders(host, unit, &holders))
		return vfio_problem_set(problem, ATTACH_UNPLUG_PENDING, "%s is still open in %s",
					function_name(unit->functions[0]).text, holders.data);
	int r = 0;
	for (size_t i = 0; i < unit->n && r == 0; i++)
		if (function_is_on_vfio(host, unit->functions[i]))
			r = check_taken(host, unit->functions[i], problem);
	return r;
}
