#include "core/ledger.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

void ledger_init(struct ledger *ledger, struct fleet *fleet, int64_t remember_us)
{
	*ledger = (struct ledger){
		.fleet = fleet,
		.remember_us = remember_us,
		.newest = 0,
		.vacant_vm = LEDGER_NONE,
		.vacant_request = LEDGER_NONE,
		.oldest_request = LEDGER_NONE,
		.newest_request = LEDGER_NONE,
		.vacant_mark = LEDGER_NONE,
	};
}

void ledger_deinit(struct ledger *ledger)
{
	for (uint32_t i = 0; i < ledger->n_vms; i++) {
		free(ledger->vms[i].key);
		free(ledger->vms[i].assignment);
		answer_unref(ledger->vms[i].answer);
		answer_unref(ledger->vms[i].settled);
	}
	for (uint32_t i = 0; i < ledger->n_requests; i++) {
		free(ledger->requests[i].key);
		answer_unref(ledger->requests[i].answer);
		answer_unref(ledger->requests[i].settled);
	}
	ledger_free_marks(ledger);
	free(ledger->vms);
	free(ledger->requests);
	index_deinit(&ledger->vms_by_key);
	index_deinit(&ledger->requests_by_key);
	buf_deinit(&ledger->scratch);
	buf_deinit(&ledger->row);
}

/* ---- answers ---- */

struct answer *answer_new(enum record_type type, int64_t decided_at, const void *value, size_t len)
{
	struct answer *answer = memory_alloc(sizeof(*answer) + len);
	*answer = (struct answer){ .refs = 1,
				   .len = (uint32_t)len,
				   .revision = -1,
				   .decided_at = decided_at,
				   .type = type };
	if (len)
		memcpy(answer->value, value, len);
	return answer;
}

struct answer *answer_ref(struct answer *answer)
{
	answer->refs++;
	return answer;
}

void answer_unref(struct answer *answer)
{
	if (answer && --answer->refs == 0)
		free(answer);
}

/* ---- effects ---- */

static struct change *change_new(struct answer *answer)
{
	struct change *change = memory_alloc(sizeof(*change));
	change->answer = answer;
	change->n = 0;
	change->size = sizeof(change->few) / sizeof(*change->few);
	change->effects = change->few;
	return change;
}

void change_free(struct change *change)
{
	if (!change)
		return;
	for (size_t i = 0; i < change->n; i++)
		answer_unref(change->effects[i].answer);
	answer_unref(change->answer);
	if (change->effects != change->few)
		free(change->effects);
	free(change);
}

struct effect *ledger_add_effect(struct change *change, enum ledger_table table, uint32_t slot,
				 enum row_kind kind)
{
	if (change->n == change->size) {
		struct effect *few = change->effects == change->few ? change->few : NULL;
		change->size *= 2;
		change->effects = memory_resize(few ? NULL : change->effects, change->size,
						sizeof(*change->effects));
		if (few)
			memcpy(change->effects, few, sizeof(change->few));
	}
	struct effect *effect = &change->effects[change->n++];
	*effect = (struct effect){
		.slot = slot, .vm = LEDGER_NONE, .table = (uint8_t)table, .kind = (uint8_t)kind
	};
	if (kind == ROW_ANSWER)
		effect->answer = answer_ref(change->answer);
	return effect;
}

static void put_vm(struct ledger *ledger, struct change *change, uint32_t slot)
{
	struct ledger_vm *vm = &ledger->vms[slot];
	answer_unref(vm->answer);
	vm->answer = vm->assignment ? answer_ref(change->answer) : NULL;
	vm->pending++;
	ledger_add_effect(change, LEDGER_VMS, slot, vm->assignment ? ROW_ANSWER : ROW_NONE);
}

/* The request's row as it is from now on; `vm` for an alias. */
static void put_request(struct ledger *ledger, struct change *change, uint32_t slot,
			enum row_kind kind, uint32_t vm)
{
	struct ledger_request *request = &ledger->requests[slot];
	if (request->kind == ROW_ANSWER)
		ledger_dequeue(ledger, slot);
	if (request->kind == ROW_NONE && kind != ROW_NONE)
		ledger->n_remembered++;
	else if (request->kind != ROW_NONE && kind == ROW_NONE)
		ledger->n_remembered--;
	answer_unref(request->answer);

	request->kind = (uint8_t)kind;
	request->answer = kind == ROW_ANSWER ? answer_ref(change->answer) : NULL;
	request->vm = kind == ROW_ALIAS ? vm : LEDGER_NONE;
	request->pending++;
	if (kind == ROW_ANSWER)
		ledger_enqueue(ledger, slot);
	ledger_add_effect(change, LEDGER_REQUESTS, slot, kind)->vm = request->vm;
}

