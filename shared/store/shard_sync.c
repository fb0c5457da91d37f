#include "store/shard.h"

#include <hiredis/hiredis.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/memory.h"
#include "loop/clock.h"
#include "store/redis_command.h"

/*
 * FOLLOW          batches are applied, each from where the one before it ended
 *   Redis stands elsewhere, or the queue overflowed        -> NEEDS_REWRITE
 * NEEDS_REWRITE   the owner is asked; what it submits is only counted
 *   the owner begins                                       -> REWRITE
 *   Redis turns out to stand where we do                   -> FOLLOW
 * REWRITE         begin, stage, stage, ..., switch
 *   switched                                               -> FOLLOW
 *   what was staged is gone, or the queue overflowed       -> NEEDS_REWRITE
 * DEPOSED         from any of them, when Redis knows a higher epoch than ours
 *   the owner submits with a still higher epoch            -> NEEDS_REWRITE
 *
 * Whenever the outcome of a call is not known (lost connection, an error, an answer that is not OK),
 * `known` becomes false and gpubus_where is asked first; compare() then finds out from the positions
 * whether the call was carried out.
 */

static void compare(struct shard *shard, const struct whereabouts *where);

/* ---- calls ---------------------------------------------------------------------------------- */

static void on_answer(void *context, const redisReply *reply);

void store_shard_call(struct shard *shard, enum call_kind kind, const struct buf *command)
{
	struct call *call = memory_alloc(sizeof(*call));
	*call = (struct call){ .shard = shard, .kind = kind, .attempt = shard->attempt };
	shard->call = call;
	redis_link_send(shard->env->link, command->data, command->len, on_answer, call);
}

/* FCALL name 1 KEY and room for `n_args`. */
static void begin_fcall(const struct shard *shard, struct buf *command, const char *name,
			size_t n_args)
{
	cleanup(buf_deinit) struct buf key = { 0 };
	whereabouts_meta_key(shard->number, &key);
	redis_command_begin(command, 4 + n_args);
	redis_command_text(command, "FCALL");
	redis_command_text(command, name);
	redis_command_text(command, "1");
	redis_command_bytes(command, key.data, key.len);
}

static void append_sequence(struct buf *command, uint64_t sequence)
{
	char text[24];
	snprintf(text, sizeof(text), "%" PRIu64, sequence);
	redis_command_text(command, text);
}

static void call_where(struct shard *shard)
{
	cleanup(buf_deinit) struct buf command = { 0 };
	begin_fcall(shard, &command, "gpubus_where", 0);
	store_shard_call(shard, CALL_WHERE, &command);
}

static void call_apply(struct shard *shard)
{
	struct row_group *group = shard->inflight;
	const struct store_meta *from = &shard->stored;
	cleanup(buf_deinit) struct buf command = { 0 };

	group->to.written_at_us = clock_wall_us();
	buf_reserve(&command, group->data.len + group->n_rows * 32 + 512);
	begin_fcall(shard, &command, "gpubus_apply",
		    6 + 2 * WHEREABOUTS_META_FIELDS + row_group_n_args(group));
	redis_command_text(&command, shard->env->format);
	redis_command_number(&command, group->to.epoch);
	redis_command_number(&command, from->epoch);
	redis_command_number(&command, from->offset);
	append_sequence(&command, from->sequence);
	redis_command_number(&command, 2 * WHEREABOUTS_META_FIELDS);
	whereabouts_append_meta(&command, &group->to);
	row_group_append_args(group, &command);
	store_shard_call(shard, CALL_APPLY, &command);
}

static void call_begin(struct shard *shard)
{
	cleanup(buf_deinit) struct buf command = { 0 };
	begin_fcall(shard, &command, "gpubus_begin", 2);
	redis_command_number(&command, shard->submitted.epoch);
	redis_command_text(&command, shard->generation);
	store_shard_call(shard, CALL_BEGIN, &command);
}

static void call_stage(struct shard *shard)
{
	const struct row_group *group = shard->inflight;
	cleanup(buf_deinit) struct buf command = { 0 };
	buf_reserve(&command, group->data.len + group->n_rows * 32 + 512);
	begin_fcall(shard, &command, "gpubus_stage", 2 + row_group_n_args(group));
	redis_command_text(&command, shard->generation);
	redis_command_number(&command, shard->chunks);
	row_group_append_args(group, &command);
	store_shard_call(shard, CALL_STAGE, &command);
}

