/*
 * The records that travel on the bus, as plain C values, and one table per record that describes its
 * fields. The Avro codec, the JSON reader and writer and the CLI work from these tables: a new field is
 * a member here, a row in record.c and a field in schemas/NAME.avsc.
 *
 * Strings are NUL-terminated UTF-8 and belong to whoever made the record (usually an arena); an absent
 * optional string is NULL, an absent optional number is -1 (ABSENT). A required string that a writer's
 * schema does not have is "". Lists are pointer and count. Times are microseconds since 1970 (UTC).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ABSENT (-1)

/* ---- catalog ------------------------------------------------------------------------------- */

/* N GPUs of a model: in a VM type or in a request. `name`: a model name, "10de:1bb3" or
 * "10de:1bb3:10de:11d8" (vendor:device[:subsystem vendor:subsystem device], lower-case hex). */
struct gpu_ask {
	const char *name;
	int64_t count;
};

struct vm_pool_defined {
	const char *pool_id;
	const char *name;
	const char *attach;	       /* "agent" (default) or "external" */
	const char *policy;	       /* "pack" (default) or "spread" */
	const char *on_attach_failure; /* "reschedule" (default) or "end" */
	int64_t attach_attempts;       /* hosts tried at most, the first included */
	const char *after_release;     /* "keep-vfio" (default) or "give-back" */
};

struct vm_type_defined {
	const char *vm_type_id;
	const char *pool_id;
	const char *name;
	int64_t cpu_cores;
	int64_t ram_gb;
	struct gpu_ask *gpus;
	size_t n_gpus;
};

/* ---- inventory and hosts ------------------------------------------------------------------- */

struct gpu_discovered {
	const char *gpu_id; /* HOST/PCI-ADDRESS */
	const char *host;
	const char *pool_id;
	const char *pci_address; /* DDDD:BB:DD.F, the domain may have more than four digits */
	const char *model;	 /* of the PCI id list, e.g. "GP104GL [Tesla P4]" */
	const char *vendor;
	const char *vendor_id; /* four hex digits, lower case, no 0x */
	const char *device_id;
	const char *subsystem_vendor_id; /* optional */
	const char *subsystem_device_id; /* optional */
	const char *class_id;		 /* six hex digits, field "class" */
	const char *driver;		 /* optional: bound kernel driver */
	int64_t iommu_group;		 /* optional */
	int64_t numa_node;		 /* optional */
	const char *
		pcie_switch; /* optional: address of the PCIe switch's upstream port above the GPU */
	const char **functions; /* PCI addresses of the passthrough unit, the GPU itself first */
	size_t n_functions;
	const char **group_members; /* PCI addresses of all members of the IOMMU group */
	size_t n_group_members;
	const char *state;  /* a GPU_STATE name, see model/gpu_state.h */
	const char *reason; /* optional: why it is not AVAILABLE, a sentence */
	const char *boot_id;
	int64_t observed_at;
};

struct host_seen {
	const char *host;
	const char *pool_id;
	const char *boot_id;
	int64_t cpu_cores;
	int64_t ram_gb;
	int64_t iommu;		     /* optional boolean: 1, 0, ABSENT = not known */
	int64_t interrupt_remapping; /* optional boolean */
	int64_t vfio;		     /* optional boolean: is the vfio-pci driver there */
	int64_t n_gpus;		     /* GPUs that this host announces, field "gpu_count" */
	int64_t observed_at;
};

/* ---- requests and reports ------------------------------------------------------------------ */

struct vm_requested {
	const char *request_id;
	const char *vm_id;
	const char *vm_instance_id; /* optional */
	const char *pool_id;
	const char *vm_type_id; /* optional; this or gpus */
	struct gpu_ask *gpus;
	size_t n_gpus;
	const char *host;     /* optional: only this host will do */
	const char *policy;   /* optional: "pack" or "spread", over the pool's */
	int64_t requested_at; /* optional */
};

struct vm_released {
	const char *request_id;
	const char *vm_id;
	const char *pool_id;
	int64_t force; /* optional boolean: free at once, without the agent's word; needs a reason */
	const char *reason;   /* optional */
	const char *actor;    /* optional; needed with force */
	int64_t requested_at; /* optional */
};

