/*
 * The rules over what was asked and what was told: every request has its outcome, every message of
 * requests is accounted for, every answer stands in the log.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "cli/audit_internal.h"
#include "codec/envelope_headers.h"

void audit_requests_begin(struct audit_log *log, int32_t partition, bool whole)
{
	log->shards[partition].requests_whole = whole;
}

/* ---- requests -------------------------------------------------------------------------------------- */

static void add_stray(struct audit_log *log, const struct message *message, uint32_t request)
{
	if (log->n_strays == log->strays_size) {
		log->strays_size = log->strays_size ? 2 * log->strays_size : 64;
		log->strays = memory_resize(log->strays, log->strays_size, sizeof(*log->strays));
	}
	log->strays[log->n_strays++] = (struct audit_stray){ .partition = message->partition,
							     .offset = message->offset,
							     .request = request };
}

void audit_request(struct audit_log *log, const struct message *message)
{
	struct record record;

	arena_reset(&log->scratch);
	if (!message->value ||
	    codec_decode(log->codec, message->value, message->value_len, &log->scratch, &record) ||
	    (record.type != RECORD_VM_REQUESTED && record.type != RECORD_VM_RELEASED &&
	     record.type != RECORD_MIGRATION_CHECK && record.type != RECORD_OPERATOR_COMMAND) ||
	    !*record_pool_id(&record) || !*record_request_id(&record)) {
		add_stray(log, message, AUDIT_NONE);
		return;
	}
	uint32_t slot =
		audit_need_request(log, record_pool_id(&record), record_info(record.type)->name,
				   record_request_id(&record));
	struct audit_request *request = audit_request_at(log, slot);
	if (request->shard != message->partition) {
		add_stray(log, message, slot);
		return;
	}
	request->seen++;
	if (request->first_seen < 0)
		request->first_seen = message->offset;
}

/* ---- dead letters ---------------------------------------------------------------------------------- */

static const struct header *find_header(const struct message *message, const char *name)
{
	for (size_t i = 0; i < message->n_headers; i++)
		if (strcmp(message->headers[i].name, name) == 0)
			return &message->headers[i];
	return NULL;
}

/* -1: absent or no number. */
static int64_t header_number(const struct message *message, const char *name)
{
	const struct header *header = find_header(message, name);
	char text[24] = "", *end;
	if (!header || header->len == 0 || header->len >= sizeof(text))
		return -1;
	memcpy(text, header->value, header->len);
	long long number = strtoll(text, &end, 10);
	return *end ? -1 : number;
}

static bool is_of_requests(const struct message *message)
{
	const struct header *header = find_header(message, "dl_topic");
	const char *name = topic_name(TOPIC_REQUESTS);
	return header && header->len == strlen(name) &&
	       memcmp(header->value, name, header->len) == 0;
}

static int compare_strays(const void *a, const void *b)
{
	const struct audit_stray *left = a, *right = b;
	if (left->partition != right->partition)
		return left->partition < right->partition ? -1 : 1;
	return (left->offset > right->offset) - (left->offset < right->offset);
}

/* A request that stands right and still could not be used: its own bytes say which one it was. */
static void mark_request(struct audit_log *log, const struct message *message)
{
	struct record record;
	if (!message->value ||
	    codec_decode(log->codec, message->value, message->value_len, &log->scratch, &record))
		return;
	uint32_t slot =
		audit_need_request(log, record_pool_id(&record), record_info(record.type)->name,
				   record_request_id(&record));
	audit_request_at(log, slot)->dead_lettered = true;
}

/* All requests were handed in before, so the list of strays is complete. */
static void sort_strays(struct audit_log *log)
{
	if (!log->strays_sorted && log->n_strays > 0)
		qsort(log->strays, log->n_strays, sizeof(*log->strays), compare_strays);
	log->strays_sorted = true;
}

void audit_dead_letter(struct audit_log *log, const struct message *message)
{
	if (!is_of_requests(message))
		return;
	arena_reset(&log->scratch);
	sort_strays(log);
	struct audit_stray sought = {
		.partition = (int32_t)header_number(message, "dl_partition"),
		.offset = header_number(message, "dl_offset"),
	};
	struct audit_stray *stray = log->n_strays == 0
					    ? NULL
					    : bsearch(&sought, log->strays, log->n_strays,
						      sizeof(*log->strays), compare_strays);
	if (stray)
		stray->dead_lettered = true;
	else
		mark_request(log, message);
}

/* ---- answers --------------------------------------------------------------------------------------- */

static int compare_told(const void *a, const void *b)
{
	const struct audit_told *left = a, *right = b;
	return (left->offset > right->offset) - (left->offset < right->offset);
}

void audit_answers_begin(struct audit_log *log, int32_t partition, bool whole, int64_t committed)
{
	log->shards[partition].answers_whole = whole;
	log->shards[partition].committed = committed;
}

/* What was decided after the log was read may be the first word that a request of before it gets: its
 * GPUs were released meanwhile, or replaced. */
