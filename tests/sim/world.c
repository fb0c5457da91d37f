#include "world.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "model/partition.h"

static const enum topic followed_topics[FOLLOWED] = { TOPIC_DECISIONS, TOPIC_INVENTORY,
						      TOPIC_HOSTS };

static size_t input_of(enum topic topic)
{
	return topic == TOPIC_ATTACHMENTS;
}

/* ---- life ---------------------------------------------------------------------------------------------- */

void world_init(struct world *world)
{
	*world = (struct world){ .now_us = INT64_C(1700000000) * 1000000,
				 .config = SHARD_CONFIG_DEFAULT };
	world->config.n_partitions = SIM_PARTITIONS;
	broker_init(&world->broker);
	world->broker.now_us = world->now_us;
	arena_init(&world->arena);
	if (codec_new(&world->codec) != 0)
		abort();
	for (int32_t partition = 0; partition < SIM_PARTITIONS; partition++) {
		char *pool = world->pools[partition];
		for (int i = 1;
		     *pool == '\0' || partition_of_pool(pool, SIM_PARTITIONS) != partition; i++)
			snprintf(pool, sizeof(world->pools[partition]), "pool-%d", i);
	}
}

static void scheduler_free(struct scheduler *scheduler)
{
	for (int32_t partition = 0; partition < SIM_PARTITIONS; partition++) {
		shard_free(scheduler->seats[partition].shard);
		store_client_deinit(&scheduler->seats[partition].store);
	}
	producer_deinit(&scheduler->producer);
	catalog_free(scheduler->catalog);
	free(scheduler);
}

void world_deinit(struct world *world)
{
	for (int i = 0; i < world->n_schedulers; i++)
		if (world->schedulers[i])
			scheduler_free(world->schedulers[i]);
	broker_deinit(&world->broker);
	store_server_deinit(&world->store);
	codec_free(world->codec);
	arena_deinit(&world->arena);
}

struct scheduler *world_start(struct world *world, const char *name)
{
	if (world->n_schedulers == SIM_SCHEDULERS)
		abort();
	struct scheduler *scheduler = memory_zeroed(1, sizeof(*scheduler));
	scheduler->world = world;
	scheduler->id = world->n_schedulers;
	snprintf(scheduler->name, sizeof(scheduler->name), "%s", name);
	producer_init(&scheduler->producer, &world->broker);
	scheduler->catalog = catalog_new();

	struct shard_world shard_world = {
		.codec = world->codec,
		.catalog = scheduler->catalog,
		.catalog_next = &scheduler->catalog_next,
	};
	for (int32_t partition = 0; partition < SIM_PARTITIONS; partition++) {
		struct seat *seat = &scheduler->seats[partition];
		struct shard_config config = world->config;
		config.partition = partition;
		config.owner = scheduler->name;
		seat->scheduler = scheduler;
		seat->partition = partition;
		store_client_init(&seat->store, &world->store, partition);
		for (size_t i = 0; i < FOLLOWED; i++)
			seat->follow_next[i] = -1;
		shard_world.io = seat_io(seat);
		seat->shard = shard_new(&config, &shard_world);
	}
	world->schedulers[world->n_schedulers++] = scheduler;
	return scheduler;
}

void world_kill(struct world *world, struct scheduler *scheduler)
{
	producer_purge(&scheduler->producer);
	world->schedulers[scheduler->id] = NULL;
	scheduler_free(scheduler);
}

/* ---- the group -------------------------------------------------------------------------------------------- */

void world_give(struct world *world, struct scheduler *scheduler, int32_t partition)
{
	struct broker *broker = &world->broker;
	struct seat *seat = &scheduler->seats[partition];

	broker->owner[partition] = scheduler->id;
	seat->generation = ++broker->generation[partition];
	seat->assigned = true;
	seat->drained = false;
	seat->paused = false;
	for (size_t input = 0; input < SIM_INPUTS; input++)
		seat->input_next[input] = broker->committed[input][partition];
	shard_assign(seat->shard, world->now_us);
}

void world_revoke(struct scheduler *scheduler, int32_t partition)
{
	struct seat *seat = &scheduler->seats[partition];
	seat->assigned = false;
	shard_revoke(seat->shard, scheduler->world->now_us);
}

void world_lose(struct scheduler *scheduler, int32_t partition)
{
	struct seat *seat = &scheduler->seats[partition];
	seat->assigned = false;
	shard_give_up(seat->shard, false, scheduler->world->now_us);
}