struct migration_check {
	const char *request_id;
	const char *vm_id;
	const char *pool_id;
	const char *target_host; /* optional: any */
	int64_t reserve;	 /* optional boolean */
	int64_t requested_at;	 /* optional */
};

/* Why a GPU is DIRTY or STUCK, what an agent waits for, why it failed: codes of model/codes.h. */
struct attached_gpu {
	const char *gpu_id;
	const char *state;  /* BOUND, ATTACHED, CLEAN, DIRTY or STUCK */
	const char *code;   /* optional: with DIRTY and STUCK */
	const char *reason; /* optional */
};

struct gpu_attachment {
	const char *assignment_id;
	const char *vm_id;
	const char *pool_id;
	const char *host;
	const char *state;  /* BOUND, ATTACHED, FAILED or DETACHED */
	const char *code;   /* optional */
	const char *reason; /* optional */
	struct attached_gpu *gpus;
	size_t n_gpus;
	int64_t observed_at;
};

struct operator_command {
	const char *request_id;
	const char *pool_id;
	const char *command; /* CORDON_HOST, UNCORDON_HOST, QUARANTINE_GPU or RETURN_GPU */
	const char *host;    /* optional: with the first two */
	const char *gpu_id;  /* optional: with the others */
	const char *reason;  /* optional; needed to cordon and to quarantine */
	const char *actor;
	int64_t requested_at; /* optional */
};

/* ---- decisions and answers ----------------------------------------------------------------- */

struct epoch_started {
	int64_t shard;
	const char *owner;
	const char *nonce;
	int64_t started_at;
};

struct assigned_gpu {
	const char *gpu_id;
	const char *name;
	const char *vendor;
	const char *device; /* vendor:device, e.g. "10de:1bb3" */
	const char *pci_address;
	const char **functions;
	size_t n_functions;
	int64_t iommu_group; /* optional */
	int64_t numa_node;   /* optional */
};

struct quarantined_gpu {
	const char *gpu_id;
	const char *code; /* of model/codes.h */
	const char *reason;
};

struct gpu_assigned {
	const char *assignment_id; /* VmRequested id + "/" + attempt */
	const char *request_id;
	const char *vm_id;
	const char *vm_instance_id; /* optional */
	const char *pool_id;
	const char *vm_type_id; /* optional */
	const char *host;
	const char *state; /* ASSIGNED or RELEASING */
	int64_t cpu_cores; /* what the VM takes of its host; 0: not known */
	int64_t ram_gb;
	struct assigned_gpu *gpus;
	size_t n_gpus;
	const char *release_request_id; /* optional: with RELEASING */
	const char *attach_state;	/* optional: BOUND or ATTACHED, as the agent says */
	const char *attach_code;	/* optional: what the agent waits for */
	const char *attach_reason;	/* optional */
	const char *after_release;	/* "keep-vfio" or "give-back" */
	int64_t pinned;			/* boolean: the request named its host */
	const char **failed_hosts;	/* where it was tried before */
	size_t n_failed_hosts;
	const char *replaces; /* optional: the assignment that failed and ends with this record */
	struct quarantined_gpu *quarantined; /* of that assignment */
	size_t n_quarantined;
	int64_t decided_at;
};

struct gpu_released {
	const char *assignment_id;
	const char *request_id; /* of the release; "": nobody asked for it */
	const char *vm_id;
	const char *pool_id;
	const char *host;
	struct assigned_gpu *gpus;
	size_t n_gpus;
	const char *reason; /* optional: of a forced release or a failed attachment */
	const char *code;   /* RELEASED, FORCED or ATTACH_FAILED */
	const char *actor;  /* optional: of a forced release */
	struct quarantined_gpu *quarantined; /* those of gpus that are not free */
	size_t n_quarantined;
	int64_t decided_at;
};

struct host_marked {
	const char *request_id;
	const char *pool_id;
	const char *host;
	const char *mark;   /* CORDONED or OPEN */
	const char *reason; /* optional */
	const char *actor;
	int64_t decided_at;
};

struct gpu_marked {
	const char *request_id;
	const char *pool_id;
	const char *host;
	const char *gpu_id;
	const char *mark;   /* QUARANTINED or RETURNED */
	const char *reason; /* optional */
	const char *actor;
	int64_t decided_at;
};

/* Why one host was not taken. `code`: see model/codes.h. */
struct host_reason {
	const char *host;
	const char *code;
	const char *message;
};