static void call_switch(struct shard *shard)
{
	cleanup(buf_deinit) struct buf command = { 0 };
	shard->switch_meta = shard->submitted;
	shard->switch_meta.written_at_us = clock_wall_us();
	begin_fcall(shard, &command, "gpubus_switch", 4 + 2 * WHEREABOUTS_META_FIELDS);
	redis_command_text(&command, shard->generation);
	redis_command_number(&command, shard->chunks);
	redis_command_number(&command, shard->switch_meta.epoch);
	redis_command_text(&command, shard->env->format);
	whereabouts_append_meta(&command, &shard->switch_meta);
	store_shard_call(shard, CALL_SWITCH, &command);
}

/* ---- what to do next ------------------------------------------------------------------------ */

/*
 * A group that may still grow waits for `linger_ms`, and until `pause_ms` after the one before it:
 * alone it goes at once, in a stream of them each call carries many decisions, and rows that are
 * overwritten soon are never sent. A full group waits for nothing, nor one behind which nothing comes.
 */
static bool take_group(struct shard *shard, int64_t not_before_us, bool at_once)
{
	const struct row_queue *queue = &shard->queue;
	const struct row_group *first = queue->first;
	if (!first)
		return false;
	if (!at_once && first == queue->last && first->n_rows < queue->group_rows_max) {
		int64_t linger_us = (int64_t)shard->env->config.linger_ms * 1000;
		int64_t due_us = first->since_us + linger_us;
		if (due_us < not_before_us)
			due_us = not_before_us;
		int64_t left_us = due_us - clock_monotonic_us();
		if (left_us > 0) {
			store_shard_wake(shard->env, (left_us + 999) / 1000);
			return false;
		}
	}
	shard->inflight = row_queue_take(&shard->queue);
	return true;
}

static void step_follow(struct shard *shard)
{
	int64_t not_before_us = shard->applied_at_us + (int64_t)shard->env->config.pause_ms * 1000;
	if (!shard->inflight && !take_group(shard, not_before_us, false))
		return;
	shard->applied_at_us = clock_monotonic_us();
	call_apply(shard);
}

static void step_rewrite(struct shard *shard)
{
	if (!shard->begun)
		call_begin(shard);
	else if (shard->inflight || take_group(shard, 0, shard->ended))
		call_stage(shard);
	else if (shard->ended && !shard->queue.first)
		call_switch(shard);

	const struct row_queue *queue = &shard->queue;
	if (shard->full && !shard->ended &&
	    queue->n_rows < (size_t)SHARD_MORE_GROUPS * queue->group_rows_max &&
	    queue->bytes < (size_t)SHARD_MORE_GROUPS * queue->group_bytes_max) {
		shard->full = false;
		const struct store_callbacks *owner = &shard->env->callbacks;
		if (owner->on_rewrite_more)
			owner->on_rewrite_more(owner->context, shard->number);
	}
}

static void step_needs_rewrite(struct shard *shard)
{
	if (shard->told)
		return;
	shard->told = true;
	shard->env->counts.rewrites_needed++;
	const struct store_callbacks *owner = &shard->env->callbacks;
	if (owner->on_rewrite_needed)
		owner->on_rewrite_needed(owner->context, shard->number, shard->reason);
}

void store_shard_step(struct shard *shard)
{
	if (!shard->env->ready || shard->call || shard->hold)
		return;
	if (!shard->known) {
		call_where(shard);
		return;
	}
	if (shard->load) {
		store_loading_step(shard->load);
		return;
	}
	switch (shard->phase) {
	case PHASE_FOLLOW:
		step_follow(shard);
		return;
	case PHASE_NEEDS_REWRITE:
		step_needs_rewrite(shard);
		return;
	case PHASE_REWRITE:
		step_rewrite(shard);
		return;
	case PHASE_DEPOSED:
		return;
	}
}

void store_shard_check(struct shard *shard)
{
	bool idle = shard->env->ready && !shard->call && !shard->hold && shard->known &&
		    !shard->load && !shard->inflight && !shard->queue.first;
	if (idle && ((shard->phase == PHASE_FOLLOW && shard->has_submitted) ||
		     (shard->phase == PHASE_REWRITE && shard->begun && !shard->ended))) {
		call_where(shard);
		return;
	}
	shard->hold = false;
	store_shard_step(shard);
}

