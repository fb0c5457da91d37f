#include "store/store.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/memory.h"
#include "loop/loop.h"
#include "store/library.h"
#include "store/redis_link.h"
#include "store/redis_url.h"
#include "store/shard.h"

struct store {
	struct shard_env env;
	struct loop_timer *check;
	struct buf status;
	struct shard *shards[LIMIT_PARTITIONS]; /* owned; NULL: not open */
	int32_t n_shards;			/* none is open from here on */
};

static const char *const state_names[] = {
	[STORE_STATE_CLOSED] = "closed",
	[STORE_STATE_WAITING] = "waiting",
	[STORE_STATE_LOADING] = "loading",
	[STORE_STATE_FOLLOWING] = "following",
	[STORE_STATE_NEEDS_REWRITE] = "needs-rewrite",
	[STORE_STATE_REWRITING] = "rewriting",
	[STORE_STATE_DEPOSED] = "deposed",
};

const char *store_state_name(enum store_shard_state state)
{
	return state_names[state];
}

/* ---- the connection and the clock ----------------------------------------------------------- */

/* A step may end with a callback of the owner that opens and closes shards: nothing is kept across. */
static void each_shard(struct store *store, void (*step)(struct shard *shard))
{
	for (int32_t i = 0; i < store->n_shards; i++)
		if (store->shards[i])
			step(store->shards[i]);
}

static void on_library(void *context, const char *problem)
{
	struct store *store = context;
	if (problem) {
		redis_link_drop(store->env.link, problem);
		return;
	}
	store->env.ready = true;
	redis_link_settled(store->env.link);
	store_shard_wake(&store->env, 0);
}

static void on_up(void *context)
{
	struct store *store = context;
	store_library_check(store->env.link, on_library, store);
}

static void on_down(void *context, const char *reason)
{
	struct store *store = context;
	(void)reason;
	store->env.ready = false;
	each_shard(store, store_shard_down);
}

static void on_wake(void *context)
{
	struct store *store = context;
	store->env.wake_at_us = 0;
	each_shard(store, store_shard_step);
}

static void on_check(void *context)
{
	each_shard(context, store_shard_check);
}

/* ---- life ----------------------------------------------------------------------------------- */

static void set_defaults(struct store_config *config)
{
	if (!config->queue_bytes_max)
		config->queue_bytes_max = 64 * 1024 * 1024;
	if (!config->batch_rows_max)
		config->batch_rows_max = 2000;
	if (!config->linger_ms)
		config->linger_ms = 2;
	if (!config->pause_ms)
		config->pause_ms = 25;
	if (!config->check_interval_ms)
		config->check_interval_ms = 1000;
	if (!config->connect_timeout_ms)
		config->connect_timeout_ms = 2000;
	if (!config->command_timeout_ms)
		config->command_timeout_ms = 5000;
	if (!config->backoff_max_ms)
		config->backoff_max_ms = 5000;
}

int store_new(struct loop *loop, const struct store_config *config,
	      const struct store_callbacks *callbacks, struct store **ret_store, char **ret_error)
{
	struct redis_url *url;
	const char *problem;
	if (redis_url_parse(config->url, &url, &problem)) {
		struct buf error = { 0 };
		buf_printf(&error, "the Redis URL: %s", problem);
		*ret_error = buf_steal(&error);
		return 1;
	}

	cleanup(store_freep) struct store *store = memory_zeroed(1, sizeof(*store));
	struct shard_env *env = &store->env;
	env->loop = loop;
	env->config = *config;
	set_defaults(&env->config);
	env->config.url = env->config.format = NULL;
	env->format = memory_strdup(config->format);
	env->callbacks = *callbacks;
	const struct redis_link_config link_config = {
		.connect_timeout_ms = env->config.connect_timeout_ms,
		.command_timeout_ms = env->config.command_timeout_ms,
		.backoff_max_ms = env->config.backoff_max_ms,
	};
	const struct redis_link_callbacks link_callbacks = { store, on_up, on_down };
	int r = redis_link_new(loop, url, &link_config, &link_callbacks, &env->link, ret_error);
	if (r)
		return r;

	env->wake = loop_timer_new(loop, on_wake, store);
	store->check = loop_timer_new(loop, on_check, store);
	loop_timer_start(store->check, env->config.check_interval_ms,
			 env->config.check_interval_ms);
	*ret_store = steal(&store);
	return 0;
}

