#include "cli/event.h"

#include <string.h>

#include "codec/envelope_headers.h"
#include "codec/event_id.h"
#include "model/partition.h"

int event_topic(enum record_type type, enum topic *ret_topic)
{
	switch (type) {
	case RECORD_VM_POOL_DEFINED:
	case RECORD_VM_TYPE_DEFINED:
		*ret_topic = TOPIC_CATALOG;
		return 0;
	case RECORD_GPU_DISCOVERED:
		*ret_topic = TOPIC_INVENTORY;
		return 0;
	case RECORD_HOST_SEEN:
		*ret_topic = TOPIC_HOSTS;
		return 0;
	case RECORD_VM_REQUESTED:
	case RECORD_VM_RELEASED:
	case RECORD_MIGRATION_CHECK:
	case RECORD_OPERATOR_COMMAND:
		*ret_topic = TOPIC_REQUESTS;
		return 0;
	case RECORD_GPU_ATTACHMENT:
		*ret_topic = TOPIC_ATTACHMENTS;
		return 0;
	default:
		return 1;
	}
}

void event_complete(json_t *json, enum record_type type, const char *request_id, int64_t now_us)
{
	const struct record_info *info = record_info(type);
	for (size_t i = 0; i < info->n_fields; i++) {
		const struct field *field = &info->fields[i];
		if (json_object_get(json, field->name))
			continue;
		if (field->type == FIELD_TIME)
			json_object_set_new(json, field->name, json_integer(now_us));
		else if (strcmp(field->name, "request_id") == 0)
			json_object_set_new(json, field->name, json_string(request_id));
	}
}

static const char *key_of(const struct record *record, struct arena *arena)
{
	switch (record->type) {
	case RECORD_VM_POOL_DEFINED:
		return arena_printf(arena, "pool/%s", record->vm_pool_defined.pool_id);
	case RECORD_VM_TYPE_DEFINED:
		return arena_printf(arena, "type/%s", record->vm_type_defined.vm_type_id);
	case RECORD_GPU_DISCOVERED:
		return record->gpu_discovered.gpu_id;
	case RECORD_HOST_SEEN:
		return record->host_seen.host;
	default:
		return record_pool_id(record);
	}
}

static int32_t partition_for(enum topic topic, const char *pool_id, int32_t n_partitions)
{
	return topic_is_sharded(topic) ? partition_of_pool(pool_id, n_partitions) : 0;
}

int event_message(const struct record *record, const struct event_origin *origin,
		  struct codec *codec, struct arena *arena, struct message *ret_message)
{
	struct message message = { 0 };
	struct buf encoded = { 0 };

	if (event_topic(record->type, &message.topic))
		return 1;
	int r = codec_encode(codec, record, &encoded);
	if (r) {
		buf_deinit(&encoded);
		return r;
	}
	message.value = memcpy(arena_alloc(arena, encoded.len), encoded.data, encoded.len);
	message.value_len = encoded.len;
	buf_deinit(&encoded);

	message.key = key_of(record, arena);
	message.key_len = strlen(message.key);
	message.partition =
		partition_for(message.topic, record_pool_id(record), origin->n_partitions);

	struct envelope envelope = ENVELOPE_EMPTY;
	envelope.id = record_event_id(record, arena);
	envelope.type = record_event_type(record->type);
	envelope.source = "gpubus/cli";
	envelope.time_us = origin->now_us;
	envelope.traceparent = origin->traceparent;
	struct header *headers = arena_array(arena, ENVELOPE_HEADERS_MAX, sizeof(*headers));
	message.n_headers = envelope_to_headers(&envelope, arena, headers);
	message.headers = headers;
	*ret_message = message;
	return 0;
}

void event_tombstone(enum record_type type, const char *id, const char *pool_id,
		     const struct event_origin *origin, struct arena *arena,
		     struct message *ret_message)
{
	struct message message = { 0 };
	const char *prefix = type == RECORD_VM_POOL_DEFINED   ? "pool/"
			     : type == RECORD_VM_TYPE_DEFINED ? "type/"
							      : "";
	if (event_topic(type, &message.topic))
		message.topic = TOPIC_REQUESTS;
	message.key = arena_printf(arena, "%s%s", prefix, id);
	message.key_len = strlen(message.key);
	message.partition = partition_for(message.topic, pool_id, origin->n_partitions);
	*ret_message = message;
}
