/*
 * The pipeline. One input goes through here in this order, and nowhere else:
 *
 *   consume     shard_on_input     taken from the bus, or held back until it can be decided
 *   decode      take_input         unreadable -> dead letter; of another shard -> forwarded
 *   decide      decide_input       pure (core/decide.h): a record, an answer to tell again, or nothing
 *   log         log_record         folded, sent to decisions; nobody is told yet
 *   read back   on_own_record      it stands in the log, no newer marker before it: now it is true
 *   store       shard_settle       its rows go to the checkpoint, which nothing waits for
 *   answer      shard_answer       published on answers
 *   acknowledge complete           delivered: the input's offset is committed, in order
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/index.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/memory.h"
#include "codec/envelope_headers.h"
#include "codec/event_id.h"
#include "core/decide.h"
#include "model/partition.h"
#include "scheduler/shard_internal.h"

/* ---- acknowledge ----------------------------------------------------------------------------- */

static void complete(struct shard *shard)
{
	int64_t next[INPUTS] = { -1, -1 };

	for (struct in_flight *entry; (entry = in_flight_oldest(&shard->flight));) {
		if (entry->stage != STAGE_DONE)
			break;
		next[input_index(entry->input)] = entry->input_offset + 1;
		in_flight_pop(&shard->flight);
	}
	for (size_t input = 0; input < INPUTS; input++)
		if (next[input] >= 0 && shard->ours)
			shard->world.io.commit(shard->world.io.context, input_topic(input),
					       shard->config.partition, next[input]);
}

void shard_on_delivered(struct shard *shard, uint64_t token, int64_t offset, int64_t now_us)
{
	if (token == TOKEN_MARKER + shard->takeovers) {
		shard_on_marker_delivered(shard, offset, now_us);
		return;
	}
	struct in_flight *entry = in_flight_at(&shard->flight, token);
	if (!entry || entry->stage != STAGE_SENT)
		return; /* dropped meanwhile */
	entry->stage = STAGE_DONE;
	complete(shard);
	shard_check_drained(shard, now_us);
	shard_go_on(shard, now_us);
}

/* ---- answer ---------------------------------------------------------------------------------- */

/* All entries before the first record that waits to be read back may speak. */
static void tell_what_may_be_told(struct shard *shard)
{
	struct in_flight_queue *flight = &shard->flight;

	for (; flight->logged != flight->tail; flight->logged++) {
		struct in_flight *entry = in_flight_at(flight, flight->logged);
		if (entry->stage != STAGE_LOGGED)
			continue;
		if (entry->kind == IN_FLIGHT_RECORD)
			break;
		shard_prepare_telling(shard, entry);
		shard->figures.told_again++;
		shard_send(shard, flight->logged);
	}
}

/* ---- read back and store ---------------------------------------------------------------------- */

static void on_own_record(struct shard *shard, const struct message *message, int64_t now_us)
{
	tell_what_may_be_told(shard); /* now `logged` is the first record that waits */
	uint64_t number = shard->flight.logged;
	struct in_flight *entry = in_flight_at(&shard->flight, number);

	if (!entry || entry->logged_hash != index_hash(message->value, message->value_len, 0)) {
		shard_stop(shard, now_us,
			   "offset %" PRId64 " of decisions says our epoch %" PRId64
			   " but is not what we sent next",
			   message->offset, shard->own_epoch);
		return;
	}

	shard_settle(shard->state, steal(&entry->change), message->offset,
		     shard_row_collector(shard), shard);
	shard->settled = entry->applied;
	shard->rows.records++;
	shard->figures.decided++;

	shard->flight.logged++;
	shard_answer(shard, number, message);
	tell_what_may_be_told(shard);
}

/* ---- log -------------------------------------------------------------------------------------- */

/*
 * Folded before it is sent: what would contradict the log must never stand in it, where it would stop
 * the shard for all its owners to come. Without room it waits in its entry, and all inputs behind it
 * wait, too (shard_log_again). Positive: the shard was stopped.
 */
