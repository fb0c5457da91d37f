#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/memory.h"
#include "bus/dead_letter.h"
#include "loop/clock.h"
#include "scheduler/scheduler_internal.h"

enum {
	TICK_MS = 100,
	STORE_FAREWELL_MS = 1000, /* at the end, Redis gets this long to catch up */
};

/* The format of the checkpoint's rows; another one in Redis is not read but written anew. */
#define CHECKPOINT_FORMAT "2"

static void on_rewrite_needed(void *context, int32_t partition, const char *reason)
{
	struct scheduler *scheduler = context;
	log_info("shard=%d is written anew to Redis: %s", partition, reason);
	shard_on_rewrite_needed(scheduler->shards[partition]);
}

static void on_rewrite_more(void *context, int32_t partition)
{
	struct scheduler *scheduler = context;
	shard_on_rewrite_more(scheduler->shards[partition]);
	shard_flush(scheduler->shards[partition]);
}

static void on_store_ahead(void *context, int32_t partition, int64_t epoch)
{
	struct scheduler *scheduler = context;
	log_info("shard=%d Redis knows epoch %" PRId64 " already", partition, epoch);
	shard_on_store_ahead(scheduler->shards[partition], epoch);
}

bool scheduler_has_failed(const struct scheduler *scheduler)
{
	return scheduler->failed;
}

/* ---- handing over ------------------------------------------------------------------------------- */

static void finish_revocation(struct scheduler *scheduler)
{
	if (!scheduler->revoking || scheduler->draining > 0)
		return;
	scheduler->revoking = false;
	bus_group_commit_now(scheduler->group);
	bus_group_revoked_done(scheduler->group);
}

void scheduler_on_drained(struct scheduler *scheduler)
{
	if (scheduler->draining > 0)
		scheduler->draining--;
	finish_revocation(scheduler);
}

/* ---- turns -------------------------------------------------------------------------------------- */

static void flush_all(void *context)
{
	struct scheduler *scheduler = context;
	for (int32_t p = 0; p < scheduler->n_partitions; p++)
		shard_flush(scheduler->shards[p]);
}

/* ---- the producer ------------------------------------------------------------------------------- */

static int start_producer(struct scheduler *scheduler);

/*
 * After a failed delivery nobody knows what is in the log, and this producer's later records must not
 * get there behind a gap. So it is given up whole, and all shards are taken over again with a new one:
 * what they find in the log up to their new marker is what happened.
 */
static void restart_producer(struct scheduler *scheduler, const char *reason)
{
	int64_t now_us = clock_wall_us();

	log_error("the producer is given up: %s", reason);
	for (int32_t p = 0; p < scheduler->n_partitions; p++)
		shard_give_up(scheduler->shards[p], true, now_us);
	bus_producer_purge_and_free(steal(&scheduler->producer));
	scheduler->undelivered = false;
	if (start_producer(scheduler) != 0) {
		/* Nothing can be handed over without one. */
		scheduler->failed = true;
		loop_stop(scheduler->loop);
	}
}

static void on_delivery(void *context, void *packed, enum bus_delivery outcome, int64_t offset)
{
	struct scheduler *scheduler = context;
	uint64_t token;
	struct shard *shard = token_unpack(scheduler, packed, &token);

	switch (outcome) {
	case BUS_DELIVERED:
		shard_on_delivered(shard, token, offset, clock_wall_us());
		break;
	case BUS_REFUSED:
	case BUS_UNCERTAIN:
		/* Acted upon outside of the producer's own callback. */
		scheduler->undelivered = true;
		break;
	}
}

static void on_producer_fatal(void *context, const char *reason)
{
	restart_producer(context, reason);
}

static int start_producer(struct scheduler *scheduler)
{
	const struct bus_producer_callbacks callbacks = {
		.on_delivery = on_delivery,
		.on_batch_done = flush_all,
		.on_fatal = on_producer_fatal,
	};
	return bus_producer_new(scheduler->loop, scheduler->options->bus, &callbacks, scheduler,
				&scheduler->producer);
}

/* ---- the group ---------------------------------------------------------------------------------- */

/* Partitions that somebody has added belong to no shard: a pool would have to move. */
static bool has_shard(const struct scheduler *scheduler, int32_t partition)
{
	return partition < scheduler->n_partitions;
}

