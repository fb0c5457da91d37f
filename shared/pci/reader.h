/*
 * The reader process: reads the PCI bus and writes frames (pci/frame.h) to its standard output. It is the
 * program itself, started again by pci_scan(); a crash, a hang or an exit in it costs one device at most.
 *
 * A program that calls pci_scan() calls pci_reader_main() when it is started with the arguments that it
 * gave as pci_scan_options.reader_args.
 */
#pragma once

/* The arguments behind reader_args: SYSFS_DIR PCI_IDS_PATH AFTER, see reader.c. Returns the exit status. */
int pci_reader_main(int argc, char *const *argv);
