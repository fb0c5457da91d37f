/*
 * Each GPU: what keeps it from VMs, and what may go wrong with one that is ready.
 */
#include <string.h>

#include "cli/doctor.h"
#include "model/gpu_state.h"
#include "pci/driver_list.h"
#include "pci/units.h"

struct looking {
	const struct pci_scan_options *options;
	const struct pci_scan *scan;
	const struct doctor_facts *facts;
	struct findings *findings;
	/* How bad an obstacle is: with another GPU ready it stops nothing. */
	enum severity obstacle_severity;
};

static const char *sysfs_of(const struct looking *looking)
{
	return looking->options->sysfs_dir ? looking->options->sysfs_dir : "/sys";
}

static const struct pci_device *device_of(const struct pci_scan *scan,
					  const struct gpu_discovered *gpu)
{
	struct pci_address address;
	if (pci_address_parse(gpu->pci_address, &address))
		return NULL;
	for (size_t i = 0; i < scan->n_devices; i++)
		if (pci_address_compare(scan->devices[i].address, address) == 0)
			return &scan->devices[i];
	return NULL;
}

/* ---- what stands in the way ---------------------------------------------------------------------- */

/*
 * How to keep a driver off a GPU from the next boot on. A driver for GPUs alone is left out as a whole; another
 * one has more devices to care for, so vfio-pci is to be there before it and to ask for this card.
 */
static const char *boot_hint(const struct looking *looking, const struct gpu_discovered *gpu)
{
	static const char for_gpus[] = "nouveau,nvidia,amdgpu,radeon,i915,xe,ast,mgag200";
	struct arena *arena = looking->findings->arena;
	const char *module = doctor_module_of(sysfs_of(looking), gpu->driver, arena);
	if (driver_list_has(for_gpus, gpu->driver))
		return arena_printf(arena,
				    "; to keep the driver off from the next boot on: the line "
				    "\"blacklist %s\" in /etc/modprobe.d/gpubus.conf",
				    module);
	return arena_printf(arena,
			    "; to be first from the next boot on: the lines \"softdep %s pre: "
			    "vfio-pci\" and \"options vfio-pci ids=%s:%s\" in "
			    "/etc/modprobe.d/gpubus.conf",
			    module, gpu->vendor_id, gpu->device_id);
}

/* Without its driver, and with the IOMMU, the GPU could go to a VM: what else is wrong matters. */
static bool is_to_be_had(const struct obstacles *obstacles)
{
	for (size_t i = 0; i < obstacles->n; i++)
		if (strcmp(obstacles->items[i].state, GPU_STATE_IN_USE_BY_HOST) != 0 &&
		    strcmp(obstacles->items[i].state, GPU_STATE_NO_IOMMU) != 0)
			return false;
	return true;
}

static void tell_obstacles(const struct looking *looking, const struct gpu_discovered *gpu,
			   const struct obstacles *obstacles)
{
	for (size_t i = 0; i < obstacles->n; i++) {
		const struct obstacle *obstacle = &obstacles->items[i];
		bool no_iommu = strcmp(obstacle->state, GPU_STATE_NO_IOMMU) == 0;
		bool hint = strcmp(obstacle->state, GPU_STATE_IN_USE_BY_HOST) == 0 &&
			    is_to_be_had(obstacles);
		if (no_iommu && looking->facts->preflight.iommu == 0)
			findings_add_gpu(looking->findings, gpu, looking->obstacle_severity,
					 obstacle->state, "needs the IOMMU, see above");
		else
			findings_add_gpu(looking->findings, gpu, looking->obstacle_severity,
					 obstacle->state, "%s%s", obstacle->text,
					 hint ? boot_hint(looking, gpu) : "");
	}
}

/* ---- what is ready -------------------------------------------------------------------------------- */

static const char *companions_text(const struct pci_unit *unit, struct arena *arena)
{
	const char *text = "";
	for (size_t i = 1; i < unit->n_functions; i++) {
		char address[PCI_ADDRESS_TEXT_BYTES];
		pci_address_format(unit->functions[i]->address, address);
		text = arena_printf(arena, "%s%s%s", text, i > 1 ? " " : ", with ", address);
	}
	return text;
}

static void tell_ready(const struct looking *looking, const struct gpu_discovered *gpu,
		       const struct pci_device *device, const struct pci_unit *unit)
{
	struct arena *arena = looking->findings->arena;
	const char *how = "no driver has it";
	if (pci_device_is_on_vfio(device))
		how = arena_printf(arena, "on %s", device->driver);
	else if (*device->driver)
		how = arena_printf(arena, "the agent takes it from %s", device->driver);
	findings_add_gpu(looking->findings, gpu, SEVERITY_OK, GPU_STATE_AVAILABLE, "ready%s; %s",
			 companions_text(unit, arena), how);
}

