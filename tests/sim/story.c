#include "story.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codec/envelope_headers.h"
#include "codec/event_id.h"
#include "model/gpu_state.h"

/* ---- what the outside publishes ------------------------------------------------------------------ */

int64_t publish(struct world *world, enum topic topic, int32_t partition, const char *key,
		const struct record *record)
{
	cleanup(buf_deinit) struct buf bytes = { 0 };
	struct envelope envelope = ENVELOPE_EMPTY;
	struct header headers[ENVELOPE_HEADERS_MAX];

	envelope.id = record_event_id(record, &world->arena);
	envelope.type = record_event_type(record->type);
	envelope.source = "gpubus/sim";
	envelope.time_us = world->now_us;
	size_t n_headers = envelope_to_headers(&envelope, &world->arena, headers);
	if (codec_encode(world->codec, record, &bytes) != 0) {
		fprintf(stderr, "%s\n", codec_error(world->codec));
		abort();
	}
	struct outgoing outgoing = {
		.topic = topic,
		.partition = partition,
		.key = key,
		.key_len = strlen(key),
		.value = bytes.data,
		.value_len = bytes.len,
		.headers = headers,
		.n_headers = n_headers,
	};
	return broker_append(&world->broker, &outgoing);
}

int64_t publish_bytes(struct world *world, enum topic topic, int32_t partition, const void *value,
		      size_t len)
{
	struct outgoing outgoing = {
		.topic = topic, .partition = partition, .key = "", .value = value, .value_len = len
	};
	return broker_append(&world->broker, &outgoing);
}

int64_t publish_tombstone(struct world *world, enum topic topic, int32_t partition, const char *key)
{
	struct outgoing outgoing = {
		.topic = topic, .partition = partition, .key = key, .key_len = strlen(key)
	};
	return broker_append(&world->broker, &outgoing);
}

int64_t publish_pool(struct world *world, int32_t partition, const char *attach)
{
	const char *pool = world->pools[partition];
	struct record record = {
		.type = RECORD_VM_POOL_DEFINED,
		.vm_pool_defined = { .pool_id = pool,
				     .name = pool,
				     .attach = attach,
				     .policy = "pack",
				     .on_attach_failure = "reschedule",
				     .attach_attempts = 3,
				     .after_release = "keep-vfio" },
	};
	char key[64];
	snprintf(key, sizeof(key), "pool/%s", pool);
	return publish(world, TOPIC_CATALOG, 0, key, &record);
}

int64_t publish_type(struct world *world, int32_t partition, const char *type, const char *model)
{
	struct gpu_ask ask = { .name = model, .count = 1 };
	struct record record = {
		.type = RECORD_VM_TYPE_DEFINED,
		.vm_type_defined = { .vm_type_id = type,
				     .pool_id = world->pools[partition],
				     .name = type,
				     .cpu_cores = 4,
				     .ram_gb = 8,
				     .gpus = &ask,
				     .n_gpus = 1 },
	};
	char key[64];
	snprintf(key, sizeof(key), "type/%s", type);
	return publish(world, TOPIC_CATALOG, 0, key, &record);
}

int64_t publish_host(struct world *world, int32_t partition, const char *host)
{
	struct record record = {
		.type = RECORD_HOST_SEEN,
		.host_seen = { .host = host,
			       .pool_id = world->pools[partition],
			       .boot_id = "boot",
			       .cpu_cores = 1024,
			       .ram_gb = 4096,
			       .iommu = 1,
			       .interrupt_remapping = 1,
			       .vfio = 1,
			       .n_gpus = 8,
			       .observed_at = world->now_us },
	};
	return publish(world, TOPIC_HOSTS, partition, host, &record);
}

int64_t publish_gpu(struct world *world, int32_t partition, const char *host, int n,
		    const char *model, const char *state)
{
	char address[32], gpu_id[64];
	snprintf(address, sizeof(address), "0000:%02x:00.0", n + 1);
	snprintf(gpu_id, sizeof(gpu_id), "%s/%s", host, address);
	const char *functions[] = { address };
	bool other = strcmp(model, MODEL) != 0;
	struct record record = {
		.type = RECORD_GPU_DISCOVERED,
		.gpu_discovered = { .gpu_id = gpu_id,
				    .host = host,
				    .pool_id = world->pools[partition],
				    .pci_address = address,
				    .model = model,
				    .vendor = "NVIDIA Corporation",
				    .vendor_id = "10de",
				    .device_id = other ? "1db4" : "1bb3",
				    .class_id = "030200",
				    .iommu_group = n + 1,
				    .numa_node = 0,
				    .functions = functions,
				    .n_functions = 1,
				    .group_members = functions,
				    .n_group_members = 1,
				    .state = state,
				    .boot_id = "boot",
				    .observed_at = world->now_us },
	};
	return publish(world, TOPIC_INVENTORY, partition, gpu_id, &record);
}

