/*
 * The way of a shard up to OWNING, or to STOPPED. See shard.h for the state machine, handover.c for the way
 * down. The order of a takeover:
 *
 *   1. load the checkpoint (may be empty: then the log is read from its beginning)
 *   2. send the own EpochStarted; follow decisions from the checkpoint, inventory and hosts from their
 *      beginning; ask where catalog, inventory, hosts and the inputs end now
 *   3. read decisions up to the own marker (not to a high watermark: somebody else may still write
 *      behind it, and only the marker ends that), the others to the ends
 *   4. inputs flow, from the committed offset
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/memory.h"
#include "codec/envelope_headers.h"
#include "codec/event_id.h"
#include "scheduler/shard_internal.h"

static const char *const phase_names[] = {
	[SHARD_IDLE] = "IDLE",	     [SHARD_LOADING] = "LOADING",
	[SHARD_MARKING] = "MARKING", [SHARD_CATCHING_UP] = "CATCHING_UP",
	[SHARD_OWNING] = "OWNING",   [SHARD_DRAINING] = "DRAINING",
	[SHARD_RESTING] = "RESTING", [SHARD_DEPOSED] = "DEPOSED",
	[SHARD_STOPPED] = "STOPPED",
};

const char *shard_phase_name(enum shard_phase phase)
{
	return phase_names[phase];
}

void shard_enter(struct shard *shard, enum shard_phase phase, int64_t now_us)
{
	log_debug("shard=%d %s -> %s epoch=%" PRId64, shard->config.partition,
		  phase_names[shard->phase], phase_names[phase], shard->own_epoch);
	shard->phase = phase;
	shard->phase_since_us = now_us;
}

/* ---- life ------------------------------------------------------------------------------------- */

struct shard *shard_new(const struct shard_config *config, const struct shard_world *world)
{
	struct shard *shard = memory_zeroed(1, sizeof(*shard));
	shard->config = *config;
	shard->world = *world;
	shard->own_epoch = shard->store_epoch = -1;
	for (size_t input = 0; input < INPUTS; input++)
		shard->taken[input] = shard->knowing.known[input] = -1;
	arena_init(&shard->arena);
	return shard;
}

void shard_free(struct shard *shard)
{
	if (!shard)
		return;
	in_flight_deinit(&shard->flight);
	held_inputs_deinit(&shard->held);
	row_batch_deinit(&shard->rows);
	shard_state_free(shard->state);
	arena_deinit(&shard->arena);
	buf_deinit(&shard->encoded);
	buf_deinit(&shard->shown_pools);
	buf_deinit(&shard->shown_types);
	buf_deinit(&shard->shown_hosts);
	free(shard->stopped_because);
	free(shard);
}

void shard_stop(struct shard *shard, int64_t now_us, const char *format, ...)
{
	char reason[512];
	va_list args;
	va_start(args, format);
	vsnprintf(reason, sizeof(reason), format, args);
	va_end(args);

	log_error("shard=%d STOPPED, an operator is needed: %s", shard->config.partition, reason);
	bool draining = shard->phase == SHARD_DRAINING;
	shard_pause_inputs(shard);
	shard_forget(shard);
	free(shard->stopped_because);
	shard->stopped_because = memory_strdup(reason);
	shard_enter(shard, SHARD_STOPPED, now_us);
	if (draining)
		shard->world.io.drained(shard->world.io.context, shard->config.partition);
}

/* ---- 1: the checkpoint ------------------------------------------------------------------------ */

static void new_state(struct shard *shard)
{
	shard_state_free(steal(&shard->state));
	shard->state = shard_state_new(&shard->config.options, shard->world.catalog);
}

void shard_begin_takeover(struct shard *shard, int64_t now_us)
{
	shard->takeovers++;
	shard->takeover_began_us = now_us;
	shard->followed = 0;
	shard->inputs_paused = false;
	shard_pause_inputs(shard);
	new_state(shard);
	shard->inventory_next = shard->hosts_next = 0;
	shard->sequence = 0;
	shard->from_scratch = false;
	shard->submitted_offset = -1;
	shard->catalog_written = 0;
	buf_clear(&shard->shown_pools);
	buf_clear(&shard->shown_types);
	buf_clear(&shard->shown_hosts);
	shard_enter(shard, SHARD_LOADING, now_us);
	shard->world.io.load_checkpoint(shard->world.io.context, shard->config.partition);
}

void shard_on_checkpoint_begin(struct shard *shard)
{
	if (shard->phase != SHARD_LOADING)
		return;
	new_state(shard);
	buf_clear(&shard->shown_pools);
	buf_clear(&shard->shown_types);
	buf_clear(&shard->shown_hosts);
}

