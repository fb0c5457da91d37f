/*
 * Who owns what, and what may be given: invariants 1, 3, 4 and 5 of the checker, over the true records
 * of one partition.
 */
#include <string.h>

#include "checker_internal.h"
#include "story.h"

struct holding {
	const char *gpu;
	const char *vm;
	const char *assignment;
	const char *host;
};

struct owners {
	struct reading *reading;
	struct holding *holdings;
	size_t n_holdings;
	const char **quarantined; /* GPUs */
	size_t n_quarantined;
	bool agents; /* of the pool: nothing is freed without their word */
};

static bool same_text(const char *a, const char *b)
{
	return checker_same_text(a, b);
}

static const struct vm_requested *find_request(struct world *world, int32_t partition,
					       const char *request_id)
{
	const struct message *message;
	for (int64_t at = 0; (message = broker_next(&world->broker, TOPIC_REQUESTS, partition, at));
	     at++) {
		const struct record *record = read_record(world, message);
		if (record && record->type == RECORD_VM_REQUESTED &&
		    checker_same_text(record->vm_requested.request_id, request_id))
			return &record->vm_requested;
	}
	return NULL;
}

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

/* ---- quarantine ---------------------------------------------------------------------------------------- */

static size_t find_quarantined(const struct owners *owners, const char *gpu)
{
	size_t i = 0;
	while (i < owners->n_quarantined && !same_text(owners->quarantined[i], gpu))
		i++;
	return i;
}

static void quarantine(struct owners *owners, const char *gpu)
{
	size_t i = find_quarantined(owners, gpu);
	owners->quarantined[i] = gpu;
	owners->n_quarantined += i == owners->n_quarantined;
}

static const char *mark(struct owners *owners, const struct gpu_marked *marked, int64_t offset)
{
	struct world *world = owners->reading->world;
	size_t i = find_quarantined(owners, marked->gpu_id);
	if (same_text(marked->mark, "QUARANTINED")) {
		quarantine(owners, marked->gpu_id);
		return NULL;
	}
	if (i == owners->n_quarantined)
		return WRONG("offset %lld returns %s, which is not in quarantine",
			     (long long)offset, marked->gpu_id);
	owners->quarantined[i] = owners->quarantined[--owners->n_quarantined];
	return NULL;
}

/* ---- an end needs a word ------------------------------------------------------------------------------- */

static bool is_listed(const struct quarantined_gpu *list, size_t n, const char *gpu)
{
	for (size_t i = 0; i < n; i++)
		if (same_text(list[i].gpu_id, gpu))
			return true;
	return false;
}

/* Does the report call clean exactly what is not quarantined? */
static bool says_so(const struct owners *owners, const struct gpu_attachment *report,
		    const char *assignment, const struct quarantined_gpu *list, size_t n)
{
	for (size_t k = 0; k < owners->n_holdings; k++) {
		const struct holding *held = &owners->holdings[k];
		bool clean = false;
		if (!same_text(held->assignment, assignment))
			continue;
		if (!same_text(held->host, report->host))
			return false;
		for (size_t i = 0; i < report->n_gpus; i++)
			clean |= same_text(report->gpus[i].gpu_id, held->gpu) &&
				 same_text(report->gpus[i].state, "CLEAN");
		if (clean == is_listed(list, n, held->gpu))
			return false;
	}
	return true;
}

static bool is_reported(const struct owners *owners, const char *assignment, bool detached,
			const struct quarantined_gpu *list, size_t n)
{
	struct world *world = owners->reading->world;
	const struct message *message;
	for (int64_t at = 0; (message = broker_next(&world->broker, TOPIC_ATTACHMENTS,
						    owners->reading->partition, at));
	     at++) {
		const struct record *record = read_record(world, message);
		const struct gpu_attachment *report = record ? &record->gpu_attachment : NULL;
		if (report && same_text(report->assignment_id, assignment) &&
		    (same_text(report->state, "FAILED") ||
		     (detached && same_text(report->state, "DETACHED"))) &&
		    says_so(owners, report, assignment, list, n))
			return true;
	}
	return false;
}