void publish_fleet(struct world *world, int32_t partition, int gpus)
{
	publish_pool(world, partition, "external");
	publish_host(world, partition, "h1");
	for (int n = 0; n < gpus; n++)
		publish_gpu(world, partition, "h1", n, MODEL, GPU_STATE_AVAILABLE);
}

static int64_t request_any(struct world *world, int32_t partition, struct vm_requested what)
{
	struct record record = { .type = RECORD_VM_REQUESTED, .vm_requested = what };
	record.vm_requested.requested_at = world->now_us;
	return publish(world, TOPIC_REQUESTS, partition, what.pool_id, &record);
}

int64_t request(struct world *world, int32_t partition, const char *request_id, const char *vm,
		int64_t count)
{
	struct gpu_ask ask = { .name = MODEL, .count = count };
	return request_any(world, partition,
			   (struct vm_requested){ .request_id = request_id,
						  .vm_id = vm,
						  .pool_id = world->pools[partition],
						  .gpus = &ask,
						  .n_gpus = 1 });
}

int64_t request_of(struct world *world, int32_t partition, const char *request_id, const char *vm,
		   const char *pool, const char *type, const char *model, const char *host)
{
	struct gpu_ask ask = { .name = model, .count = 1 };
	return request_any(world, partition,
			   (struct vm_requested){ .request_id = request_id,
						  .vm_id = vm,
						  .pool_id = pool,
						  .vm_type_id = type,
						  .gpus = model ? &ask : NULL,
						  .n_gpus = model != NULL,
						  .host = host });
}

static int64_t release_any(struct world *world, int32_t partition, struct vm_released what)
{
	struct record record = { .type = RECORD_VM_RELEASED, .vm_released = what };
	record.vm_released.pool_id = world->pools[partition];
	record.vm_released.requested_at = world->now_us;
	return publish(world, TOPIC_REQUESTS, partition, world->pools[partition], &record);
}

int64_t release(struct world *world, int32_t partition, const char *request_id, const char *vm)
{
	return release_any(
		world, partition,
		(struct vm_released){ .request_id = request_id, .vm_id = vm, .force = ABSENT });
}

int64_t release_by_force(struct world *world, int32_t partition, const char *request_id,
			 const char *vm)
{
	return release_any(world, partition,
			   (struct vm_released){ .request_id = request_id,
						 .vm_id = vm,
						 .force = 1,
						 .reason = "its host burnt down",
						 .actor = "sim" });
}

int64_t report(struct world *world, int32_t partition, const struct gpu_assigned *assigned,
	       const char *state, unsigned unclean, const char *host)
{
	struct attached_gpu gpus[8];
	bool ends = strcmp(state, "FAILED") == 0 || strcmp(state, "DETACHED") == 0;
	struct record record = {
		.type = RECORD_GPU_ATTACHMENT,
		.gpu_attachment = { .assignment_id = assigned->assignment_id,
				    .vm_id = assigned->vm_id,
				    .pool_id = assigned->pool_id,
				    .host = host ? host : assigned->host,
				    .state = state,
				    .gpus = gpus,
				    .observed_at = world->now_us },
	};
	for (size_t i = 0; i < assigned->n_gpus && i < 8; i++)
		gpus[record.gpu_attachment.n_gpus++] = (struct attached_gpu){
			.gpu_id = assigned->gpus[i].gpu_id,
			.state = !ends		      ? state
				 : (unclean >> i & 1) ? "STUCK"
						      : "CLEAN",
		};
	return publish(world, TOPIC_ATTACHMENTS, partition, assigned->pool_id, &record);
}