void store_shard_down(struct shard *shard)
{
	shard->known = false;
	shard->hold = false;
	if (shard->load)
		store_loading_on_down(shard->load);
}

/* ---- answers -------------------------------------------------------------------------------- */

/* Redis now stands at `meta`, and so do we. The owner is told last. */
static void is_stored(struct shard *shard, struct store_meta meta)
{
	shard->stored = meta;
	shard->has_stored = true;
	free(steal(&shard->env->trouble));
	store_shard_step(shard); /* calls nobody: the phase is FOLLOW */
	const struct store_callbacks *owner = &shard->env->callbacks;
	if (owner->on_stored)
		owner->on_stored(owner->context, shard->number, &meta);
}

static void is_applied(struct shard *shard)
{
	struct store_meta to = shard->inflight->to;
	shard->env->counts.applies++;
	shard->env->counts.applied_rows += shard->inflight->n_rows;
	row_group_free(steal(&shard->inflight));
	is_stored(shard, to);
}

static void is_staged(struct shard *shard)
{
	store_shard_add_missing(shard, shard->inflight->n_records, shard->inflight->since_us);
	row_group_free(steal(&shard->inflight));
	shard->chunks++;
}

static void is_switched(struct shard *shard)
{
	shard->phase = PHASE_FOLLOW;
	shard->env->counts.rewrites++;
	shard->missing_records = 0;
	shard->missing_since_us = 0;
	is_stored(shard, shard->switch_meta);
}

static void is_deposed(struct shard *shard, int64_t epoch)
{
	store_shard_drop_waiting(shard);
	shard->attempt++;
	shard->phase = PHASE_DEPOSED;
	shard->deposed_epoch = epoch;
	const struct store_callbacks *owner = &shard->env->callbacks;
	if (owner->on_deposed)
		owner->on_deposed(owner->context, shard->number, epoch);
}

static void on_error_answer(struct shard *shard, const char *error)
{
	/* Another node, or another try of the same, may be able to do it. */
	static const char *const of_connection[] = { "READONLY",    "LOADING", "MASTERDOWN",
						     "NOAUTH",	    "MOVED",   "CLUSTERDOWN",
						     "ERR Function" };
	struct shard_env *env = shard->env;
	struct buf trouble = { 0 };

	buf_printf(&trouble, "shard %" PRId32 ": %.200s", shard->number, error);
	if (!env->trouble || strcmp(env->trouble, trouble.data) != 0)
		log_warning("redis refused a call shard=%" PRId32 " error=\"%.200s\"",
			    shard->number, error);
	free(env->trouble);
	env->trouble = buf_steal(&trouble);

	shard->known = false;
	shard->hold = true; /* until the next check */
	for (size_t i = 0; i < sizeof(of_connection) / sizeof(of_connection[0]); i++)
		if (strncmp(error, of_connection[i], strlen(of_connection[i])) == 0) {
			redis_link_drop(env->link, env->trouble);
			return;
		}
}

static void on_where(struct shard *shard, const redisReply *reply)
{
	struct whereabouts where;
	if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2) {
		on_error_answer(shard, "ERR an answer of an unexpected type");
		return;
	}
	whereabouts_read(&where, reply->element[0], reply->element[1]);
	shard->known = true;
	if (shard->load)
		store_loading_on_where(shard->load, &where);
	else
		compare(shard, &where);
}

/* The answers of apply, begin, stage and switch. */
static void on_word(struct shard *shard, enum call_kind kind, const redisReply *reply)
{
	bool ok = reply->type == REDIS_REPLY_STRING && strcmp(reply->str, "OK") == 0;
	if (!ok) {
		if (kind == CALL_APPLY)
			shard->env->counts.elsewhere++;
		shard->known = false;
		store_shard_step(shard);
		return;
	}
	switch (kind) {
	case CALL_APPLY:
		is_applied(shard);
		return;
	case CALL_BEGIN:
		shard->begun = true;
		break;
	case CALL_STAGE:
		is_staged(shard);
		break;
	case CALL_SWITCH:
		is_switched(shard);
		return;
	case CALL_WHERE:
	case CALL_SCAN:
		return;
	}
	store_shard_step(shard);
}