struct request_rejected {
	const char *request_id;
	const char *request_type; /* VmRequested, VmReleased, MigrationCheck or OperatorCommand */
	const char *vm_id;	  /* optional */
	const char *pool_id;
	const char *code;
	const char *message;
	struct host_reason *hosts;
	size_t n_hosts;
	int64_t decided_at;
};

struct request_completed {
	const char *request_id;
	const char *request_type;
	const char *pool_id;
	const char *vm_id; /* optional */
	const char *code;
	const char *message;
	int64_t decided_at;
};

struct host_verdict {
	const char *host;
	int64_t allowed;
	const char *code;
	const char *message;
};

struct migration_verdict {
	const char *request_id;
	const char *vm_id;
	const char *pool_id;
	int64_t allowed;
	const char *target_host;   /* optional: the host to migrate to */
	struct assigned_gpu *gpus; /* the GPUs the VM would get there */
	size_t n_gpus;
	struct host_verdict *hosts;
	size_t n_hosts;
	int64_t decided_at;
};

/* ---- the tagged union ---------------------------------------------------------------------- */

enum record_type {
	RECORD_VM_POOL_DEFINED,
	RECORD_VM_TYPE_DEFINED,
	RECORD_GPU_DISCOVERED,
	RECORD_HOST_SEEN,
	RECORD_VM_REQUESTED,
	RECORD_VM_RELEASED,
	RECORD_MIGRATION_CHECK,
	RECORD_GPU_ATTACHMENT,
	RECORD_OPERATOR_COMMAND,
	RECORD_EPOCH_STARTED,
	RECORD_GPU_ASSIGNED,
	RECORD_GPU_RELEASED,
	RECORD_REQUEST_REJECTED,
	RECORD_REQUEST_COMPLETED,
	RECORD_MIGRATION_VERDICT,
	RECORD_HOST_MARKED,
	RECORD_GPU_MARKED,
	RECORD_TYPES
};

struct record {
	enum record_type type;
	union {
		struct vm_pool_defined vm_pool_defined;
		struct vm_type_defined vm_type_defined;
		struct gpu_discovered gpu_discovered;
		struct host_seen host_seen;
		struct vm_requested vm_requested;
		struct vm_released vm_released;
		struct migration_check migration_check;
		struct gpu_attachment gpu_attachment;
		struct operator_command operator_command;
		struct epoch_started epoch_started;
		struct gpu_assigned gpu_assigned;
		struct gpu_released gpu_released;
		struct request_rejected request_rejected;
		struct request_completed request_completed;
		struct migration_verdict migration_verdict;
		struct host_marked host_marked;
		struct gpu_marked gpu_marked;
	};
};

/* ---- description of the fields ------------------------------------------------------------- */

enum field_type {
	FIELD_STRING,  /* const char * */
	FIELD_LONG,    /* int64_t */
	FIELD_TIME,    /* int64_t, timestamp-micros */
	FIELD_BOOLEAN, /* int64_t 0 or 1 */
	FIELD_STRINGS, /* const char ** and size_t */
	FIELD_RECORDS, /* array of `item` structs and size_t */
};

struct record_info;

struct field {
	const char *name; /* as in the schema and in JSON */
	enum field_type type;
	bool optional;			/* a union with null; NULL or ABSENT when it is */
	size_t offset;			/* of the member in the record's struct */
	size_t count_offset;		/* lists: of the size_t member */
	const struct record_info *item; /* FIELD_RECORDS */
};

struct record_info {
	const char *name; /* the record's Avro name; full name "gpubus." + name */
	size_t size;	  /* of the struct */
	const struct field *fields;
	size_t n_fields;
};

/* Never NULL for a valid type. */
const struct record_info *record_info(enum record_type type);
/* Positive: no such record. `name` without the namespace. */
int record_type_by_name(const char *name, enum record_type *ret_type);
/* The member of the union that `record->type` names. */
void *record_body(struct record *record);
const void *record_body_const(const struct record *record);

/* The pool a record belongs to, or "" (VmPoolDefined: its own id; EpochStarted: ""). */
const char *record_pool_id(const struct record *record);
/* The request a record asks or answers, or "". */
const char *record_request_id(const struct record *record);
/* The VM it is about, or "". */
const char *record_vm_id(const struct record *record);
