#include "codec/event_id.h"

#include <inttypes.h>
#include <string.h>

#include "base/buf.h"
#include "base/index.h"

static const char *text(const char *value)
{
	return value ? value : "";
}

/* ---- the hash of a definition -------------------------------------------------------------- */

static void put_content(const struct record_info *info, const char *record, struct buf *out)
{
	for (size_t i = 0; i < info->n_fields; i++) {
		const struct field *field = &info->fields[i];
		const void *member = record + field->offset;
		size_t n = 0;
		if (field->type == FIELD_STRINGS || field->type == FIELD_RECORDS)
			n = *(const size_t *)(const void *)(record + field->count_offset);

		switch (field->type) {
		case FIELD_STRING: {
			const char *value = *(const char *const *)member;
			buf_append(out, text(value), strlen(text(value)) + 1);
			break;
		}
		case FIELD_LONG:
		case FIELD_TIME:
		case FIELD_BOOLEAN:
			buf_printf(out, "%" PRId64 ";", *(const int64_t *)member);
			break;
		case FIELD_STRINGS:
			buf_printf(out, "%zu;", n);
			for (size_t k = 0; k < n; k++) {
				const char *value = (*(const char *const *const *)member)[k];
				buf_append(out, text(value), strlen(text(value)) + 1);
			}
			break;
		case FIELD_RECORDS:
			buf_printf(out, "%zu;", n);
			for (size_t k = 0; k < n; k++)
				put_content(field->item,
					    *(const char *const *)member + k * field->item->size,
					    out);
			break;
		}
	}
}

static uint64_t content_hash(const struct record *record)
{
	cleanup(buf_deinit) struct buf content = { 0 };
	put_content(record_info(record->type), record_body_const(record), &content);
	return index_hash(content.data, content.len, 0);
}

/* ---- the id -------------------------------------------------------------------------------- */

static void put_pool(struct buf *id, const char *pool)
{
	for (; *pool; pool++) {
		if (*pool == '/' || *pool == '%')
			buf_printf(id, "%%%02x", (unsigned)*pool);
		else
			buf_putc(id, *pool);
	}
}

/* What tells a record from the others of its pool and type. */
static void put_own(struct buf *id, const struct record *record)
{
	switch (record->type) {
	case RECORD_VM_POOL_DEFINED:
	case RECORD_VM_TYPE_DEFINED:
		buf_printf(id, "%016" PRIx64, content_hash(record));
		break;
	case RECORD_GPU_DISCOVERED:
		buf_printf(id, "%s@%" PRId64, text(record->gpu_discovered.gpu_id),
			   record->gpu_discovered.observed_at);
		break;
	case RECORD_HOST_SEEN:
		buf_printf(id, "%s@%" PRId64, text(record->host_seen.host),
			   record->host_seen.observed_at);
		break;
	case RECORD_VM_REQUESTED:
	case RECORD_VM_RELEASED:
	case RECORD_MIGRATION_CHECK:
	case RECORD_MIGRATION_VERDICT:
	case RECORD_OPERATOR_COMMAND:
	case RECORD_HOST_MARKED:
	case RECORD_GPU_MARKED:
		buf_puts(id, record_request_id(record));
		break;
	case RECORD_GPU_ATTACHMENT:
		buf_printf(id, "%s/%s@%" PRId64, text(record->gpu_attachment.assignment_id),
			   text(record->gpu_attachment.state), record->gpu_attachment.observed_at);
		break;
	case RECORD_EPOCH_STARTED:
		buf_puts(id, text(record->epoch_started.nonce));
		break;
	case RECORD_GPU_ASSIGNED:
		buf_puts(id, text(record->gpu_assigned.assignment_id));
		buf_putc(id, '/');
		buf_puts(id, text(record->gpu_assigned.state));
		/* The agent may reach a state again: each time is news. */
		if (record->gpu_assigned.attach_state)
			buf_printf(id, "/%s@%" PRId64, record->gpu_assigned.attach_state,
				   record->gpu_assigned.decided_at);
		break;
	case RECORD_GPU_RELEASED:
		buf_puts(id, text(record->gpu_released.assignment_id));
		break;
	case RECORD_REQUEST_REJECTED:
		buf_puts(id, text(record->request_rejected.request_type));
		buf_putc(id, '/');
		buf_puts(id, text(record->request_rejected.request_id));
		break;
	case RECORD_REQUEST_COMPLETED:
		buf_puts(id, text(record->request_completed.request_type));
		buf_putc(id, '/');
		buf_puts(id, text(record->request_completed.request_id));
		break;
	case RECORD_TYPES:
		break;
	}
}

const char *record_event_id(const struct record *record, struct arena *arena)
{
	cleanup(buf_deinit) struct buf id = { 0 };
	if (record->type == RECORD_EPOCH_STARTED)
		buf_printf(&id, "%" PRId64, record->epoch_started.shard);
	else
		put_pool(&id, record_pool_id(record));
	buf_putc(&id, '/');
	buf_puts(&id, record_info(record->type)->name);
	buf_putc(&id, '/');
	put_own(&id, record);
	return arena_strndup(arena, id.data, id.len);
}

const char *record_event_type(enum record_type type)
{
	static const char *const types[RECORD_TYPES] = {
		[RECORD_VM_POOL_DEFINED] = "gpubus.VmPoolDefined",
		[RECORD_VM_TYPE_DEFINED] = "gpubus.VmTypeDefined",
		[RECORD_GPU_DISCOVERED] = "gpubus.GpuDiscovered",
		[RECORD_HOST_SEEN] = "gpubus.HostSeen",
		[RECORD_VM_REQUESTED] = "gpubus.VmRequested",
		[RECORD_VM_RELEASED] = "gpubus.VmReleased",
		[RECORD_MIGRATION_CHECK] = "gpubus.MigrationCheck",
		[RECORD_GPU_ATTACHMENT] = "gpubus.GpuAttachment",
		[RECORD_OPERATOR_COMMAND] = "gpubus.OperatorCommand",
		[RECORD_EPOCH_STARTED] = "gpubus.EpochStarted",
		[RECORD_GPU_ASSIGNED] = "gpubus.GpuAssigned",
		[RECORD_GPU_RELEASED] = "gpubus.GpuReleased",
		[RECORD_REQUEST_REJECTED] = "gpubus.RequestRejected",
		[RECORD_REQUEST_COMPLETED] = "gpubus.RequestCompleted",
		[RECORD_MIGRATION_VERDICT] = "gpubus.MigrationVerdict",
		[RECORD_HOST_MARKED] = "gpubus.HostMarked",
		[RECORD_GPU_MARKED] = "gpubus.GpuMarked",
	};
	return types[type];
}