static int log_record(struct shard *shard, const struct message *input, const struct record *record,
		      const struct envelope *asked, int64_t now_us)
{
	struct input_positions applied = shard_applied(shard->state);
	if (input->topic == TOPIC_REQUESTS)
		applied.requests = input->offset;
	else
		applied.attachments = input->offset;

	struct envelope envelope = {
		.id = record_event_id(record, &shard->arena),
		.type = record_event_type(record->type),
		.source = "gpubus/scheduler",
		.time_us = now_us,
		.traceparent = asked->traceparent,
		.epoch = shard->own_epoch,
		.applied = applied,
		.revision = -1,
	};
	struct header headers[MESSAGE_HEADERS_MAX];
	size_t n_headers = envelope_to_headers(&envelope, &shard->arena, headers);

	buf_clear(&shard->encoded);
	if (codec_encode(shard->world.codec, record, &shard->encoded) != 0) {
		shard_stop(shard, now_us, "a decision cannot be encoded: %s",
			   codec_error(shard->world.codec));
		return 1;
	}
	struct change *change = NULL;
	if (shard_fold(shard->state, record, shard->encoded.data, shard->encoded.len, applied,
		       &change) != 0) {
		shard_stop(shard, now_us,
			   "a decision contradicts the state it was made from (%s of %s)",
			   record_info(record->type)->name, record_request_id(record));
		return 1;
	}

	uint64_t number;
	struct in_flight *entry = in_flight_add(&shard->flight, &number);
	*entry = (struct in_flight){
		.kind = IN_FLIGHT_RECORD,
		.stage = STAGE_LOGGED,
		.input = input->topic,
		.input_offset = input->offset,
		.applied = applied,
		.change = change,
		.logged_hash = index_hash(shard->encoded.data, shard->encoded.len, 0),
	};
	const char *pool_id = record_pool_id(record);
	shard_log(shard, entry,
		  &(struct parcel){ .topic = TOPIC_DECISIONS,
				    .partition = shard->config.partition,
				    .key = pool_id,
				    .key_len = strlen(pool_id),
				    .value = shard->encoded.data,
				    .value_len = shard->encoded.len,
				    .headers = headers,
				    .n_headers = n_headers });
	return 0;
}

/* ---- decide ----------------------------------------------------------------------------------- */

/* An entry that needs nothing from the log. */
static uint64_t add_entry(struct shard *shard, const struct message *input,
			  enum in_flight_kind kind, enum in_flight_stage stage,
			  struct in_flight **ret_entry)
{
	uint64_t number;
	struct in_flight *entry = in_flight_add(&shard->flight, &number);
	*entry = (struct in_flight){
		.kind = kind, .stage = stage, .input = input->topic, .input_offset = input->offset
	};
	*ret_entry = entry;
	return number;
}

static void add_nothing(struct shard *shard, const struct message *input)
{
	struct in_flight *entry;
	add_entry(shard, input, IN_FLIGHT_NOTHING, STAGE_DONE, &entry);
	complete(shard);
}

static void add_dead_letter(struct shard *shard, const struct message *input, const char *code,
			    const char *error, int64_t now_us)
{
	struct in_flight *entry;
	uint64_t number = add_entry(shard, input, IN_FLIGHT_DEAD_LETTER, STAGE_ANSWER, &entry);
	shard_prepare_dead_letter(shard, entry, input, code, error, now_us);
	shard_send(shard, number);
}

/* The answer may be one that is still on its way into the log: it is told when all before it is true. */
static void add_telling(struct shard *shard, const struct message *input,
			const struct envelope *asked, const struct answer *answer)
{
	struct in_flight *entry;
	add_entry(shard, input, IN_FLIGHT_TELL, STAGE_LOGGED, &entry);
	entry->answer = answer_ref((struct answer *)answer);
	if (asked->traceparent)
		snprintf(entry->traceparent, sizeof(entry->traceparent), "%s", asked->traceparent);
	tell_what_may_be_told(shard);
}

/*
 * What is to be told of an event that was decided before. A report has no answer of its own; whatever it
 * caused is the answer to the request (assignment ids are "REQUEST/ATTEMPT"), which may not have been
 * delivered.
 */