static void on_assigned(void *context, const struct bus_partition *partitions, size_t n)
{
	struct scheduler *scheduler = context;
	for (size_t i = 0; i < n; i++) {
		if (!has_shard(scheduler, partitions[i].partition)) {
			log_error("%s has got a partition %d: the count is fixed for life (gpubus "
				  "topics verify)",
				  topic_name(partitions[i].topic), partitions[i].partition);
			scheduler->failed = true;
		} else if (partitions[i].topic == TOPIC_REQUESTS) {
			shard_assign(scheduler->shards[partitions[i].partition], clock_wall_us());
		}
	}
}

static bool is_request_shard(const struct scheduler *scheduler, struct bus_partition place)
{
	return place.topic == TOPIC_REQUESTS && has_shard(scheduler, place.partition);
}

static void on_revoked(void *context, const struct bus_partition *partitions, size_t n, bool lost)
{
	struct scheduler *scheduler = context;
	int64_t now_us = clock_wall_us();

	scheduler->revoking = false;
	scheduler->draining = 0;
	for (size_t i = 0; i < n && !lost; i++)
		scheduler->draining += is_request_shard(scheduler, partitions[i]);

	for (size_t i = 0; i < n; i++) {
		if (!is_request_shard(scheduler, partitions[i]))
			continue;
		struct shard *shard = scheduler->shards[partitions[i].partition];
		if (lost)
			shard_give_up(shard, false, now_us);
		else
			shard_revoke(shard, now_us);
	}
	if (!lost) {
		scheduler->revoking = true;
		finish_revocation(scheduler);
	}
}

static void on_input(void *context, const struct message *message)
{
	struct scheduler *scheduler = context;
	if (has_shard(scheduler, message->partition))
		shard_on_input(scheduler->shards[message->partition], message, clock_wall_us());
}

static void on_commit(void *context, struct bus_partition partition, int64_t next_offset,
		      const char *error)
{
	(void)context;
	if (error)
		log_warning("shard=%d offset %" PRId64 " of %s was not committed: %s",
			    partition.partition, next_offset, topic_name(partition.topic), error);
}

static void on_group_error(void *context, const char *reason)
{
	struct scheduler *scheduler = context;
	log_error("the consumer group is broken: %s", reason);
	scheduler->failed = true;
}

/* ---- what is followed --------------------------------------------------------------------------- */

static void catalog_moved(struct scheduler *scheduler)
{
	for (int32_t p = 0; p < scheduler->n_partitions; p++)
		shard_on_catalog(scheduler->shards[p], clock_wall_us());
}

static void take_catalog(struct scheduler *scheduler, const struct message *message)
{
	const char *code, *error = "";

	if (catalog_feed_take(scheduler->feed, message, &code, &error) != 0) {
		struct dead_letter letter;
		log_warning("dead letter topic=%s offset=%" PRId64 ": %s",
			    topic_name(message->topic), message->offset, error);
		dead_letter_make(&letter, message, code, error, clock_wall_us());
		if (bus_produce(scheduler->producer, &letter.message,
				token_pack(0, TOKEN_NOBODY)) != 0)
			log_error("no room for a dead letter of the catalog: it is met again at "
				  "the next start");
	}
	catalog_moved(scheduler);
}

static void on_followed(void *context, const struct message *message)
{
	struct scheduler *scheduler = context;
	if (message->topic == TOPIC_CATALOG) {
		take_catalog(scheduler, message);
		return;
	}
	shard_on_followed(scheduler->shards[message->partition], message, clock_wall_us());
}

static void on_followed_end(void *context, struct bus_partition place, int64_t next)
{
	struct scheduler *scheduler = context;
	if (place.topic == TOPIC_CATALOG) {
		catalog_feed_end(scheduler->feed, next);
		catalog_moved(scheduler);
		return;
	}
	shard_on_followed_end(scheduler->shards[place.partition], place.topic, next,
			      clock_wall_us());
}

