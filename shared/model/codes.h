/*
 * Every code that an answer can carry, once. README.md lists them for upstream publishers; a test
 * compares the two. Codes are strings on the bus, so that a new one breaks no reader.
 */
#pragma once

/* RequestRejected.code */
#define CODES_REJECTED(X)                                                                          \
	X(INVALID_REQUEST, "a field is missing, out of range or contradicts another")              \
	X(POOL_UNKNOWN, "no definition and no host names this pool")                               \
	X(VM_TYPE_UNKNOWN, "the pool has no VM type of this id")                                   \
	X(MODEL_UNKNOWN, "no GPU of this name or id is registered in the pool")                    \
	X(HOST_UNKNOWN, "the pool has no host of this name")                                       \
	X(VM_HAS_GPUS, "the VM already holds GPUs; release them first")                            \
	X(VM_HAS_NO_GPUS, "the VM holds no GPUs, so there is nothing to migrate")                  \
	X(NO_CAPACITY, "no host can take the request now; hosts says why, host by host")           \
	X(NOT_SUPPORTED, "this version cannot do what a field asks for")

/* RequestCompleted.code */
#define CODES_COMPLETED(X)                                                                         \
	X(NOTHING_HELD, "the VM holds no GPUs: nothing to release")                                \
	X(ALREADY_RELEASING, "the VM's GPUs are already being released")

/* RequestRejected.hosts[].code and MigrationVerdict.hosts[].code */
#define CODES_HOST(X)                                                                              \
	X(FITS, "the host can take it")                                                            \
	X(CURRENT_HOST, "the VM runs there now")                                                   \
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
#undef CODE_NAME

/* The code as it stands in records, and what it means. */
const char *rejected_code_name(enum rejected_code code);
const char *rejected_code_meaning(enum rejected_code code);
const char *completed_code_name(enum completed_code code);
const char *completed_code_meaning(enum completed_code code);
const char *host_code_name(enum host_code code);
const char *host_code_meaning(enum host_code code);
