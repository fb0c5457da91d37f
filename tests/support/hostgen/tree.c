#include "tree.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/memory.h"

/* Everything is written relative to the host's directory; the first failure stays in `error`. */
struct tree {
	int fd;
	int error;
	char **paths; /* of each function: "sys/devices/pci0000:00/..." */
};

static void keep_error(struct tree *tree, int r)
{
	if (r < 0 && errno != EEXIST && !tree->error)
		tree->error = -errno;
}

static void make_dir(struct tree *tree, const char *path)
{
	keep_error(tree, mkdirat(tree->fd, path, 0755));
}

static void make_link(struct tree *tree, const char *target, const char *path)
{
	keep_error(tree, symlinkat(target, tree->fd, path));
}

static void make_file(struct tree *tree, const char *path, const char *format, ...)
	PRINTF_LIKE(3, 4);

static void make_file(struct tree *tree, const char *path, const char *format, ...)
{
	int fd = openat(tree->fd, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	keep_error(tree, fd);
	if (fd < 0)
		return;
	va_list args;
	va_start(args, format);
	keep_error(tree, vdprintf(fd, format, args));
	va_end(args);
	close(fd);
}

/* "../../" for every component of `path` but the last, behind "sys/". */
static void up_to_sys(const char *path, char *text, size_t size)
{
	size_t len = 0;
	*text = '\0';
	for (const char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/'))
		if (slash != strchr(path, '/') && len + 4 < size)
			len += (size_t)snprintf(text + len, size - len, "../");
}

/* ---- one function -------------------------------------------------------------------------- */

struct node {
	struct tree *tree;
	const struct function *function;
	const char *path;
	char up[256]; /* from a link in its directory to sys/ */
};

static void attribute(const struct node *node, const char *name, const char *format, ...)
	PRINTF_LIKE(3, 4);

static void attribute(const struct node *node, const char *name, const char *format, ...)
{
	if (node->function->without && strcmp(node->function->without, name) == 0)
		return;
	char path[PATH_MAX], text[512];
	va_list args;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	snprintf(path, sizeof(path), "%s/%s", node->path, name);
	make_file(node->tree, path, "%s\n", text);
}

static void device_link(const struct node *node, const char *name, const char *format, ...)
	PRINTF_LIKE(3, 4);

static void device_link(const struct node *node, const char *name, const char *format, ...)
{
	if (node->function->without && strcmp(node->function->without, name) == 0)
		return;
	char path[PATH_MAX], target[512];
	va_list args;
	va_start(args, format);
	vsnprintf(target, sizeof(target), format, args);
	va_end(args);
	snprintf(path, sizeof(path), "%s/%s", node->path, name);
	make_link(node->tree, target, path);
}

static void write_ids(const struct node *node)
{
	const struct function *f = node->function;
	attribute(node, "vendor", "0x%04x", f->vendor);
	attribute(node, "device", "0x%04x", f->device);
	attribute(node, "class", "0x%06x", f->class_id);
	attribute(node, "revision", "0xa1");
	if (f->sub_vendor) {
		attribute(node, "subsystem_vendor", "0x%04x", f->sub_vendor);
		attribute(node, "subsystem_device", "0x%04x", f->sub_device);
	}
	attribute(node, "numa_node", "%d", f->numa);
	if (f->boot_vga >= 0)
		attribute(node, "boot_vga", "%d", f->boot_vga);
}

static void write_driver(const struct node *node)
{
	if (!*node->function->driver)
		return;
	char path[PATH_MAX];
	snprintf(path, sizeof(path), "sys/bus/pci/drivers/%s", node->function->driver);
	make_dir(node->tree, path);
	device_link(node, "driver", "%sbus/pci/drivers/%s", node->up, node->function->driver);
}

static void write_group(const struct node *node, const char *address)
{
	int group = node->function->group;
	if (group == NO_GROUP)
		return;
	char path[PATH_MAX], target[PATH_MAX + 16];
	snprintf(path, sizeof(path), "sys/kernel/iommu_groups/%d", group);
	make_dir(node->tree, path);
	snprintf(path, sizeof(path), "sys/kernel/iommu_groups/%d/devices", group);
	make_dir(node->tree, path);
	snprintf(path, sizeof(path), "sys/kernel/iommu_groups/%d/devices/%s", group, address);
	snprintf(target, sizeof(target), "../../../../%s", node->path + strlen("sys/"));
	make_link(node->tree, target, path);
	device_link(node, "iommu_group", "%skernel/iommu_groups/%d", node->up, group);
}

static void write_virtual_functions(const struct node *node, const struct function *functions,
				    size_t n)
{
	const struct function *f = node->function;
	char text[PCI_ADDRESS_TEXT_BYTES], name[32];
	if (f->physical_function != NO_PARENT) {
		pci_address_format(functions[f->physical_function].address, text);
		device_link(node, "physfn", "../%s", text);
	}
	if (f->n_virtual_functions < 0)
		return;
	attribute(node, "sriov_totalvfs", "%d", 64);
	attribute(node, "sriov_numvfs", "%d", f->n_virtual_functions);
	int number = 0;
	for (size_t i = 0; i < n; i++) {
		if (functions[i].physical_function < 0 ||
		    &functions[functions[i].physical_function] != f)
			continue;
		pci_address_format(functions[i].address, text);
		snprintf(name, sizeof(name), "virtfn%d", number++);
		device_link(node, name, "../%s", text);
	}
}

static void write_function(struct tree *tree, const struct function *functions, size_t n, size_t i)
{
	const struct function *f = &functions[i];
	char address[PCI_ADDRESS_TEXT_BYTES], path[PATH_MAX], target[PATH_MAX + 16];
	pci_address_format(f->address, address);
	if (f->parent == NO_PARENT) {
		snprintf(path, sizeof(path), "sys/devices/pci%04x:%02x", f->address.domain,
			 f->address.bus);
		make_dir(tree, path);
	} else {
		snprintf(path, sizeof(path), "%s", tree->paths[f->parent]);
	}
	size_t len = strlen(path);
	snprintf(path + len, sizeof(path) - len, "/%s", address);
	make_dir(tree, path);
	tree->paths[i] = memory_strdup(path);

	struct node node = { .tree = tree, .function = f, .path = tree->paths[i] };
	char inside[PATH_MAX + 8];
	snprintf(inside, sizeof(inside), "%s/x", path);
	up_to_sys(inside, node.up, sizeof(node.up));
	write_ids(&node);
	write_driver(&node);
	write_group(&node, address);
	write_virtual_functions(&node, functions, n);

	snprintf(target, sizeof(target), "../../../%s", path + strlen("sys/"));
	snprintf(path, sizeof(path), "sys/bus/pci/devices/%s", address);
	make_link(tree, target, path);
}

/* ---- the host ------------------------------------------------------------------------------ */

static void write_proc(struct tree *tree, const struct host *host, const char *name)
{
	cleanup(buf_deinit) struct buf text = { 0 };
	for (int i = 0; i < host->cores; i++)
		buf_printf(&text, "processor\t: %d\n\n", i);
	make_file(tree, "proc/cpuinfo", "%s", text.data);
	make_file(tree, "proc/meminfo", "MemTotal:       %lld kB\n",
		  (long long)host->ram_gb * 1024 * 1024);
	make_file(tree, "proc/interrupts", "           CPU0\n  24:          0  %sPCI-MSI 0-edge\n",
		  host->remapping ? "IR-" : "");
	make_file(tree, "proc/sys/kernel/random/boot_id", "%s-boot-1\n", name);
}

static void write_frame(struct tree *tree, const struct host *host)
{
	static const char *const dirs[] = { "proc",
					    "proc/sys",
					    "proc/sys/kernel",
					    "proc/sys/kernel/random",
					    "sys",
					    "sys/devices",
					    "sys/kernel",
					    "sys/kernel/iommu_groups",
					    "sys/class",
					    "sys/class/iommu",
					    "sys/bus",
					    "sys/bus/pci",
					    "sys/bus/pci/devices",
					    "sys/bus/pci/drivers" };
	for (size_t i = 0; i < sizeof(dirs) / sizeof(*dirs); i++)
		make_dir(tree, dirs[i]);
	if (host->iommu)
		make_dir(tree, "sys/class/iommu/dmar0");
	if (host->vfio)
		make_dir(tree, "sys/bus/pci/drivers/vfio-pci");
}

int tree_write(const char *dir, const char *name, const struct host *host,
	       const struct function *functions, size_t n)
{
	if (mkdir(dir, 0755) < 0)
		return -errno;
	struct tree tree = { .fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC) };
	if (tree.fd < 0)
		return -errno;
	tree.paths = memory_zeroed(n, sizeof(*tree.paths));
	write_frame(&tree, host);
	for (size_t i = 0; i < n; i++)
		write_function(&tree, functions, n, i);
	write_proc(&tree, host, name);
	/* Last, so that a tree with it is whole. */
	make_file(&tree, "host.conf", "host=%s\npool=%s\n", name, host->pool);

	for (size_t i = 0; i < n; i++)
		free(tree.paths[i]);
	free(tree.paths);
	close(tree.fd);
	return tree.error;
}