int64_t command(struct world *world, int32_t partition, const char *request_id, const char *what,
		const char *target)
{
	const char *pool = world->pools[partition];
	bool host = strstr(what, "HOST");
	struct record record = {
		.type = RECORD_OPERATOR_COMMAND,
		.operator_command = { .request_id = request_id,
				      .pool_id = pool,
				      .command = what,
				      .host = host ? target : NULL,
				      .gpu_id = host ? NULL : target,
				      .reason = "as the simulator says",
				      .actor = "sim",
				      .requested_at = world->now_us },
	};
	return publish(world, TOPIC_REQUESTS, partition, pool, &record);
}

int64_t check_migration(struct world *world, int32_t partition, const char *request_id,
			const char *vm)
{
	const char *pool = world->pools[partition];
	struct record record = {
		.type = RECORD_MIGRATION_CHECK,
		.migration_check = { .request_id = request_id,
				     .vm_id = vm,
				     .pool_id = pool,
				     .reserve = ABSENT,
				     .requested_at = world->now_us },
	};
	return publish(world, TOPIC_REQUESTS, partition, pool, &record);
}

/* ---- what it finds --------------------------------------------------------------------------------- */

const char *header_text(struct world *world, const struct message *message, const char *name)
{
	for (size_t i = 0; i < message->n_headers; i++)
		if (strcmp(message->headers[i].name, name) == 0)
			return arena_strndup(&world->arena, message->headers[i].value,
					     message->headers[i].len);
	return NULL;
}

struct record *read_record(struct world *world, const struct message *message)
{
	struct record *record = arena_alloc(&world->arena, sizeof(*record));
	if (!message->value || codec_decode(world->codec, message->value, message->value_len,
					    &world->arena, record) != 0)
		return NULL;
	return record;
}

static struct found find(struct world *world, enum topic topic, int32_t partition,
			 const char *request_id)
{
	struct found found = { .offset = -1, .revision = -1 };
	const struct message *message;

	for (int64_t at = 0; (message = broker_next(&world->broker, topic, partition, at));
	     at = message->offset + 1) {
		struct record *record = read_record(world, message);
		if (!record)
			continue;
		bool marker = record->type == RECORD_EPOCH_STARTED;
		bool wanted =
			request_id ? !marker && strcmp(record_request_id(record), request_id) == 0
				   : marker;
		if (!wanted)
			continue;
		found.n++;
		found.offset = message->offset;
		found.revision = headers_revision(message->headers, message->n_headers);
		found.record = record;
	}
	return found;
}

struct found find_answers(struct world *world, int32_t partition, const char *request_id)
{
	return find(world, TOPIC_ANSWERS, partition, request_id);
}

struct found find_decisions(struct world *world, int32_t partition, const char *request_id)
{
	return find(world, TOPIC_DECISIONS, partition, request_id);
}

struct found find_markers(struct world *world, int32_t partition)
{
	return find(world, TOPIC_DECISIONS, partition, NULL);
}

bool answered(struct world *world, int32_t partition, const char *request_id, const char *what)
{
	struct found found = find_answers(world, partition, request_id);
	const char *code = NULL;

	if (!found.record)
		return false;
	if (found.record->type == RECORD_REQUEST_REJECTED)
		code = found.record->request_rejected.code;
	if (found.record->type == RECORD_REQUEST_COMPLETED)
		code = found.record->request_completed.code;
	const char *name = record_info(found.record->type)->name;
	const char *text = code ? arena_printf(&world->arena, "%s/%s", name, code) : name;
	if (strcmp(text, what) != 0)
		fprintf(stderr, "%s was answered %s\n", request_id, text);
	return strcmp(text, what) == 0;
}

/* ---- shortcuts ---------------------------------------------------------------------------------------- */

struct scheduler *start_owner(struct world *world, const char *name, int gpus)
{
	publish_fleet(world, 0, gpus);
	struct scheduler *scheduler = world_start(world, name);
	world_give(world, scheduler, 0);
	world_run(world);
	return scheduler;
}

enum shard_phase phase_of(const struct scheduler *scheduler, int32_t partition)
{
	return shard_figures(shard_at(scheduler, partition)).phase;
}

int64_t epoch_of(const struct scheduler *scheduler, int32_t partition)
{
	return shard_figures(shard_at(scheduler, partition)).epoch;
}

int64_t committed(const struct world *world, int32_t partition)
{
	return world->broker.committed[0][partition];
}
