/*
 * What agents report: how far an assignment is, that they could not hand its GPUs over, that a release
 * is done. Only a report of the present assignment, from its own host, means anything; and only what it
 * calls CLEAN is free afterwards.
 *
 *   BOUND, ATTACHED      shown; nothing else changes
 *   FAILED               on another host, or the end of the assignment, as the pool wants it
 *   DETACHED             the end of a release; without one it says nothing new
 *   FAILED, releasing    as DETACHED: the GPUs are out of the VM
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "core/decide_internal.h"
#include "core/gpu_parse.h"
#include "core/reasons.h"

enum {
	ATTEMPTS_DEFAULT = 3,
	EXPLANATION_BYTES = 4096, /* of why nobody else can take it */
};

/* Absent and empty are the same. */
static const char *given(const char *text)
{
	return text && *text ? text : NULL;
}

static bool same_text(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

static const char *clip(struct arena *arena, const char *text, size_t max)
{
	size_t len = strlen(text);
	if (len <= max)
		return text;
	len = max;
	while (len > 0 && ((unsigned char)text[len] & 0xc0) == 0x80)
		len--; /* not in the middle of a character */
	return arena_strndup(arena, text, len);
}

/* ---- what is not clean ---- */

/* What the report says of the GPU, the worst of it if it says it twice; NULL: nothing. */
static const struct attached_gpu *find_gpu(const struct gpu_attachment *report, uint64_t address)
{
	const struct attached_gpu *found = NULL;
	for (size_t i = 0; i < report->n_gpus; i++) {
		const struct attached_gpu *gpu = &report->gpus[i];
		char host[LIMIT_ID_BYTES + 1];
		uint64_t its;
		if (gpu_id_parse(gpu->gpu_id, host, &its) == 0 && its == address &&
		    strcmp(host, report->host) == 0 &&
		    (!found || strcmp(found->state, "CLEAN") == 0))
			found = gpu;
	}
	return found;
}

static struct quarantined_gpu why_unclean(struct arena *arena, const char *gpu_id,
					  const struct attached_gpu *said)
{
	bool stuck = said && strcmp(said->state, "STUCK") == 0;
	struct quarantined_gpu gpu = {
		.gpu_id = gpu_id,
		.code = attach_code_name(stuck ? ATTACH_STUCK : ATTACH_UNCONFIRMED),
		.reason = "its agent did not name it",
	};
	if (!said)
		return gpu;
	if (given(said->code))
		gpu.code = said->code;
	gpu.reason = given(said->reason)
			     ? said->reason
			     : arena_printf(arena, "its agent calls it %s", said->state);
	return gpu;
}

/* All GPUs of the assignment that the report does not call CLEAN. Reasons are cut so that all fits into
 * `room` bytes of a record; false: it does not fit even without reasons. */
static bool list_unclean(struct deciding *deciding, const struct assignment *assignment,
			 const struct assigned_gpu *gpus, size_t room,
			 struct quarantined_gpu **ret_list, size_t *ret_n)
{
	const struct gpu_attachment *report = &deciding->event->gpu_attachment;
	struct quarantined_gpu *list = arena_array(deciding->arena, assignment->n, sizeof(*list));
	size_t n = 0, fixed = 0;

	for (uint32_t i = 0; i < assignment->n; i++) {
		const struct attached_gpu *said = find_gpu(report, assignment->gpus[i].address);
		if (said && strcmp(said->state, "CLEAN") == 0)
			continue;
		list[n++] = why_unclean(deciding->arena, gpus[i].gpu_id, said);
		fixed += DECIDE_QUARANTINED_BYTES + strlen(gpus[i].gpu_id);
	}
	size_t left = fixed < room ? room - fixed : 0;
	for (size_t i = 0; i < n; i++)
		list[i].reason = clip(deciding->arena, list[i].reason, left / n);
	*ret_list = list;
	*ret_n = n;
	return fixed <= room;
}

/* ---- the end of an assignment ---- */

static void end(struct deciding *deciding, const struct assignment *assignment,
		enum released_code code, const char *reason)
{
	const struct gpu_attachment *report = &deciding->event->gpu_attachment;
	struct gpu_released released = decide_ended(deciding, assignment, report->vm_id, code);
	size_t taken = decide_record_bytes(released.gpus, released.n_gpus);
	size_t room = taken < LIMIT_VALUE_BYTES ? LIMIT_VALUE_BYTES - taken : 0;

	released.reason = reason;
	/* It fits: an assignment that would not leave the room is not made (decide_fits_record). */
	(void)list_unclean(deciding, assignment, released.gpus, room, &released.quarantined,
			   &released.n_quarantined);
	decide_set_record(deciding,
			  (struct record){ .type = RECORD_GPU_RELEASED, .gpu_released = released });
}

/* ---- another host ---- */

/* "r-17/1" -> "r-17/2" */
static const char *next_attempt(struct arena *arena, const struct assignment *assignment)
{
	const char *slash = strrchr(assignment->assignment_id, '/');
	long attempt = slash ? strtol(slash + 1, NULL, 10) : 1;
	return arena_printf(arena, "%s/%ld", assignment->request_id, attempt + 1);
}

/* Where it was tried, the present host last. Hosts that are not known any more are no candidates. */
static void exclude_tried(struct deciding *deciding, const struct gpu_assigned *present,
			  struct placement_request *wanted)
{
	struct fleet_host **tried =
		arena_array(deciding->arena, present->n_failed_hosts + 1, sizeof(*tried));
	for (size_t i = 0; i <= present->n_failed_hosts; i++) {
		const char *name =
			i < present->n_failed_hosts ? present->failed_hosts[i] : present->host;
		struct fleet_host *host = fleet_find_host(wanted->fleet, wanted->pool, name);
		if (host)
			tried[wanted->n_excluded++] = host;
	}
	wanted->excluded = tried;
}

static const char **add_failed_host(struct arena *arena, const struct gpu_assigned *present)
{
	size_t n = present->n_failed_hosts;
	const char **hosts = arena_array(arena, n + 1, sizeof(*hosts));
	for (size_t i = 0; i < n; i++)
		hosts[i] = present->failed_hosts[i];
	hosts[n] = present->host;
	return hosts;
}

/* The same request on another host, in one record with the end of the present assignment. NULL: done;
 * else why not. */
static const char *move(struct deciding *deciding, const struct assignment *assignment,
			const struct vm_pool_defined *pool)
{
	const struct gpu_attachment *report = &deciding->event->gpu_attachment;
	struct arena *arena = deciding->arena;
	struct gpu_assigned next = decide_present(deciding, assignment, report->vm_id);
	const struct assigned_gpu *old_gpus = next.gpus;
	struct placement_request wanted;
	struct placement placement;

	if (!decide_ask_for_the_same(deciding, assignment, &wanted))
		return "its models are not registered any more";
	exclude_tried(deciding, &next, &wanted);
	if (!placement_find(&wanted, &placement))
		return arena_printf(
			arena, "no other host can take it: %s",
			clip(arena, reasons_of_pool(&wanted, arena), EXPLANATION_BYTES));

	next.replaces = next.assignment_id;
	next.assignment_id = next_attempt(arena, assignment);
	next.failed_hosts = add_failed_host(arena, &next);
	next.n_failed_hosts++;
	next.host = decide_copy(arena, placement.host->name);
	next.gpus = decide_list_gpus(deciding, &placement);
	next.n_gpus = placement.choice.n;
	next.attach_state = next.attach_code = next.attach_reason = NULL;
	next.after_release = decide_after_release(pool);
	size_t taken = decide_record_bytes(next.gpus, next.n_gpus);
	if (!decide_fits_record(next.gpus, next.n_gpus) ||
	    !list_unclean(deciding, assignment, old_gpus, LIMIT_VALUE_BYTES - taken,
			  &next.quarantined, &next.n_quarantined))
		return "the names of the GPUs that it would get do not fit into one record";
	decide_set_record(deciding,
			  (struct record){ .type = RECORD_GPU_ASSIGNED, .gpu_assigned = next });
	return NULL;
}

/* Why it is not to be tried elsewhere; NULL: it may be. */
static const char *stays(struct deciding *deciding, const struct assignment *assignment,
			 const struct vm_pool_defined *pool)
{
	int64_t attempts = pool ? pool->attach_attempts : ATTEMPTS_DEFAULT;
	if (pool && strcmp(pool->on_attach_failure, "end") == 0)
		return "its pool does not try other hosts";
	if (assignment->pinned)
		return "the request named this host";
	if (assignment->n_failed_hosts + 1 >= attempts)
		return arena_printf(
			deciding->arena, "it was tried on %d host%s, as many as its pool wants",
			assignment->n_failed_hosts + 1, assignment->n_failed_hosts ? "s" : "");
	return NULL;
}

static void fail(struct deciding *deciding, const struct assignment *assignment)
{
	const struct gpu_attachment *report = &deciding->event->gpu_attachment;
	const struct vm_pool_defined *pool =
		catalog_pool(deciding->state->catalog, report->pool_id);
	if (!pool && !deciding->known) {
		/* Its definition may have a policy. */
		deciding->decision->kind = DECISION_UNKNOWN;
		return;
	}
	const char *why = stays(deciding, assignment, pool);
	if (!why) {
		why = move(deciding, assignment, pool);
		if (!why)
			return;
		if (!deciding->known) {
			deciding->decision->kind =
				DECISION_UNKNOWN; /* a host may not be read yet */
			return;
		}
	}
	const char *code = given(report->code), *reason = given(report->reason);
	end(deciding, assignment, CODE_ATTACH_FAILED,
	    arena_printf(deciding->arena, "host %s: %s%s%s; %s", report->host, code ? code : "",
			 code && reason ? ": " : "",
			 reason ? reason : (code ? "" : "no reason given"), why));
}

/* ---- how far it is ---- */

static void show(struct deciding *deciding, const struct assignment *assignment)
{
	const struct gpu_attachment *report = &deciding->event->gpu_attachment;
	if (same_text(assignment->attach_state, report->state) &&
	    same_text(assignment->attach_code, given(report->code)) &&
	    same_text(assignment->attach_reason, given(report->reason)))
		return;
	struct gpu_assigned present = decide_present(deciding, assignment, report->vm_id);
	present.attach_state = report->state;
	present.attach_code = given(report->code);
	present.attach_reason = given(report->reason);
	decide_set_record(deciding,
			  (struct record){ .type = RECORD_GPU_ASSIGNED, .gpu_assigned = present });
}

/* ---- any report ---- */

void decide_attachment(struct deciding *deciding)
{
	const struct gpu_attachment *report = &deciding->event->gpu_attachment;
	deciding->decision->kind = DECISION_NOTHING;

	const struct ledger_vm *vm =
		ledger_find_vm(&deciding->state->ledger, report->pool_id, report->vm_id);
	if (!vm || strcmp(vm->assignment->assignment_id, report->assignment_id) != 0 ||
	    strcmp(decide_host_of(deciding, vm->assignment), report->host) != 0)
		return;
	bool failed = strcmp(report->state, "FAILED") == 0;
	bool detached = strcmp(report->state, "DETACHED") == 0;
	if (!failed && !detached)
		show(deciding, vm->assignment);
	else if (vm->assignment->release_request_id)
		end(deciding, vm->assignment, CODE_RELEASED, NULL);
	else if (failed)
		fail(deciding, vm->assignment);
}