void store_free(struct store *store)
{
	if (!store)
		return;
	each_shard(store, store_shard_free);
	redis_link_free(store->env.link);
	loop_timer_free(store->env.wake);
	loop_timer_free(store->check);
	free(store->env.format);
	free(store->env.trouble);
	buf_deinit(&store->status);
	free(store);
}

/* ---- shards --------------------------------------------------------------------------------- */

static struct shard *find(const struct store *store, int32_t number)
{
	assert(number >= 0 && number < LIMIT_PARTITIONS);
	return store->shards[number];
}

void store_open_shard(struct store *store, int32_t number)
{
	assert(!find(store, number));
	store->shards[number] = store_shard_new(&store->env, number);
	if (number >= store->n_shards)
		store->n_shards = number + 1;
	store_shard_wake(&store->env, 0);
}

void store_close_shard(struct store *store, int32_t number)
{
	store_shard_free(find(store, number));
	store->shards[number] = NULL;
}

void store_load(struct store *store, int32_t number, const struct store_load_request *request)
{
	struct shard *shard = find(store, number);
	assert(shard && !shard->load && !shard->has_submitted);
	shard->load = store_loading_new(shard, request);
	store_shard_wake(&store->env, 0);
}

/* The shard with the longest queue gives it up, so that the others go on. */
static void bound_queues(struct store *store)
{
	struct shard *longest = NULL;
	size_t total = 0;
	for (int32_t i = 0; i < store->n_shards; i++) {
		struct shard *shard = store->shards[i];
		if (!shard)
			continue;
		size_t bytes = store_shard_waiting_bytes(shard);
		total += bytes;
		if (!longest || bytes > store_shard_waiting_bytes(longest))
			longest = shard;
	}
	if (total <= store->env.config.queue_bytes_max)
		return;
	log_warning("the queue to Redis overflowed shard=%d bytes=%zu", longest->number, total);
	store->env.counts.overflows++;
	store_shard_needs_rewrite(longest, "the queue to Redis overflowed");
}

void store_submit(struct store *store, int32_t number, const struct store_batch *batch)
{
	struct shard *shard = find(store, number);
	assert(!shard->load);
	store_shard_submit(shard, batch);
	bound_queues(store);
}

int store_rewrite_begin(struct store *store, int32_t number, const struct store_meta *now)
{
	return store_shard_rewrite_begin(find(store, number), now);
}

int store_rewrite_rows(struct store *store, int32_t number, const struct store_row *rows,
		       size_t n_rows)
{
	struct shard *shard = find(store, number);
	int r = store_shard_rewrite_rows(shard, rows, n_rows);
	if (r == STORE_OVER)
		return r;
	bound_queues(store);
	return shard->phase == PHASE_REWRITE ? r : STORE_OVER;
}

int store_rewrite_end(struct store *store, int32_t number)
{
	return store_shard_rewrite_end(find(store, number));
}

/* ---- what is seen of it --------------------------------------------------------------------- */

void store_progress(const struct store *store, int32_t number, struct store_progress *ret_progress)
{
	const struct shard *shard = find(store, number);
	if (shard)
		store_shard_progress(shard, ret_progress);
	else
		*ret_progress = (struct store_progress){ .state = STORE_STATE_CLOSED };
}

void store_counts(const struct store *store, struct store_counts *ret_counts)
{
	*ret_counts = store->env.counts;
	ret_counts->connects = redis_link_connects(store->env.link);
	ret_counts->failed_connects = redis_link_failed_connects(store->env.link);
}

const char *store_status(struct store *store)
{
	buf_clear(&store->status);
	buf_puts(&store->status, redis_link_status(store->env.link));
	if (store->env.trouble && redis_link_is_up(store->env.link))
		buf_printf(&store->status, ", but %s", store->env.trouble);
	return store->status.data;
}

bool store_is_up(const struct store *store)
{
	return store->env.ready;
}
