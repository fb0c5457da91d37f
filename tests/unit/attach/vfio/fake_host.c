#include "fake_host.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/memory.h"

/* ---- files --------------------------------------------------------------------------------- */

static void make_parents(const char *path)
{
	char parent[PATH_MAX];
	snprintf(parent, sizeof(parent), "%s", path);
	for (char *slash = strchr(parent + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		assert_true(mkdir(parent, 0755) == 0 || errno == EEXIST);
		*slash = '/';
	}
}

static void write_path(const char *path, const void *data, size_t len)
{
	make_parents(path);
	FILE *file = fopen(path, "we");
	assert_non_null(file);
	assert_int_equal(fwrite(data, 1, len, file), len);
	assert_int_equal(fclose(file), 0);
}

void fake_write(struct fake_host *fake, const char *path, const char *text)
{
	char full[2 * PATH_MAX];
	snprintf(full, sizeof(full), "%s/%s", fake->dir, path);
	write_path(full, text, strlen(text));
}

static void make_link(const char *path, const char *target)
{
	make_parents(path);
	(void)unlink(path);
	assert_int_equal(symlink(target, path), 0);
}

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *ftw)
{
	(void)status, (void)type, (void)ftw;
	return remove(path);
}

void fake_remove(struct fake_host *fake, const char *path)
{
	char full[2 * PATH_MAX];
	snprintf(full, sizeof(full), "%s/%s", fake->dir, path);
	assert_int_equal(nftw(full, remove_entry, 16, FTW_DEPTH | FTW_PHYS), 0);
}

static const char *function_file(struct fake_host *fake, const char *address, const char *name)
{
	static char path[PATH_MAX];
	snprintf(path, sizeof(path), "%s/bus/pci/devices/%s/%s", fake->sys, address, name);
	return path;
}

void fake_attribute(struct fake_host *fake, const char *address, const char *name, const char *text)
{
	const char *path = function_file(fake, address, name);
	write_path(path, text, strlen(text));
}

void fake_config(struct fake_host *fake, const char *address, const unsigned char config[64])
{
	write_path(function_file(fake, address, "config"), config, 64);
}

/* ---- drivers ------------------------------------------------------------------------------- */

static bool driver_is_loaded(struct fake_host *fake, const char *driver)
{
	char path[PATH_MAX];
	snprintf(path, sizeof(path), "%s/bus/pci/drivers/%s", fake->sys, driver);
	return access(path, F_OK) == 0;
}

static void load_driver(struct fake_host *fake, const char *driver)
{
	char path[256];
	snprintf(path, sizeof(path), "sys/bus/pci/drivers/%s/new_id", driver);
	fake_write(fake, path, "");
}

void fake_bind(struct fake_host *fake, const char *address, const char *driver)
{
	char target[256];
	snprintf(target, sizeof(target), "../../drivers/%s", driver);
	if (*driver)
		make_link(function_file(fake, address, "driver"), target);
	else
		(void)unlink(function_file(fake, address, "driver"));
}

const char *fake_driver(struct fake_host *fake, const char *address)
{
	static char target[PATH_MAX];
	ssize_t len = readlink(function_file(fake, address, "driver"), target, sizeof(target) - 1);
	if (len < 0)
		return "";
	target[len] = '\0';
	return strrchr(target, '/') + 1;
}

const char *fake_override(struct fake_host *fake, const char *address)
{
	static char text[64];
	FILE *file = fopen(function_file(fake, address, "driver_override"), "re");
	assert_non_null(file);
	assert_non_null(fgets(text, sizeof(text), file));
	fclose(file);
	text[strcspn(text, "\n")] = '\0';
	return strcmp(text, "(null)") == 0 ? "" : text;
}

/* ---- the kernel ---------------------------------------------------------------------------- */

static int probe(struct fake_host *fake, const char *address)
{
	if (access(function_file(fake, address, "class"), F_OK) < 0)
		return ENODEV;
	if (*fake_driver(fake, address))
		return 0;
	const char *driver = fake_override(fake, address);
	for (size_t i = 0; !*driver && i < fake->n_functions; i++)
		if (strcmp(fake->functions[i].address, address) == 0)
			driver = fake->functions[i].native;
	if (*driver && driver_is_loaded(fake, driver))
		fake_bind(fake, address, driver);
	return 0;
}

static int set_override(struct fake_host *fake, const char *address, const char *text)
{
	char line[UNIT_DRIVER_BYTES + 1];
	bool clears = *text == '\0' || *text == '\n';
	snprintf(line, sizeof(line), "%s\n", clears ? "(null)" : text);
	fake_attribute(fake, address, "driver_override", line);
	return 0;
}

