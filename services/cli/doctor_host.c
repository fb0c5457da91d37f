/*
 * What every GPU of a host needs: a CPU that virtualizes, an IOMMU that is on and remaps interrupts, and the
 * kernel's VFIO.
 */
#include <string.h>

#include "cli/doctor.h"

/* "intel_iommu=on" as a whole word of the kernel's arguments. */
static bool has_argument(const struct doctor_facts *facts, const char *argument)
{
	size_t len = strlen(argument);
	const char *at = facts->kernel_arguments;
	while (at && *at) {
		size_t n = strcspn(at, " \t");
		if (n == len && memcmp(at, argument, n) == 0)
			return true;
		at += n + strspn(at + n, " \t");
	}
	return false;
}

/* ---- CPU --------------------------------------------------------------------------------------- */

static void look_at_cpu(const struct doctor_facts *facts, struct findings *findings)
{
	if (facts->cpu_virtualization == 1)
		findings_add(findings, SEVERITY_OK, "CPU", "the CPU virtualizes (%s)",
			     facts->cpu == CPU_AMD ? "AMD-V" : "VT-x");
	else if (facts->cpu_virtualization == 0 && facts->is_vm)
		findings_add(findings, SEVERITY_STOP, "NO_CPU_VIRTUALIZATION",
			     "this machine is a VM itself, and its CPU does not virtualize: switch "
			     "on nested virtualization where it runs (kvm_intel or kvm_amd with "
			     "nested=1, CPU model host-passthrough), or go to the bare machine");
	else if (facts->cpu_virtualization == 0)
		findings_add(findings, SEVERITY_STOP, "NO_CPU_VIRTUALIZATION",
			     "the CPU does not virtualize: switch on %s in the firmware (BIOS) "
			     "setup",
			     facts->cpu == CPU_AMD     ? "SVM (AMD-V)"
			     : facts->cpu == CPU_INTEL ? "Intel Virtualization Technology (VT-x)"
						       : "VT-x or AMD-V");
}

/* ---- IOMMU ------------------------------------------------------------------------------------- */

/* The firmware has one, and the kernel does not use it. */
static void explain_unused_iommu(const struct doctor_facts *facts, bool intel,
				 struct findings *findings)
{
	static const char *const off[] = { "intel_iommu=off", "amd_iommu=off", "iommu=off" };
	const char *table = intel ? "DMAR" : "IVRS", *name = intel ? "VT-d" : "AMD-Vi";
	for (size_t i = 0; i < sizeof(off) / sizeof(*off); i++)
		if (has_argument(facts, off[i])) {
			findings_add(findings, SEVERITY_STOP, "KERNEL_ARGUMENT",
				     "the IOMMU is off: remove %s from the kernel's arguments",
				     off[i]);
			return;
		}
	if (!facts->kernel_arguments || (intel && !has_argument(facts, "intel_iommu=on")))
		findings_add(findings, SEVERITY_STOP, "KERNEL_ARGUMENT",
			     "the IOMMU is off: the firmware offers %s (ACPI table %s), the kernel "
			     "does not use it: boot with the kernel argument %s",
			     name, table, intel ? "intel_iommu=on" : "amd_iommu=on");
	else
		findings_add(findings, SEVERITY_STOP, "NO_IOMMU",
			     "the IOMMU is off although the firmware offers %s (ACPI table %s) and "
			     "the kernel is not told otherwise: `dmesg | grep -i -e dmar -e "
			     "amd-vi` says why",
			     name, table);
}

static void explain_missing_iommu(const struct doctor_facts *facts, struct findings *findings)
{
	bool known = facts->acpi_dmar == 0 && facts->acpi_ivrs == 0;
	const char *what = facts->cpu == CPU_INTEL ? "VT-d"
			   : facts->cpu == CPU_AMD ? "AMD-Vi (IOMMU)"
						   : "VT-d or AMD-Vi (SMMU on Arm)";
	if (known && facts->is_vm)
		findings_add(findings, SEVERITY_STOP, "NO_IOMMU",
			     "there is no IOMMU: this machine is a VM, and its hypervisor gives it "
			     "none (no ACPI table DMAR or IVRS): add an emulated one there (QEMU: "
			     "-device intel-iommu,intremap=on), or go to the bare machine");
	else if (known)
		findings_add(findings, SEVERITY_STOP, "FIRMWARE",
			     "there is no IOMMU: the firmware offers none (no ACPI table DMAR or "
			     "IVRS): switch on %s in the firmware (BIOS) setup",
			     what);
	else
		findings_add(findings, SEVERITY_STOP, "NO_IOMMU",
			     "the IOMMU is off (no device has an IOMMU group): switch on %s in the "
			     "firmware (BIOS) setup%s",
			     what,
			     facts->cpu == CPU_AMD ? ""
						   : ", and on Intel boot with the kernel argument "
						     "intel_iommu=on");
}

