#include "attach/vfio/console.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "attach/vfio/function.h"
#include "pci/attribute.h"

/* The lowest N of the entries "fbN", or INT_MAX. */
static int lowest_framebuffer(int directory_fd)
{
	DIR *directory = directory_fd >= 0 ? fdopendir(directory_fd) : NULL;
	if (!directory)
		return INT_MAX;
	int lowest = INT_MAX;
	struct dirent *entry;
	while ((entry = readdir(directory))) {
		int number, end = 0;
		if (sscanf(entry->d_name, "fb%d%n", &number, &end) == 1 && !entry->d_name[end] &&
		    number >= 0 && number < lowest)
			lowest = number;
	}
	closedir(directory);
	return lowest;
}

/* Of the kernel's consoles, is one that draws on framebuffers bound? Source: Linux,
 * Documentation/fb/fbcon.rst, "vtconsole". */
static bool console_draws_on_framebuffers(const struct vfio_host *host)
{
	cleanup(buf_deinit) struct buf path = { 0 };
	buf_printf(&path, "%s/class/vtconsole", host->sysfs_dir);
	DIR *consoles = opendir(path.data);
	if (!consoles)
		return false;
	bool found = false;
	struct dirent *entry;
	while (!found && (entry = readdir(consoles))) {
		struct attribute_error error;
		char name[64];
		int32_t bound;
		int fd = entry->d_name[0] == '.' ? -1
						 : openat(dirfd(consoles), entry->d_name,
							  O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (fd < 0)
			continue;
		found = attribute_read_text(fd, "name", name, sizeof(name), &error) == 0 &&
			strstr(name, "frame buffer") &&
			attribute_read_number(fd, "bind", 0, 1, &bound, &error) == 0 && bound == 1;
		close(fd);
	}
	closedir(consoles);
	return found;
}

bool console_is_on(const struct vfio_host *host, struct pci_address address, struct buf *why)
{
	if (function_number(host, address, "boot_vga", 1) == 1) {
		buf_puts(why, "it is the host's boot display: make another GPU the primary display "
			      "in the firmware");
		return true;
	}

	cleanup(buf_deinit) struct buf own = { 0 }, all = { 0 };
	function_path(host, address, "graphics", &own);
	buf_printf(&all, "%s/class/graphics", host->sysfs_dir);
	const int flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
	int framebuffer = lowest_framebuffer(open(own.data, flags));
	/* Which framebuffer a console draws on is not in sysfs; unless told otherwise it takes the first. */
	if (framebuffer == INT_MAX || framebuffer > lowest_framebuffer(open(all.data, flags)) ||
	    !console_draws_on_framebuffers(host))
		return false;
	buf_printf(why,
		   "the host's console is on its framebuffer fb%d: unbind the console (0 to the "
		   "bind file in /sys/class/vtconsole) or keep the driver off the GPU",
		   framebuffer);
	return true;
}
