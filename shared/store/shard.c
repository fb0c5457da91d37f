#include "store/shard.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <uv.h>

#include "base/memory.h"
#include "loop/clock.h"
#include "loop/loop.h"

enum {
	GROUP_BYTES_MAX = 1024 * 1024, /* one call to Redis: some milliseconds of its time */
};

struct shard *store_shard_new(struct shard_env *env, int32_t number)
{
	struct shard *shard = memory_zeroed(1, sizeof(*shard));
	shard->env = env;
	shard->number = number;
	row_queue_init(&shard->queue, env->config.batch_rows_max, GROUP_BYTES_MAX);
	return shard;
}

void store_shard_drop_waiting(struct shard *shard)
{
	row_queue_clear(&shard->queue);
	row_group_free(steal(&shard->inflight));
}

void store_shard_free(struct shard *shard)
{
	if (!shard)
		return;
	if (shard->call)
		shard->call->shard = NULL;
	store_loading_free(shard->load);
	store_shard_drop_waiting(shard);
	free(shard->reason);
	free(shard);
}

void store_shard_wake(struct shard_env *env, int64_t delay_ms)
{
	int64_t at_us = clock_monotonic_us() + delay_ms * 1000;
	if (env->wake_at_us && env->wake_at_us <= at_us)
		return;
	env->wake_at_us = at_us;
	loop_timer_start(env->wake, delay_ms, 0);
}

void store_shard_add_missing(struct shard *shard, uint64_t n_records, int64_t since_us)
{
	shard->missing_records += n_records;
	if (n_records && (!shard->missing_since_us || since_us < shard->missing_since_us))
		shard->missing_since_us = since_us;
}

void store_shard_needs_rewrite(struct shard *shard, const char *reason)
{
	for (const struct row_group *group = shard->queue.first; group; group = group->next)
		store_shard_add_missing(shard, group->n_records, group->since_us);
	if (shard->inflight)
		store_shard_add_missing(shard, shard->inflight->n_records,
					shard->inflight->since_us);
	if (!shard->missing_since_us)
		shard->missing_since_us = clock_monotonic_us();
	store_shard_drop_waiting(shard);
	shard->phase = PHASE_NEEDS_REWRITE;
	shard->attempt++;
	shard->told = false;
	shard->full = false;
	free(shard->reason);
	shard->reason = memory_strdup(reason);
	store_shard_wake(shard->env, 0);
}

void store_shard_submit(struct shard *shard, const struct store_batch *batch)
{
	bool first = !shard->has_submitted;
	shard->submitted = batch->to;
	shard->has_submitted = true;

	if (shard->phase == PHASE_DEPOSED) {
		if (batch->to.epoch <= shard->deposed_epoch)
			return;
		shard->known = false;
		store_shard_needs_rewrite(shard, "another owner has written it");
	} else if (first && shard->phase == PHASE_FOLLOW) {
		store_shard_needs_rewrite(shard, "it was not loaded from Redis");
	}

	int64_t now_us = clock_monotonic_us();
	if (shard->phase == PHASE_NEEDS_REWRITE) {
		store_shard_add_missing(shard, batch->n_records, now_us);
		return;
	}
	row_queue_add(&shard->queue, batch->rows, batch->n_rows, &batch->to, batch->n_records,
		      now_us);
	if (!shard->call)
		store_shard_wake(shard->env, shard->env->config.linger_ms);
}

/* ---- rewrite -------------------------------------------------------------------------------- */

/* Never used before, also not by another owner or before Redis was wiped. */
static void new_generation(char generation[GENERATION_LEN + 1])
{
	uint64_t drawn;
	if (uv_random(NULL, NULL, &drawn, sizeof(drawn), 0, NULL) < 0)
		drawn = (uint64_t)clock_wall_us();
	snprintf(generation, GENERATION_LEN + 1, "%016" PRIx64, drawn);
}

int store_shard_rewrite_begin(struct shard *shard, const struct store_meta *now)
{
	if (shard->phase != PHASE_NEEDS_REWRITE)
		return STORE_OVER;
	shard->phase = PHASE_REWRITE;
	shard->attempt++;
	shard->begun = shard->ended = shard->full = false;
	shard->chunks = 0;
	new_generation(shard->generation);
	shard->submitted = *now;
	shard->has_submitted = true;
	store_shard_wake(shard->env, 0);
	return 0;
}

int store_shard_rewrite_rows(struct shard *shard, const struct store_row *rows, size_t n_rows)
{
	if (shard->phase != PHASE_REWRITE || shard->ended)
		return STORE_OVER;

	const struct row_queue *queue = &shard->queue;
	int64_t now_us = clock_monotonic_us();
	shard->env->counts.rewritten_rows += n_rows;
	while (n_rows) {
		/* A large chunk is cut, so that each group goes out in one short call. */
		size_t n = n_rows < queue->group_rows_max ? n_rows : queue->group_rows_max;
		row_queue_add(&shard->queue, rows, n, NULL, 0, now_us);
		rows += n;
		n_rows -= n;
	}
	if (!shard->call && shard->env->ready)
		store_shard_wake(shard->env, 0);
	if (queue->n_rows >= (size_t)SHARD_FULL_GROUPS * queue->group_rows_max ||
	    queue->bytes >= (size_t)SHARD_FULL_GROUPS * queue->group_bytes_max)
		shard->full = true;
	return shard->full ? STORE_FULL : 0;
}

int store_shard_rewrite_end(struct shard *shard)
{
	if (shard->phase != PHASE_REWRITE || shard->ended)
		return STORE_OVER;
	shard->ended = true;
	store_shard_wake(shard->env, 0);
	return 0;
}

/* ---- what is seen of it --------------------------------------------------------------------- */

size_t store_shard_waiting_bytes(const struct shard *shard)
{
	return shard->queue.bytes + (shard->inflight ? row_group_bytes(shard->inflight) : 0);
}

static enum store_shard_state state_of(const struct shard *shard)
{
	switch (shard->phase) {
	case PHASE_DEPOSED:
		return STORE_STATE_DEPOSED;
	case PHASE_REWRITE:
		return STORE_STATE_REWRITING;
	case PHASE_NEEDS_REWRITE:
		return shard->told ? STORE_STATE_NEEDS_REWRITE : STORE_STATE_WAITING;
	case PHASE_FOLLOW:
		break;
	}
	if (shard->load)
		return STORE_STATE_LOADING;
	return shard->known ? STORE_STATE_FOLLOWING : STORE_STATE_WAITING;
}

void store_shard_progress(const struct shard *shard, struct store_progress *ret_progress)
{
	struct store_progress progress = {
		.state = state_of(shard),
		.submitted = shard->submitted,
		.stored = shard->stored,
		.has_submitted = shard->has_submitted,
		.has_stored = shard->has_stored,
		.behind_records = shard->missing_records,
		.behind_bytes = store_shard_waiting_bytes(shard),
	};
	int64_t since_us = shard->missing_since_us;
	/* Groups of a snapshot have no records, unless something was submitted into them. */
	if (shard->inflight) {
		progress.behind_records += shard->inflight->n_records;
		if (!since_us)
			since_us = shard->inflight->since_us;
	}
	for (const struct row_group *group = shard->queue.first; group; group = group->next) {
		progress.behind_records += group->n_records;
		if (!since_us)
			since_us = group->since_us;
	}
	if (since_us)
		progress.behind_us = clock_monotonic_us() - since_us;
	*ret_progress = progress;
}
