#include "checker.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "codec/envelope_headers.h"
#include "checker_internal.h"
#include "fresh_fold.h"
#include "model/partition.h"
#include "story.h"

/* ---- the epoch rule, in its own words --------------------------------------------------------------- */

static const char *read_log(struct reading *reading)
{
	struct world *world = reading->world;
	const struct message *message;
	long long epoch = -1;
	int64_t at = 0;

	reading->n = (size_t)broker_end(&world->broker, TOPIC_DECISIONS, reading->partition);
	reading->records = arena_array(&world->arena, reading->n, sizeof(*reading->records));
	for (; (message = broker_next(&world->broker, TOPIC_DECISIONS, reading->partition, at));
	     at++) {
		const char *writer = header_text(world, message, "ce_epoch");
		struct record *record = read_record(world, message);
		if (!record)
			return WRONG("decisions offset %lld cannot be read", (long long)at);
		if (!writer && record->type == RECORD_EPOCH_STARTED)
			epoch = (long long)at;
		else if (writer && atoll(writer) == epoch)
			reading->records[at] = (struct true_record){ message, record, false };
	}
	return NULL;
}

/* ---- who asked for what ------------------------------------------------------------------------------ */

static bool is_request(enum record_type type)
{
	return type == RECORD_VM_REQUESTED || type == RECORD_VM_RELEASED ||
	       type == RECORD_MIGRATION_CHECK || type == RECORD_OPERATOR_COMMAND;
}

bool checker_same_text(const char *a, const char *b)
{
	return a && b && strcmp(a, b) == 0;
}

/* Is this record the outcome of this request? */
static bool is_outcome(const struct record *record, enum record_type asked, const char *request_id)
{
	const char *asked_name = record_info(asked)->name;
	switch (record->type) {
	case RECORD_GPU_ASSIGNED: /* the first of the request */
		return asked == RECORD_VM_REQUESTED && !record->gpu_assigned.attach_state &&
		       !record->gpu_assigned.replaces &&
		       checker_same_text(record->gpu_assigned.state, "ASSIGNED") &&
		       checker_same_text(record->gpu_assigned.request_id, request_id);
	case RECORD_GPU_RELEASED:
		return asked == RECORD_VM_RELEASED &&
		       checker_same_text(record->gpu_released.request_id, request_id);
	case RECORD_MIGRATION_VERDICT:
		return asked == RECORD_MIGRATION_CHECK &&
		       checker_same_text(record->migration_verdict.request_id, request_id);
	case RECORD_HOST_MARKED:
	case RECORD_GPU_MARKED:
		return asked == RECORD_OPERATOR_COMMAND &&
		       checker_same_text(record_request_id(record), request_id);
	case RECORD_REQUEST_REJECTED:
		return checker_same_text(record->request_rejected.request_type, asked_name) &&
		       checker_same_text(record->request_rejected.request_id, request_id);
	case RECORD_REQUEST_COMPLETED:
		return checker_same_text(record->request_completed.request_type, asked_name) &&
		       checker_same_text(record->request_completed.request_id, request_id);
	default:
		return false;
	}
}

/* Does it say how things are with this request: its outcome, that its release has begun, or that what it
 * got was released since? */
static bool concerns(const struct record *record, enum record_type asked, const char *request_id)
{
	const struct gpu_assigned *assigned = &record->gpu_assigned;
	size_t len = strlen(request_id);

	if (is_outcome(record, asked, request_id))
		return true;
	if (record->type == RECORD_GPU_ASSIGNED)
		return checker_same_text(asked == RECORD_VM_REQUESTED
						 ? assigned->request_id
						 : assigned->release_request_id,
					 request_id);
	return asked == RECORD_VM_REQUESTED && record->type == RECORD_GPU_RELEASED &&
	       strncmp(record->gpu_released.assignment_id, request_id, len) == 0 &&
	       record->gpu_released.assignment_id[len] == '/';
}

static bool belongs(const struct message *message, const struct record *record)
{
	return is_request(record->type) && *record_request_id(record) &&
	       partition_of_pool(record_pool_id(record), SIM_PARTITIONS) == message->partition;
}

/* ---- 2 --------------------------------------------------------------------------------------------------- */

/* A release under way that somebody else ended by force: that is its outcome, too. */
static bool was_overtaken(const struct reading *reading, const char *release_id)
{
	const char *assignment = NULL;
	for (size_t i = 0; i < reading->n; i++) {
		const struct record *record = reading->records[i].record;
		if (record && record->type == RECORD_GPU_ASSIGNED &&
		    checker_same_text(record->gpu_assigned.release_request_id, release_id))
			assignment = record->gpu_assigned.assignment_id;
		if (record && record->type == RECORD_GPU_RELEASED &&
		    checker_same_text(record->gpu_released.assignment_id, assignment))
			return !checker_same_text(record->gpu_released.request_id, release_id) &&
			       checker_same_text(record->gpu_released.code, "FORCED");
	}
	return false;
}