static bool ends_with(const char *text, const char *end)
{
	size_t len = strlen(text), n = strlen(end);
	return len >= n && strcmp(text + len - n, end) == 0;
}

/* True: *ret_errno is all that happens. */
static bool goes_wrong(struct fake_host *fake, const char *path, int *ret_errno)
{
	for (size_t i = 0; i < fake->n_faults; i++) {
		if (!ends_with(path, fake->faults[i].at) || fake->faults[i].after-- > 0)
			continue;
		*ret_errno = fake->faults[i].kind == FAKE_ERROR ? fake->faults[i].error : 0;
		if (fake->faults[i].kind != FAKE_VANISH)
			return true;
		*ret_errno = ENODEV;
		if (access(function_file(fake, GPU, "class"), F_OK) == 0)
			fake_remove(fake, "sys/bus/pci/devices/" GPU);
		return true;
	}
	return false;
}

static int kernel_write(void *context, const char *path, const char *text)
{
	struct fake_host *fake = context;
	const char *devices = strstr(path, "/devices/");
	char address[PCI_ADDRESS_TEXT_BYTES];
	assert_memory_equal(path, fake->sys, strlen(fake->sys));
	snprintf(address, sizeof(address), "%s", devices ? devices + strlen("/devices/") : text);
	address[strcspn(address, "/")] = '\0';
	buf_printf(&fake->writes, "%s %s=%s\n", address, strrchr(path, '/') + 1,
		   *text == '\n' ? "" : text);

	int error;
	if (goes_wrong(fake, path, &error))
		return error;
	if (access(function_file(fake, address, "class"), F_OK) < 0)
		return ends_with(path, "/drivers_probe") ? ENODEV : ENOENT;
	if (ends_with(path, "/driver_override"))
		return set_override(fake, address, text);
	if (ends_with(path, "/drivers_probe"))
		return probe(fake, address);
	if (ends_with(path, "/driver/unbind")) {
		if (!*fake_driver(fake, address))
			return ENOENT;
		fake_bind(fake, address, "");
		return 0;
	}
	return ends_with(path, "/reset") ? 0 : ENOENT;
}

static void kernel_load_module(void *context, const char *name)
{
	struct fake_host *fake = context;
	buf_printf(&fake->loaded, "%s ", name);
	if (fake->modprobe_works && strcmp(name, "vfio-pci") == 0)
		load_driver(fake, "vfio-pci");
}

static bool kernel_group_is_taken(void *context, const char *node)
{
	const struct fake_host *fake = context;
	size_t len = strlen(node), end = fake->group_taken ? strlen(fake->group_taken) : len + 1;
	return len >= end && strcmp(node + len - end, fake->group_taken) == 0;
}

static int kernel_hot_reset(void *context, const struct vfio_host *host, const struct unit *unit,
			    size_t function, bool was_reset[], struct buf *why)
{
	struct fake_host *fake = context;
	(void)host, (void)function;
	fake->n_hot_resets++;
	if (fake->hot_reset_fails) {
		buf_puts(why, fake->hot_reset_fails);
		return 1;
	}
	for (size_t i = 0; i < unit->n; i++)
		was_reset[i] = true;
	return 0;
}

void fake_fault(struct fake_host *fake, const char *at, enum fake_fault_kind kind, int error,
		int after)
{
	assert_true(fake->n_faults < FAKE_FAULTS);
	size_t i = fake->n_faults++;
	fake->faults[i].at = at;
	fake->faults[i].kind = kind;
	fake->faults[i].error = error;
	fake->faults[i].after = after;
}

/* ---- what there is ------------------------------------------------------------------------- */

void fake_function(struct fake_host *fake, const char *address, const char *driver, int group)
{
	static const unsigned char config[64] = { 0xde, 0x10, 0xb3, 0x1b, 0x03, 0x00 };
	char text[PATH_MAX];
	assert_true(fake->n_functions < FAKE_FUNCTIONS);
	snprintf(fake->functions[fake->n_functions].address, PCI_ADDRESS_TEXT_BYTES, "%s", address);
	snprintf(fake->functions[fake->n_functions].native, UNIT_DRIVER_BYTES, "%s", driver);
	fake->n_functions++;

	fake_attribute(fake, address, "class", "0x030000\n");
	fake_attribute(fake, address, "vendor", "0x10de\n");
	fake_attribute(fake, address, "device", "0x1bb3\n");
	fake_attribute(fake, address, "driver_override", "(null)\n");
	fake_attribute(fake, address, "reset", "");
	fake_attribute(fake, address, "reset_method", "flr bus\n");
	fake_config(fake, address, config);
	if (*driver) {
		load_driver(fake, driver);
		fake_bind(fake, address, driver);
	}
	if (group < 0)
		return;
	snprintf(text, sizeof(text), "../../../../kernel/iommu_groups/%d", group);
	make_link(function_file(fake, address, "iommu_group"), text);
	char member[PATH_MAX];
	snprintf(member, sizeof(member), "%s/kernel/iommu_groups/%d/devices/%s", fake->sys, group,
		 address);
	make_link(member, function_file(fake, address, ""));
}