static void look_at_iommu(const struct doctor_facts *facts, struct findings *findings)
{
	if (facts->preflight.iommu == 1)
		findings_add(findings, SEVERITY_OK, "IOMMU", "the IOMMU is on");
	else if (facts->preflight.iommu == ABSENT)
		findings_add(findings, SEVERITY_WARN, "IOMMU",
			     "whether the IOMMU is on cannot be told: there are no PCI devices");
	else if (facts->acpi_dmar == 1 || facts->acpi_ivrs == 1)
		explain_unused_iommu(facts, facts->acpi_dmar == 1, findings);
	else
		explain_missing_iommu(facts, findings);
}

/* ---- interrupts -------------------------------------------------------------------------------- */

/* Without an IOMMU there is none either, and one line is enough. */
static void look_at_interrupts(const struct doctor_facts *facts, struct findings *findings)
{
	static const char *const off[] = { "intremap=off", "nointremap", "nox2apic", "noapic" };
	const char *guilty = NULL;
	for (size_t i = 0; i < sizeof(off) / sizeof(*off) && !guilty; i++)
		guilty = has_argument(facts, off[i]) ? off[i] : NULL;

	if (facts->preflight.iommu == 1 && facts->preflight.interrupt_remapping == 1)
		findings_add(findings, SEVERITY_OK, "INTERRUPT_REMAPPING",
			     "the IOMMU remaps interrupts");
	else if (facts->preflight.iommu == 1 && facts->preflight.interrupt_remapping == 0 && guilty)
		findings_add(findings, SEVERITY_STOP, "KERNEL_ARGUMENT",
			     "the IOMMU does not remap interrupts: remove %s from the kernel's "
			     "arguments",
			     guilty);
	else if (facts->preflight.iommu == 1 && facts->preflight.interrupt_remapping == 0)
		findings_add(findings, SEVERITY_STOP, "NO_INTERRUPT_REMAPPING",
			     "the IOMMU does not remap interrupts, so VFIO refuses it: switch on "
			     "interrupt remapping (often called x2APIC) in the firmware (BIOS) "
			     "setup");
	if (facts->unsafe_interrupts == 1)
		findings_add(
			findings, SEVERITY_WARN, "UNSAFE_INTERRUPTS",
			"vfio_iommu_type1 has allow_unsafe_interrupts on: a VM with a GPU could "
			"raise any interrupt of the host; remove that option from "
			"/etc/modprobe.d and the kernel's arguments");
}

/* ---- modules ----------------------------------------------------------------------------------- */

static void look_at_module(const struct doctor_facts *facts, const char *name,
			   enum module_state state, const char *option, struct findings *findings)
{
	const char *kernel = facts->kernel_release ? facts->kernel_release : "(unknown)";
	switch (state) {
	case MODULE_LOADED:
		findings_add(findings, SEVERITY_OK, "MODULE", "the kernel has %s", name);
		break;
	case MODULE_LOADABLE:
		findings_add(findings, SEVERITY_OK, "MODULE",
			     "%s is not loaded, and will be when it is needed", name);
		break;
	case MODULE_MISSING:
		findings_add(findings, SEVERITY_STOP, "NO_VFIO_DRIVER",
			     "kernel %s has no %s (%s): install all of the distribution's modules "
			     "for it (linux-modules-extra-... on Ubuntu), or another kernel",
			     kernel, name, option);
		break;
	case MODULE_NO_LIST:
		findings_add(findings, SEVERITY_STOP, "NO_VFIO_DRIVER",
			     "%s is not loaded, and there is no /lib/modules/%s to load it from: "
			     "install this kernel's modules, or one with %s (in a container: mount "
			     "the host's /lib/modules)",
			     name, kernel, option);
		break;
	case MODULE_UNKNOWN:
		findings_add(findings, SEVERITY_WARN, "MODULE",
			     "%s is not loaded; whether it can be is not known here", name);
		break;
	}
}

static void look_at_modules(const struct doctor_facts *facts, struct findings *findings)
{
	if (facts->vfio_pci == MODULE_UNKNOWN && facts->vfio_iommu_type1 == MODULE_UNKNOWN) {
		findings_add(findings, SEVERITY_WARN, "MODULE",
			     "vfio-pci and vfio_iommu_type1 are not loaded; whether they can be is "
			     "not known here");
		return;
	}
	look_at_module(facts, "vfio-pci", facts->vfio_pci, "CONFIG_VFIO_PCI", findings);
	look_at_module(facts, "vfio_iommu_type1", facts->vfio_iommu_type1,
		       "CONFIG_VFIO_IOMMU_TYPE1", findings);
}

void doctor_look_at_host(const struct doctor_facts *facts, struct findings *findings)
{
	look_at_cpu(facts, findings);
	look_at_iommu(facts, findings);
	look_at_interrupts(facts, findings);
	look_at_modules(facts, findings);
}
