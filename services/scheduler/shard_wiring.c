#include <stdio.h>
#include <stdlib.h>
#include <uuid/uuid.h>

#include "base/log.h"
#include "loop/clock.h"
#include "scheduler/scheduler_internal.h"

enum { CHECKPOINT_DEADLINE_MS = 3000 }; /* a takeover goes on without Redis after this */

/* ---- Kafka ---------------------------------------------------------------------------------- */

static int io_produce(void *context, int32_t partition, const struct outgoing *outgoing,
		      uint64_t token)
{
	struct scheduler *scheduler = context;
	struct message message = {
		.topic = outgoing->topic,
		.partition = outgoing->partition,
		.key = outgoing->key,
		.key_len = outgoing->key_len,
		.value = outgoing->value,
		.value_len = outgoing->value_len,
		.headers = outgoing->headers,
		.n_headers = outgoing->n_headers,
	};
	return bus_produce(scheduler->producer, &message, token_pack(partition, token));
}

static void io_pause_inputs(void *context, int32_t partition)
{
	struct scheduler *scheduler = context;
	bus_group_pause(scheduler->group, TOPIC_REQUESTS, partition);
	bus_group_pause(scheduler->group, TOPIC_ATTACHMENTS, partition);
}

static void io_resume_inputs(void *context, int32_t partition)
{
	struct scheduler *scheduler = context;
	bus_group_resume(scheduler->group, TOPIC_REQUESTS, partition);
	bus_group_resume(scheduler->group, TOPIC_ATTACHMENTS, partition);
}

static void io_seek_input(void *context, enum topic input, int32_t partition, int64_t offset)
{
	struct scheduler *scheduler = context;
	bus_group_seek(scheduler->group, input, partition, offset);
}

static void io_commit(void *context, enum topic input, int32_t partition, int64_t next_offset)
{
	struct scheduler *scheduler = context;
	bus_group_commit(scheduler->group, input, partition, next_offset);
}

static void io_follow_decisions(void *context, int32_t partition, int64_t offset)
{
	struct scheduler *scheduler = context;
	bus_reader_start(scheduler->log_reader, TOPIC_DECISIONS, partition, offset);
}

static void io_follow_fleet(void *context, int32_t partition)
{
	struct scheduler *scheduler = context;
	bus_reader_start(scheduler->fleet_reader, TOPIC_INVENTORY, partition, BUS_BEGINNING);
	bus_reader_start(scheduler->fleet_reader, TOPIC_HOSTS, partition, BUS_BEGINNING);
}

static void io_unfollow(void *context, int32_t partition)
{
	struct scheduler *scheduler = context;
	bus_reader_stop(scheduler->log_reader, TOPIC_DECISIONS, partition);
	bus_reader_stop(scheduler->fleet_reader, TOPIC_INVENTORY, partition);
	bus_reader_stop(scheduler->fleet_reader, TOPIC_HOSTS, partition);
}

/* An empty topic has nothing to be read, wherever its offsets stand. */
static int64_t end_to_read(const struct bus_offset *offset)
{
	return offset->low == offset->high ? 0 : offset->high;
}

static void on_ends(void *context, const struct bus_offset *offsets, size_t n, const char *error)
{
	const struct seat *seat = context;
	struct shard *shard = seat->scheduler->shards[seat->partition];

	(void)n;
	if (error) {
		log_warning("shard=%d cannot ask where topics end: %s", seat->partition, error);
		shard_on_ends_failed(shard, seat->ends_token);
		return;
	}
	struct log_ends ends = {
		.catalog = end_to_read(&offsets[0]),
		.inventory = end_to_read(&offsets[1]),
		.hosts = end_to_read(&offsets[2]),
		.requests = offsets[3].high,
		.attachments = offsets[4].high,
		.decisions = offsets[5].high,
	};
	shard_on_ends(shard, seat->ends_token, &ends, clock_wall_us());
	shard_flush(shard);
}

static void io_ask_ends(void *context, int32_t partition, uint64_t token)
{
	struct scheduler *scheduler = context;
	const struct bus_partition partitions[] = {
		{ TOPIC_CATALOG, 0 },
		{ TOPIC_INVENTORY, partition },
		{ TOPIC_HOSTS, partition },
		{ TOPIC_REQUESTS, partition },
		{ TOPIC_ATTACHMENTS, partition },
		{ TOPIC_DECISIONS, partition },
	};
	struct seat *seat = &scheduler->seats[partition];
	bus_offsets_cancel(scheduler->offsets, seat); /* an earlier answer is of no use any more */
	seat->ends_token = token;
	bus_offsets_ask(scheduler->offsets, partitions, sizeof(partitions) / sizeof(*partitions),
			on_ends, seat);
}

