/*
 * A host for tests: a tree of files below /tmp, and behind it a kernel that does with writes what the real
 * one does (lab table in HACKING.md), unless a test breaks it at one file. The machine's own /sys is never
 * touched: every path is below the tree.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "attach/vfio/kernel.h"
#include "attach/vfio/vfio.h"
#include "base/buf.h"

enum { FAKE_FUNCTIONS = 16, FAKE_FAULTS = 8 };

#define GPU   "0000:01:00.0"
#define AUDIO "0000:01:00.1"

enum fake_fault_kind {
	FAKE_ERROR,  /* the write fails with `error` */
	FAKE_IGNORE, /* the write succeeds and changes nothing */
	FAKE_VANISH, /* the function leaves the bus at this write, which fails with ENODEV */
};

struct fake_host {
	char dir[64], sys[80], proc[80], dev[80];
	struct vfio_host host;
	struct vfio_kernel kernel;
	struct buf writes; /* "0000:01:00.0/driver/unbind\n..." in their order */
	struct buf loaded; /* "vfio_iommu_type1 vfio-pci " */
	bool modprobe_works;
	struct {
		char address[PCI_ADDRESS_TEXT_BYTES];
		char native[UNIT_DRIVER_BYTES]; /* what takes it without an override */
	} functions[FAKE_FUNCTIONS];
	size_t n_functions;
	struct {
		const char *at; /* the path's end */
		enum fake_fault_kind kind;
		int error;
		int after; /* so many writes there go well first */
	} faults[FAKE_FAULTS];
	size_t n_faults;
	const char *group_taken; /* the end of a node in /dev/vfio that somebody hidden has open */
	/* What the hot reset does: reaches these functions of the unit, or says why not. */
	const char *hot_reset_fails;
	unsigned n_hot_resets;
};

int fake_host_setup(void **state);
int fake_host_teardown(void **state);

/* With its native driver bound, in an IOMMU group; class 0x030000, ids 10de:1bb3. */
void fake_function(struct fake_host *fake, const char *address, const char *driver, int group);
/* A GPU with its audio function, in group 7: nouveau and snd_hda_intel. */
struct unit fake_gpu_unit(struct fake_host *fake);
struct unit fake_unit_of(const char *address, const char *second);

/* A file below the tree with this content; directories are made. */
void fake_write(struct fake_host *fake, const char *path, const char *text);
void fake_attribute(struct fake_host *fake, const char *address, const char *name,
		    const char *text);
void fake_config(struct fake_host *fake, const char *address, const unsigned char config[64]);
void fake_remove(struct fake_host *fake, const char *path);
void fake_fault(struct fake_host *fake, const char *at, enum fake_fault_kind kind, int error,
		int after);

/* As somebody else does it: "" unbinds. */
void fake_bind(struct fake_host *fake, const char *address, const char *driver);
/* "" when none is. Valid until the next call. */
const char *fake_driver(struct fake_host *fake, const char *address);
const char *fake_override(struct fake_host *fake, const char *address);

/* The function gets the device node NODE, which in truth is the device `real` (/dev/null). */
void fake_node(struct fake_host *fake, const char *node_dir, const char *real);
/* A process that has `real` open, or only mapped. */
void fake_process(struct fake_host *fake, int pid, const char *name, const char *real, bool mapped);

void assert_problem(const struct vfio_problem *problem, enum attach_code code, const char *reason);