static void on_follow_error(void *context, struct bus_partition place, enum bus_reader_error kind,
			    const char *reason)
{
	struct scheduler *scheduler = context;

	/* Retention has overtaken the reading of a topic that is not the log: what is left of it is
	 * all there is to know. */
	if (kind == BUS_READ_OFFSET_MISSING && place.topic != TOPIC_DECISIONS) {
		bus_reader_start(scheduler->fleet_reader, place.topic, place.partition,
				 BUS_BEGINNING);
		return;
	}
	if (place.topic == TOPIC_CATALOG) {
		log_error("the catalog cannot be read: %s", reason);
		scheduler->failed = true;
		return;
	}
	shard_on_follow_failed(scheduler->shards[place.partition], place.topic, clock_wall_us(),
			       reason);
}

/* ---- time --------------------------------------------------------------------------------------- */

static void say_farewell(struct scheduler *scheduler);

static void on_tick(void *context)
{
	struct scheduler *scheduler = context;
	int64_t now_us = clock_wall_us();
	int64_t deadline_us = scheduler->options->delivery_deadline_ms * 1000;

	if (scheduler->undelivered) {
		restart_producer(scheduler, bus_producer_last_error(scheduler->producer));
	} else if (bus_producer_oldest_age_us(scheduler->producer) > deadline_us) {
		restart_producer(scheduler, "a record was not delivered within the deadline");
	}
	for (int32_t p = 0; p < scheduler->n_partitions; p++)
		shard_tick(scheduler->shards[p], now_us);
	scheduler_report_readiness(scheduler);
	if (scheduler->failed)
		loop_shutdown(scheduler->loop);
	if (scheduler->leaving)
		say_farewell(scheduler);
}

/* ---- the end ------------------------------------------------------------------------------------ */

static bool store_in_step(const struct scheduler *scheduler)
{
	for (int32_t p = 0; p < scheduler->n_partitions; p++) {
		struct store_progress progress;
		store_progress(scheduler->store, p, &progress);
		if (progress.behind_records > 0 || progress.behind_bytes > 0)
			return false;
	}
	return true;
}

static void say_farewell(struct scheduler *scheduler)
{
	if (store_in_step(scheduler) || clock_monotonic_us() > scheduler->farewell_until_us)
		loop_stop(scheduler->loop);
}

static void on_left(void *context)
{
	struct scheduler *scheduler = context;
	scheduler->leaving = true;
	scheduler->farewell_until_us = clock_monotonic_us() + STORE_FAREWELL_MS * 1000;
	say_farewell(scheduler);
}

void scheduler_shut_down(void *context)
{
	struct scheduler *scheduler = context;
	log_info("handing over");
	bus_group_leave(scheduler->group, on_left);
}

/* ---- life ---------------------------------------------------------------------------------------- */

static int start_bus(struct scheduler *scheduler)
{
	static const enum topic inputs[] = { TOPIC_REQUESTS, TOPIC_ATTACHMENTS };
	const struct bus_config *bus = scheduler->options->bus;
	const struct bus_reader_callbacks reader = {
		.on_message = on_followed,
		.on_end = on_followed_end,
		.on_batch_done = flush_all,
		.on_error = on_follow_error,
	};
	const struct bus_group_callbacks group = {
		.on_assigned = on_assigned,
		.on_revoked = on_revoked,
		.on_message = on_input,
		.on_batch_done = flush_all,
		.on_committed = on_commit,
		.on_error = on_group_error,
	};
	const struct bus_group_options group_options = {
		.group_id = scheduler->options->group_id,
		.topics = inputs,
		.n_topics = sizeof(inputs) / sizeof(*inputs),
		.session_timeout_ms = scheduler->options->session_timeout_ms,
	};
	int r;

	if ((r = start_producer(scheduler)) != 0)
		return r;
	if ((r = bus_offsets_new(scheduler->loop, bus, NULL, &scheduler->offsets)) != 0)
		return r;
	if ((r = bus_reader_new(scheduler->loop, bus, &reader, scheduler,
				&scheduler->log_reader)) != 0 ||
	    (r = bus_reader_new(scheduler->loop, bus, &reader, scheduler,
				&scheduler->fleet_reader)) != 0)
		return r;
	/* Their dead letters are without the original's headers for it: a takeover reads all of them. */
	bus_reader_skip_headers(scheduler->fleet_reader, TOPIC_INVENTORY);
	bus_reader_skip_headers(scheduler->fleet_reader, TOPIC_HOSTS);
	bus_reader_start(scheduler->fleet_reader, TOPIC_CATALOG, 0, BUS_BEGINNING);
	return bus_group_new(scheduler->loop, bus, &group_options, &group, scheduler,
			     &scheduler->group);
}