static const char *check_outcomes(struct reading *reading)
{
	struct world *world = reading->world;
	const struct message *message;

	for (int64_t at = 0;
	     (message = broker_next(&world->broker, TOPIC_REQUESTS, reading->partition, at));
	     at++) {
		const struct record *record = read_record(world, message);
		int outcomes = 0;
		if (!record || !belongs(message, record))
			continue;
		for (size_t i = 0; i < reading->n; i++)
			if (reading->records[i].record &&
			    is_outcome(reading->records[i].record, record->type,
				       record_request_id(record)))
				outcomes++;
		if (record->type == RECORD_VM_RELEASED)
			outcomes += was_overtaken(reading, record_request_id(record));
		if (outcomes != 1)
			return WRONG("%s %s has %d outcomes", record_info(record->type)->name,
				     record_request_id(record), outcomes);
	}
	return NULL;
}

/* ---- 6 ---------------------------------------------------------------------------------------------------- */

static const char *check_answers_are_true(struct reading *reading)
{
	struct world *world = reading->world;
	const struct message *message;

	for (int64_t at = 0;
	     (message = broker_next(&world->broker, TOPIC_ANSWERS, reading->partition, at)); at++) {
		const char *text = header_text(world, message, "ce_revision");
		long long revision = text ? atoll(text) : -1;
		if (revision < 0 || revision >= (long long)reading->n)
			return WRONG("answer %lld has no revision", (long long)at);
		struct true_record *logged = &reading->records[revision];
		if (!logged->record)
			return WRONG("answer %lld says what is void", (long long)at);
		if (logged->message->value_len != message->value_len ||
		    memcmp(logged->message->value, message->value, message->value_len) != 0)
			return WRONG("answer %lld is not what stands at revision %lld",
				     (long long)at, revision);
		if (header_text(world, message, "ce_epoch") ||
		    header_text(world, message, "ce_applied"))
			return WRONG("answer %lld speaks of epochs", (long long)at);
		if (!checker_same_text(header_text(world, message, "ce_id"),
				       header_text(world, logged->message, "ce_id")))
			return WRONG("answer %lld has an id of its own", (long long)at);
		logged->told = true;
	}
	return NULL;
}

/* Or what has become of it since. */
static const char *check_outcomes_are_told(struct reading *reading)
{
	struct world *world = reading->world;

	for (size_t i = 0; i < reading->n; i++) {
		const struct true_record *outcome = &reading->records[i];
		bool told = !outcome->record || outcome->told;
		if (!told && outcome->record->type == RECORD_GPU_ASSIGNED)
			for (size_t k = i + 1; k < reading->n && !told; k++)
				told = reading->records[k].told &&
				       concerns(reading->records[k].record, RECORD_VM_REQUESTED,
						outcome->record->gpu_assigned.request_id);
		if (!told)
			return WRONG("revision %zu (%s) was never told", i,
				     record_info(outcome->record->type)->name);
	}
	return NULL;
}

/* Somebody else ended by force what this release had begun. */
static bool overtakes(const struct record *record, const struct record *asked)
{
	return asked->type == RECORD_VM_RELEASED && record->type == RECORD_GPU_RELEASED &&
	       checker_same_text(record->gpu_released.code, "FORCED") &&
	       checker_same_text(record->gpu_released.vm_id, asked->vm_released.vm_id);
}

static bool is_told(struct world *world, int32_t partition, const struct record *asked)
{
	int64_t at = broker_end(&world->broker, TOPIC_ANSWERS, partition);
	while (at-- > 0) {
		const struct record *record =
			read_record(world, broker_at(&world->broker, TOPIC_ANSWERS, partition, at));
		if (record && (concerns(record, asked->type, record_request_id(asked)) ||
			       overtakes(record, asked)))
			return true;
	}
	return false;
}

static bool is_dead_letter(struct world *world, const struct message *message)
{
	int64_t at = broker_end(&world->broker, TOPIC_DEAD_LETTERS, message->partition);
	while (at-- > 0) {
		const struct message *letter =
			broker_at(&world->broker, TOPIC_DEAD_LETTERS, message->partition, at);
		const char *offset = header_text(world, letter, "dl_offset");
		if (checker_same_text(header_text(world, letter, "dl_topic"),
				      topic_name(message->topic)) &&
		    offset && atoll(offset) == (long long)message->offset)
			return true;
	}
	return false;
}