/* ---- 2: the marker ---------------------------------------------------------------------------- */

void shard_send_marker(struct shard *shard, int64_t now_us)
{
	shard->world.io.nonce(shard->world.io.context, shard->nonce);
	struct record marker = {
		.type = RECORD_EPOCH_STARTED,
		.epoch_started = { .shard = shard->config.partition,
				   .owner = shard->config.owner,
				   .nonce = shard->nonce,
				   .started_at = now_us },
	};
	arena_reset(&shard->arena);
	struct envelope envelope = {
		.id = record_event_id(&marker, &shard->arena),
		.type = record_event_type(marker.type),
		.source = "gpubus/scheduler",
		.time_us = now_us,
		.epoch = -1,
		.applied = { -1, -1 },
		.revision = -1,
	};
	struct header headers[MESSAGE_HEADERS_MAX];
	size_t n_headers = envelope_to_headers(&envelope, &shard->arena, headers);

	buf_clear(&shard->encoded);
	if (codec_encode(shard->world.codec, &marker, &shard->encoded) != 0) {
		shard_stop(shard, now_us, "EpochStarted cannot be encoded: %s",
			   codec_error(shard->world.codec));
		return;
	}
	struct outgoing outgoing = {
		.topic = TOPIC_DECISIONS,
		.partition = shard->config.partition,
		.key = "",
		.value = shard->encoded.data,
		.value_len = shard->encoded.len,
		.headers = headers,
		.n_headers = n_headers,
	};
	shard->marker_unsent =
		shard->world.io.produce(shard->world.io.context, shard->config.partition, &outgoing,
					TOKEN_MARKER + shard->takeovers) != 0;
}

void shard_ask_ends(struct shard *shard)
{
	shard->knowing.wanted = false;
	shard->knowing.waiting = false;
	shard->knowing.asked = true;
	shard->knowing.asked_as_epoch = shard->own_epoch >= 0;
	for (size_t input = 0; input < INPUTS; input++)
		shard->knowing.covers[input] = shard->taken[input];
	shard->world.io.ask_ends(shard->world.io.context, shard->config.partition,
				 ++shard->knowing.token);
}

void shard_on_checkpoint_loaded(struct shard *shard, const struct store_meta *meta, int64_t now_us)
{
	if (shard->phase != SHARD_LOADING)
		return;

	if (meta &&
	    (meta->epoch >= meta->offset || shard_load_done(shard->state, meta->applied) != 0 ||
	     shard_digest(shard->state) != meta->digest)) {
		log_warning("shard=%d the checkpoint contradicts itself: reading the log from its "
			    "beginning",
			    shard->config.partition);
		shard->world.io.distrust_checkpoint(shard->world.io.context,
						    shard->config.partition);
		meta = NULL;
	}
	if (meta) {
		follow_init(&shard->log, meta->offset, meta->epoch);
		shard->settled = meta->applied;
		shard->sequence = meta->sequence;
		shard->submitted_offset = meta->offset;
	} else {
		new_state(shard);
		follow_init(&shard->log, 0, -1);
		shard->settled = (struct input_positions){ -1, -1 };
		/* No checkpoint stands where this state does, whatever is in Redis: it was never
		 * written from this sequence on. */
		shard->from_scratch = true;
		shard->sequence = (uint64_t)now_us;
	}

	shard->checkpoint_offset = shard->log.next;
	shard_enter(shard, SHARD_MARKING, now_us);
	shard->world.io.follow_decisions(shard->world.io.context, shard->config.partition,
					 shard->log.next);
	shard->world.io.follow_fleet(shard->world.io.context, shard->config.partition);
	shard_ask_ends(shard);
	shard_enter(shard, SHARD_CATCHING_UP, now_us);
	shard_send_marker(shard, now_us);
}

/* ---- 3: up to the own marker ------------------------------------------------------------------- */

void shard_on_marker_delivered(struct shard *shard, int64_t offset, int64_t now_us)
{
	if (shard->phase == SHARD_CATCHING_UP && offset < shard->checkpoint_offset)
		shard_stop(shard, now_us,
			   "the checkpoint in Redis stands at offset %" PRId64
			   " of decisions, but the log ended at %" PRId64
			   ": the topic was truncated or created anew",
			   shard->checkpoint_offset, offset);
}

void shard_on_marker(struct shard *shard, const struct message *message, int64_t now_us)
{
	struct record marker;

	if (codec_decode(shard->world.codec, message->value, message->value_len, &shard->arena,
			 &marker) != 0)
		/* Not one of ours, and no more has to be known: its offset is the epoch. */
		marker.epoch_started =
			(struct epoch_started){ .owner = "a newer gpubus", .nonce = "unknown" };
	if (shard->own_epoch >= 0) {
		log_info("shard=%d deposed by %s at offset %" PRId64, shard->config.partition,
			 marker.epoch_started.owner, message->offset);
		shard_deposed(shard, now_us);
		return;
	}
	if (strcmp(marker.epoch_started.nonce, shard->nonce) == 0)
		shard->own_epoch = message->offset;
}