static const struct answer *answer_now(struct shard *shard, const struct record *event)
{
	enum record_type type = event->type;
	const char *request_id = record_request_id(event);

	if (type == RECORD_GPU_ATTACHMENT) {
		const char *assignment_id = event->gpu_attachment.assignment_id;
		const char *slash = strrchr(assignment_id, '/');
		if (!slash)
			return NULL;
		type = RECORD_VM_REQUESTED;
		request_id = arena_strndup(&shard->arena, assignment_id,
					   (size_t)(slash - assignment_id));
	}
	return shard_find_answer(shard->state, record_pool_id(event), type, request_id);
}

enum taken { TAKEN, HELD_BACK };

/*
 * What was decided before the log's position of this input is never decided again: its answer is told,
 * as it is now. (It is read again because its offset was not committed when its owner ended.)
 */
static enum taken decide_input(struct shard *shard, const struct message *input,
			       const struct record *event, const struct envelope *asked,
			       int64_t now_us)
{
	if (input->offset <= input_applied(shard_applied(shard->state), input->topic)) {
		const struct answer *answer = answer_now(shard, event);
		const char *error = decide_unusable(event, &shard->arena);
		if (error) /* its dead letter may not have been delivered, either */
			add_dead_letter(shard, input, "UNUSABLE", error, now_us);
		else if (answer)
			add_telling(shard, input, asked, answer);
		else
			add_nothing(shard, input); /* a report of nothing, or forgotten */
		return TAKEN;
	}

	bool known = input->offset <= shard->knowing.known[input_index(input->topic)];
	struct decision decision = { 0 };
	decide(shard->state, event, now_us, known, &shard->arena, &decision);

	switch (decision.kind) {
	case DECISION_RECORD:
		return log_record(shard, input, &decision.record, asked, now_us) == 0 ? TAKEN
										      : HELD_BACK;
	case DECISION_TELL:
		add_telling(shard, input, asked, decision.answer);
		return TAKEN;
	case DECISION_UNKNOWN:
		shard->knowing.wanted = true;
		return HELD_BACK;
	case DECISION_UNUSABLE:
		add_dead_letter(shard, input, "UNUSABLE", decision.error, now_us);
		return TAKEN;
	case DECISION_NOTHING:
		break;
	}
	add_nothing(shard, input);
	return TAKEN;
}

/* ---- decode ----------------------------------------------------------------------------------- */

static bool is_input_record(enum topic topic, enum record_type type)
{
	if (topic == TOPIC_ATTACHMENTS)
		return type == RECORD_GPU_ATTACHMENT;
	return type == RECORD_VM_REQUESTED || type == RECORD_VM_RELEASED ||
	       type == RECORD_MIGRATION_CHECK || type == RECORD_OPERATOR_COMMAND;
}

static enum taken take_input(struct shard *shard, const struct message *message, int64_t now_us)
{
	struct record event;
	const char *code, *error;

	arena_reset(&shard->arena);
	/* It could not be forwarded either: the producer takes less than brokers do. */
	if (message_meta_bytes(message) > LIMIT_META_BYTES) {
		add_dead_letter(shard, message, "TOO_LARGE", "key and headers are over 64 KiB",
				now_us);
		return TAKEN;
	}
	if (shard_read_record(shard, message, &event, &code, &error) != 0) {
		add_dead_letter(shard, message, code, error, now_us);
		return TAKEN;
	}
	if (!is_input_record(message->topic, event.type)) {
		add_dead_letter(shard, message, "WRONG_TOPIC",
				arena_printf(&shard->arena, "%s does not belong into %s",
					     record_info(event.type)->name,
					     topic_name(message->topic)),
				now_us);
		return TAKEN;
	}

	const char *pool_id = record_pool_id(&event);
	int32_t partition = partition_of_pool(pool_id, shard->config.n_partitions);
	if (*pool_id && partition != shard->config.partition) {
		struct in_flight *entry;
		uint64_t number =
			add_entry(shard, message, IN_FLIGHT_FORWARD, STAGE_ANSWER, &entry);
		shard_prepare_forward(entry, message, partition);
		shard->figures.forwarded++;
		shard_send(shard, number);
		return TAKEN;
	}

	struct envelope asked;
	envelope_from_headers(message->headers, message->n_headers, &shard->arena, &asked);
	return decide_input(shard, message, &event, &asked, now_us);
}

/* ---- consume ---------------------------------------------------------------------------------- */

void shard_pause_inputs(struct shard *shard)
{
	if (!shard->inputs_paused) {
		shard->world.io.pause_inputs(shard->world.io.context, shard->config.partition);
		shard->inputs_paused = true;
	}
}