/* The newest record decides which answers are too old. */
static void forget(struct ledger *ledger, struct change *change)
{
	while (ledger->oldest_request != LEDGER_NONE) {
		uint32_t slot = ledger->oldest_request;
		if (ledger->requests[slot].answer->decided_at >=
		    ledger->newest - ledger->remember_us)
			break;
		put_request(ledger, change, slot, ROW_NONE, LEDGER_NONE);
	}
}

/* ---- one function a kind of record ---- */

static uint32_t need_request(struct ledger *ledger, const char *pool_id, const char *type,
			     const char *request_id)
{
	const char *key = ledger_request_key(ledger, pool_id, type, request_id);
	return ledger_need_request(ledger, key, ledger->scratch.len);
}

static uint32_t need_vm(struct ledger *ledger, const char *pool_id, const char *vm_id)
{
	const char *key = ledger_vm_key(ledger, pool_id, vm_id);
	return ledger_need_vm(ledger, key, ledger->scratch.len);
}

/* A slot that only a living VM's request may take. */
static bool is_alias_of_other(const struct ledger *ledger, uint32_t request, uint32_t vm)
{
	return ledger->requests[request].kind == ROW_ALIAS && ledger->requests[request].vm != vm;
}

/* A refusal, a completion or a verdict: it changes nothing but its own request's answer. */
static int fold_answer(struct ledger *ledger, const char *pool_id, const char *type,
		       const char *request_id, struct change *change)
{
	uint32_t slot = need_request(ledger, pool_id, type, request_id);
	if (ledger->requests[slot].kind == ROW_ALIAS)
		return FOLD_CONFLICT;
	put_request(ledger, change, slot, ROW_ANSWER, LEDGER_NONE);
	return 0;
}

/* What the VM holds from now on. Positive: that cannot be; nothing was changed. */
static int change_hands(struct ledger *ledger, uint32_t slot, const struct gpu_assigned *assigned)
{
	if (!assigned->replaces && assigned->n_quarantined > 0)
		return 1; /* of which assignment? */
	if (assigned->replaces)
		return ledger_replace(ledger, slot, assigned);
	if (ledger->vms[slot].assignment)
		return ledger_reword(ledger, slot, assigned);
	return ledger_may_give(ledger, assigned) ? ledger_hold(ledger, slot, assigned) : 1;
}

static int fold_assigned(struct ledger *ledger, const struct gpu_assigned *assigned,
			 struct change *change)
{
	uint32_t slot = need_vm(ledger, assigned->pool_id, assigned->vm_id);
	uint32_t request =
		need_request(ledger, assigned->pool_id, "VmRequested", assigned->request_id);
	uint32_t release = LEDGER_NONE;
	if (strcmp(assigned->state, "RELEASING") == 0 && assigned->release_request_id)
		release = need_request(ledger, assigned->pool_id, "VmReleased",
				       assigned->release_request_id);

	bool clash = is_alias_of_other(ledger, request, slot) ||
		     (release != LEDGER_NONE && is_alias_of_other(ledger, release, slot));
	if (clash || change_hands(ledger, slot, assigned) != 0) {
		ledger_settle_vm(ledger, slot);
		ledger_settle_request(ledger, request);
		if (release != LEDGER_NONE)
			ledger_settle_request(ledger, release);
		return FOLD_CONFLICT;
	}

	struct ledger_vm *vm = &ledger->vms[slot];
	put_vm(ledger, change, slot);
	if (vm->request != request)
		put_request(ledger, change, request, ROW_ALIAS, slot);
	vm->request = request;
	if (release != LEDGER_NONE && vm->release != release) {
		if (vm->release != LEDGER_NONE)
			put_request(ledger, change, vm->release, ROW_ANSWER, LEDGER_NONE);
		put_request(ledger, change, release, ROW_ALIAS, slot);
		vm->release = release;
	}
	ledger_quarantine(ledger, change, assigned->pool_id, assigned->quarantined,
			  assigned->n_quarantined);
	return 0;
}

/* The release that it answers; LEDGER_NONE: nobody asked. */
static int find_release(struct ledger *ledger, const struct gpu_released *released, uint32_t vm,
			uint32_t *ret_release)
{
	uint32_t release = LEDGER_NONE;
	if (*released->request_id) {
		release =
			need_request(ledger, released->pool_id, "VmReleased", released->request_id);
		if (is_alias_of_other(ledger, release, vm)) {
			ledger_settle_request(ledger, release);
			return FOLD_CONFLICT;
		}
	}
	*ret_release = release;
	return 0;
}

static int fold_released(struct ledger *ledger, const struct gpu_released *released,
			 struct change *change)
{
	const char *key = ledger_vm_key(ledger, released->pool_id, released->vm_id);
	uint32_t slot = ledger_vm_slot(ledger, key, ledger->scratch.len), release;
	struct ledger_vm *vm = slot == INDEX_NONE ? NULL : &ledger->vms[slot];
	if (!vm || !vm->assignment ||
	    strcmp(vm->assignment->assignment_id, released->assignment_id) != 0 ||
	    !ledger_holds_all(ledger, vm->assignment, released->quarantined,
			      released->n_quarantined) ||
	    find_release(ledger, released, slot, &release) != 0)
		return FOLD_CONFLICT;

