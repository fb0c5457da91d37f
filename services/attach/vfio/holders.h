/*
 * Which processes have a function open: any device node whose number stands below the function's directory
 * in sysfs (DRM, framebuffer, sound, hidraw, vfio-dev, ...), NVIDIA's node by its driver's word, or one of
 * its BARs, as an open file or mapped. Numbers and inodes are compared, not names, so that nodes in
 * containers are found.
 */
#pragma once

#include <stddef.h>

#include "attach/vfio/vfio.h"

/* Appends "Xorg (pid 812, card0), pipewire (pid 99, controlC1) and 3 more". Returns how many processes. */
size_t holders_of_function(const struct vfio_host *host, struct pci_address address,
			   struct buf *out);
