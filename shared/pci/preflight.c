#include "pci/preflight.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/limits.h"

enum {
	FILE_BYTES_MAX = 8 * 1024 * 1024
}; /* /proc/interrupts of a machine with many CPUs is large */

static FILE *open_below(const char *dir, const char *name, struct arena *arena)
{
	return fopen(arena_printf(arena, "%s/%s", dir, name), "re");
}

/* ---- size and boot ------------------------------------------------------------------------- */

/* Every architecture has a line "processor : N" for each logical CPU. */
static int64_t count_cpus(const char *proc_dir, struct arena *arena)
{
	FILE *file = open_below(proc_dir, "cpuinfo", arena);
	if (!file)
		return 0;
	char *line = NULL;
	size_t size = 0;
	int64_t n = 0;
	int number;
	while (getline(&line, &size, file) >= 0)
		n += sscanf(line, "processor : %d", &number) == 1;
	free(line);
	fclose(file);
	return n;
}

static int64_t read_ram_gb(const char *proc_dir, struct arena *arena)
{
	FILE *file = open_below(proc_dir, "meminfo", arena);
	if (!file)
		return 0;
	char line[256];
	long long kb = 0;
	while (fgets(line, sizeof(line), file))
		if (sscanf(line, "MemTotal: %lld kB", &kb) == 1)
			break;
	fclose(file);
	return kb > 0 ? (int64_t)(kb / (1024 * 1024)) : 0;
}

const char *preflight_boot_id(const char *proc_dir, struct arena *arena)
{
	FILE *file = open_below(proc_dir, "sys/kernel/random/boot_id", arena);
	char line[LIMIT_ID_BYTES + 1] = "";
	if (file && fgets(line, sizeof(line), file))
		line[strcspn(line, "\n")] = '\0';
	if (file)
		fclose(file);
	return *line ? arena_strdup(arena, line) : "unknown";
}

/* ---- what passthrough needs ---------------------------------------------------------------- */

static bool exists(const char *dir, const char *name, struct arena *arena)
{
	return access(arena_printf(arena, "%s/%s", dir, name), F_OK) == 0;
}

static bool has_entries(const char *dir_path, const char *name, struct arena *arena)
{
	DIR *dir = opendir(arena_printf(arena, "%s/%s", dir_path, name));
	if (!dir)
		return false;
	bool found = false;
	struct dirent *entry;
	while (!found && (entry = readdir(dir)))
		found = entry->d_name[0] != '.';
	closedir(dir);
	return found;
}

/* With an IOMMU that is on, the kernel puts every device behind it into a group. */
static int64_t iommu_is_on(const char *sysfs_dir, const struct pci_scan *scan, struct arena *arena)
{
	for (size_t i = 0; i < scan->n_devices; i++)
		if (scan->devices[i].iommu_group != ABSENT)
			return 1;
	if (has_entries(sysfs_dir, "kernel/iommu_groups", arena) ||
	    has_entries(sysfs_dir, "class/iommu", arena))
		return 1;
	return scan->n_devices ? 0 : ABSENT;
}

/*
 * The kernel names its interrupt controllers in /proc/interrupts: on x86 each one behind a remapping
 * unit has the prefix "IR-" (IR-PCI-MSI, IR-IO-APIC), whatever vendor's it is; on Arm the ITS translates
 * every MSI. On x86 without the prefix remapping is off; elsewhere nothing is said.
 */
int64_t preflight_interrupt_remapping(const char *interrupts)
{
	if (strstr(interrupts, " IR-") || strstr(interrupts, "ITS-"))
		return 1;
	return strstr(interrupts, "IO-APIC") || strstr(interrupts, "PCI-MSI") ? 0 : ABSENT;
}

int64_t preflight_read_interrupt_remapping(const char *proc_dir)
{
	cleanup(buf_deinit) struct buf path = { 0 }, text = { 0 };
	buf_printf(&path, "%s/interrupts", proc_dir);
	FILE *file = fopen(path.data, "re");
	if (!file)
		return ABSENT;
	size_t n;
	do {
		char *end = buf_reserve(&text, 65536);
		n = fread(end, 1, 65536, file);
		text.len += n;
	} while (n > 0 && text.len < FILE_BYTES_MAX);
	fclose(file);
	buf_putc(&text, '\0');
	return preflight_interrupt_remapping(text.data);
}

static int64_t vfio_is_there(const char *sysfs_dir, struct arena *arena)
{
	return exists(sysfs_dir, "bus/pci/drivers/vfio-pci", arena) ||
			       exists(sysfs_dir, "module/vfio_pci", arena)
		       ? 1
		       : ABSENT;
}

void preflight_read(const char *sysfs_dir, const char *proc_dir, const struct pci_scan *scan,
		    struct arena *arena, struct preflight *ret_preflight)
{
	*ret_preflight = (struct preflight){
		.boot_id = preflight_boot_id(proc_dir, arena),
		.cpu_cores = count_cpus(proc_dir, arena),
		.ram_gb = read_ram_gb(proc_dir, arena),
		.iommu = iommu_is_on(sysfs_dir, scan, arena),
		.interrupt_remapping = preflight_read_interrupt_remapping(proc_dir),
		.vfio = vfio_is_there(sysfs_dir, arena),
	};
}
