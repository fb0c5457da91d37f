/*
 * What the result of a step says of the claim it was done for, and of its assignment. Pure: the book goes in
 * and out. The mind may have changed while the step ran; what was seen is true all the same, and the plan is
 * made anew.
 */
#pragma once

#include "attach/agent/book.h"

struct outcome_context {
	bool has_hypervisor;
	int64_t now_us;
	int64_t look_every_us;
};

/* True: something that is remembered has changed. */
bool outcome_apply(const struct outcome_context *context, struct claim *claim, enum step_verb verb,
		   const struct step_result *result);