	ledger_quarantine(ledger, change, released->pool_id, released->quarantined,
			  released->n_quarantined);
	ledger_let_go(ledger, slot);
	put_vm(ledger, change, slot);
	put_request(ledger, change, vm->request, ROW_ANSWER, LEDGER_NONE);
	if (vm->release != LEDGER_NONE && vm->release != release)
		put_request(ledger, change, vm->release, ROW_ANSWER, LEDGER_NONE);
	if (release != LEDGER_NONE)
		put_request(ledger, change, release, ROW_ANSWER, LEDGER_NONE);
	vm->request = vm->release = LEDGER_NONE;
	return 0;
}

static int fold_host_marked(struct ledger *ledger, const struct host_marked *marked,
			    struct change *change)
{
	if (ledger_mark_host(ledger, change, marked) != 0)
		return FOLD_CONFLICT;
	return fold_answer(ledger, marked->pool_id, "OperatorCommand", marked->request_id, change);
}

static int fold_gpu_marked(struct ledger *ledger, const struct gpu_marked *marked,
			   struct change *change)
{
	if (ledger_mark_gpu(ledger, change, marked) != 0)
		return FOLD_CONFLICT;
	return fold_answer(ledger, marked->pool_id, "OperatorCommand", marked->request_id, change);
}

static int fold_record(struct ledger *ledger, const struct record *record, struct change *change)
{
	switch (record->type) {
	case RECORD_GPU_ASSIGNED:
		return fold_assigned(ledger, &record->gpu_assigned, change);
	case RECORD_GPU_RELEASED:
		return fold_released(ledger, &record->gpu_released, change);
	case RECORD_REQUEST_REJECTED:
		return fold_answer(ledger, record->request_rejected.pool_id,
				   record->request_rejected.request_type,
				   record->request_rejected.request_id, change);
	case RECORD_REQUEST_COMPLETED:
		return fold_answer(ledger, record->request_completed.pool_id,
				   record->request_completed.request_type,
				   record->request_completed.request_id, change);
	case RECORD_MIGRATION_VERDICT:
		return fold_answer(ledger, record->migration_verdict.pool_id, "MigrationCheck",
				   record->migration_verdict.request_id, change);
	case RECORD_HOST_MARKED:
		return fold_host_marked(ledger, &record->host_marked, change);
	case RECORD_GPU_MARKED:
		return fold_gpu_marked(ledger, &record->gpu_marked, change);
	default:
		return FOLD_FOREIGN;
	}
}

static int64_t decided_at(const struct record *record)
{
	switch (record->type) {
	case RECORD_GPU_ASSIGNED:
		return record->gpu_assigned.decided_at;
	case RECORD_GPU_RELEASED:
		return record->gpu_released.decided_at;
	case RECORD_REQUEST_REJECTED:
		return record->request_rejected.decided_at;
	case RECORD_REQUEST_COMPLETED:
		return record->request_completed.decided_at;
	case RECORD_MIGRATION_VERDICT:
		return record->migration_verdict.decided_at;
	case RECORD_HOST_MARKED:
		return record->host_marked.decided_at;
	case RECORD_GPU_MARKED:
		return record->gpu_marked.decided_at;
	default:
		return 0;
	}
}

int ledger_fold(struct ledger *ledger, const struct record *record, const void *value, size_t len,
		struct change **ret_change)
{
	int64_t at = decided_at(record);
	if (at < ledger->newest)
		at = ledger->newest;
	cleanup(change_freep) struct change *change =
		change_new(answer_new(record->type, at, value, len));
	int r = fold_record(ledger, record, change);
	if (r != 0)
		return r;
	ledger->newest = at;
	forget(ledger, change);
	*ret_change = steal(&change);
	return 0;
}

/* ---- asking ---- */

struct ledger_vm *ledger_find_vm(struct ledger *ledger, const char *pool_id, const char *vm_id)
{
	const char *key = ledger_vm_key(ledger, pool_id, vm_id);
	uint32_t slot = ledger_vm_slot(ledger, key, ledger->scratch.len);
	if (slot == INDEX_NONE || !ledger->vms[slot].assignment)
		return NULL;
	return &ledger->vms[slot];
}

const struct answer *ledger_find_answer(struct ledger *ledger, const char *pool_id,
					enum record_type request_type, const char *request_id)
{
	const char *key =
		ledger_request_key(ledger, pool_id, record_info(request_type)->name, request_id);
	uint32_t slot = ledger_request_slot(ledger, key, ledger->scratch.len);
	if (slot == INDEX_NONE)
		return NULL;
	const struct ledger_request *request = &ledger->requests[slot];
	return request->kind == ROW_ALIAS ? ledger->vms[request->vm].answer : request->answer;
}
