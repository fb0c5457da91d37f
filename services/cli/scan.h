/*
 * `gpubus scan`: the GPUs of this machine, or of a recorded tree, as inventory would announce them, with
 * no bus. Exit status: 0 (also when there is no GPU), 1 when the bus cannot be read (whole), 2 when it was
 * called wrongly.
 */
#pragma once

#include "base/buf.h"

/* argv[0] is the verb. Also the entry of the process that reads the bus (pci/reader.h). */
int cli_scan(int argc, char **argv);

/* The arguments that make this program the reader of pci/scan.h. */
extern const char *const scan_reader_args[];

/* Setter of an option --passthrough-drivers; `target` is a const char **. */
int scan_set_drivers(void *target, const char *value, struct buf *error);
