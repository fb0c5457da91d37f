#include "audit_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "codec/envelope_headers.h"

void world_start(struct world *world, int32_t n_partitions)
{
	const struct audit_options options = { .n_partitions = n_partitions,
					       .remember_us = REMEMBER_US };
	*world = (struct world){ .n_partitions = n_partitions, .now = 1000, .applied = -1 };
	arena_init(&world->arena);
	assert_int_equal(codec_new(&world->codec), 0);
	world->log = audit_log_new(&options, world->codec);
	for (int32_t i = 0; i < n_partitions; i++)
		audit_requests_begin(world->log, i, true);
}

void world_stop(struct world *world)
{
	audit_log_free(world->log);
	codec_free(world->codec);
	arena_deinit(&world->arena);
}

/* ---- making messages ------------------------------------------------------------------------------ */

struct message world_message(struct world *world, enum topic topic, int32_t partition,
			     const struct record *record, const struct envelope *envelope)
{
	struct buf encoded = { 0 };
	assert_int_equal(codec_encode(world->codec, record, &encoded), 0);
	char *value = arena_alloc(&world->arena, encoded.len);
	memcpy(value, encoded.data, encoded.len);
	struct header *headers = arena_array(&world->arena, ENVELOPE_HEADERS_MAX, sizeof(*headers));
	struct message message = {
		.topic = topic,
		.partition = partition,
		.offset = world->next[topic][partition]++,
		.value = value,
		.value_len = encoded.len,
		.headers = headers,
		.n_headers = envelope_to_headers(envelope, &world->arena, headers),
	};
	buf_deinit(&encoded);
	return message;
}

void world_marker(struct world *world)
{
	const struct record record = {
		.type = RECORD_EPOCH_STARTED,
		.epoch_started = { .owner = "s", .nonce = "n", .started_at = world->now }
	};
	struct envelope envelope = ENVELOPE_EMPTY;
	struct message message = world_message(world, TOPIC_DECISIONS, 0, &record, &envelope);
	world->epoch = message.offset;
	audit_decision(world->log, &message);
}

/* A decision of the present epoch; it reflects requests up to `applied`. */
struct message world_decide_in_epoch(struct world *world, const struct record *record,
				     int64_t epoch)
{
	struct envelope envelope = ENVELOPE_EMPTY;
	envelope.epoch = epoch;
	envelope.applied.requests = world->applied;
	struct message message = world_message(world, TOPIC_DECISIONS, 0, record, &envelope);
	audit_decision(world->log, &message);
	return message;
}

struct message world_decide(struct world *world, const struct record *record)
{
	return world_decide_in_epoch(world, record, world->epoch);
}

struct record world_assigned(struct world *world, const char *request_id, const char *vm_id,
			     const char *gpu_id)
{
	struct assigned_gpu *gpu = arena_alloc(&world->arena, sizeof(*gpu));
	*gpu = (struct assigned_gpu){ .gpu_id = gpu_id,
				      .name = "GP104GL [Tesla P4]",
				      .vendor = "NVIDIA Corporation",
				      .device = "10de:1bb3",
				      .pci_address = strchr(gpu_id, '/') + 1,
				      .iommu_group = ABSENT,
				      .numa_node = ABSENT };
	return (struct record){
		.type = RECORD_GPU_ASSIGNED,
		.gpu_assigned = { .assignment_id = arena_printf(&world->arena, "%s/1", request_id),
				  .request_id = request_id,
				  .vm_id = vm_id,
				  .pool_id = "1",
				  .host = arena_strndup(&world->arena, gpu_id,
							(size_t)(strchr(gpu_id, '/') - gpu_id)),
				  .state = "ASSIGNED",
				  .gpus = gpu,
				  .n_gpus = 1,
				  .decided_at = world->now++ },
	};
}

void world_assign(struct world *world, const char *request_id, const char *vm_id,
		  const char *gpu_id)
{
	struct record record = world_assigned(world, request_id, vm_id, gpu_id);
	world_decide(world, &record);
}

struct record world_released(struct world *world, const char *request_id, const char *of_request,
			     const char *vm_id, const char *gpu_id)
{
	struct record assigned = world_assigned(world, of_request, vm_id, gpu_id);
	return (struct record){
		.type = RECORD_GPU_RELEASED,
		.gpu_released = { .assignment_id = assigned.gpu_assigned.assignment_id,
				  .request_id = request_id,
				  .vm_id = vm_id,
				  .pool_id = "1",
				  .host = assigned.gpu_assigned.host,
				  .gpus = assigned.gpu_assigned.gpus,
				  .n_gpus = 1,
				  .code = "RELEASED",
				  .decided_at = world->now++ },
	};
}

void world_release(struct world *world, const char *request_id, const char *of_request,
		   const char *vm_id, const char *gpu_id)
{
	struct record record = world_released(world, request_id, of_request, vm_id, gpu_id);
	world_decide(world, &record);
}

void world_reject(struct world *world, const char *request_id)
{
	const struct record record = {
		.type = RECORD_REQUEST_REJECTED,
		.request_rejected = { .request_id = request_id,
				      .request_type = "VmRequested",
				      .vm_id = "vm",
				      .pool_id = "1",
				      .code = "NO_CAPACITY",
				      .message = "none is free",
				      .decided_at = world->now++ },
	};
	world_decide(world, &record);
}

struct message world_ask_in(struct world *world, const char *request_id, int32_t partition)
{
	const struct record record = {
		.type = RECORD_VM_REQUESTED,
		.vm_requested = { .request_id = request_id,
				  .vm_id = "vm",
				  .pool_id = "1",
				  .requested_at = ABSENT },
	};
	struct envelope envelope = ENVELOPE_EMPTY;
	struct message message =
		world_message(world, TOPIC_REQUESTS, partition, &record, &envelope);
	audit_request(world->log, &message);
	return message;
}

void world_ask(struct world *world, const char *request_id)
{
	world_ask_in(world, request_id, 0);
}

void world_ask_release(struct world *world, const char *request_id)
{
	const struct record record = {
		.type = RECORD_VM_RELEASED,
		.vm_released = { .request_id = request_id,
				 .vm_id = "vm",
				 .pool_id = "1",
				 .force = ABSENT,
				 .requested_at = ABSENT },
	};
	struct envelope envelope = ENVELOPE_EMPTY;
	struct message message = world_message(world, TOPIC_REQUESTS, 0, &record, &envelope);
	audit_request(world->log, &message);
}

/* ---- looking at results --------------------------------------------------------------------------- */

void world_expect_clean(struct world *world)
{
	size_t kept, all;
	audit_finish(world->log);
	const struct audit_violation *violations = audit_violations(world->log, &kept, &all);
	if (all > 0)
		fail_msg("%s: %s", violations[0].rule, violations[0].text);
}

void world_expect_violation(struct world *world, const char *rule, int64_t offset)
{
	size_t kept, all;
	audit_finish(world->log);
	const struct audit_violation *violations = audit_violations(world->log, &kept, &all);
	assert_int_equal(all, 1);
	assert_string_equal(violations[0].rule, rule);
	assert_int_equal(violations[0].offset, offset);
}
