/*
 * The rules over decisions: owners of GPUs, outcomes of requests, what is void. Marks: audit_marks.c.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "cli/audit_internal.h"
#include "codec/envelope_headers.h"
#include "model/partition.h"

/* "request r1 of pool 1 (VmRequested)" */
static const char *request_text(struct audit_log *log, const struct audit_request *request)
{
	char *pool = arena_strdup(&log->scratch, request->key);
	char *type = strchr(pool, '\t'), *id = strchr(type + 1, '\t');
	*type++ = *id++ = '\0';
	return arena_printf(&log->scratch, "%s %s of pool %s", type, id, pool);
}

/* ---- outcomes -------------------------------------------------------------------------------------- */

static const char *outcome_text(enum audit_outcome outcome)
{
	static const char *const texts[] = {
		[OUTCOME_NONE] = "no answer",	       [OUTCOME_GRANTED] = "granted",
		[OUTCOME_REJECTED] = "rejected",       [OUTCOME_RELEASING] = "being released",
		[OUTCOME_RELEASED] = "released",       [OUTCOME_COMPLETED] = "completed",
		[OUTCOME_VERDICT] = "given a verdict", [OUTCOME_MARKED] = "carried out",
	};
	return texts[outcome];
}

/* An answer that is older than what is remembered is unknown to the scheduler: the same id is new. */
static bool is_forgotten(const struct audit_step *step, const struct audit_request *request)
{
	return !request->alive && step->before != INT64_MIN &&
	       request->concerned_at < step->before - step->log->options.remember_us;
}

/* The record tells this request, too, what has become of it. */
static void answers(const struct audit_step *step, uint32_t request)
{
	uint32_t *requests = step->told->requests;
	for (int i = 0; i < 3; i++)
		if (requests[i] == AUDIT_NONE || requests[i] == request) {
			requests[i] = request;
			return;
		}
}

static uint32_t slot_of(const struct audit_log *log, const struct audit_request *request)
{
	return (uint32_t)(request - (const struct audit_request *)log->requests.items);
}

static struct audit_request *set_outcome(const struct audit_step *step, const char *pool_id,
					 const char *type, const char *request_id,
					 enum audit_outcome outcome)
{
	uint32_t slot = audit_need_request(step->log, pool_id, type, request_id);
	struct audit_request *request = audit_request_at(step->log, slot);
	bool goes_on = request->outcome == OUTCOME_RELEASING &&
		       (outcome == OUTCOME_RELEASED || outcome == OUTCOME_RELEASING);

	if (request->outcome != OUTCOME_NONE && !goes_on && !is_forgotten(step, request))
		AUDIT_VIOLATE(step, "SECOND_OUTCOME",
			      "%s was %s at offset %" PRId64 " and is %s here",
			      request_text(step->log, request), outcome_text(request->outcome),
			      request->outcome_at, outcome_text(outcome));
	request->outcome = outcome;
	request->outcome_at = step->message->offset;
	request->concerned_at = step->at;
	answers(step, slot);
	return request;
}

/* ---- owners ---------------------------------------------------------------------------------------- */

static void hold_gpus(const struct audit_step *step, uint32_t slot,
		      const struct gpu_assigned *assigned)
{
	struct audit_log *log = step->log;
	struct audit_assignment *assignment = audit_assignment_at(log, slot);

	assignment->gpus = arena_array(&log->texts, assigned->n_gpus, sizeof(uint32_t));
	assignment->n_gpus = assigned->n_gpus;
	for (size_t i = 0; i < assigned->n_gpus; i++) {
		assignment->gpus[i] = audit_need_gpu(log, assigned->gpus[i].gpu_id);
		struct audit_gpu *gpu = audit_gpu_at(log, assignment->gpus[i]);
		if (gpu->holder != AUDIT_NONE) {
			const struct audit_assignment *other =
				audit_assignment_at(log, gpu->holder);
			AUDIT_VIOLATE(
				step, "GPU_OWNED_TWICE",
				"GPU %s is given to VM %s (assignment %s), but VM %s has it since "
				"partition %d offset %" PRId64 " (assignment %s)",
				gpu->id, assigned->vm_id, assigned->assignment_id, other->vm_id,
				other->shard, other->offset, strchr(other->key, '\t') + 1);
		}
		gpu->holder = slot;
	}
}

static bool has_same_gpus(struct audit_log *log, const struct audit_assignment *assignment,
			  const struct gpu_assigned *assigned)
{
	if (assignment->n_gpus != assigned->n_gpus)
		return false;
	for (size_t i = 0; i < assigned->n_gpus; i++)
		if (strcmp(audit_gpu_at(log, assignment->gpus[i])->id, assigned->gpus[i].gpu_id))
			return false;
	return true;
}

