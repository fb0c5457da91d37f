#include "model/record.h"

#include <string.h>

#define REQUIRED(record, member, kind)                                                             \
	{                                                                                          \
#member, FIELD_##kind, false, offsetof(struct record, member), 0, NULL             \
	}
#define OPTIONAL(record, member, kind)                                                             \
	{                                                                                          \
#member, FIELD_##kind, true, offsetof(struct record, member), 0, NULL              \
	}
#define STRINGS(record, member)                                                                    \
	{                                                                                          \
#member, FIELD_STRINGS, false, offsetof(struct record, member),                    \
			offsetof(struct record, n_##member), NULL                                  \
	}
#define RECORDS(record, member, of)                                                                \
	{                                                                                          \
#member, FIELD_RECORDS, false, offsetof(struct record, member),                    \
			offsetof(struct record, n_##member), &of##_info                            \
	}
#define INFO(record, avro_name)                                                                    \
	static const struct record_info record##_info = { avro_name, sizeof(struct record),        \
							  record##_fields,                         \
							  sizeof(record##_fields) /                \
								  sizeof(*record##_fields) }

static const struct field gpu_ask_fields[] = {
	REQUIRED(gpu_ask, name, STRING),
	REQUIRED(gpu_ask, count, LONG),
};

INFO(gpu_ask, "GpuAsk");

static const struct field vm_pool_defined_fields[] = {
	REQUIRED(vm_pool_defined, pool_id, STRING),
	REQUIRED(vm_pool_defined, name, STRING),
	REQUIRED(vm_pool_defined, attach, STRING),
	REQUIRED(vm_pool_defined, policy, STRING),
	REQUIRED(vm_pool_defined, on_attach_failure, STRING),
	REQUIRED(vm_pool_defined, attach_attempts, LONG),
	REQUIRED(vm_pool_defined, after_release, STRING),
};

INFO(vm_pool_defined, "VmPoolDefined");

static const struct field vm_type_defined_fields[] = {
	REQUIRED(vm_type_defined, vm_type_id, STRING), REQUIRED(vm_type_defined, pool_id, STRING),
	REQUIRED(vm_type_defined, name, STRING),       REQUIRED(vm_type_defined, cpu_cores, LONG),
	REQUIRED(vm_type_defined, ram_gb, LONG),       RECORDS(vm_type_defined, gpus, gpu_ask),
};

INFO(vm_type_defined, "VmTypeDefined");

static const struct field gpu_discovered_fields[] = {
	REQUIRED(gpu_discovered, gpu_id, STRING),
	REQUIRED(gpu_discovered, host, STRING),
	REQUIRED(gpu_discovered, pool_id, STRING),
	REQUIRED(gpu_discovered, pci_address, STRING),
	REQUIRED(gpu_discovered, model, STRING),
	REQUIRED(gpu_discovered, vendor, STRING),
	REQUIRED(gpu_discovered, vendor_id, STRING),
	REQUIRED(gpu_discovered, device_id, STRING),
	OPTIONAL(gpu_discovered, subsystem_vendor_id, STRING),
	OPTIONAL(gpu_discovered, subsystem_device_id, STRING),
	{ "class", FIELD_STRING, false, offsetof(struct gpu_discovered, class_id), 0, NULL },
	OPTIONAL(gpu_discovered, driver, STRING),
	OPTIONAL(gpu_discovered, iommu_group, LONG),
	OPTIONAL(gpu_discovered, numa_node, LONG),
	OPTIONAL(gpu_discovered, pcie_switch, STRING),
	STRINGS(gpu_discovered, functions),
	STRINGS(gpu_discovered, group_members),
	REQUIRED(gpu_discovered, state, STRING),
	OPTIONAL(gpu_discovered, reason, STRING),
	REQUIRED(gpu_discovered, boot_id, STRING),
	REQUIRED(gpu_discovered, observed_at, TIME),
};

INFO(gpu_discovered, "GpuDiscovered");

static const struct field host_seen_fields[] = {
	REQUIRED(host_seen, host, STRING),
	REQUIRED(host_seen, pool_id, STRING),
	REQUIRED(host_seen, boot_id, STRING),
	REQUIRED(host_seen, cpu_cores, LONG),
	REQUIRED(host_seen, ram_gb, LONG),
	OPTIONAL(host_seen, iommu, BOOLEAN),
	OPTIONAL(host_seen, interrupt_remapping, BOOLEAN),
	OPTIONAL(host_seen, vfio, BOOLEAN),
	{ "gpu_count", FIELD_LONG, false, offsetof(struct host_seen, n_gpus), 0, NULL },
	REQUIRED(host_seen, observed_at, TIME),
};

INFO(host_seen, "HostSeen");

static const struct field vm_requested_fields[] = {
	REQUIRED(vm_requested, request_id, STRING),	REQUIRED(vm_requested, vm_id, STRING),
	OPTIONAL(vm_requested, vm_instance_id, STRING), REQUIRED(vm_requested, pool_id, STRING),
	OPTIONAL(vm_requested, vm_type_id, STRING),	RECORDS(vm_requested, gpus, gpu_ask),
	OPTIONAL(vm_requested, host, STRING),		OPTIONAL(vm_requested, policy, STRING),
	OPTIONAL(vm_requested, requested_at, TIME),
};

INFO(vm_requested, "VmRequested");

static const struct field vm_released_fields[] = {
	REQUIRED(vm_released, request_id, STRING), REQUIRED(vm_released, vm_id, STRING),
	REQUIRED(vm_released, pool_id, STRING),	   OPTIONAL(vm_released, force, BOOLEAN),
	OPTIONAL(vm_released, reason, STRING),	   OPTIONAL(vm_released, actor, STRING),
	OPTIONAL(vm_released, requested_at, TIME),
};

INFO(vm_released, "VmReleased");

static const struct field migration_check_fields[] = {
	REQUIRED(migration_check, request_id, STRING),
	REQUIRED(migration_check, vm_id, STRING),
	REQUIRED(migration_check, pool_id, STRING),
	OPTIONAL(migration_check, target_host, STRING),
	OPTIONAL(migration_check, reserve, BOOLEAN),
	OPTIONAL(migration_check, requested_at, TIME),
};

INFO(migration_check, "MigrationCheck");

static const struct field attached_gpu_fields[] = {
	REQUIRED(attached_gpu, gpu_id, STRING),
	REQUIRED(attached_gpu, state, STRING),
	OPTIONAL(attached_gpu, code, STRING),
	OPTIONAL(attached_gpu, reason, STRING),
};

INFO(attached_gpu, "AttachedGpu");

static const struct field gpu_attachment_fields[] = {
	REQUIRED(gpu_attachment, assignment_id, STRING),
	REQUIRED(gpu_attachment, vm_id, STRING),
	REQUIRED(gpu_attachment, pool_id, STRING),
	REQUIRED(gpu_attachment, host, STRING),
	REQUIRED(gpu_attachment, state, STRING),
	OPTIONAL(gpu_attachment, code, STRING),
	OPTIONAL(gpu_attachment, reason, STRING),
	RECORDS(gpu_attachment, gpus, attached_gpu),
	REQUIRED(gpu_attachment, observed_at, TIME),
};

INFO(gpu_attachment, "GpuAttachment");

static const struct field operator_command_fields[] = {
	REQUIRED(operator_command, request_id, STRING),
	REQUIRED(operator_command, pool_id, STRING),
	REQUIRED(operator_command, command, STRING),
	OPTIONAL(operator_command, host, STRING),
	OPTIONAL(operator_command, gpu_id, STRING),
	OPTIONAL(operator_command, reason, STRING),
	REQUIRED(operator_command, actor, STRING),
	OPTIONAL(operator_command, requested_at, TIME),
};

INFO(operator_command, "OperatorCommand");

static const struct field epoch_started_fields[] = {
	REQUIRED(epoch_started, shard, LONG),
	REQUIRED(epoch_started, owner, STRING),
	REQUIRED(epoch_started, nonce, STRING),
	REQUIRED(epoch_started, started_at, TIME),
};

INFO(epoch_started, "EpochStarted");

static const struct field assigned_gpu_fields[] = {
	REQUIRED(assigned_gpu, gpu_id, STRING),	     REQUIRED(assigned_gpu, name, STRING),
	REQUIRED(assigned_gpu, vendor, STRING),	     REQUIRED(assigned_gpu, device, STRING),
	REQUIRED(assigned_gpu, pci_address, STRING), STRINGS(assigned_gpu, functions),
	OPTIONAL(assigned_gpu, iommu_group, LONG),   OPTIONAL(assigned_gpu, numa_node, LONG),
};

INFO(assigned_gpu, "AssignedGpu");

static const struct field quarantined_gpu_fields[] = {
	REQUIRED(quarantined_gpu, gpu_id, STRING),
	REQUIRED(quarantined_gpu, code, STRING),
	REQUIRED(quarantined_gpu, reason, STRING),
};

INFO(quarantined_gpu, "QuarantinedGpu");

static const struct field gpu_assigned_fields[] = {
	REQUIRED(gpu_assigned, assignment_id, STRING),
	REQUIRED(gpu_assigned, request_id, STRING),
	REQUIRED(gpu_assigned, vm_id, STRING),
	OPTIONAL(gpu_assigned, vm_instance_id, STRING),
	REQUIRED(gpu_assigned, pool_id, STRING),
	OPTIONAL(gpu_assigned, vm_type_id, STRING),
	REQUIRED(gpu_assigned, host, STRING),
	REQUIRED(gpu_assigned, state, STRING),
	REQUIRED(gpu_assigned, cpu_cores, LONG),
	REQUIRED(gpu_assigned, ram_gb, LONG),
	RECORDS(gpu_assigned, gpus, assigned_gpu),
	OPTIONAL(gpu_assigned, release_request_id, STRING),
	OPTIONAL(gpu_assigned, attach_state, STRING),
	OPTIONAL(gpu_assigned, attach_code, STRING),
	OPTIONAL(gpu_assigned, attach_reason, STRING),
	REQUIRED(gpu_assigned, after_release, STRING),
	REQUIRED(gpu_assigned, pinned, BOOLEAN),
	STRINGS(gpu_assigned, failed_hosts),
	OPTIONAL(gpu_assigned, replaces, STRING),
	RECORDS(gpu_assigned, quarantined, quarantined_gpu),
	REQUIRED(gpu_assigned, decided_at, TIME),
};

INFO(gpu_assigned, "GpuAssigned");

static const struct field gpu_released_fields[] = {
	REQUIRED(gpu_released, assignment_id, STRING),
	REQUIRED(gpu_released, request_id, STRING),
	REQUIRED(gpu_released, vm_id, STRING),
	REQUIRED(gpu_released, pool_id, STRING),
	REQUIRED(gpu_released, host, STRING),
	RECORDS(gpu_released, gpus, assigned_gpu),
	OPTIONAL(gpu_released, reason, STRING),
	REQUIRED(gpu_released, code, STRING),
	OPTIONAL(gpu_released, actor, STRING),
	RECORDS(gpu_released, quarantined, quarantined_gpu),
	REQUIRED(gpu_released, decided_at, TIME),
};

INFO(gpu_released, "GpuReleased");

static const struct field host_reason_fields[] = {
	REQUIRED(host_reason, host, STRING),
	REQUIRED(host_reason, code, STRING),
	REQUIRED(host_reason, message, STRING),
};

INFO(host_reason, "HostReason");

static const struct field request_rejected_fields[] = {
	REQUIRED(request_rejected, request_id, STRING),
	REQUIRED(request_rejected, request_type, STRING),
	OPTIONAL(request_rejected, vm_id, STRING),
	REQUIRED(request_rejected, pool_id, STRING),
	REQUIRED(request_rejected, code, STRING),
	REQUIRED(request_rejected, message, STRING),
	RECORDS(request_rejected, hosts, host_reason),
	REQUIRED(request_rejected, decided_at, TIME),
};

INFO(request_rejected, "RequestRejected");

static const struct field request_completed_fields[] = {
	REQUIRED(request_completed, request_id, STRING),
	REQUIRED(request_completed, request_type, STRING),
	REQUIRED(request_completed, pool_id, STRING),
	OPTIONAL(request_completed, vm_id, STRING),
	REQUIRED(request_completed, code, STRING),
	REQUIRED(request_completed, message, STRING),
	REQUIRED(request_completed, decided_at, TIME),
};

INFO(request_completed, "RequestCompleted");

static const struct field host_verdict_fields[] = {
	REQUIRED(host_verdict, host, STRING),
	REQUIRED(host_verdict, allowed, BOOLEAN),
	REQUIRED(host_verdict, code, STRING),
	REQUIRED(host_verdict, message, STRING),
};

INFO(host_verdict, "HostVerdict");

static const struct field migration_verdict_fields[] = {
	REQUIRED(migration_verdict, request_id, STRING),
	REQUIRED(migration_verdict, vm_id, STRING),
	REQUIRED(migration_verdict, pool_id, STRING),
	REQUIRED(migration_verdict, allowed, BOOLEAN),
	OPTIONAL(migration_verdict, target_host, STRING),
	RECORDS(migration_verdict, gpus, assigned_gpu),
	RECORDS(migration_verdict, hosts, host_verdict),
	REQUIRED(migration_verdict, decided_at, TIME),
};

INFO(migration_verdict, "MigrationVerdict");

static const struct field host_marked_fields[] = {
	REQUIRED(host_marked, request_id, STRING), REQUIRED(host_marked, pool_id, STRING),
	REQUIRED(host_marked, host, STRING),	   REQUIRED(host_marked, mark, STRING),
	OPTIONAL(host_marked, reason, STRING),	   REQUIRED(host_marked, actor, STRING),
	REQUIRED(host_marked, decided_at, TIME),
};

INFO(host_marked, "HostMarked");

static const struct field gpu_marked_fields[] = {
	REQUIRED(gpu_marked, request_id, STRING), REQUIRED(gpu_marked, pool_id, STRING),
	REQUIRED(gpu_marked, host, STRING),	  REQUIRED(gpu_marked, gpu_id, STRING),
	REQUIRED(gpu_marked, mark, STRING),	  OPTIONAL(gpu_marked, reason, STRING),
	REQUIRED(gpu_marked, actor, STRING),	  REQUIRED(gpu_marked, decided_at, TIME),
};

INFO(gpu_marked, "GpuMarked");

static const struct record_info *const infos[RECORD_TYPES] = {
	[RECORD_VM_POOL_DEFINED] = &vm_pool_defined_info,
	[RECORD_VM_TYPE_DEFINED] = &vm_type_defined_info,
	[RECORD_GPU_DISCOVERED] = &gpu_discovered_info,
	[RECORD_HOST_SEEN] = &host_seen_info,
	[RECORD_VM_REQUESTED] = &vm_requested_info,
	[RECORD_VM_RELEASED] = &vm_released_info,
	[RECORD_MIGRATION_CHECK] = &migration_check_info,
	[RECORD_GPU_ATTACHMENT] = &gpu_attachment_info,
	[RECORD_OPERATOR_COMMAND] = &operator_command_info,
	[RECORD_EPOCH_STARTED] = &epoch_started_info,
	[RECORD_GPU_ASSIGNED] = &gpu_assigned_info,
	[RECORD_GPU_RELEASED] = &gpu_released_info,
	[RECORD_REQUEST_REJECTED] = &request_rejected_info,
	[RECORD_REQUEST_COMPLETED] = &request_completed_info,
	[RECORD_MIGRATION_VERDICT] = &migration_verdict_info,
	[RECORD_HOST_MARKED] = &host_marked_info,
	[RECORD_GPU_MARKED] = &gpu_marked_info,
};

const struct record_info *record_info(enum record_type type)
{
	return infos[type];
}

int record_type_by_name(const char *name, enum record_type *ret_type)
{
	for (int type = 0; type < RECORD_TYPES; type++) {
		if (strcmp(infos[type]->name, name) == 0) {
			*ret_type = (enum record_type)type;
			return 0;
		}
	}
	return 1;
}

/* All members of the union start where the first one does. */
void *record_body(struct record *record)
{
	return &record->vm_pool_defined;
}

const void *record_body_const(const struct record *record)
{
	return &record->vm_pool_defined;
}

static const char *string_field(const struct record *record, const char *name)
{
	const struct record_info *info = record_info(record->type);
	for (size_t i = 0; i < info->n_fields; i++) {
		const struct field *field = &info->fields[i];
		if (field->type == FIELD_STRING && strcmp(field->name, name) == 0) {
			const char *const *value =
				(const void *)((const char *)record_body_const(record) +
					       field->offset);
			return *value ? *value : "";
		}
	}
	return "";
}

const char *record_pool_id(const struct record *record)
{
	return string_field(record, "pool_id");
}

const char *record_request_id(const struct record *record)
{
	return string_field(record, "request_id");
}

const char *record_vm_id(const struct record *record)
{
	return string_field(record, "vm_id");
}
