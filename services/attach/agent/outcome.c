#include "attach/agent/outcome.h"

#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "pci/device.h"

static void try_again(const struct outcome_context *context, struct claim *claim,
		      const struct step_result *result)
{
	claim_wait(claim, result->code, result->reason);
	claim->retry_us = context->now_us + context->look_every_us;
	claim->fresh = false;
}

/* ---- looking ---- */

static void wait_for_vm(const struct outcome_context *context, struct claim *claim,
			const struct unit_facts *facts)
{
	char reason[UNIT_REASON_BYTES];
	if (!context->has_hypervisor || !assignment_is_wanted(claim->of)) {
		claim->waits = false;
	} else if (facts->vm == VM_UNKNOWN) {
		claim_wait(claim, ATTACH_HYPERVISOR_SILENT, facts->vm_reason);
	} else if (claim_is_plugged(claim)) {
		claim->waits = false;
	} else if (facts->vm == VM_ABSENT) {
		snprintf(reason, sizeof(reason),
			 "VM %s does not run; it gets the GPUs when it does", claim->of->vm_id);
		claim_wait(claim, ATTACH_VM_ABSENT, reason);
	}
	/* It runs: what was waited for is what plugging says. */
}

/* Not on vfio-pci and in no VM: whatever was done once, the unit is as the host has it. */
static bool is_as_found(const struct claim *claim, const struct unit_facts *facts)
{
	for (size_t i = 0; i < facts->n; i++)
		if (!facts->functions[i].present)
			return false;
	return claim->n_vfio == 0 && claim->n_plugged == 0 && !claim->unclean;
}

static void resolve_suspicion(struct claim *claim, const struct unit_facts *facts)
{
	claim->suspect = false;
	if (is_as_found(claim, facts)) {
		claim_free_unit(claim);
	} else {
		claim->touched = true;
		claim->lent = true;
	}
}

/* Until it is taken, what is seen is how it was found. Later only a driver that is the host's own choice
 * says something new; none at all may be our own half-done work. */
static void note_drivers(struct claim *claim, const struct unit_facts *facts)
{
	if (!claim->drivers)
		claim_reset_drivers(claim);
	for (size_t i = 0; i < claim->unit.n; i++) {
		const char *driver = facts->functions[i].driver;
		bool own = *driver && !pci_driver_is_vfio(driver);
		if (!claim->touched || own)
			driver_set(claim->drivers[i], driver);
	}
}

static bool on_look(const struct outcome_context *context, struct claim *claim,
		    const struct step_result *result)
{
	const struct unit_facts *facts = &result->facts;
	if (result->outcome != STEP_DONE || facts->n != claim->unit.n) {
		try_again(context, claim, result);
		return false;
	}
	claim->n_vfio = 0;
	for (size_t i = 0; i < facts->n; i++)
		claim->n_vfio += pci_driver_is_vfio(facts->functions[i].driver);
	/* A hypervisor that says nothing does not say that the VM has lost it. */
	if (facts->vm != VM_UNKNOWN || !claim->looked)
		claim->n_plugged = facts->n_plugged < facts->n ? facts->n_plugged : facts->n;
	claim->vm = facts->vm;
	claim->looked = true;
	claim->fresh = true;
	claim->look_us = context->now_us + context->look_every_us;

	bool changed = claim->suspect;
	if (claim->suspect)
		resolve_suspicion(claim, facts);
	note_drivers(claim, facts);
	if (claim->unclean && claim->n_plugged > 0) {
		/* Only we plug, and not before it was clean. */
		claim->unclean = false;
		changed = true;
	}
	wait_for_vm(context, claim, facts);
	return changed;
}

/* ---- what fails ---- */

static void mark_dirty(struct claim *claim, const struct step_result *result)
{
	claim_set_mark(claim, MARK_DIRTY, result->code, result->reason);
}

static void on_failed(struct claim *claim, enum step_verb verb, const struct step_result *result)
{
	switch (verb) {
	case STEP_BIND:
		assignment_fail(claim->of, result->code, result->reason);
		if (result->not_put_back)
			mark_dirty(claim, result);
		else if (!claim->lent && !claim->unclean && !claim->tried)
			claim_free_unit(claim);
		break;
	case STEP_PLUG:
		assignment_fail(claim->of, result->code, result->reason);
		/* To reset it now would be to reset it under that VM. */
		if (result->code == ATTACH_HELD_BY_VM)
			mark_dirty(claim, result);
		break;
	default:
		mark_dirty(claim, result);
	}
	claim->fresh = false;
}

/* ---- what is done ---- */

static void on_done(struct claim *claim, enum step_verb verb)
{
	claim->fresh = false;
	claim->retry_us = 0;
	claim->waits = claim->waits && verb == STEP_BIND;
	if (verb == STEP_BIND)
		claim->tried = true;
	if (verb == STEP_UNPLUG)
		claim->let_go = true;
	if (verb == STEP_CLEAN)
		claim->unclean = false;
	if (verb == STEP_CLEAN && claim->let_go)
		claim->cleaned = true;
	if (verb == STEP_GIVE_BACK)
		claim_free_unit(claim);
}

/* ---- what has to wait ---- */

/* Somebody has the unit open that was to be undone: the VM that was gone is back with it, for one. True: what it
 * let go of, and what was cleaned before, counts no more. */
static bool has_it_again(struct claim *claim, enum step_verb verb, enum attach_code code)
{
	bool undoing = verb == STEP_CLEAN || verb == STEP_GIVE_BACK;
	if (!undoing || code != ATTACH_UNPLUG_PENDING || assignment_is_wanted(claim->of))
		return false;
	claim->lent = true;
	claim->let_go = false;
	claim->cleaned = false;
	return true;
}

bool outcome_apply(const struct outcome_context *context, struct claim *claim, enum step_verb verb,
		   const struct step_result *result)
{
	if (result->outcome == STEP_STUCK) {
		claim_set_mark(claim, MARK_STUCK, ATTACH_STUCK, result->reason);
		return true;
	}
	if (verb == STEP_LOOK)
		return on_look(context, claim, result);
	if (result->outcome == STEP_WAIT) {
		try_again(context, claim, result);
		return has_it_again(claim, verb, result->code);
	}
	if (result->outcome == STEP_DONE)
		on_done(claim, verb);
	else
		on_failed(claim, verb, result);
	return true;
}