static void free_gpus(const struct audit_step *step, uint32_t slot)
{
	struct audit_assignment *assignment = audit_assignment_at(step->log, slot);
	assignment->held = false;
	for (size_t i = 0; i < assignment->n_gpus; i++) {
		struct audit_gpu *gpu = audit_gpu_at(step->log, assignment->gpus[i]);
		if (gpu->holder == slot)
			gpu->holder = AUDIT_NONE;
	}
}

static bool names_host(const struct gpu_assigned *assigned, const char *host)
{
	for (size_t i = 0; i < assigned->n_failed_hosts; i++)
		if (strcmp(assigned->failed_hosts[i], host) == 0)
			return true;
	return false;
}

/* The assignment that failed ends, and the request keeps its outcome: it was granted, and still is. */
static void end_replaced(const struct audit_step *step, const struct gpu_assigned *assigned)
{
	struct audit_log *log = step->log;
	bool is_new;
	uint32_t slot = audit_need_assignment(log, assigned->pool_id, assigned->replaces, &is_new);
	struct audit_assignment *old = audit_assignment_at(log, slot);
	uint32_t request =
		audit_need_request(log, assigned->pool_id, "VmRequested", assigned->request_id);

	if (!old->held) {
		AUDIT_VIOLATE(step, "REPLACES_NOTHING",
			      "assignment %s replaces %s, which no VM holds",
			      assigned->assignment_id, assigned->replaces);
		return;
	}
	if (strcmp(old->vm_id, assigned->vm_id) != 0 || old->request != request)
		AUDIT_VIOLATE(step, "REPLACES_ANOTHERS",
			      "assignment %s of VM %s replaces %s, which is VM %s's",
			      assigned->assignment_id, assigned->vm_id, assigned->replaces,
			      old->vm_id);
	if (names_host(assigned, assigned->host))
		AUDIT_VIOLATE(step, "FAILED_HOST_AGAIN",
			      "assignment %s is on host %s, where it has failed before",
			      assigned->assignment_id, assigned->host);
	free_gpus(step, slot);
	audit_quarantine(step, assigned->pool_id, assigned->quarantined, assigned->n_quarantined,
			 audit_assignment_at(log, slot));
	answers(step, request);
	audit_request_at(log, request)->concerned_at = step->at;
}

static uint32_t granted_request(const struct audit_step *step, const struct gpu_assigned *assigned)
{
	if (assigned->replaces) {
		end_replaced(step, assigned);
		return audit_need_request(step->log, assigned->pool_id, "VmRequested",
					  assigned->request_id);
	}
	return slot_of(step->log, set_outcome(step, assigned->pool_id, "VmRequested",
					      assigned->request_id, OUTCOME_GRANTED));
}

static void on_new_assignment(const struct audit_step *step, uint32_t slot,
			      const struct gpu_assigned *assigned)
{
	struct audit_log *log = step->log;
	uint32_t request = granted_request(step, assigned);
	struct audit_assignment *assignment = audit_assignment_at(log, slot);

	audit_request_at(log, request)->alive = true;
	assignment->vm_id = arena_strdup(&log->texts, assigned->vm_id);
	assignment->request = request;
	assignment->release = AUDIT_NONE;
	assignment->shard = step->message->partition;
	assignment->offset = step->message->offset;
	assignment->held = true;
	audit_may_be_given(step, assigned);
	hold_gpus(step, slot, assigned);
}

static void on_assigned(const struct audit_step *step, const struct gpu_assigned *assigned)
{
	struct audit_log *log = step->log;
	bool is_new;
	uint32_t slot =
		audit_need_assignment(log, assigned->pool_id, assigned->assignment_id, &is_new);
	const struct audit_assignment *assignment = audit_assignment_at(log, slot);

	if (!assignment->held)
		on_new_assignment(step, slot, assigned);
	else if (!has_same_gpus(log, assignment, assigned) ||
		 strcmp(assignment->vm_id, assigned->vm_id) != 0)
		AUDIT_VIOLATE(step, "SECOND_OUTCOME",
			      "assignment %s is not what it was at offset %" PRId64
			      ": another VM or other GPUs",
			      assigned->assignment_id, assignment->offset);
	else
		answers(step, assignment->request);
	if (strcmp(assigned->state, "RELEASING") == 0 && assigned->release_request_id) {
		struct audit_request *release =
			set_outcome(step, assigned->pool_id, "VmReleased",
				    assigned->release_request_id, OUTCOME_RELEASING);
		release->alive = true;
		audit_assignment_at(log, slot)->release = slot_of(log, release);
	}
}

