#include "cli/doctor_facts.h"

#include <ctype.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/limits.h"

enum {
	LINE_BYTES = 16384
}; /* the flags of a CPU are one line, and so are the kernel's arguments */

static bool exists(struct arena *arena, const char *dir, const char *name)
{
	return access(arena_printf(arena, "%s/%s", dir, name), F_OK) == 0;
}

static FILE *open_below(struct arena *arena, const char *dir, const char *name)
{
	return fopen(arena_printf(arena, "%s/%s", dir, name), "re");
}

/* The first line without its end, in `arena`; NULL: there is none. */
static const char *read_line(struct arena *arena, const char *dir, const char *name)
{
	FILE *file = open_below(arena, dir, name);
	if (!file)
		return NULL;
	char *line = arena_alloc(arena, LINE_BYTES);
	bool got = fgets(line, LINE_BYTES, file);
	fclose(file);
	if (!got)
		return NULL;
	line[strcspn(line, "\n")] = '\0';
	return line;
}

/* ---- CPU --------------------------------------------------------------------------------------- */

static bool has_word(const char *line, const char *word)
{
	size_t len = strlen(word);
	for (const char *at = line; (at = strstr(at, word)); at += len)
		if (at > line && isspace((unsigned char)at[-1]) &&
		    (!at[len] || isspace((unsigned char)at[len])))
			return true;
	return false;
}

/* Of the first CPU: the others are alike. Only x86 has these lines. */
static void read_cpu(const char *proc_dir, struct arena *arena, struct doctor_facts *facts)
{
	FILE *file = open_below(arena, proc_dir, "cpuinfo");
	char *line = NULL;
	size_t size = 0;
	facts->cpu_virtualization = ABSENT;
	while (file && facts->cpu_virtualization == ABSENT && getline(&line, &size, file) >= 0) {
		if (strncmp(line, "vendor_id", 9) == 0)
			facts->cpu = strstr(line, "GenuineIntel")   ? CPU_INTEL
				     : strstr(line, "AuthenticAMD") ? CPU_AMD
								    : CPU_UNKNOWN;
		if (strncmp(line, "flags", 5) != 0)
			continue;
		facts->cpu_virtualization = has_word(line, "vmx") || has_word(line, "svm");
		facts->is_vm = has_word(line, "hypervisor");
	}
	free(line);
	if (file)
		fclose(file);
}

/* ---- modules ------------------------------------------------------------------------------------- */

/* Files spell a module's name with dashes where the kernel has underscores, or not. */
static bool names_module(const char *line, const char *module)
{
	const char *end = strstr(line, ".ko");
	const char *start = end;
	size_t len = strlen(module);
	while (start && start > line && start[-1] != '/')
		start--;
	if (!start || (size_t)(end - start) != len)
		return false;
	for (size_t i = 0; i < len; i++)
		if ((start[i] == '-' ? '_' : start[i]) != module[i])
			return false;
	return true;
}

/* modules.builtin has a path a line; modules.dep "PATH: DEPENDENCIES", so only up to the colon. */
static bool is_listed(struct arena *arena, const char *dir, const char *list, const char *module)
{
	FILE *file = open_below(arena, dir, list);
	char *line = NULL;
	size_t size = 0;
	bool found = false;
	while (file && !found && getline(&line, &size, file) >= 0) {
		line[strcspn(line, ":\n")] = '\0';
		found = names_module(line, module);
	}
	free(line);
	if (file)
		fclose(file);
	return found;
}

static enum module_state module_state(const struct doctor_place *place, const char *release,
				      const char *module, struct arena *arena)
{
	if (exists(arena, place->sysfs_dir, arena_printf(arena, "module/%s", module)))
		return MODULE_LOADED;
	const char *dir = arena_printf(arena, "%s/%s", place->modules_dir, release ? release : "-");
	if (!release || access(dir, F_OK) != 0)
		return place->is_this_machine ? MODULE_NO_LIST : MODULE_UNKNOWN;
	if (is_listed(arena, dir, "modules.builtin", module))
		return MODULE_LOADED;
	return is_listed(arena, dir, "modules.dep", module) ? MODULE_LOADABLE : MODULE_MISSING;
}

static void read_modules(const struct doctor_place *place, struct arena *arena,
			 struct doctor_facts *facts)
{
	const char *release = read_line(arena, place->proc_dir, "sys/kernel/osrelease");
	facts->kernel_release = release && *release && !strchr(release, '/') ? release : NULL;
	facts->vfio_pci = facts->preflight.vfio == 1
				  ? MODULE_LOADED
				  : module_state(place, facts->kernel_release, "vfio_pci", arena);
	facts->vfio_iommu_type1 =
		module_state(place, facts->kernel_release, "vfio_iommu_type1", arena);
	const char *unsafe =
		read_line(arena, place->sysfs_dir,
			  "module/vfio_iommu_type1/parameters/allow_unsafe_interrupts");
	facts->unsafe_interrupts = unsafe ? *unsafe == 'Y' || *unsafe == '1' : ABSENT;
}

/* ---- firmware -------------------------------------------------------------------------------------- */

/* Every machine with ACPI has a DSDT: without one, the tree does not have the tables. */
static int64_t has_table(const char *sysfs_dir, const char *table, struct arena *arena)
{
	const char *dir = arena_printf(arena, "%s/firmware/acpi/tables", sysfs_dir);
	if (exists(arena, dir, table))
		return 1;
	return exists(arena, dir, "DSDT") ? 0 : ABSENT;
}

void doctor_read_facts(const struct doctor_place *place, const struct pci_scan *scan,
		       struct arena *arena, struct doctor_facts *ret_facts)
{
	*ret_facts = (struct doctor_facts){
		.acpi_dmar = has_table(place->sysfs_dir, "DMAR", arena),
		.acpi_ivrs = has_table(place->sysfs_dir, "IVRS", arena),
		.kernel_arguments = read_line(arena, place->proc_dir, "cmdline"),
	};
	preflight_read(place->sysfs_dir, place->proc_dir, scan, arena, &ret_facts->preflight);
	read_cpu(place->proc_dir, arena, ret_facts);
	read_modules(place, arena, ret_facts);
}

/* ---- devices --------------------------------------------------------------------------------------- */

const char *doctor_module_of(const char *sysfs_dir, const char *driver, struct arena *arena)
{
	char target[PATH_MAX];
	const char *link = arena_printf(arena, "%s/bus/pci/drivers/%s/module", sysfs_dir, driver);
	ssize_t len = readlink(link, target, sizeof(target) - 1);
	if (len <= 0)
		return driver;
	target[len] = '\0';
	const char *slash = strrchr(target, '/');
	return arena_strdup(arena, slash ? slash + 1 : target);
}

/* The kernel shows these files only for a device that it can reset. A tree without the device's resources was
 * recorded in part. */
int64_t doctor_can_reset(const char *sysfs_dir, const char *address, struct arena *arena)
{
	const char *dir = arena_printf(arena, "%s/bus/pci/devices/%s", sysfs_dir, address);
	const char *methods = read_line(arena, dir, "reset_method");
	if (methods && *methods)
		return 1;
	if (!exists(arena, dir, "reset_method") && exists(arena, dir, "reset"))
		return 1;
	return exists(arena, dir, "resource") ? 0 : ABSENT;
}