static int start_store(struct scheduler *scheduler)
{
	cleanup(freep) char *error = NULL;
	const struct store_config config = { .url = scheduler->options->redis_url,
					     .format = scheduler->format };
	const struct store_callbacks callbacks = {
		.context = scheduler,
		.on_rewrite_needed = on_rewrite_needed,
		.on_rewrite_more = on_rewrite_more,
		.on_deposed = on_store_ahead,
	};
	int r = store_new(scheduler->loop, &config, &callbacks, &scheduler->store, &error);
	if (r != 0)
		log_error("the Redis URL is refused: %s", error ? error : "?");
	return r;
}

static void make_shards(struct scheduler *scheduler)
{
	const struct scheduler_options *options = scheduler->options;
	const struct shard_world world = {
		.io = shard_wiring(scheduler),
		.codec = scheduler->codec,
		.catalog = catalog_feed_catalog(scheduler->feed),
		.catalog_next = catalog_feed_next(scheduler->feed),
	};
	struct shard_config config = SHARD_CONFIG_DEFAULT;
	config.n_partitions = scheduler->n_partitions;
	config.owner = options->name;
	config.options.host_timeout_us = options->host_timeout_ms * 1000;
	config.options.remember_us = options->remember_ms * 1000;
	config.window = (size_t)options->window;
	config.rest_us = options->rest_ms * 1000;

	scheduler->shards =
		memory_zeroed((size_t)scheduler->n_partitions, sizeof(*scheduler->shards));
	scheduler->seats =
		memory_zeroed((size_t)scheduler->n_partitions, sizeof(*scheduler->seats));
	for (int32_t p = 0; p < scheduler->n_partitions; p++) {
		config.partition = p;
		scheduler->seats[p] = (struct seat){ .scheduler = scheduler, .partition = p };
		scheduler->shards[p] = shard_new(&config, &world);
	}
}

int scheduler_new(struct loop *loop, const struct scheduler_options *options, int32_t n_partitions,
		  struct scheduler **ret_scheduler)
{
	cleanup(scheduler_freep) struct scheduler *scheduler = memory_zeroed(1, sizeof(*scheduler));
	int r;

	scheduler->loop = loop;
	scheduler->options = options;
	scheduler->n_partitions = n_partitions;
	/* What is remembered shapes the rows: schedulers that disagree must not share checkpoints. */
	snprintf(scheduler->format, sizeof(scheduler->format), CHECKPOINT_FORMAT "/%" PRId64 "s",
		 options->remember_ms / 1000);

	if ((r = codec_new(&scheduler->codec)) != 0)
		return r;
	scheduler->health = health_new();
	scheduler->feed = catalog_feed_new(scheduler->codec);
	make_shards(scheduler);
	if ((r = start_store(scheduler)) != 0)
		return r;
	if ((r = start_bus(scheduler)) != 0)
		return r;
	scheduler->tick = loop_timer_new(loop, on_tick, scheduler);
	loop_timer_start(scheduler->tick, TICK_MS, TICK_MS);

	*ret_scheduler = steal(&scheduler);
	return 0;
}

void scheduler_free(struct scheduler *scheduler)
{
	if (!scheduler)
		return;
	loop_timer_free(scheduler->tick);
	bus_group_free(scheduler->group);
	bus_reader_free(scheduler->log_reader);
	bus_reader_free(scheduler->fleet_reader);
	bus_offsets_free(scheduler->offsets);
	bus_producer_purge_and_free(scheduler->producer);
	store_free(scheduler->store);
	for (int32_t p = 0; scheduler->shards && p < scheduler->n_partitions; p++)
		shard_free(scheduler->shards[p]);
	free(scheduler->shards);
	free(scheduler->seats);
	catalog_feed_free(scheduler->feed);
	health_free(scheduler->health);
	codec_free(scheduler->codec);
	free(scheduler);
}