/* "r17/2": of the request "r17"? */
static bool is_attempt_of(const char *assignment_id, const char *other)
{
	const char *slash = strrchr(other, '/');
	size_t len = slash ? (size_t)(slash - other) + 1 : 0;
	return slash && strncmp(assignment_id, other, len) == 0;
}

static bool is_told_since(struct world *world, int32_t partition, const char *assignment_id,
			  long long revision)
{
	int64_t at = broker_end(&world->broker, TOPIC_ANSWERS, partition);
	while (at-- > 0) {
		const struct message *answer =
			broker_at(&world->broker, TOPIC_ANSWERS, partition, at);
		const struct record *record = read_record(world, answer);
		const char *text = header_text(world, answer, "ce_revision");
		bool of_it = (record->type == RECORD_GPU_ASSIGNED &&
			      is_attempt_of(record->gpu_assigned.assignment_id, assignment_id)) ||
			     (record->type == RECORD_GPU_RELEASED &&
			      is_attempt_of(record->gpu_released.assignment_id, assignment_id));
		if (of_it && text && atoll(text) >= revision)
			return true;
	}
	return false;
}

/* What this report caused, by the position that it was decided at, has been told, or what came of it. */
static bool is_report_done(struct world *world, const struct message *message,
			   const struct gpu_attachment *report)
{
	struct reading reading = { .world = world, .partition = message->partition };
	if (checker_same_text(report->state, "EXPLODED"))
		return is_dead_letter(world, message);
	if (read_log(&reading))
		return false;
	for (size_t i = 0; i < reading.n; i++) {
		const struct message *logged = reading.records[i].message;
		if (reading.records[i].record &&
		    headers_applied(logged->headers, logged->n_headers).attachments ==
			    message->offset)
			return is_told_since(world, message->partition, report->assignment_id,
					     (long long)i);
	}
	return true;
}

static bool is_forwarded(struct world *world, const struct message *message, int32_t to)
{
	int64_t at = broker_end(&world->broker, message->topic, to);
	while (at-- > 0) {
		const struct message *copy = broker_at(&world->broker, message->topic, to, at);
		if (copy->value_len == message->value_len && copy->value &&
		    memcmp(copy->value, message->value, message->value_len) == 0)
			return true;
	}
	return false;
}

const char *check_commit(struct world *world, enum topic input, int32_t partition, int64_t from,
			 int64_t next)
{
	for (int64_t at = from; at < next; at++) {
		const struct message *message = broker_at(&world->broker, input, partition, at);
		const struct record *record = message ? read_record(world, message) : NULL;
		bool done;

		if (!message)
			return WRONG("%s is committed up to %lld and ends at %lld",
				     topic_name(input), (long long)next, (long long)at);
		if (record && record->type == RECORD_GPU_ATTACHMENT) {
			done = is_report_done(world, message, &record->gpu_attachment);
		} else if (!record || !is_request(record->type) || !*record_request_id(record)) {
			done = is_dead_letter(world, message);
		} else {
			int32_t to = partition_of_pool(record_pool_id(record), SIM_PARTITIONS);
			done = to == partition ? is_told(world, partition, record)
					       : is_forwarded(world, message, to);
		}
		if (!done)
			return WRONG("%s offset %lld (%s) is committed and nothing came of it",
				     topic_name(input), (long long)at,
				     record ? record_info(record->type)->name : "unreadable");
	}
	return NULL;
}

/* ---- all of them ------------------------------------------------------------------------------------------- */

const char *check_partition(struct world *world, int32_t partition, bool forgetful)
{
	struct reading reading = { .world = world, .partition = partition };
	const char *problem = read_log(&reading);

	if (!problem)
		problem = check_owners(&reading, forgetful);
	if (!problem)
		problem = check_answers_are_true(&reading);
	if (!problem && !forgetful)
		problem = check_outcomes(&reading);
	if (!problem && !forgetful)
		problem = check_outcomes_are_told(&reading);
	if (!problem)
		problem = checkpoint_problem(world, partition);
	if (!problem &&
	    committed(world, partition) != broker_end(&world->broker, TOPIC_REQUESTS, partition))
		problem = WRONG("requests end at %lld and are committed up to %lld",
				(long long)broker_end(&world->broker, TOPIC_REQUESTS, partition),
				(long long)committed(world, partition));
	int64_t reports = broker_end(&world->broker, TOPIC_ATTACHMENTS, partition);
	if (!problem && world->broker.committed[1][partition] != reports)
		problem =
			WRONG("attachments end at %lld and are committed up to %lld",
			      (long long)reports, (long long)world->broker.committed[1][partition]);
	return problem;
}
