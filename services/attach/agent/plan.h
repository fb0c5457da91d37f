/*
 * The rules: what is to be done next with one claim. Pure; called again after each thing done, so a rule
 * says nothing of the order in which it is reached.
 *
 * 1. What is marked is not touched; its assignment fails.
 * 2. What an older claim still has is waited for. Is that one marked, or does the log want both, the newer
 *    one fails.
 * 3. What is suspect is looked at first.
 * 4. Wanted: look; remember how it was found; clean what an older claim left; bind. When all units of the
 *    assignment are bound, remember that from now on the VM may have them; plug when it runs.
 * 5. Not wanted any more (ended, releasing, failed): if the VM may have it, unplug and clean; give back by
 *    policy, or when it was an attempt that failed; then it is free. What a newer claim has, too, is for that
 *    one to clean, whose VM may have the unit by now.
 */
#pragma once

#include "attach/agent/book.h"

enum plan_act {
	PLAN_REST,    /* nothing, but to look again in time */
	PLAN_STEP,    /* `verb` */
	PLAN_TAKE,    /* remember the drivers it was found with, before the first touch */
	PLAN_LEND,    /* remember that the VM may have it, before it is said or done */
	PLAN_HAND_ON, /* the VM has let go; the newer claim cleans */
	PLAN_FREE,    /* it is as it should be: nobody's */
	PLAN_FAIL,    /* the assignment fails: `why` */
};

struct plan {
	enum plan_act act;
	enum step_verb verb;
	struct trouble why;
};

/* `overlap_link` must have been called since claims came or went. */
void plan_claim(const struct claim *claim, bool has_hypervisor, struct plan *ret_plan);