/* ---- checkpoints -------------------------------------------------------------------------------- */

static void on_load_begin(void *context, const struct store_meta *meta)
{
	struct seat *seat = context;
	(void)meta;
	shard_on_checkpoint_begin(seat->scheduler->shards[seat->partition]);
}

static int on_load_row(void *context, const struct store_row *row)
{
	struct seat *seat = context;
	return shard_on_checkpoint_row(seat->scheduler->shards[seat->partition], row);
}

static void on_load_done(void *context, enum store_load_status status,
			 const struct store_meta *meta)
{
	const struct seat *seat = context;
	if (status == STORE_UNAVAILABLE)
		log_warning("shard=%d Redis does not answer: reading the log from its beginning",
			    seat->partition);
	shard_on_checkpoint_loaded(seat->scheduler->shards[seat->partition], meta, clock_wall_us());
}

static void io_load_checkpoint(void *context, int32_t partition)
{
	static const enum store_table tables[] = { STORE_VMS,	STORE_REQUESTS, STORE_MARKS,
						   STORE_POOLS, STORE_TYPES,	STORE_HOSTS };
	struct scheduler *scheduler = context;
	store_open_shard(scheduler->store, partition);
	store_load(scheduler->store, partition,
		   &(struct store_load_request){
			   .tables = tables,
			   .n_tables = sizeof(tables) / sizeof(*tables),
			   .deadline_ms = CHECKPOINT_DEADLINE_MS,
			   .context = &scheduler->seats[partition],
			   .on_begin = on_load_begin,
			   .on_row = on_load_row,
			   .on_done = on_load_done,
		   });
}

static void io_submit(void *context, int32_t partition, const struct store_meta *meta,
		      const struct store_row *rows, size_t n_rows, size_t n_records)
{
	struct scheduler *scheduler = context;
	store_submit(scheduler->store, partition,
		     &(struct store_batch){
			     .rows = rows, .n_rows = n_rows, .to = *meta, .n_records = n_records });
}

static int io_rewrite_begin(void *context, int32_t partition, const struct store_meta *now)
{
	struct scheduler *scheduler = context;
	return store_rewrite_begin(scheduler->store, partition, now);
}

static int io_rewrite_rows(void *context, int32_t partition, const struct store_row *rows,
			   size_t n_rows)
{
	struct scheduler *scheduler = context;
	return store_rewrite_rows(scheduler->store, partition, rows, n_rows);
}

static int io_rewrite_end(void *context, int32_t partition)
{
	struct scheduler *scheduler = context;
	return store_rewrite_end(scheduler->store, partition);
}

/* Opened again without a load: the store finds the shard elsewhere and asks for all of it. */
static void io_distrust_checkpoint(void *context, int32_t partition)
{
	struct scheduler *scheduler = context;
	store_close_shard(scheduler->store, partition);
	store_open_shard(scheduler->store, partition);
}

static void io_close_checkpoint(void *context, int32_t partition)
{
	struct scheduler *scheduler = context;
	store_close_shard(scheduler->store, partition);
}

/* ---- the rest --------------------------------------------------------------------------------- */

static void io_drained(void *context, int32_t partition)
{
	(void)partition;
	scheduler_on_drained(context);
}

static void io_nonce(void *context, char text[37])
{
	(void)context;
	uuid_t uuid;
	uuid_generate(uuid);
	uuid_unparse_lower(uuid, text);
}

struct shard_io shard_wiring(struct scheduler *scheduler)
{
	return (struct shard_io){
		.context = scheduler,
		.produce = io_produce,
		.pause_inputs = io_pause_inputs,
		.resume_inputs = io_resume_inputs,
		.seek_input = io_seek_input,
		.commit = io_commit,
		.follow_decisions = io_follow_decisions,
		.follow_fleet = io_follow_fleet,
		.unfollow = io_unfollow,
		.ask_ends = io_ask_ends,
		.load_checkpoint = io_load_checkpoint,
		.submit = io_submit,
		.rewrite_begin = io_rewrite_begin,
		.rewrite_rows = io_rewrite_rows,
		.rewrite_end = io_rewrite_end,
		.distrust_checkpoint = io_distrust_checkpoint,
		.close_checkpoint = io_close_checkpoint,
		.drained = io_drained,
		.nonce = io_nonce,
	};
}
