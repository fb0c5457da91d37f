/*
 * Every code that an answer can carry, once. README.md lists them for upstream publishers; a test
 * compares the two. Codes are strings on the bus, so that a new one breaks no reader.
 */
#pragma once

#include "base/error.h"

/* RequestRejected.code */
#define CODES_REJECTED(X)                                                                          \
	X(INVALID_REQUEST, "a field is missing, out of range or contradicts another")              \
	X(POOL_UNKNOWN, "no definition and no host names this pool")                               \
	X(VM_TYPE_UNKNOWN, "the pool has no VM type of this id")                                   \
	X(MODEL_UNKNOWN, "no GPU of this name or id is registered in the pool")                    \
	X(HOST_UNKNOWN, "the pool has no host of this name")                                       \
	X(GPU_UNKNOWN, "the pool has no GPU of this id")                                           \
	X(VM_HAS_GPUS, "the VM already holds GPUs; release them first")                            \
	X(VM_HAS_NO_GPUS, "the VM holds no GPUs, so there is nothing to migrate")                  \
	X(NO_CAPACITY, "no host can take the request now; hosts says why, host by host")           \
	X(NOT_SUPPORTED, "this version cannot do what a field asks for")

/* RequestCompleted.code */
#define CODES_COMPLETED(X)                                                                         \
	X(NOTHING_HELD, "the VM holds no GPUs: nothing to release")                                \
	X(ALREADY_RELEASING, "the VM's GPUs are already being released")                           \
	X(NOTHING_CHANGED, "the host or GPU is already as the command wants it")

/* GpuReleased.code */
#define CODES_RELEASED(X)                                                                          \
	X(RELEASED, "asked for; in a pool with agents the GPUs were detached, reset and verified") \
	X(FORCED, "asked for with force: nobody knows whether the GPUs are detached and clean")    \
	X(ATTACH_FAILED, "the agent could not hand the GPUs over, and no other host may or can")

/* GpuAttachment.code, GpuAssigned.attach_code, QuarantinedGpu.code. What an agent waits for, why it
 * failed, why a GPU is not clean. */
#define CODES_ATTACH(X)                                                                            \
	X(VM_ABSENT, "bound; the VM does not run, and gets the GPUs when it does")                 \
	X(HYPERVISOR_SILENT, "the hypervisor cannot be reached or does not answer")                \
	X(UNPLUG_PENDING, "the VM was asked to let go of the GPU and has not done so yet")         \
	X(STEP_PENDING, "a step on the device has not ended yet, or did not say how; tried again") \
	X(INVALID_ASSIGNMENT, "the assignment names devices that make no passthrough unit")        \
	X(DEVICE_GONE, "the device is not on the PCI bus")                                         \
	X(NO_IOMMU, "the device has no IOMMU group: the IOMMU is absent or off")                   \
	X(NO_INTERRUPT_REMAPPING, "the IOMMU does not remap interrupts")                           \
	X(NO_VFIO_DRIVER, "the kernel has no vfio-pci driver, and it cannot be loaded")            \
	X(HAS_VIRTUAL_FUNCTIONS, "SR-IOV virtual functions of the device are switched on")         \
	X(BOOT_DISPLAY, "the device shows the host's console")                                     \
	X(IN_USE, "a process has the device open")                                                 \
	X(GROUP_NOT_VIABLE, "another device of its IOMMU group is not on vfio-pci")                \
	X(BIND_FAILED, "the kernel did not bind vfio-pci to the device")                           \
	X(NO_FREE_PORT, "the VM has no free PCIe root port for another device")                    \
	X(ATTACH_REFUSED, "the hypervisor refused to add the device to the VM")                    \
	X(HELD_BY_VM, "another VM has the device")                                                 \
	X(RESET_FAILED, "the device could not be reset")                                           \
	X(CONFIG_UNREADABLE, "after the reset the device's configuration space reads as nonsense") \
	X(DRIVER_NOT_RESTORED, "the driver that the device had before did not take it back")       \
	X(STUCK, "an operation on the device does not end")                                        \
	X(UNCONFIRMED, "its agent did not say that the device was detached, reset and verified")   \
	X(OPERATOR, "an operator put it into quarantine")

/* RequestRejected.hosts[].code and MigrationVerdict.hosts[].code */
#define CODES_HOST(X)                                                                              \
	X(FITS, "the host can take it")                                                            \
	X(CURRENT_HOST, "the VM runs there now")                                                   \
	X(HOST_CORDONED, "an operator has cordoned the host: it gets no new VMs")                  \
	X(HOST_FAILED_BEFORE, "its agent could not hand GPUs over for this request")               \
	X(HOST_SILENT, "no HostSeen within the host timeout, or none ever")                        \
	X(HOST_NO_IOMMU, "the host says that its IOMMU is off")                                    \
	X(HOST_NO_VFIO, "the host has no vfio-pci driver")                                         \
	X(HOST_NO_INTERRUPT_REMAPPING, "the host has no interrupt remapping")                      \
	X(NO_CPU, "too few CPU cores left for the VM type")                                        \
	X(NO_RAM, "too little RAM left for the VM type")                                           \
	X(NO_SUCH_MODEL, "the host has no GPU of a model that is asked for")                       \
	X(TOO_FEW_GPUS,                                                                            \
	  "the host has fewer GPUs of a model than asked for, even when all are free")             \
	X(GPUS_ASSIGNED, "GPUs of the model are there, but VMs hold them")                         \
	X(GPUS_UNAVAILABLE, "GPUs of the model are there, but the host cannot give them away")

#define CODE_NAME(code, meaning) CODE_##code,
enum rejected_code { CODES_REJECTED(CODE_NAME) REJECTED_CODES };
enum completed_code { CODES_COMPLETED(CODE_NAME) COMPLETED_CODES };
enum host_code { CODES_HOST(CODE_NAME) HOST_CODES };
enum released_code { CODES_RELEASED(CODE_NAME) RELEASED_CODES };
#undef CODE_NAME
#define CODE_NAME(code, meaning) ATTACH_##code,
enum attach_code { CODES_ATTACH(CODE_NAME) ATTACH_CODES };
#undef CODE_NAME

/* The code as it stands in records, and what it means. */
const char *rejected_code_name(enum rejected_code code);
const char *rejected_code_meaning(enum rejected_code code);
const char *completed_code_name(enum completed_code code);
const char *completed_code_meaning(enum completed_code code);
const char *host_code_name(enum host_code code);
const char *host_code_meaning(enum host_code code);
const char *released_code_name(enum released_code code);
const char *released_code_meaning(enum released_code code);
const char *attach_code_name(enum attach_code code);
const char *attach_code_meaning(enum attach_code code);
/* Positive: no such code. */
int attach_code_by_name(const char *name, enum attach_code *ret_code) MUST_CHECK;