static void end_concern(const struct audit_step *step, uint32_t slot)
{
	if (slot == AUDIT_NONE)
		return;
	struct audit_request *request = audit_request_at(step->log, slot);
	request->alive = false;
	request->concerned_at = step->at;
	answers(step, slot);
}

/* Somebody asked for every release but that of an assignment that failed; a forced one says who and why. */
static void check_code(const struct audit_step *step, const struct gpu_released *released)
{
	const char *reason = released->reason ? released->reason : "";
	const char *actor = released->actor ? released->actor : "";
	bool failed = strcmp(released->code, "ATTACH_FAILED") == 0;

	if (strcmp(released->code, "FORCED") == 0 && (!*reason || !*actor))
		AUDIT_VIOLATE(step, "FORCED_BY_NOBODY",
			      "assignment %s is ended by force without %s", released->assignment_id,
			      *reason ? "an actor" : "a reason");
	if (failed && !*reason)
		AUDIT_VIOLATE(step, "FAILED_WITHOUT_REASON",
			      "assignment %s has failed, and nothing says why",
			      released->assignment_id);
	if (!failed && !*released->request_id)
		AUDIT_VIOLATE(step, "RELEASE_NOT_ASKED",
			      "assignment %s ends, and nobody asked for it",
			      released->assignment_id);
}

static void on_released(const struct audit_step *step, const struct gpu_released *released)
{
	struct audit_log *log = step->log;
	bool is_new;
	uint32_t slot =
		audit_need_assignment(log, released->pool_id, released->assignment_id, &is_new);
	const struct audit_assignment *assignment = audit_assignment_at(log, slot);

	check_code(step, released);
	if (*released->request_id)
		set_outcome(step, released->pool_id, "VmReleased", released->request_id,
			    OUTCOME_RELEASED)
			->alive = false;
	if (!assignment->held) {
		AUDIT_VIOLATE(step, "RELEASE_OF_NOTHING", "assignment %s of VM %s %s",
			      released->assignment_id, released->vm_id,
			      is_new ? "was never given" : "was released before");
		return;
	}
	free_gpus(step, slot);
	audit_quarantine(step, released->pool_id, released->quarantined, released->n_quarantined,
			 assignment);
	end_concern(step, assignment->request);
	end_concern(step, assignment->release);
}

/* ---- one record ------------------------------------------------------------------------------------ */

static int64_t decided_at(const struct record *record)
{
	const struct record_info *info = record_info(record->type);
	const char *body = record_body_const(record);
	for (size_t i = 0; i < info->n_fields; i++)
		if (strcmp(info->fields[i].name, "decided_at") == 0)
			return *(const int64_t *)(const void *)(body + info->fields[i].offset);
	return 0;
}

static void check(const struct audit_step *step, const struct record *record)
{
	switch (record->type) {
	case RECORD_GPU_ASSIGNED:
		on_assigned(step, &record->gpu_assigned);
		break;
	case RECORD_GPU_RELEASED:
		on_released(step, &record->gpu_released);
		break;
	case RECORD_REQUEST_REJECTED:
		set_outcome(step, record->request_rejected.pool_id,
			    record->request_rejected.request_type,
			    record->request_rejected.request_id, OUTCOME_REJECTED);
		break;
	case RECORD_REQUEST_COMPLETED:
		set_outcome(step, record->request_completed.pool_id,
			    record->request_completed.request_type,
			    record->request_completed.request_id, OUTCOME_COMPLETED);
		break;
	case RECORD_MIGRATION_VERDICT:
		set_outcome(step, record->migration_verdict.pool_id, "MigrationCheck",
			    record->migration_verdict.request_id, OUTCOME_VERDICT);
		break;
	case RECORD_HOST_MARKED:
		set_outcome(step, record->host_marked.pool_id, "OperatorCommand",
			    record->host_marked.request_id, OUTCOME_MARKED);
		audit_mark_host(step, &record->host_marked);
		break;
	case RECORD_GPU_MARKED:
		set_outcome(step, record->gpu_marked.pool_id, "OperatorCommand",
			    record->gpu_marked.request_id, OUTCOME_MARKED);
		audit_mark_gpu(step, &record->gpu_marked);
		break;
	default:
		break; /* the fold refuses it */
	}
}