void world_break_producer(struct scheduler *scheduler)
{
	producer_purge(&scheduler->producer);
	for (int32_t partition = 0; partition < SIM_PARTITIONS; partition++) {
		struct seat *seat = &scheduler->seats[partition];
		shard_give_up(seat->shard, seat->assigned, scheduler->world->now_us);
	}
}

/* ---- steps -------------------------------------------------------------------------------------------------- */

static bool step_report(struct scheduler *scheduler)
{
	struct delivery delivery;
	if (!producer_take_report(&scheduler->producer, &delivery))
		return false;
	shard_on_delivered(scheduler->seats[delivery.sender].shard, delivery.token, delivery.offset,
			   scheduler->world->now_us);
	return true;
}

static bool log_begins_behind(const struct broker *broker, enum topic topic, int32_t partition,
			      int64_t offset)
{
	const struct message *first = broker_next(broker, topic, partition, 0);
	return first && first->offset > offset;
}

static bool step_follow(struct seat *seat, size_t which)
{
	enum topic topic = followed_topics[which];
	const struct world *world = seat->scheduler->world;
	int64_t next = seat->follow_next[which];
	int64_t end = broker_end(&world->broker, topic, seat->partition);

	if (next < 0)
		return false;
	if (next > end ||
	    (which == 0 && log_begins_behind(&world->broker, topic, seat->partition, next))) {
		seat->follow_next[which] = -1;
		shard_on_follow_failed(seat->shard, topic, world->now_us,
				       "the offset is not in the log");
		return true;
	}
	const struct message *message = broker_next(&world->broker, topic, seat->partition, next);
	if (message) {
		seat->follow_next[which] = message->offset + 1;
		shard_on_followed(seat->shard, message, world->now_us);
		return true;
	}
	if (seat->end_told[which] == end)
		return false;
	seat->follow_next[which] = seat->end_told[which] = end;
	shard_on_followed_end(seat->shard, topic, end, world->now_us);
	return true;
}

static bool step_input(struct seat *seat, enum topic input)
{
	const struct world *world = seat->scheduler->world;
	int64_t *next = &seat->input_next[input_of(input)];
	const struct message *message = broker_next(&world->broker, input, seat->partition, *next);

	if (!seat->assigned || seat->paused || !message)
		return false;
	*next = message->offset + 1;
	shard_on_input(seat->shard, message, world->now_us);
	return true;
}

static void fold_catalog(struct world *world, struct catalog *catalog,
			 const struct message *message)
{
	struct record record;
	const char *error;
	int r = 0;

	if (!message->value)
		r = catalog_remove(catalog, message->key, message->key_len);
	else if (codec_decode(world->codec, message->value, message->value_len, &world->arena,
			      &record) != 0)
		r = 1;
	else if (record.type == RECORD_VM_POOL_DEFINED)
		r = catalog_fold_pool(catalog, &record.vm_pool_defined, &error);
	else if (record.type == RECORD_VM_TYPE_DEFINED)
		r = catalog_fold_type(catalog, &record.vm_type_defined, &error);
	if (r != 0)
		fprintf(stderr, "catalog offset %" PRId64 " is not usable\n", message->offset);
}

void world_fold_catalog(struct world *world, struct catalog *catalog)
{
	const struct message *message;
	for (int64_t at = 0; (message = broker_next(&world->broker, TOPIC_CATALOG, 0, at)); at++)
		fold_catalog(world, catalog, message);
}

static bool step_catalog(struct scheduler *scheduler)
{
	const struct message *message =
		broker_next(&scheduler->world->broker, TOPIC_CATALOG, 0, scheduler->catalog_next);
	if (!message)
		return false;
	fold_catalog(scheduler->world, scheduler->catalog, message);
	scheduler->catalog_next = message->offset + 1;
	for (int32_t partition = 0; partition < SIM_PARTITIONS; partition++)
		shard_on_catalog(scheduler->seats[partition].shard, scheduler->world->now_us);
	return true;
}

static bool step_ends(struct seat *seat)
{
	if (!seat->ends_asked)
		return false;
	seat->ends_asked = false;
	if (seat->scheduler->ends_fail > 0) {
		seat->scheduler->ends_fail--;
		shard_on_ends_failed(seat->shard, seat->ends_token);
		return true;
	}
	shard_on_ends(seat->shard, seat->ends_token, &seat->ends, seat->scheduler->world->now_us);
	return true;
}

