/*
 * Steps and their results as JSON text, in one line. The agent writes steps and reads results, the step
 * program the other way round; a person may do either by hand.
 *
 *   {"step": "bind", "functions": ["0000:01:00.0", "0000:01:00.1"]}
 *   {"step": "plug", "functions": [...], "vm": "vm-1"}
 *   {"step": "give-back", "functions": [...], "drivers": ["nouveau", "?"]}
 *
 *   {"outcome": "done"}
 *   {"outcome": "failed", "code": "IN_USE", "reason": "0000:01:00.0 is open in Xorg (pid 812, card0)"}
 *   {"outcome": "done", "facts": {"functions": [{"present": true, "driver": "vfio-pci"}, ...],
 *                                 "vm": "running", "plugged": 2}}
 *
 * A step is read strictly: a name that is unknown is an error, not a wish that is not fulfilled. Of a
 * result names that are unknown are passed over, so that program and agent can be replaced one by one.
 */
#pragma once

#include <stddef.h>

#include "attach/step/step.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"

/* Appends a line. */
void step_to_json(const struct step *step, struct buf *out);
/* vm_id lives in `arena`. Positive: it is no step; a sentence in `error`. */
int step_from_json(const char *text, size_t len, struct arena *arena, struct step *ret_step,
		   struct buf *error) MUST_CHECK;

/* Appends a line. Text that is no UTF-8 (drivers and processes may have any name) becomes '?'. */
void step_result_to_json(const struct step_result *result, struct buf *out);
/* `verb`: of the step that was done; what a result must have depends on it. Positive: it is none, or one
 * that a process cannot give (STUCK); a sentence in `error`. */
int step_result_from_json(const char *text, size_t len, enum step_verb verb,
			  struct step_result *ret_result, struct buf *error) MUST_CHECK;