static void on_answer(void *context, const redisReply *reply)
{
	struct call call = *(struct call *)context;
	struct shard *shard = call.shard;
	free(context);
	if (!shard)
		return;
	shard->call = NULL;
	if (!reply) /* store_shard_down() comes when all have been told */
		return;
	if (reply->type == REDIS_REPLY_ERROR) {
		on_error_answer(shard, reply->str);
	} else if (call.attempt != shard->attempt) {
		/* Of a rewrite that was given up, a queue that was dropped, a load that is over. */
		shard->known = false;
		store_shard_step(shard);
	} else if (call.kind == CALL_WHERE) {
		on_where(shard, reply);
	} else if (call.kind == CALL_SCAN) {
		store_loading_on_scan(shard->load, reply);
	} else {
		on_word(shard, call.kind, reply);
	}
}

/* ---- comparing ------------------------------------------------------------------------------ */

static bool stands_at(const struct shard *shard, const struct whereabouts *where,
		      const struct store_meta *meta)
{
	return where->exists && strcmp(where->format, shard->env->format) == 0 &&
	       store_meta_same(&where->meta, meta);
}

static void ask_for_rewrite(struct shard *shard, const struct whereabouts *where)
{
	char reason[256];
	const struct store_meta *is = &where->meta, *was = &shard->stored;
	if (!where->exists)
		snprintf(reason, sizeof(reason), "Redis has nothing of it");
	else if (strcmp(where->format, shard->env->format) != 0)
		snprintf(reason, sizeof(reason), "Redis has it in another format");
	else
		snprintf(reason, sizeof(reason),
			 "Redis stands at epoch %" PRId64 " offset %" PRId64 " sequence %" PRIu64
			 ", last written were epoch %" PRId64 " offset %" PRId64
			 " sequence %" PRIu64,
			 is->epoch, is->offset, is->sequence, was->epoch, was->offset,
			 was->sequence);
	store_shard_needs_rewrite(shard, reason);
	store_shard_step(shard);
}

static void compare_follow(struct shard *shard, const struct whereabouts *where)
{
	if (shard->inflight && stands_at(shard, where, &shard->inflight->to))
		is_applied(shard);
	else if (stands_at(shard, where, &shard->stored))
		store_shard_step(shard);
	else
		ask_for_rewrite(shard, where);
}

static void compare_rewrite(struct shard *shard, const struct whereabouts *where)
{
	bool staged = where->staging && strcmp(where->staged_generation, shard->generation) == 0;
	bool switched = where->exists && strcmp(where->generation, shard->generation) == 0;

	if (switched && stands_at(shard, where, &shard->switch_meta)) {
		is_switched(shard);
		return;
	}
	if (staged && where->staged_chunks == shard->chunks + 1 && shard->inflight)
		is_staged(shard);
	if (staged && where->staged_chunks == shard->chunks)
		shard->begun = true;
	else if (shard->begun || staged || switched)
		store_shard_needs_rewrite(shard, "what had been staged of the rewrite is gone");
	store_shard_step(shard);
}

static void compare(struct shard *shard, const struct whereabouts *where)
{
	int64_t epoch = where->exists ? where->meta.epoch : -1;
	if (where->staging && where->staged_epoch > epoch)
		epoch = where->staged_epoch;
	if (shard->has_submitted && shard->phase != PHASE_DEPOSED &&
	    epoch > shard->submitted.epoch) {
		is_deposed(shard, epoch);
		return;
	}

	switch (shard->phase) {
	case PHASE_FOLLOW:
		if (shard->has_submitted)
			compare_follow(shard, where);
		return;
	case PHASE_NEEDS_REWRITE:
		if (shard->has_submitted && stands_at(shard, where, &shard->submitted)) {
			shard->phase = PHASE_FOLLOW;
			shard->missing_records = 0;
			shard->missing_since_us = 0;
			is_stored(shard, shard->submitted);
			return;
		}
		store_shard_step(shard);
		return;
	case PHASE_REWRITE:
		compare_rewrite(shard, where);
		return;
	case PHASE_DEPOSED:
		return;
	}
}