static struct audit_told *add_told(struct audit_shard_log *shard, const struct message *message)
{
	if (shard->n_told == shard->told_size) {
		shard->told_size = shard->told_size ? 2 * shard->told_size : 256;
		shard->told = memory_resize(shard->told, shard->told_size, sizeof(*shard->told));
	}
	shard->told[shard->n_told++] = (struct audit_told){
		.offset = message->offset,
		.hash = index_hash(message->value, message->value_len, 0),
		.requests = { AUDIT_NONE, AUDIT_NONE, AUDIT_NONE },
	};
	return &shard->told[shard->n_told - 1];
}

static void raise_applied(struct audit_shard_log *shard, const struct message *message)
{
	struct input_positions applied = headers_applied(message->headers, message->n_headers);
	if (shard->applied.requests < applied.requests)
		shard->applied.requests = applied.requests;
	if (shard->applied.attachments < applied.attachments)
		shard->applied.attachments = applied.attachments;
}

static void on_record(struct audit_step *step)
{
	struct audit_log *log = step->log;
	const struct message *message = step->message;
	cleanup(change_freep) struct change *change = NULL;
	struct record record;

	step->shard->records++;
	raise_applied(step->shard, message);
	step->told = add_told(step->shard, message);
	if (!message->value ||
	    codec_decode(log->codec, message->value, message->value_len, &log->scratch, &record)) {
		AUDIT_VIOLATE(step, "UNREADABLE", "a record that counts cannot be read: %s",
			      message->value ? codec_error(log->codec) : "it has no value");
		return;
	}
	step->before = step->shard->newest;
	step->at = decided_at(&record);
	if (step->at < step->before)
		step->at = step->before;
	step->shard->newest = step->at;

	size_t before = log->n_violations;
	if (partition_of_pool(record_pool_id(&record), log->options.n_partitions) !=
	    message->partition)
		AUDIT_VIOLATE(step, "MISPLACED", "%s of pool %s stands in another shard's log",
			      record_info(record.type)->name, record_pool_id(&record));
	check(step, &record);
	int r = shard_fold(step->shard->state, &record, message->value, message->value_len,
			   step->shard->applied, &change);
	if (r == 0)
		shard_settle(step->shard->state, steal(&change), message->offset, NULL, NULL);
	else if (r == FOLD_FOREIGN)
		AUDIT_VIOLATE(step, "FOREIGN", "%s does not belong into decisions",
			      record_info(record.type)->name);
	else if (log->n_violations == before) /* otherwise it was said why */
		AUDIT_VIOLATE(step, "CONTRADICTION",
			      "%s of request %s contradicts the log before it",
			      record_info(record.type)->name, record_request_id(&record));
}

/* ---- the log ---------------------------------------------------------------------------------------- */

static void count_void(struct audit_shard_log *shard, int64_t epoch)
{
	shard->void_records++;
	for (size_t i = 0; i < shard->n_voids; i++)
		if (shard->voids[i].epoch == epoch) {
			shard->voids[i].records++;
			return;
		}
	shard->voids = memory_resize(shard->voids, shard->n_voids + 1, sizeof(*shard->voids));
	shard->voids[shard->n_voids++] = (struct audit_void){ .epoch = epoch, .records = 1 };
}

static void look_at_expected(struct audit_shard_log *shard)
{
	if (shard->reached || shard->follow.next != shard->expect)
		return;
	shard->reached = true;
	shard->expected_digest = shard_digest(shard->state);
}

void audit_expect(struct audit_log *log, int32_t partition, int64_t offset)
{
	log->shards[partition].expect = offset;
	look_at_expected(&log->shards[partition]);
}

void audit_decision(struct audit_log *log, const struct message *message)
{
	struct audit_shard_log *shard = &log->shards[message->partition];
	struct audit_step step = { .log = log, .shard = shard, .message = message };

	arena_reset(&log->scratch);
	enum follow_kind kind = follow_step(&shard->follow, message);
	if (kind == FOLLOW_GAP) {
		AUDIT_VIOLATE(&step, "GAP", "offsets %" PRId64 " to %" PRId64 " are not in the log",
			      shard->follow.next, message->offset - 1);
		follow_init(&shard->follow, message->offset, shard->follow.epoch);
		kind = follow_step(&shard->follow, message);
	}
	switch (kind) {
	case FOLLOW_RECORD:
		on_record(&step);
		break;
	case FOLLOW_MARKER:
		shard->epochs++;
		break;
	case FOLLOW_VOID:
		count_void(shard, headers_epoch(message->headers, message->n_headers));
		break;
	default:
		break;
	}
	look_at_expected(shard);
}