static const struct vm_released *find_release(const struct owners *owners, const char *request_id)
{
	struct world *world = owners->reading->world;
	const struct message *message;
	for (int64_t at = 0; (message = broker_next(&world->broker, TOPIC_REQUESTS,
						    owners->reading->partition, at));
	     at++) {
		const struct record *record = read_record(world, message);
		if (record && record->type == RECORD_VM_RELEASED &&
		    same_text(record->vm_released.request_id, request_id))
			return &record->vm_released;
	}
	return NULL;
}

static const char *check_word(const struct owners *owners, const struct gpu_released *released,
			      int64_t offset)
{
	struct world *world = owners->reading->world;
	const struct vm_released *asked = find_release(owners, released->request_id);
	bool failed = same_text(released->code, "ATTACH_FAILED");
	bool forced = same_text(released->code, "FORCED");
	bool good = forced ? asked && asked->force == 1 &&
				     same_text(asked->actor, released->actor) &&
				     same_text(asked->reason, released->reason)
			   : failed != (asked != NULL);
	if (good && !forced && (failed || owners->agents))
		good = is_reported(owners, released->assignment_id, !failed, released->quarantined,
				   released->n_quarantined);
	return good ? NULL
		    : WRONG("offset %lld ends %s (%s) without a word", (long long)offset,
			    released->assignment_id, released->code);
}

/* ---- who has what ---------------------------------------------------------------------------------------- */

static const char *take(struct owners *owners, const struct gpu_assigned *given, int64_t offset)
{
	struct world *world = owners->reading->world;
	for (size_t i = 0; i < given->n_gpus; i++) {
		const char *gpu = given->gpus[i].gpu_id;
		for (size_t k = 0; k < owners->n_holdings; k++) {
			const struct holding *held = &owners->holdings[k];
			if (same_text(held->gpu, gpu) ||
			    (i == 0 && same_text(held->vm, given->vm_id)))
				return WRONG("offset %lld gives %s to %s, and %s has %s",
					     (long long)offset, gpu, given->vm_id, held->vm,
					     held->gpu);
		}
		if (find_quarantined(owners, gpu) < owners->n_quarantined)
			return WRONG("offset %lld gives %s, which is in quarantine",
				     (long long)offset, gpu);
	}
	for (size_t i = 0; i < given->n_gpus; i++)
		owners->holdings[owners->n_holdings++] =
			(struct holding){ given->gpus[i].gpu_id, given->vm_id, given->assignment_id,
					  given->host };
	return check_given(owners->reading, given);
}

/* Its release begins, or its agent has come further: nothing else may change. */
static const char *keep(struct owners *owners, const struct gpu_assigned *given, int64_t offset)
{
	struct world *world = owners->reading->world;
	size_t kept = 0, has = 0;
	for (size_t k = 0; k < owners->n_holdings; k++)
		has += same_text(owners->holdings[k].assignment, given->assignment_id);
	for (size_t i = 0; i < given->n_gpus; i++)
		for (size_t k = 0; k < owners->n_holdings; k++)
			kept += same_text(owners->holdings[k].gpu, given->gpus[i].gpu_id) &&
				same_text(owners->holdings[k].assignment, given->assignment_id);
	if (kept != given->n_gpus || has != kept)
		return WRONG("offset %lld speaks of what %s does not have", (long long)offset,
			     given->vm_id);
	return NULL;
}

static size_t let_go(struct owners *owners, const char *assignment,
		     const struct quarantined_gpu *list, size_t n)
{
	size_t freed = 0;
	for (size_t k = owners->n_holdings; k-- > 0;) {
		if (!same_text(owners->holdings[k].assignment, assignment))
			continue;
		owners->holdings[k] = owners->holdings[--owners->n_holdings];
		freed++;
	}
	for (size_t i = 0; i < n; i++)
		quarantine(owners, list[i].gpu_id);
	return freed;
}

