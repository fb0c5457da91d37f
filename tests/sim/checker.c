#include "checker.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "fresh_fold.h"
#include "model/partition.h"
#include "story.h"

#define WRONG(...) arena_printf(&world->arena, __VA_ARGS__)

/* One partition of decisions, read once. */
struct true_record {
	const struct message *message;
	struct record *record;
	bool told; /* stands on answers */
};

struct holding {
	const char *gpu;
	const char *vm;
	const char *assignment;
};

struct reading {
	struct world *world;
	int32_t partition;
	struct true_record *records; /* by offset; record NULL: void, or a marker */
	size_t n;
	struct holding *holdings;
	size_t n_holdings;
};

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
	       type == RECORD_MIGRATION_CHECK;
}

static bool same_text(const char *a, const char *b)
{
	return a && b && strcmp(a, b) == 0;
}

/* Is this record the outcome of this request? */
static bool is_outcome(const struct record *record, enum record_type asked, const char *request_id)
{
	const char *asked_name = record_info(asked)->name;
	switch (record->type) {
	case RECORD_GPU_ASSIGNED:
		return asked == RECORD_VM_REQUESTED &&
		       same_text(record->gpu_assigned.state, "ASSIGNED") &&
		       same_text(record->gpu_assigned.request_id, request_id);
	case RECORD_GPU_RELEASED:
		return asked == RECORD_VM_RELEASED &&
		       same_text(record->gpu_released.request_id, request_id);
	case RECORD_MIGRATION_VERDICT:
		return asked == RECORD_MIGRATION_CHECK &&
		       same_text(record->migration_verdict.request_id, request_id);
	case RECORD_REQUEST_REJECTED:
		return same_text(record->request_rejected.request_type, asked_name) &&
		       same_text(record->request_rejected.request_id, request_id);
	case RECORD_REQUEST_COMPLETED:
		return same_text(record->request_completed.request_type, asked_name) &&
		       same_text(record->request_completed.request_id, request_id);
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
		return same_text(asked == RECORD_VM_REQUESTED ? assigned->request_id
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

static const struct vm_requested *find_request(struct world *world, int32_t partition,
					       const char *request_id)
{
	const struct message *message;
	for (int64_t at = 0; (message = broker_next(&world->broker, TOPIC_REQUESTS, partition, at));
	     at++) {
		const struct record *record = read_record(world, message);
		if (record && record->type == RECORD_VM_REQUESTED &&
		    same_text(record->vm_requested.request_id, request_id))
			return &record->vm_requested;
	}
	return NULL;
}

/* ---- 1 and 3 ------------------------------------------------------------------------------------------ */

static bool is_in_inventory(struct world *world, int32_t partition, const char *gpu_id)
{
	const struct message *message;
	for (int64_t at = 0;
	     (message = broker_next(&world->broker, TOPIC_INVENTORY, partition, at)); at++)
		if (message->key_len == strlen(gpu_id) &&
		    memcmp(message->key, gpu_id, message->key_len) == 0)
			return true;
	return false;
}

static const char *check_given(struct reading *reading, const struct gpu_assigned *given)
{
	struct world *world = reading->world;
	const struct vm_requested *asked =
		find_request(world, reading->partition, given->request_id);
	size_t wanted = 0;

	if (!asked || !same_text(asked->vm_id, given->vm_id))
		return WRONG("%s was given GPUs that nobody asked for", given->vm_id);
	for (size_t i = 0; i < asked->n_gpus; i++)
		wanted += (size_t)asked->gpus[i].count;
	if (asked->vm_type_id)
		wanted = 1; /* as all types here */
	if (given->n_gpus != wanted)
		return WRONG("%s asked for %zu GPUs and got %zu", given->request_id, wanted,
			     given->n_gpus);
	for (size_t i = 0; i < given->n_gpus; i++) {
		const char *gpu = given->gpus[i].gpu_id;
		size_t len = strlen(given->host);
		if (strncmp(gpu, given->host, len) != 0 || gpu[len] != '/')
			return WRONG("%s is not on %s", gpu, given->host);
		if (asked->host && !same_text(asked->host, given->host))
			return WRONG("%s is not on the host asked for", gpu);
		if (!is_in_inventory(world, reading->partition, gpu))
			return WRONG("%s does not exist", gpu);
	}
	return NULL;
}

static const char *take(struct reading *reading, const struct gpu_assigned *given, int64_t offset)
{
	struct world *world = reading->world;
	for (size_t i = 0; i < given->n_gpus; i++) {
		for (size_t k = 0; k < reading->n_holdings; k++) {
			const struct holding *held = &reading->holdings[k];
			if (same_text(held->gpu, given->gpus[i].gpu_id) ||
			    (i == 0 && same_text(held->vm, given->vm_id)))
				return WRONG("offset %lld gives %s to %s, and %s has %s",
					     (long long)offset, given->gpus[i].gpu_id, given->vm_id,
					     held->vm, held->gpu);
		}
	}
	for (size_t i = 0; i < given->n_gpus; i++)
		reading->holdings[reading->n_holdings++] =
			(struct holding){ given->gpus[i].gpu_id, given->vm_id,
					  given->assignment_id };
	return check_given(reading, given);
}

/* Their release begins: nothing else may change. */
static const char *keep(struct reading *reading, const struct gpu_assigned *given, int64_t offset)
{
	struct world *world = reading->world;
	size_t kept = 0;
	for (size_t i = 0; i < given->n_gpus; i++)
		for (size_t k = 0; k < reading->n_holdings; k++)
			kept += same_text(reading->holdings[k].gpu, given->gpus[i].gpu_id) &&
				same_text(reading->holdings[k].assignment, given->assignment_id);
	if (kept != given->n_gpus)
		return WRONG("offset %lld begins to release what %s does not have",
			     (long long)offset, given->vm_id);
	return NULL;
}

static const char *give_back(struct reading *reading, const struct gpu_released *released,
			     int64_t offset)
{
	struct world *world = reading->world;
	size_t freed = 0;

	for (size_t k = reading->n_holdings; k-- > 0;) {
		if (!same_text(reading->holdings[k].assignment, released->assignment_id))
			continue;
		reading->holdings[k] = reading->holdings[--reading->n_holdings];
		freed++;
	}
	if (freed == 0 || freed != released->n_gpus)
		return WRONG("offset %lld frees %zu GPUs of %s, which has %zu", (long long)offset,
			     released->n_gpus, released->vm_id, freed);
	return NULL;
}

static const char *check_owners(struct reading *reading)
{
	size_t gpus = 0;
	for (size_t i = 0; i < reading->n; i++) {
		const struct record *record = reading->records[i].record;
		if (record && record->type == RECORD_GPU_ASSIGNED)
			gpus += record->gpu_assigned.n_gpus;
	}
	reading->holdings = arena_array(&reading->world->arena, gpus, sizeof(*reading->holdings));

	for (size_t i = 0; i < reading->n; i++) {
		const struct record *record = reading->records[i].record;
		const char *problem = NULL;
		if (record && record->type == RECORD_GPU_ASSIGNED)
			problem = same_text(record->gpu_assigned.state, "ASSIGNED")
					  ? take(reading, &record->gpu_assigned, (int64_t)i)
					  : keep(reading, &record->gpu_assigned, (int64_t)i);
		if (record && record->type == RECORD_GPU_RELEASED)
			problem = give_back(reading, &record->gpu_released, (int64_t)i);
		if (problem)
			return problem;
	}
	return NULL;
}

/* ---- 2 --------------------------------------------------------------------------------------------------- */

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
		if (!same_text(header_text(world, message, "ce_id"),
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

static bool is_told(struct world *world, int32_t partition, const struct record *asked)
{
	int64_t at = broker_end(&world->broker, TOPIC_ANSWERS, partition);
	while (at-- > 0) {
		const struct record *record =
			read_record(world, broker_at(&world->broker, TOPIC_ANSWERS, partition, at));
		if (record && concerns(record, asked->type, record_request_id(asked)))
			return true;
	}
	return false;
}

static bool is_release_told(struct world *world, int32_t partition, const char *assignment_id)
{
	int64_t at = broker_end(&world->broker, TOPIC_ANSWERS, partition);
	while (at-- > 0) {
		const struct record *record =
			read_record(world, broker_at(&world->broker, TOPIC_ANSWERS, partition, at));
		if (record && record->type == RECORD_GPU_RELEASED &&
		    same_text(record->gpu_released.assignment_id, assignment_id))
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
		if (same_text(header_text(world, letter, "dl_topic"), topic_name(message->topic)) &&
		    offset && atoll(offset) == (long long)message->offset)
			return true;
	}
	return false;
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
			/* Agents here report only what they were told to release. */
			done = is_release_told(world, partition,
					       record->gpu_attachment.assignment_id);
		} else if (!record || !is_request(record->type) || !*record_request_id(record)) {
			done = is_dead_letter(world, message);
		} else {
			int32_t to = partition_of_pool(record_pool_id(record), SIM_PARTITIONS);
			done = to == partition ? is_told(world, partition, record)
					       : is_forwarded(world, message, to);
		}
		if (!done)
			return WRONG("%s offset %lld is committed and nothing came of it",
				     topic_name(input), (long long)at);
	}
	return NULL;
}

/* ---- all of them ------------------------------------------------------------------------------------------- */

const char *check_partition(struct world *world, int32_t partition, bool forgetful)
{
	struct reading reading = { .world = world, .partition = partition };
	const char *problem = read_log(&reading);

	if (!problem)
		problem = check_owners(&reading);
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
