/*
 * The phases of a shard that is given, taken away, lost or deposed, and what happens with time. See
 * shard.h for the state machine, takeover.c for the way up.
 */
#include <string.h>

#include "base/log.h"
#include "scheduler/shard_internal.h"

void shard_forget(struct shard *shard)
{
	if (shard->state) {
		shard->world.io.unfollow(shard->world.io.context, shard->config.partition);
		shard->world.io.close_checkpoint(shard->world.io.context, shard->config.partition);
	}
	in_flight_drop_all(&shard->flight);
	held_inputs_drop_all(&shard->held);
	row_batch_clear(&shard->rows);
	shard_state_free(steal(&shard->state));
	shard->own_epoch = -1;
	shard->store_epoch = -1;
	shard->knowing.wanted = shard->knowing.asked = shard->knowing.waiting = false;
	shard->knowing.failed = false;
	shard->knowing.token++;
	shard->marker_unsent = false;
	shard->record_waits = false;
	shard->rewrite_needed = shard->rewriting = false;
}

/* ---- given and taken by the group -------------------------------------------------------------- */

void shard_assign(struct shard *shard, int64_t now_us)
{
	shard->ours = true;
	for (size_t input = 0; input < INPUTS; input++)
		shard->taken[input] = shard->knowing.known[input] = -1;

	switch (shard->phase) {
	case SHARD_DRAINING:
	case SHARD_RESTING:
		/* If nobody else has started an epoch since, ours goes on: which is known when the log
		 * is read to the end it has now. What is said or acknowledged before that would rest on
		 * a state that may be an old one. */
		shard_enter(shard, SHARD_CATCHING_UP, now_us);
		shard->inputs_paused = false;
		shard_pause_inputs(shard);
		shard_ask_ends(shard);
		break;
	case SHARD_IDLE:
	case SHARD_DEPOSED:
		shard_begin_takeover(shard, now_us);
		break;
	default: /* STOPPED stays so; a takeover under way goes on */
		shard->inputs_paused = false;
		shard_pause_inputs(shard);
		break;
	}
}

/* A takeover that is under way is broken off: there is nothing to hand over yet. */
void shard_revoke(struct shard *shard, int64_t now_us)
{
	held_inputs_drop_all(&shard->held);
	shard->knowing.wanted = false;
	bool returning = shard->phase == SHARD_CATCHING_UP && shard->own_epoch >= 0;
	if (shard->phase == SHARD_OWNING || returning) {
		shard_enter(shard, SHARD_DRAINING, now_us);
		shard_check_drained(shard, now_us);
		return;
	}
	shard->ours = false;
	if (shard->phase != SHARD_STOPPED && shard->phase != SHARD_RESTING) {
		shard_forget(shard);
		shard_enter(shard, SHARD_IDLE, now_us);
	}
	shard->world.io.drained(shard->world.io.context, shard->config.partition);
}

void shard_check_drained(struct shard *shard, int64_t now_us)
{
	if (shard->phase != SHARD_DRAINING || in_flight_count(&shard->flight) > 0)
		return;
	shard->ours = false;
	shard_enter(shard, SHARD_RESTING, now_us);
	shard->world.io.drained(shard->world.io.context, shard->config.partition);
}

/* The oldest input of each topic that was taken and not finished is to be delivered again. */
static void rewind_inputs(struct shard *shard)
{
	int64_t first[INPUTS] = { -1, -1 };

	for (size_t i = shard->held.count; i-- > 0;) {
		struct message message = held_inputs_at(&shard->held, i);
		first[input_index(message.topic)] = message.offset;
	}
	for (uint64_t number = shard->flight.tail; number-- > shard->flight.head;) {
		const struct in_flight *entry = in_flight_at(&shard->flight, number);
		first[input_index(entry->input)] = entry->input_offset;
	}
	for (size_t input = 0; input < INPUTS; input++)
		if (first[input] >= 0)
			shard->world.io.seek_input(shard->world.io.context, input_topic(input),
						   shard->config.partition, first[input]);
}

void shard_deposed(struct shard *shard, int64_t now_us)
{
	shard_give_up(shard, shard->ours, now_us);
}

void shard_give_up(struct shard *shard, bool still_ours, int64_t now_us)
{
	bool draining = shard->phase == SHARD_DRAINING;

	if (shard->phase == SHARD_STOPPED || shard->phase == SHARD_IDLE)
		return;
	still_ours = still_ours && shard->ours && !draining;
	if (still_ours) {
		shard_pause_inputs(shard);
		rewind_inputs(shard);
	}
	shard_forget(shard);
	shard->ours = still_ours;
	shard_enter(shard, still_ours ? SHARD_DEPOSED : SHARD_IDLE, now_us);
	if (draining)
		shard->world.io.drained(shard->world.io.context, shard->config.partition);
}

/* ---- turns and time ----------------------------------------------------------------------------- */

void shard_flush(struct shard *shard)
{
	if (shard->knowing.wanted && !shard->knowing.asked && !shard->knowing.waiting)
		shard_ask_ends(shard);
	if (!shard->state || shard->phase == SHARD_LOADING)
		return;
	shard_submit_rows(shard);
	shard_rewrite_step(shard);
}

/* What could not be sent for want of room. */
static void send_again(struct shard *shard, int64_t now_us)
{
	if (shard->marker_unsent)
		shard_send_marker(shard, now_us);
	shard_log_again(shard);
	for (uint64_t number = shard->flight.head; number != shard->flight.tail; number++) {
		const struct in_flight *entry = in_flight_at(&shard->flight, number);
		if (entry->stage == STAGE_ANSWER)
			shard_send(shard, number);
	}
}

void shard_tick(struct shard *shard, int64_t now_us)
{
	int64_t age_us = now_us - shard->phase_since_us;

	if (shard->phase == SHARD_DEPOSED && age_us >= shard->config.back_off_us)
		shard_begin_takeover(shard, now_us);
	if (shard->phase == SHARD_RESTING && age_us >= shard->config.rest_us) {
		shard_forget(shard);
		shard_enter(shard, SHARD_IDLE, now_us);
	}
	if (!shard->state)
		return;
	if (shard->knowing.failed) {
		shard->knowing.failed = false;
		shard_ask_ends(shard);
	}
	send_again(shard, now_us);
	shard_go_on(shard, now_us);
	shard_flush(shard);
}

/* ---- asking --------------------------------------------------------------------------------------- */

struct shard_figures shard_figures(const struct shard *shard)
{
	struct shard_figures figures = shard->figures;
	figures.phase = shard->phase;
	figures.epoch = shard->own_epoch;
	figures.in_flight = in_flight_count(&shard->flight);
	if (shard->state)
		figures.counts = shard_counts(shard->state);
	return figures;
}

const char *shard_stopped_because(const struct shard *shard)
{
	return shard->phase == SHARD_STOPPED ? shard->stopped_because : NULL;
}
