#include "attach/agent/plan.h"

#include "pci/device.h"

static void step(struct plan *plan, enum step_verb verb)
{
	plan->act = PLAN_STEP;
	plan->verb = verb;
}

static void fail_as(struct plan *plan, const struct trouble *why)
{
	plan->act = PLAN_FAIL;
	plan->why = *why;
}

static void behind_older(const struct claim *claim, struct plan *plan)
{
	const struct claim *older = claim->older;
	if (!assignment_is_wanted(claim->of))
		return;
	if (older->of->state != ASSIGNMENT_ENDED) {
		plan->act = PLAN_FAIL;
		trouble_set(&plan->why, ATTACH_INVALID_ASSIGNMENT,
			    older->of == claim->of
				    ? "two GPUs of the assignment share a PCI function"
				    : "another assignment has a PCI function of this one's GPUs");
	} else if (older->mark) {
		fail_as(plan, &older->trouble);
	}
}

static void attach(const struct claim *claim, bool has_hypervisor, struct plan *plan)
{
	bool bound = claim->n_vfio == claim->unit.n || claim_is_plugged(claim);
	if (!claim->fresh)
		step(plan, STEP_LOOK);
	else if (!claim->touched)
		plan->act = PLAN_TAKE;
	else if (claim->unclean && claim->n_plugged == 0)
		step(plan, STEP_CLEAN);
	else if (!bound)
		step(plan, STEP_BIND);
	else if (!assignment_is_bound(claim->of))
		return; /* a sibling may yet fail: no VM is bothered before */
	else if (!claim->lent)
		plan->act = PLAN_LEND;
	else if (has_hypervisor && !claim_is_plugged(claim) && claim->vm == VM_RUNNING)
		step(plan, STEP_PLUG);
}

/* An attempt that failed puts back what it found. A unit that was on vfio-pci already stays there. */
static bool is_to_be_given_back(const struct claim *claim)
{
	if (claim->of->gives_back)
		return true;
	for (size_t i = 0; claim->of->failed && i < claim->unit.n; i++)
		if (!pci_driver_is_vfio(claim->drivers[i]))
			return true;
	return false;
}

static void undo(const struct claim *claim, struct plan *plan)
{
	if (claim->lent && !claim->let_go)
		step(plan, STEP_UNPLUG);
	else if (claim->newer && claim->newer->touched)
		plan->act = PLAN_HAND_ON;
	else if ((claim->lent || claim->unclean) && !claim->cleaned)
		step(plan, STEP_CLEAN);
	else if (is_to_be_given_back(claim))
		step(plan, STEP_GIVE_BACK);
	else
		plan->act = PLAN_FREE;
}

void plan_claim(const struct claim *claim, bool has_hypervisor, struct plan *ret_plan)
{
	ret_plan->act = PLAN_REST;
	if (claim->running)
		return;
	if (claim->mark) {
		if (assignment_is_wanted(claim->of))
			fail_as(ret_plan, &claim->trouble);
	} else if (claim->older) {
		behind_older(claim, ret_plan);
	} else if (claim->suspect) {
		step(ret_plan, STEP_LOOK);
	} else if (assignment_is_wanted(claim->of)) {
		attach(claim, has_hypervisor, ret_plan);
	} else if (claim->touched) {
		undo(claim, ret_plan);
	}
}