static bool step_load(struct seat *seat)
{
	const struct world *world = seat->scheduler->world;
	const struct store_shard *stored = &world->store.shards[seat->partition];
	const struct store_meta *meta = NULL;

	if (!seat->load_asked)
		return false;
	seat->load_asked = false;
	if (!world->store.down && stored->exists) {
		meta = &stored->meta;
		shard_on_checkpoint_begin(seat->shard);
		for (size_t i = 0; meta && i < stored->rows.n; i++) {
			const struct stored_row *from = &stored->rows.rows[i];
			struct store_row row = { .table = from->table,
						 .field = from->field,
						 .field_len = from->field_len,
						 .value = from->value,
						 .value_len = from->value_len };
			bool wanted = row.table != STORE_GPUS;
			if (wanted && shard_on_checkpoint_row(seat->shard, &row) != 0)
				meta = NULL;
		}
	}
	store_client_loaded(&seat->store, meta);
	shard_on_checkpoint_loaded(seat->shard, meta, world->now_us);
	return true;
}

static bool step_store(struct seat *seat)
{
	struct store_client *client = &seat->store;
	if (client->say_rewrite_needed && !client->server->down) {
		client->say_rewrite_needed = false;
		shard_on_rewrite_needed(seat->shard);
		return true;
	}
	if (client->say_more) {
		client->say_more = false;
		shard_on_rewrite_more(seat->shard);
		return true;
	}
	return store_client_step(client);
}

bool scheduler_step(struct scheduler *scheduler, enum step step, int32_t partition)
{
	static const enum topic landing[] = {
		[STEP_LAND_DECISIONS] = TOPIC_DECISIONS,
		[STEP_LAND_ANSWERS] = TOPIC_ANSWERS,
		[STEP_LAND_REQUESTS] = TOPIC_REQUESTS,
		[STEP_LAND_ATTACHMENTS] = TOPIC_ATTACHMENTS,
		[STEP_LAND_DEAD_LETTERS] = TOPIC_DEAD_LETTERS,
	};
	struct seat *seat = &scheduler->seats[partition];

	if (scheduler->held[step])
		return false;
	switch (step) {
	case STEP_LAND_DECISIONS:
	case STEP_LAND_ANSWERS:
	case STEP_LAND_REQUESTS:
	case STEP_LAND_ATTACHMENTS:
	case STEP_LAND_DEAD_LETTERS:
		return producer_land(&scheduler->producer, landing[step], partition);
	case STEP_REPORT:
		return step_report(scheduler);
	case STEP_DECISIONS:
	case STEP_INVENTORY:
	case STEP_HOSTS:
		return step_follow(seat, step - STEP_DECISIONS);
	case STEP_CATALOG:
		return step_catalog(scheduler);
	case STEP_REQUESTS:
		return step_input(seat, TOPIC_REQUESTS);
	case STEP_ATTACHMENTS:
		return step_input(seat, TOPIC_ATTACHMENTS);
	case STEP_ENDS:
		return step_ends(seat);
	case STEP_LOAD:
		return step_load(seat);
	case STEP_STORE:
		return step_store(seat);
	case STEPS:
		break;
	}
	abort();
}

void scheduler_flush(struct scheduler *scheduler, int32_t partition)
{
	shard_flush(scheduler->seats[partition].shard);
}

/* ---- running ------------------------------------------------------------------------------------------------- */

/* All steps once, and a tick at the end. */
static bool run_once(struct scheduler *scheduler)
{
	bool moved = false;
	for (int32_t partition = 0; partition < SIM_PARTITIONS; partition++) {
		for (enum step step = 0; step < STEPS; step++) {
			while (scheduler_step(scheduler, step, partition)) {
				scheduler_flush(scheduler, partition);
				moved = true;
			}
		}
		shard_tick(scheduler->seats[partition].shard, scheduler->world->now_us);
	}
	return moved;
}

void world_run(struct world *world)
{
	enum { ROUNDS_MAX = 10000, QUIET_ROUNDS = 3 };
	int quiet = 0;

	for (int round = 0; quiet < QUIET_ROUNDS; round++) {
		bool moved = false;
		for (int i = 0; i < world->n_schedulers; i++)
			if (world->schedulers[i] && !world->schedulers[i]->frozen)
				moved |= run_once(world->schedulers[i]);
		quiet = moved ? 0 : quiet + 1;
		if (round == ROUNDS_MAX) {
			world->restless = true;
			return;
		}
	}
}

void world_pass(struct world *world, int64_t us)
{
	world->now_us += us;
	world->broker.now_us = world->now_us;
	world_run(world);
}
