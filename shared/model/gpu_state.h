/*
 * The states of a discovered GPU, in the order in which they win when several apply: the first that
 * holds is the GPU's state; `reason` then names the other obstacles too.
 */
#pragma once

/* The record could not be filled: a file of the device is missing or malformed. */
#define GPU_STATE_UNREADABLE "UNREADABLE"
/* An SR-IOV physical function with virtual functions switched on. */
#define GPU_STATE_HAS_VIRTUAL_FUNCTIONS "HAS_VIRTUAL_FUNCTIONS"
/* The firmware's boot display (boot_vga = 1), unless it is on vfio-pci already. */
#define GPU_STATE_BOOT_DISPLAY "BOOT_DISPLAY"
/* A kernel driver holds it that is neither vfio-pci nor one that it may be taken from. */
#define GPU_STATE_IN_USE_BY_HOST "IN_USE_BY_HOST"
/* No IOMMU group: the IOMMU is absent or off. */
#define GPU_STATE_NO_IOMMU "NO_IOMMU"
/* Its IOMMU group has a member that cannot go along: another GPU, or a device that the host uses. */
#define GPU_STATE_GROUP_SHARED "GROUP_SHARED"
/* Free to be given to a VM, as far as the host is concerned. */
#define GPU_STATE_AVAILABLE "AVAILABLE"