static void mark_told_by_later(struct audit_log *log, const struct message *message)
{
	struct record record;
	bool is_new;
	if (!message->value ||
	    codec_decode(log->codec, message->value, message->value_len, &log->scratch, &record) ||
	    (record.type != RECORD_GPU_RELEASED && record.type != RECORD_GPU_ASSIGNED))
		return;
	const char *ended = record.type == RECORD_GPU_RELEASED ? record.gpu_released.assignment_id
			    : record.gpu_assigned.replaces     ? record.gpu_assigned.replaces
							       : record.gpu_assigned.assignment_id;
	uint32_t slot = audit_need_assignment(log, record_pool_id(&record), ended, &is_new);
	const struct audit_assignment *assignment = audit_assignment_at(log, slot);
	if (is_new || !assignment->held)
		return;
	audit_request_at(log, assignment->request)->told = true;
	if (assignment->release != AUDIT_NONE)
		audit_request_at(log, assignment->release)->told = true;
}

void audit_answer(struct audit_log *log, const struct message *message)
{
	struct audit_shard_log *shard = &log->shards[message->partition];
	int64_t revision = headers_revision(message->headers, message->n_headers);
	struct audit_told sought = { .offset = revision };

	if (revision >= shard->follow.next) {
		arena_reset(&log->scratch);
		mark_told_by_later(log, message);
		return;
	}
	log->counts.answers++;
	struct audit_told *told = shard->n_told == 0 ? NULL
						     : bsearch(&sought, shard->told, shard->n_told,
							       sizeof(*shard->told), compare_told);
	if (!told) {
		audit_violate(log, "ANSWER_NOT_TRUE", TOPIC_ANSWERS, message->partition,
			      message->offset,
			      "tells revision %" PRId64 ", which is void or no decision", revision);
		return;
	}
	if (told->hash != index_hash(message->value, message->value_len, 0))
		audit_violate(log, "ANSWER_NOT_TRUE", TOPIC_ANSWERS, message->partition,
			      message->offset, "is not what decisions has at offset %" PRId64,
			      revision);
	log->counts.told_again += told->times++ > 0;
	for (size_t i = 0; i < 3 && told->requests[i] != AUDIT_NONE; i++)
		audit_request_at(log, told->requests[i])->told = true;
}

/* ---- the end --------------------------------------------------------------------------------------- */

static const char *request_text(struct audit_log *log, const struct audit_request *request)
{
	char *text = arena_strdup(&log->scratch, request->key);
	for (char *tab = text; (tab = strchr(tab, '\t'));)
		*tab = '/';
	return text;
}

static void count_outcome(struct audit_requests *counts, enum audit_outcome outcome)
{
	switch (outcome) {
	case OUTCOME_NONE:
		break;
	case OUTCOME_GRANTED:
		counts->granted++;
		break;
	case OUTCOME_REJECTED:
		counts->rejected++;
		break;
	case OUTCOME_RELEASING:
	case OUTCOME_RELEASED:
		counts->released++;
		break;
	case OUTCOME_COMPLETED:
		counts->completed++;
		break;
	case OUTCOME_VERDICT:
		counts->verdicts++;
		break;
	case OUTCOME_MARKED:
		counts->marked++;
		break;
	}
}

static void finish_request(struct audit_log *log, struct audit_request *request)
{
	const struct audit_shard_log *shard = &log->shards[request->shard];
	struct audit_requests *counts = &log->counts;

	counts->seen += request->seen > 0;
	counts->answered += request->seen > 0 && request->told;
	counts->repeated += request->seen > 1 ? request->seen - 1 : 0;
	count_outcome(counts, request->outcome);
	if (request->outcome != OUTCOME_NONE && request->seen == 0) {
		counts->expired++;
		if (shard->requests_whole)
			audit_violate(log, "NOT_ASKED", TOPIC_DECISIONS, request->shard,
				      request->outcome_at, "%s has an outcome, and nobody asked it",
				      request_text(log, request));
	}
	if (request->seen == 0)
		return;
	if (request->outcome != OUTCOME_NONE) {
		if (!request->told && shard->answers_whole &&
		    request->first_seen < shard->committed)
			audit_violate(
				log, "NOT_TOLD", TOPIC_REQUESTS, request->shard,
				request->first_seen,
				"%s has an outcome and its offset is committed, but no answer "
				"to it was told",
				request_text(log, request));
		return;
	}
	if (request->dead_lettered) {
		counts->dead_lettered++;
		return;
	}
	if (request->first_seen > shard->applied.requests) {
		counts->pending++;
		return;
	}
	audit_violate(log, "NO_OUTCOME", TOPIC_REQUESTS, request->shard, request->first_seen,
		      "%s has no outcome, and the log reflects requests up to offset %" PRId64,
		      request_text(log, request), shard->applied.requests);
}

static void finish_stray(struct audit_log *log, const struct audit_stray *stray)
{
	const struct audit_shard_log *shard = &log->shards[stray->partition];
	bool misplaced = stray->request != AUDIT_NONE;

	if (stray->dead_lettered) {
		log->counts.dead_lettered++;
		return;
	}
	if (misplaced && audit_request_at(log, stray->request)->seen > 0) {
		log->counts.forwarded++;
		return;
	}
	if (stray->offset > shard->applied.requests) {
		log->counts.pending++;
		return;
	}
	audit_violate(log, "NOT_ACCOUNTED_FOR", TOPIC_REQUESTS, stray->partition, stray->offset,
		      misplaced ? "stands in a wrong partition and was not forwarded"
				: "is no request, and no dead letter says so");
}

void audit_finish(struct audit_log *log)
{
	arena_reset(&log->scratch);
	for (size_t i = 0; i < log->requests.n; i++)
		finish_request(log, audit_request_at(log, (uint32_t)i));
	for (size_t i = 0; i < log->n_strays; i++)
		finish_stray(log, &log->strays[i]);
}