static const char *replace(struct owners *owners, const struct gpu_assigned *given, int64_t offset)
{
	struct world *world = owners->reading->world;
	if (!is_reported(owners, given->replaces, false, given->quarantined, given->n_quarantined))
		return WRONG("offset %lld replaces %s without a word", (long long)offset,
			     given->replaces);
	for (size_t i = 0; i < given->n_failed_hosts; i++)
		if (same_text(given->failed_hosts[i], given->host))
			return WRONG("offset %lld tries %s again", (long long)offset, given->host);
	if (let_go(owners, given->replaces, given->quarantined, given->n_quarantined) == 0)
		return WRONG("offset %lld replaces %s, which is not there", (long long)offset,
			     given->replaces);
	return take(owners, given, offset);
}

static const char *give_back(struct owners *owners, const struct gpu_released *released,
			     int64_t offset)
{
	struct world *world = owners->reading->world;
	const char *problem = check_word(owners, released, offset);
	if (problem)
		return problem;
	size_t freed = let_go(owners, released->assignment_id, released->quarantined,
			      released->n_quarantined);
	if (freed == 0 || freed != released->n_gpus)
		return WRONG("offset %lld frees %zu GPUs of %s, which has %zu", (long long)offset,
			     released->n_gpus, released->vm_id, freed);
	return NULL;
}

static const char *look_at(struct owners *owners, const struct record *record, int64_t offset)
{
	const struct gpu_assigned *given = &record->gpu_assigned;
	switch (record->type) {
	case RECORD_GPU_ASSIGNED:
		if (given->replaces)
			return replace(owners, given, offset);
		return same_text(given->state, "ASSIGNED") && !given->attach_state
			       ? take(owners, given, offset)
			       : keep(owners, given, offset);
	case RECORD_GPU_RELEASED:
		return give_back(owners, &record->gpu_released, offset);
	case RECORD_GPU_MARKED:
		return mark(owners, &record->gpu_marked, offset);
	default:
		return NULL;
	}
}

/* A failure that was reported has been dealt with: nobody has that assignment any more. */
static const char *check_failures_are_dealt_with(const struct owners *owners)
{
	struct world *world = owners->reading->world;
	const struct message *message;
	for (int64_t at = 0; (message = broker_next(&world->broker, TOPIC_ATTACHMENTS,
						    owners->reading->partition, at));
	     at++) {
		const struct record *record = read_record(world, message);
		if (!record || !same_text(record->gpu_attachment.state, "FAILED"))
			continue;
		for (size_t k = 0; k < owners->n_holdings; k++)
			if (same_text(owners->holdings[k].assignment,
				      record->gpu_attachment.assignment_id) &&
			    same_text(owners->holdings[k].host, record->gpu_attachment.host))
				return WRONG("%s failed and is still there",
					     record->gpu_attachment.assignment_id);
	}
	return NULL;
}

static bool has_agents(struct world *world, int32_t partition)
{
	const struct message *message;
	bool agents = true;
	for (int64_t at = 0; (message = broker_next(&world->broker, TOPIC_CATALOG, 0, at));
	     at = message->offset + 1) {
		const struct record *record = read_record(world, message);
		if (record && record->type == RECORD_VM_POOL_DEFINED &&
		    same_text(record->vm_pool_defined.pool_id, world->pools[partition]))
			agents = same_text(record->vm_pool_defined.attach, "agent");
	}
	return agents;
}

const char *check_owners(struct reading *reading, bool forgetful)
{
	struct owners owners = { .reading = reading,
				 .agents = has_agents(reading->world, reading->partition) };
	size_t gpus = 0;
	for (size_t i = 0; i < reading->n; i++) {
		const struct record *record = reading->records[i].record;
		if (record && record->type == RECORD_GPU_ASSIGNED)
			gpus += record->gpu_assigned.n_gpus;
		gpus += record && record->type == RECORD_GPU_MARKED;
	}
	owners.holdings = arena_array(&reading->world->arena, gpus + 1, sizeof(*owners.holdings));
	owners.quarantined =
		arena_array(&reading->world->arena, gpus + 1, sizeof(*owners.quarantined));

	for (size_t i = 0; i < reading->n; i++) {
		const struct record *record = reading->records[i].record;
		const char *problem = record ? look_at(&owners, record, (int64_t)i) : NULL;
		if (problem)
			return problem;
	}
	return forgetful ? NULL : check_failures_are_dealt_with(&owners);
}
