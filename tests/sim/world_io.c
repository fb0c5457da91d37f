/*
 * struct shard_io of the simulator: every call of a shard ends in its own seat, its scheduler's producer
 * and the broker and store of its world. What is asked for is answered by later steps (world.c).
 */
#include <stdio.h>
#include <stdlib.h>

#include "world.h"

static size_t input_of(enum topic topic)
{
	return topic == TOPIC_ATTACHMENTS;
}

/* Every shard has its own seat as context, so all that comes back goes to the right one. */
static struct seat *seat_of(void *context, int32_t partition)
{
	struct seat *seat = context;
	if (seat->partition != partition)
		abort();
	return seat;
}

static int io_produce(void *context, int32_t partition, const struct outgoing *message,
		      uint64_t token)
{
	struct seat *seat = seat_of(context, partition);
	return producer_send(&seat->scheduler->producer, message, partition, token);
}

static void io_pause(void *context, int32_t partition)
{
	struct seat *seat = seat_of(context, partition);
	seat->paused = true;
	seat->pauses++;
}

static void io_resume(void *context, int32_t partition)
{
	seat_of(context, partition)->paused = false;
}

static void io_seek(void *context, enum topic input, int32_t partition, int64_t offset)
{
	seat_of(context, partition)->input_next[input_of(input)] = offset;
}

static void io_commit(void *context, enum topic input, int32_t partition, int64_t next)
{
	struct seat *seat = seat_of(context, partition);
	struct world *world = seat->scheduler->world;

	if (!broker_commit(&world->broker, seat->scheduler->id, seat->generation, input, partition,
			   next))
		seat->scheduler->refused_commits++;
	else if (world->on_commit)
		world->on_commit(world, input, partition, next);
}

static void io_follow_decisions(void *context, int32_t partition, int64_t offset)
{
	struct seat *seat = seat_of(context, partition);
	seat->follow_next[0] = offset;
	seat->end_told[0] = -1;
}

static void io_follow_fleet(void *context, int32_t partition)
{
	struct seat *seat = seat_of(context, partition);
	for (size_t i = 1; i < FOLLOWED; i++) {
		seat->follow_next[i] = 0;
		seat->end_told[i] = -1;
	}
}

static void io_unfollow(void *context, int32_t partition)
{
	for (size_t i = 0; i < FOLLOWED; i++)
		seat_of(context, partition)->follow_next[i] = -1;
}

static void io_ask_ends(void *context, int32_t partition, uint64_t token)
{
	struct seat *seat = seat_of(context, partition);
	const struct broker *broker = &seat->scheduler->world->broker;
	seat->ends_asked = true;
	seat->ends_token = token;
	seat->ends = (struct log_ends){
		.catalog = broker_end(broker, TOPIC_CATALOG, 0),
		.inventory = broker_end(broker, TOPIC_INVENTORY, partition),
		.hosts = broker_end(broker, TOPIC_HOSTS, partition),
		.requests = broker_end(broker, TOPIC_REQUESTS, partition),
		.attachments = broker_end(broker, TOPIC_ATTACHMENTS, partition),
		.decisions = broker_end(broker, TOPIC_DECISIONS, partition),
	};
}

static void io_load_checkpoint(void *context, int32_t partition)
{
	struct seat *seat = seat_of(context, partition);
	store_client_open(&seat->store);
	seat->load_asked = true;
}

static void io_submit(void *context, int32_t partition, const struct store_meta *meta,
		      const struct store_row *rows, size_t n_rows, size_t n_records)
{
	(void)n_records;
	store_client_submit(&seat_of(context, partition)->store, meta, rows, n_rows);
}

static int io_rewrite_begin(void *context, int32_t partition, const struct store_meta *now)
{
	return store_client_rewrite_begin(&seat_of(context, partition)->store, now);
}

static int io_rewrite_rows(void *context, int32_t partition, const struct store_row *rows,
			   size_t n_rows)
{
	return store_client_rewrite_rows(&seat_of(context, partition)->store, rows, n_rows);
}

static int io_rewrite_end(void *context, int32_t partition)
{
	return store_client_rewrite_end(&seat_of(context, partition)->store);
}

static void io_distrust(void *context, int32_t partition)
{
	store_client_distrust(&seat_of(context, partition)->store);
}

static void io_close_checkpoint(void *context, int32_t partition)
{
	struct seat *seat = seat_of(context, partition);
	store_client_close(&seat->store);
	seat->load_asked = false;
}

static void io_drained(void *context, int32_t partition)
{
	struct seat *seat = seat_of(context, partition);
	struct broker *broker = &seat->scheduler->world->broker;
	seat->drained = true;
	if (broker->owner[partition] == seat->scheduler->id &&
	    broker->generation[partition] == seat->generation)
		broker->owner[partition] = -1;
}

static void io_nonce(void *context, char text[37])
{
	const struct seat *seat = context;
	snprintf(text, 37, "%s-%u", seat->scheduler->name, ++seat->scheduler->world->nonces);
}

static const struct shard_io calls = {
	.produce = io_produce,
	.pause_inputs = io_pause,
	.resume_inputs = io_resume,
	.seek_input = io_seek,
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
	.distrust_checkpoint = io_distrust,
	.close_checkpoint = io_close_checkpoint,
	.drained = io_drained,
	.nonce = io_nonce,
};

struct shard_io seat_io(struct seat *seat)
{
	struct shard_io io = calls;
	io.context = seat;
	return io;
}
