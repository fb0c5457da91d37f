#include "attach/agent/status.h"

/* Who has ended and is to be undone before this claim can get or be said to be without the unit. One that has
 * not ended is no such: an assignment that contradicts it fails, and has nothing to undo. */
static const struct claim *blocker(const struct claim *claim)
{
	return claim->older && claim->older->of->state == ASSIGNMENT_ENDED ? claim->older : NULL;
}

/* The claim whose mark or wait decides about this one: itself, or the one that has the unit. */
static const struct claim *decisive(const struct claim *claim)
{
	return blocker(claim) && !claim->mark ? blocker(claim) : claim;
}

static void set_marked(struct attached_gpu *gpu, const struct claim *claim)
{
	gpu->state = claim->mark == MARK_STUCK ? "STUCK" : "DIRTY";
	gpu->code = attach_code_name(claim->trouble.code);
	gpu->reason = claim->trouble.reason;
}

/* Does somebody have the unit whom it has to be taken from? */
static bool is_to_be_undone(const struct claim *claim)
{
	return claim->touched || claim->running || blocker(claim);
}

static const char *unit_state(const struct claim *claim)
{
	if (assignment_is_wanted(claim->of))
		return claim_is_plugged(claim) ? "ATTACHED" : "BOUND";
	if (!is_to_be_undone(claim))
		return "CLEAN";
	return claim->lent && !claim->let_go ? "ATTACHED" : "BOUND";
}

/* The log gave the unit to two: it is not this one's to call clean. */
static bool is_anothers(const struct claim *claim)
{
	const struct claim *older = claim->older;
	return older && older->of != claim->of && older->of->state != ASSIGNMENT_ENDED;
}

static void list_gpus(const struct assignment *assignment, struct arena *arena,
		      struct gpu_attachment *report)
{
	report->gpus = arena_array(arena, assignment->n_claims, sizeof(*report->gpus));
	report->n_gpus = assignment->n_claims;
	for (size_t i = 0; i < assignment->n_claims; i++) {
		const struct claim *claim = &assignment->claims[i];
		report->gpus[i].gpu_id = claim->gpu_id;
		report->gpus[i].state = unit_state(claim);
		if (decisive(claim)->mark)
			set_marked(&report->gpus[i], decisive(claim));
		else if (is_anothers(claim))
			report->gpus[i] = (struct attached_gpu){
				.gpu_id = claim->gpu_id,
				.state = "DIRTY",
				.code = attach_code_name(ATTACH_INVALID_ASSIGNMENT),
				.reason = assignment->trouble.reason,
			};
	}
}

/* The most telling of what units wait for: a guest that does not let go needs a person, a VM that does not
 * run does not. */
static int urgency(enum attach_code code)
{
	switch (code) {
	case ATTACH_VM_ABSENT:
		return 1;
	case ATTACH_HYPERVISOR_SILENT:
		return 2;
	case ATTACH_UNPLUG_PENDING:
		return 4;
	default:
		return 3;
	}
}

/* NULL: nothing is waited for. */
static const struct trouble *wait_of(const struct assignment *assignment)
{
	const struct trouble *most = NULL;
	for (size_t i = 0; i < assignment->n_claims; i++) {
		const struct claim *claim = decisive(&assignment->claims[i]);
		if (!claim->waits || claim->mark)
			continue;
		if (!most || urgency(claim->wait.code) > urgency(most->code))
			most = &claim->wait;
	}
	return most;
}

static void set_wait(struct gpu_attachment *report, const struct trouble *wait)
{
	if (!wait)
		return;
	report->code = attach_code_name(wait->code);
	report->reason = wait->reason;
}

static int status_of_wanted(const struct assignment *assignment, struct gpu_attachment *report)
{
	bool all_plugged = true, all_lent = true, blocked = false;
	for (size_t i = 0; i < assignment->n_claims; i++) {
		const struct claim *claim = &assignment->claims[i];
		/* On vfio-pci it is as well while another VM does not let go of it. */
		bool waits = blocker(claim) && blocker(claim)->waits;
		if (!waits && !claim_is_bound(claim))
			return 1;
		blocked = blocked || waits;
		all_lent = all_lent && claim->lent;
		all_plugged = all_plugged && !waits && claim_is_plugged(claim);
	}
	if (!all_lent && !blocked)
		return 1; /* nobody is invited before the memory has it */
	report->state = all_plugged ? "ATTACHED" : "BOUND";
	set_wait(report, wait_of(assignment));
	return 0;
}

static int status_of_undone(const struct assignment *assignment, struct gpu_attachment *report)
{
	bool undone = true, plugged = false;
	for (size_t i = 0; i < assignment->n_claims; i++) {
		const struct claim *claim = &assignment->claims[i];
		if (decisive(claim)->mark)
			continue;
		undone = undone && !is_to_be_undone(claim);
		plugged = plugged || (claim->lent && !claim->let_go);
	}
	if (!undone) {
		const struct trouble *wait = wait_of(assignment);
		report->state = plugged ? "ATTACHED" : "BOUND";
		set_wait(report, wait);
		return wait == NULL;
	}
	report->state = assignment->state == ASSIGNMENT_RELEASING ? "DETACHED" : "FAILED";
	if (assignment->state != ASSIGNMENT_RELEASING)
		set_wait(report, &assignment->trouble);
	return 0;
}

int status_of(const struct assignment *assignment, struct arena *arena,
	      struct gpu_attachment *ret_report)
{
	struct gpu_attachment report = { .assignment_id = assignment->id,
					 .vm_id = assignment->vm_id };
	if (assignment->state == ASSIGNMENT_ENDED)
		return 1;
	int r = assignment_is_wanted(assignment) ? status_of_wanted(assignment, &report)
						 : status_of_undone(assignment, &report);
	if (r)
		return r;
	list_gpus(assignment, arena, &report);
	*ret_report = report;
	return 0;
}