/* ---- what may go wrong ---------------------------------------------------------------------------- */

static void warn_of_companions(const struct looking *looking, const struct gpu_discovered *gpu,
			       const struct pci_unit *unit)
{
	for (size_t i = 1; i < unit->n_functions; i++) {
		const struct pci_device *other = unit->functions[i];
		char address[PCI_ADDRESS_TEXT_BYTES];
		if (!*other->driver || pci_device_is_on_vfio(other))
			continue;
		pci_address_format(other->address, address);
		findings_add_gpu(
			looking->findings, gpu, SEVERITY_WARN, "COMPANION_IN_USE",
			"%s goes along with it, and the host uses that with driver %s: the "
			"agent takes it away when the GPU is assigned",
			address, other->driver);
	}
}

static bool is_in_unit(const struct pci_unit *unit, const struct pci_device *device)
{
	for (size_t i = 0; i < unit->n_functions; i++)
		if (unit->functions[i] == device)
			return true;
	return false;
}

/* A GPU with its audio function often has no reset of its own: with all of its bus on vfio-pci the bus can be
 * reset, which the kernel lists for single functions only. */
static bool has_bus_of_its_own(const struct looking *looking, const struct pci_device *gpu,
			       const struct pci_unit *unit)
{
	for (size_t i = 0; i < looking->scan->n_devices; i++) {
		const struct pci_device *other = &looking->scan->devices[i];
		if (other->address.domain == gpu->address.domain &&
		    other->address.bus == gpu->address.bus && !is_in_unit(unit, other))
			return false;
	}
	return gpu->n_bridges > 0;
}

static void warn_of_reset(const struct looking *looking, const struct gpu_discovered *gpu,
			  const struct pci_device *device, const struct pci_unit *unit)
{
	if (doctor_can_reset(sysfs_of(looking), gpu->pci_address, looking->findings->arena) == 0 &&
	    !has_bus_of_its_own(looking, device, unit))
		findings_add_gpu(
			looking->findings, gpu, SEVERITY_WARN, "NO_RESET",
			"the kernel knows no way to reset it, so after its first VM it goes "
			"into quarantine: look for newer firmware of the card, or a newer "
			"kernel");
}

/* ---- all ------------------------------------------------------------------------------------------ */

static void look_at(const struct looking *looking, const struct gpu_discovered *gpu)
{
	const struct pci_units_options options = {
		.host = looking->options->host,
		.passthrough_drivers = looking->options->passthrough_drivers,
	};
	const struct pci_device *device = device_of(looking->scan, gpu);
	struct pci_unit unit;
	if (!device)
		return;
	pci_unit_inspect(&options, device, looking->scan->devices, looking->scan->n_devices,
			 looking->findings->arena, &unit);
	if (unit.obstacles.n == 0)
		tell_ready(looking, gpu, device, &unit);
	tell_obstacles(looking, gpu, &unit.obstacles);
	if (is_to_be_had(&unit.obstacles)) {
		warn_of_companions(looking, gpu, &unit);
		warn_of_reset(looking, gpu, device, &unit);
	}
}

void doctor_look_at_gpus(const struct pci_scan_options *options, const struct pci_scan *scan,
			 const struct doctor_facts *facts, struct findings *findings)
{
	findings->n_gpus = scan->n_gpus;
	for (size_t i = 0; i < scan->n_gpus; i++)
		findings->n_ready += strcmp(scan->gpus[i].state, GPU_STATE_AVAILABLE) == 0;
	const struct looking looking = {
		.options = options,
		.scan = scan,
		.facts = facts,
		.findings = findings,
		.obstacle_severity = findings->n_ready ? SEVERITY_WARN : SEVERITY_STOP,
	};
	if (scan->n_gpus == 0)
		findings_add(
			findings, SEVERITY_STOP, "NO_GPU",
			"there is no GPU: none of the %zu PCI functions is a display controller "
			"or an accelerator: is the card seated, does it have power, and is its "
			"slot on in the firmware setup?",
			scan->n_devices);
	for (size_t i = 0; i < scan->n_gpus; i++)
		look_at(&looking, &scan->gpus[i]);
	if (!scan->complete)
		findings_add(findings, SEVERITY_STOP, "UNREADABLE",
			     "the PCI bus was not read to its end: `gpubus scan` says more");
}