static void resume_inputs(struct shard *shard)
{
	if (shard->inputs_paused) {
		shard->inputs_paused = false;
		shard->world.io.resume_inputs(shard->world.io.context, shard->config.partition);
	}
}

static void hold(struct shard *shard, const struct message *message)
{
	held_inputs_add(&shard->held, message);
	if (shard->held.count >= shard->config.hold)
		shard_pause_inputs(shard);
}

void shard_on_input(struct shard *shard, const struct message *message, int64_t now_us)
{
	if (shard->phase != SHARD_OWNING)
		return; /* it was not ours to take: not committed, so its owner will read it */

	shard->taken[input_index(message->topic)] = message->offset;
	if (shard->held.count > 0 || shard->record_waits ||
	    take_input(shard, message, now_us) == HELD_BACK) {
		if (shard->phase == SHARD_OWNING)
			hold(shard, message);
		return;
	}
	if (in_flight_count(&shard->flight) >= shard->config.window)
		shard_pause_inputs(shard);
}

void shard_go_on(struct shard *shard, int64_t now_us)
{
	struct held_inputs *held = &shard->held;

	while (shard->phase == SHARD_OWNING && held->count > 0 && !shard->record_waits &&
	       in_flight_count(&shard->flight) < shard->config.window && !shard->knowing.wanted &&
	       !shard->knowing.asked && !shard->knowing.waiting) {
		struct message message = held_inputs_at(held, 0);
		if (take_input(shard, &message, now_us) == HELD_BACK)
			break;
		held_inputs_drop_first(held);
	}
	if (shard->phase == SHARD_OWNING && held->count == 0 &&
	    in_flight_count(&shard->flight) <= shard->config.window / 2)
		resume_inputs(shard);
}

/* ---- what is followed: decisions, inventory, hosts --------------------------------------------- */

/* A record that somebody else wrote before our epoch: it counts, and there is nobody to answer. */
static void fold_foreign(struct shard *shard, const struct message *message, int64_t now_us)
{
	struct record record;
	const char *code, *error;
	struct change *change = NULL;

	if (shard_read_record(shard, message, &record, &code, &error) != 0) {
		shard_stop(shard, now_us,
			   "offset %" PRId64 " of decisions counts but cannot be read: %s",
			   message->offset, error);
		return;
	}
	struct input_positions applied = headers_applied(message->headers, message->n_headers);
	if (shard_fold(shard->state, &record, message->value, message->value_len, applied,
		       &change) != 0) {
		shard_stop(shard, now_us,
			   "offset %" PRId64
			   " of decisions (%s of %s) contradicts the log before it",
			   message->offset, record_info(record.type)->name,
			   record_request_id(&record));
		return;
	}
	shard_settle(shard->state, change, message->offset, shard_row_collector(shard), shard);
	shard->settled = shard_applied(shard->state);
	shard->rows.records++;
}

static void on_decisions(struct shard *shard, const struct message *message, int64_t now_us)
{
	switch (follow_step(&shard->log, message)) {
	case FOLLOW_AGAIN:
		break;
	case FOLLOW_VOID:
		shard->figures.void_records++;
		break;
	case FOLLOW_GAP:
		shard_stop(shard, now_us,
			   "decisions has no offset %" PRId64 ": what follows is %" PRId64 "",
			   shard->log.next, message->offset);
		break;
	case FOLLOW_MARKER:
		shard_on_marker(shard, message, now_us);
		break;
	case FOLLOW_RECORD:
		if (shard->own_epoch >= 0)
			on_own_record(shard, message, now_us);
		else
			fold_foreign(shard, message, now_us);
		break;
	}
}

void shard_on_followed(struct shard *shard, const struct message *message, int64_t now_us)
{
	if (!shard->state)
		return; /* unfollowed meanwhile */
	shard->followed++;
	arena_reset(&shard->arena);
	if (message->topic == TOPIC_DECISIONS)
		on_decisions(shard, message, now_us);
	else
		shard_on_fleet(shard, message, now_us);
	if (shard->phase == SHARD_CATCHING_UP || shard->knowing.waiting)
		shard_check_caught_up(shard, now_us);
}
