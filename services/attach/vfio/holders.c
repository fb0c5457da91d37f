#include "attach/vfio/holders.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "attach/vfio/function.h"
#include "attach/vfio/nodes.h"
#include "base/memory.h"
#include "pci/attribute.h"

enum { HOLDERS_NAMED = 4 };

static const struct node *open_node(int process_fd, const struct nodes *nodes)
{
	int fd = openat(process_fd, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *directory = fd >= 0 ? fdopendir(fd) : NULL;
	if (!directory)
		return NULL;
	const struct node *node = NULL;
	struct dirent *entry;
	struct stat status;
	while (!node && (entry = readdir(directory)))
		if (entry->d_name[0] != '.' && fstatat(fd, entry->d_name, &status, 0) == 0)
			node = nodes_find(nodes, &status);
	closedir(directory);
	return node;
}

/* Whoever maps a node may have closed it. Of a mapping only those files are looked at that can be one of
 * ours by their path: a machine has 100,000 mappings. */
static const struct node *mapped_node(int process_fd, const struct nodes *nodes)
{
	int fd = openat(process_fd, "maps", O_RDONLY | O_CLOEXEC);
	FILE *maps = fd >= 0 ? fdopen(fd, "r") : NULL;
	if (!maps)
		return NULL;
	const struct node *node = NULL;
	char *line = NULL;
	size_t size = 0;
	while (!node && getline(&line, &size, maps) >= 0) {
		const char *path = strchr(line, '/');
		if (!path || (!strstr(path, "/dev/") && !strstr(path, "/resource")))
			continue;
		char file[96];
		struct stat status;
		snprintf(file, sizeof(file), "map_files/%.*s", (int)strcspn(line, " "), line);
		if (fstatat(process_fd, file, &status, 0) == 0)
			node = nodes_find(nodes, &status);
	}
	free(line);
	fclose(maps);
	return node;
}

static bool is_number(const char *text)
{
	size_t len = strspn(text, "0123456789");
	return len && !text[len];
}

/* Appends the process if it has one of the nodes. */
static bool look_at_process(int process_fd, const char *pid, const struct nodes *nodes,
			    size_t n_before, struct buf *out)
{
	const struct node *node = open_node(process_fd, nodes);
	if (!node)
		node = mapped_node(process_fd, nodes);
	if (!node)
		return false;
	struct attribute_error error;
	char name[64];
	if (attribute_read_text(process_fd, "comm", name, sizeof(name), &error))
		snprintf(name, sizeof(name), "a process");
	if (n_before < HOLDERS_NAMED)
		buf_printf(out, "%s%s (pid %s, %s)", n_before ? ", " : "", name, pid, node->name);
	return true;
}

static size_t holders_of(const struct vfio_host *host, const struct nodes *nodes, struct buf *out)
{
	DIR *processes = nodes->n ? opendir(host->proc_dir) : NULL;
	if (!processes)
		return 0;
	size_t n = 0;
	struct dirent *entry;
	while ((entry = readdir(processes))) {
		if (!is_number(entry->d_name))
			continue;
		int fd =
			openat(dirfd(processes), entry->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (fd < 0)
			continue;
		n += look_at_process(fd, entry->d_name, nodes, n, out);
		close(fd);
	}
	closedir(processes);
	if (n > HOLDERS_NAMED)
		buf_printf(out, " and %zu more", n - HOLDERS_NAMED);
	return n;
}

size_t holders_of_function(const struct vfio_host *host, struct pci_address address,
			   struct buf *out)
{
	cleanup(freep) struct nodes *nodes = memory_zeroed(1, sizeof(*nodes));
	nodes_add_function(nodes, host, address);
	return holders_of(host, nodes, out);
}

size_t vfio_group_holders(const struct vfio_host *host, const struct unit *unit, struct buf *out)
{
	cleanup(freep) struct nodes *nodes = memory_zeroed(1, sizeof(*nodes));
	for (size_t i = 0; i < unit->n; i++)
		if (function_is_on_vfio(host, unit->functions[i])) {
			nodes_add_group(nodes, host, unit->functions[i]);
			nodes_add_function(nodes, host, unit->functions[i]);
		}
	return holders_of(host, nodes, out);
}
