/* What a process may have open of a device: device numbers and the files of its BARs. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

#include "attach/vfio/vfio.h"

enum { NODES_MAX = 256 }; /* of one function; more are not looked for */

struct node {
	mode_t type;  /* S_IFCHR, S_IFBLK, or S_IFREG: a BAR */
	dev_t device; /* the node's number; of a BAR, the file system's */
	ino_t inode;  /* of a BAR */
	char name[32];
};

struct nodes {
	struct node list[NODES_MAX];
	size_t n;
};

/* Add to `nodes`. What cannot be read is left out. */
void nodes_add_function(struct nodes *nodes, const struct vfio_host *host,
			struct pci_address address);
void nodes_add_group(struct nodes *nodes, const struct vfio_host *host, struct pci_address address);

/* The node that this is, or NULL. */
const struct node *nodes_find(const struct nodes *nodes, const struct stat *status);
