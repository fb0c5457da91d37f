/*
 * Trees for the tests of pci: recorded hosts unpacked, or described ones made, in a directory of the
 * test's own that is removed at its end. Failures end the test (cmocka).
 */
#pragma once

#include "base/arena.h"
#include "pci/scan.h"

struct fixture {
	char dir[64]; /* the test's own */
	struct arena arena;
};

/* For cmocka: *state becomes a struct fixture. */
int fixture_setup(void **state);
int fixture_teardown(void **state);

/* Must be the first thing in main(): true when this process is the reader that pci_scan() started;
 * *ret_status is then what main() returns. */
bool fixture_is_reader(int argc, char **argv, int *ret_status);

/* The tree DIR/NAME/sys, and DIR/NAME/proc, from a description of one host (tests/support/hostgen). */
const char *fixture_host(struct fixture *fixture, const char *name, const char *description);
/* The same of a description without its host line. */
const char *fixture_describe(struct fixture *fixture, const char *cards);
/* DIR/HOST/sys of a recorded host. */
const char *fixture_recorded(struct fixture *fixture, const char *host);

/* Options that read `sysfs_dir` with this program as reader, and names from the tests' own list. */
struct pci_scan_options fixture_options(struct fixture *fixture, const char *sysfs_dir);
struct pci_scan fixture_scan(struct fixture *fixture, const char *sysfs_dir);
const struct gpu_discovered *fixture_gpu(const struct pci_scan *scan, const char *address);

/* What stands in the place of a file of a device (which is replaced). */
void fixture_put(const char *sysfs_dir, const char *address, const char *file, const char *text);
void fixture_remove(const char *sysfs_dir, const char *address, const char *file);
/* DIR/bus/pci/devices/ADDRESS/FILE; in a buffer that the next call reuses. */
const char *fixture_path(const char *sysfs_dir, const char *address, const char *file);