bool shard_has_read(const struct shard *shard, const struct log_ends *ends)
{
	return shard->inventory_next >= ends->inventory && shard->hosts_next >= ends->hosts &&
	       *shard->world.catalog_next >= ends->catalog;
}

static void start_owning(struct shard *shard, int64_t now_us)
{
	struct input_positions applied = shard_applied(shard->state);
	const struct log_ends *ends = &shard->knowing.ends;

	if (applied.requests >= ends->requests || applied.attachments >= ends->attachments) {
		/* The owner before us may have decided what came after we asked: up to our marker. */
		if (!shard->knowing.asked_as_epoch) {
			shard_ask_ends(shard);
			return;
		}
		shard_stop(shard, now_us,
			   "the log reflects requests up to %" PRId64
			   " and attachments up to %" PRId64 ", but they end at %" PRId64
			   " and %" PRId64 ": a topic was truncated or created anew",
			   applied.requests, applied.attachments, ends->requests,
			   ends->attachments);
		return;
	}
	shard_enter(shard, SHARD_OWNING, now_us);
	log_info("shard=%d owned epoch=%" PRId64 " after_ms=%" PRId64 " messages=%" PRIu64,
		 shard->config.partition, shard->own_epoch,
		 (now_us - shard->takeover_began_us) / 1000, shard->followed);
	shard_go_on(shard, now_us);
}

void shard_check_caught_up(struct shard *shard, int64_t now_us)
{
	if (!shard->knowing.waiting || !shard_has_read(shard, &shard->knowing.ends))
		return;
	if (shard->phase == SHARD_CATCHING_UP) {
		/* The log's end matters only to a shard that has come back: see shard_assign(). */
		if (shard->own_epoch < 0 || shard->log.next < shard->knowing.ends.decisions)
			return;
		shard->knowing.waiting = false;
		start_owning(shard, now_us);
		return;
	}
	shard->knowing.waiting = false;
	memcpy(shard->knowing.known, shard->knowing.covers, sizeof(shard->knowing.known));
	shard_go_on(shard, now_us);
}

void shard_on_ends(struct shard *shard, uint64_t token, const struct log_ends *ends, int64_t now_us)
{
	if (!shard->knowing.asked || token != shard->knowing.token)
		return;
	shard->knowing.asked = false;
	if (shard->store_epoch >= ends->decisions) {
		shard_stop(shard, now_us,
			   "Redis knows epoch %" PRId64 ", but decisions ends at offset %" PRId64
			   ": the topic was truncated or created anew",
			   shard->store_epoch, ends->decisions);
		return;
	}
	shard->knowing.waiting = true;
	shard->knowing.ends = *ends;
	shard_check_caught_up(shard, now_us);
}

void shard_on_store_ahead(struct shard *shard, int64_t epoch)
{
	if (!shard->state)
		return;
	shard->store_epoch = epoch;
	shard_ask_ends(shard); /* an answer under way may be older than that epoch */
}

void shard_on_ends_failed(struct shard *shard, uint64_t token)
{
	if (shard->knowing.asked && token == shard->knowing.token) {
		shard->knowing.asked = false;
		shard->knowing.failed = true;
	}
}

void shard_on_followed_end(struct shard *shard, enum topic topic, int64_t next, int64_t now_us)
{
	if (!shard->state)
		return;
	if (topic == TOPIC_INVENTORY && shard->inventory_next < next)
		shard->inventory_next = next;
	else if (topic == TOPIC_HOSTS && shard->hosts_next < next)
		shard->hosts_next = next;
	shard_check_caught_up(shard, now_us);
}

void shard_on_catalog(struct shard *shard, int64_t now_us)
{
	if (shard->state)
		shard_check_caught_up(shard, now_us);
}

void shard_on_follow_failed(struct shard *shard, enum topic topic, int64_t now_us,
			    const char *reason)
{
	if (!shard->state)
		return;
	if (topic == TOPIC_DECISIONS)
		shard_stop(shard, now_us,
			   "decisions cannot be read from offset %" PRId64
			   " (its beginning is missing, or the checkpoint in Redis is ahead of the "
			   "log: the topic was truncated or created anew): %s",
			   shard->log.next, reason);
	else
		shard_stop(shard, now_us, "%s cannot be read: %s", topic_name(topic), reason);
}
