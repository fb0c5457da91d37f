#include "attach/vfio/nodes.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "attach/vfio/function.h"
#include "model/record.h"
#include "pci/attribute.h"
#include "pci/device.h"

enum {
	DEPTH_MAX = 12, /* directories below a function: a USB controller has hubs behind hubs */
	NVIDIA_MAJOR = 195,
	BARS = 6
};

static void add(struct nodes *nodes, mode_t type, dev_t device, ino_t inode, const char *name)
{
	if (nodes->n == NODES_MAX)
		return;
	struct node *node = &nodes->list[nodes->n++];
	*node = (struct node){ .type = type, .device = device, .inode = inode };
	pci_copy_text(node->name, sizeof(node->name), name);
}

/* A directory of sysfs that may be a device's with a number. */
static void add_device(struct nodes *nodes, int directory_fd, const char *name)
{
	struct attribute_error error;
	char text[32], subsystem[64];
	unsigned int number_major, number_minor;
	int end = 0;
	if (attribute_read_text(directory_fd, "dev", text, sizeof(text), &error) ||
	    sscanf(text, "%u:%u%n", &number_major, &number_minor, &end) != 2 || text[end])
		return;
	bool is_block = attribute_read_link(directory_fd, "subsystem", subsystem, sizeof(subsystem),
					    &error) == 0 &&
			strcmp(subsystem, "block") == 0;
	add(nodes, is_block ? S_IFBLK : S_IFCHR, makedev(number_major, number_minor), 0, name);
}

/* Links lead elsewhere (to the bus, to virtual functions), so only directories are entered. */
static void walk(struct nodes *nodes, int directory_fd, int depth)
{
	DIR *directory = fdopendir(directory_fd);
	if (!directory) {
		close(directory_fd);
		return;
	}
	struct dirent *entry;
	while ((entry = readdir(directory)) && nodes->n < NODES_MAX) {
		if (entry->d_name[0] == '.' ||
		    (entry->d_type != DT_DIR && entry->d_type != DT_UNKNOWN))
			continue;
		int fd = openat(dirfd(directory), entry->d_name,
				O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (fd < 0)
			continue;
		add_device(nodes, fd, entry->d_name);
		if (depth < DEPTH_MAX)
			walk(nodes, fd, depth + 1); /* closes it */
		else
			close(fd);
	}
	closedir(directory);
}

/* Drivers in user space map the BARs themselves. */
static void add_bars(struct nodes *nodes, int function_fd)
{
	for (int i = 0; i < BARS; i++) {
		char name[16];
		struct stat status;
		snprintf(name, sizeof(name), "resource%d", i);
		if (fstatat(function_fd, name, &status, 0) == 0 && S_ISREG(status.st_mode))
			add(nodes, S_IFREG, status.st_dev, status.st_ino, name);
	}
}

/* NVIDIA's own driver makes nodes that sysfs does not know. Source: its README, "/proc interface". */
static void add_nvidia(struct nodes *nodes, const struct vfio_host *host,
		       struct pci_address address)
{
	cleanup(buf_deinit) struct buf path = { 0 };
	buf_printf(&path, "%s/driver/nvidia/gpus/%s/information", host->proc_dir,
		   function_name(address).text);
	FILE *file = fopen(path.data, "re");
	if (!file)
		return;
	char line[256], name[32];
	unsigned int number;
	while (fgets(line, sizeof(line), file)) {
		if (sscanf(line, "Device Minor: %u", &number) != 1)
			continue;
		snprintf(name, sizeof(name), "nvidia%u", number);
		add(nodes, S_IFCHR, makedev(NVIDIA_MAJOR, number), 0, name);
	}
	fclose(file);
}

void nodes_add_function(struct nodes *nodes, const struct vfio_host *host,
			struct pci_address address)
{
	int fd = function_open(host, address);
	if (fd >= 0) {
		add_bars(nodes, fd);
		walk(nodes, fd, 0); /* closes it */
	}
	add_nvidia(nodes, host, address);
}

void nodes_add_group(struct nodes *nodes, const struct vfio_host *host, struct pci_address address)
{
	int32_t group = function_group(host, address);
	if (group == ABSENT)
		return;
	cleanup(buf_deinit) struct buf path = { 0 };
	buf_printf(&path, "%s/class/vfio/%d", host->sysfs_dir, group);
	int fd = open(path.data, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd >= 0) {
		char name[32];
		snprintf(name, sizeof(name), "vfio/%d", group);
		add_device(nodes, fd, name);
		close(fd);
	}
}

const struct node *nodes_find(const struct nodes *nodes, const struct stat *status)
{
	for (size_t i = 0; i < nodes->n; i++) {
		const struct node *node = &nodes->list[i];
		if ((status->st_mode & S_IFMT) != node->type)
			continue;
		if (node->type == S_IFREG
			    ? status->st_dev == node->device && status->st_ino == node->inode
			    : status->st_rdev == node->device)
			return node;
	}
	return NULL;
}