struct unit fake_unit_of(const char *address, const char *second)
{
	struct unit unit = { .n = second ? 2 : 1 };
	assert_int_equal(pci_address_parse(address, &unit.functions[0]), 0);
	if (second)
		assert_int_equal(pci_address_parse(second, &unit.functions[1]), 0);
	return unit;
}

struct unit fake_gpu_unit(struct fake_host *fake)
{
	fake_function(fake, GPU, "nouveau", 7);
	fake_function(fake, AUDIO, "snd_hda_intel", 7);
	fake_attribute(fake, AUDIO, "class", "0x040300\n");
	return fake_unit_of(GPU, AUDIO);
}

void fake_node(struct fake_host *fake, const char *node_dir, const char *real)
{
	struct stat status;
	char path[256], text[32];
	assert_int_equal(stat(real, &status), 0);
	snprintf(path, sizeof(path), "sys/%s/dev", node_dir);
	snprintf(text, sizeof(text), "%u:%u\n", major(status.st_rdev), minor(status.st_rdev));
	fake_write(fake, path, text);
}

void fake_process(struct fake_host *fake, int pid, const char *name, const char *real, bool mapped)
{
	char path[PATH_MAX], text[256];
	snprintf(path, sizeof(path), "proc/%d/comm", pid);
	snprintf(text, sizeof(text), "%s\n", name);
	fake_write(fake, path, text);
	snprintf(path, sizeof(path), "%s/%d/fd/0", fake->proc, pid);
	make_link(path, "/dev/tty");
	snprintf(path, sizeof(path), "%s/%d/%s", fake->proc, pid,
		 mapped ? "map_files/7f00aa000000-7f00aa001000" : "fd/5");
	make_link(path, real);
	if (!mapped)
		return;
	snprintf(path, sizeof(path), "proc/%d/maps", pid);
	fake_write(fake, path,
		   "5500aa000000-5500aa001000 r-xp 00000000 08:01 1 /usr/bin/x\n"
		   "7f00aa000000-7f00aa001000 rw-s 00000000 00:05 99 /dev/dri/card0\n");
}

int fake_host_setup(void **state)
{
	struct fake_host *fake = memory_zeroed(1, sizeof(*fake));
	snprintf(fake->dir, sizeof(fake->dir), "/tmp/gpubus-vfio.XXXXXX");
	if (!mkdtemp(fake->dir))
		return -1;
	snprintf(fake->sys, sizeof(fake->sys), "%s/sys", fake->dir);
	snprintf(fake->proc, sizeof(fake->proc), "%s/proc", fake->dir);
	snprintf(fake->dev, sizeof(fake->dev), "%s/dev", fake->dir);
	fake->kernel = (struct vfio_kernel){
		.context = fake,
		.write = kernel_write,
		.load_module = kernel_load_module,
		.group_is_taken = kernel_group_is_taken,
		.hot_reset = kernel_hot_reset,
	};
	fake->host = (struct vfio_host){ .sysfs_dir = fake->sys,
					 .proc_dir = fake->proc,
					 .dev_dir = fake->dev,
					 .kernel = &fake->kernel };
	load_driver(fake, "vfio-pci");
	fake_write(fake, "proc/interrupts", "  24:  0  0  IR-PCI-MSI-0000:01:00.0  0-edge\n");
	*state = fake;
	return 0;
}

int fake_host_teardown(void **state)
{
	struct fake_host *fake = *state;
	nftw(fake->dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
	buf_deinit(&fake->writes);
	buf_deinit(&fake->loaded);
	free(fake);
	return 0;
}

void assert_problem(const struct vfio_problem *problem, enum attach_code code, const char *reason)
{
	assert_string_equal(attach_code_name(problem->code), attach_code_name(code));
	assert_string_equal(problem->reason, reason);
}
