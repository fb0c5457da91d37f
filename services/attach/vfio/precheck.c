#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "attach/vfio/console.h"
#include "attach/vfio/function.h"
#include "attach/vfio/group.h"
#include "attach/vfio/holders.h"
#include "attach/vfio/vfio.h"
#include "model/record.h"
#include "pci/device.h"
#include "pci/preflight.h"

typedef int (*check_fn)(const struct vfio_host *host, const struct unit *unit,
			struct vfio_problem *problem);

static int check_presence(const struct vfio_host *host, const struct unit *unit,
			  struct vfio_problem *problem)
{
	for (size_t i = 0; i < unit->n; i++)
		if (!function_is_present(host, unit->functions[i]))
			return vfio_problem_set(problem, ATTACH_DEVICE_GONE,
						"%s is not on the PCI bus",
						function_name(unit->functions[i]).text);
	return 0;
}

static bool is_listed_before(const struct unit *unit, size_t i)
{
	for (size_t j = 0; j < i; j++)
		if (pci_address_compare(unit->functions[j], unit->functions[i]) == 0)
			return true;
	return false;
}

static int check_member(const struct vfio_host *host, const struct unit *unit, size_t i,
			struct vfio_problem *problem)
{
	const enum attach_code code = ATTACH_INVALID_ASSIGNMENT;
	struct pci_address address = unit->functions[i], gpu = unit->functions[0];
	struct pci_device device;
	pci_device_init(&device, address);
	device.class_id = function_number(host, address, "class", 0xffffff);
	if (is_listed_before(unit, i))
		return vfio_problem_set(problem, code, "%s is named twice",
					function_name(address).text);
	if (pci_device_is_bridge(&device))
		return vfio_problem_set(problem, code, "%s is a bridge",
					function_name(address).text);
	if (i == 0 && !pci_device_is_gpu(&device))
		return vfio_problem_set(problem, code,
					"%s is no GPU but of class %06x: has the host's hardware "
					"changed?",
					function_name(address).text, (unsigned)device.class_id);

	int32_t group = function_group(host, address);
	bool same_group = group != ABSENT && group == function_group(host, gpu);
	if (!same_group && !pci_address_same_slot(address, gpu))
		return vfio_problem_set(problem, code,
					"%s is neither in the slot nor in the IOMMU group of %s",
					function_name(address).text, function_name(gpu).text);
	return 0;
}

static int check_members(const struct vfio_host *host, const struct unit *unit,
			 struct vfio_problem *problem)
{
	if (unit->n == 0 || unit->n > LIMIT_FUNCTIONS_PER_UNIT)
		return vfio_problem_set(problem, ATTACH_INVALID_ASSIGNMENT,
					"a unit has 1 to %d functions, not %zu",
					LIMIT_FUNCTIONS_PER_UNIT, unit->n);
	int r = 0;
	for (size_t i = 0; i < unit->n && r == 0; i++)
		r = check_member(host, unit, i, problem);
	return r;
}

/* VFIO can make groups without an IOMMU behind them, for people who know what they do. */
static bool group_is_fake(const struct vfio_host *host, int32_t group)
{
	cleanup(buf_deinit) struct buf path = { 0 };
	buf_printf(&path, "%s/kernel/iommu_groups/%d/name", host->sysfs_dir, group);
	FILE *file = fopen(path.data, "re");
	char name[64] = "";
	bool is_fake = file && fgets(name, sizeof(name), file) &&
		       strncmp(name, "vfio-noiommu", strlen("vfio-noiommu")) == 0;
	if (file)
		fclose(file);
	return is_fake;
}

static int check_iommu(const struct vfio_host *host, const struct unit *unit,
		       struct vfio_problem *problem)
{
	for (size_t i = 0; i < unit->n; i++) {
		int32_t group = function_group(host, unit->functions[i]);
		if (group != ABSENT && !group_is_fake(host, group))
			continue;
		return vfio_problem_set(
			problem, ATTACH_NO_IOMMU,
			"%s has no IOMMU group: switch on VT-d or AMD-Vi (SMMU on Arm) in the "
			"firmware, and on Intel boot with intel_iommu=on",
			function_name(unit->functions[i]).text);
	}
	return 0;
}

static bool unsafe_interrupts_are_allowed(const struct vfio_host *host)
{
	if (host->allow_no_interrupt_remapping)
		return true;
	cleanup(buf_deinit) struct buf path = { 0 };
	buf_printf(&path, "%s/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts",
		   host->sysfs_dir);
	FILE *file = fopen(path.data, "re");
	bool allowed = file && fgetc(file) == 'Y';
	if (file)
		fclose(file);
	return allowed;
}

static int check_interrupts(const struct vfio_host *host, const struct unit *unit,
			    struct vfio_problem *problem)
{
	(void)unit;
	/* When that is not known, VFIO itself refuses what is not safe. */
	if (preflight_read_interrupt_remapping(host->proc_dir) != 0 ||
	    unsafe_interrupts_are_allowed(host))
		return 0;
	return vfio_problem_set(problem, ATTACH_NO_INTERRUPT_REMAPPING,
				"the IOMMU does not remap interrupts, so a VM could forge them: "
				"switch it on in the firmware and do not boot with intremap=off");
}

static int check_virtual_functions(const struct vfio_host *host, const struct unit *unit,
				   struct vfio_problem *problem)
{
	for (size_t i = 0; i < unit->n; i++) {
		int32_t n = function_number(host, unit->functions[i], "sriov_numvfs", 0xffff);
		if (n > 0)
			return vfio_problem_set(
				problem, ATTACH_HAS_VIRTUAL_FUNCTIONS,
				"%s is divided into %d virtual functions: write 0 to its "
				"sriov_numvfs, or give those to VMs",
				function_name(unit->functions[i]).text, n);
	}
	return 0;
}

static int check_console(const struct vfio_host *host, const struct unit *unit,
			 struct vfio_problem *problem)
{
	for (size_t i = 0; i < unit->n; i++) {
		cleanup(buf_deinit) struct buf why = { 0 };
		if (!function_is_on_vfio(host, unit->functions[i]) &&
		    console_is_on(host, unit->functions[i], &why))
			return vfio_problem_set(problem, ATTACH_BOOT_DISPLAY, "%s: %s",
						function_name(unit->functions[i]).text, why.data);
	}
	return 0;
}

static int check_holders(const struct vfio_host *host, const struct unit *unit,
			 struct vfio_problem *problem)
{
	for (size_t i = 0; i < unit->n; i++) {
		cleanup(buf_deinit) struct buf who = { 0 };
		if (!function_is_on_vfio(host, unit->functions[i]) &&
		    holders_of_function(host, unit->functions[i], &who))
			return vfio_problem_set(problem, ATTACH_IN_USE, "%s is open in %s",
						function_name(unit->functions[i]).text, who.data);
	}
	return 0;
}

int vfio_precheck(const struct vfio_host *host, const struct unit *unit,
		  struct vfio_problem *ret_problem)
{
	static const check_fn checks[] = {
		check_presence,		 check_members, check_iommu,   check_interrupts,
		check_virtual_functions, check_console, check_holders, group_check,
	};
	*ret_problem = (struct vfio_problem){ 0 };
	int r = 0;
	for (size_t i = 0; i < sizeof(checks) / sizeof(*checks) && r == 0; i++)
		r = checks[i](host, unit, ret_problem);
	return r;
}
