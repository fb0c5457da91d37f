/*
 * Runs steps, each in a process of its own with a deadline; the loop waits for none of them. Loop thread
 * only.
 *
 * Each step gets one result, and it says no more than is known:
 *
 *   the process ended well and wrote a result    that result
 *   it did not end by the deadline: killed       STUCK; a LOOK, which changes nothing: WAIT,
 *                                                STEP_PENDING
 *   it does not even die then (in the kernel)    STUCK, also a LOOK; it is taken when it ends
 *   it crashed, was killed or wrote nonsense     tried again, as every step may be repeated; after
 *                                                STEP_ATTEMPTS the same as for a missed deadline:
 *                                                nobody knows how far it came
 *   it cannot be started, or ends with status    tried again until it can: nothing has happened
 *   STEP_NOT_BEGUN
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "attach/step/step.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "loop/loop.h"

enum {
	STEP_ATTEMPTS = 3,
	STEP_NOT_BEGUN = 2, /* exit status: the program does not understand how it was called */
};

struct step_runner;

struct step_runner_options {
	const char *const *argv; /* of gpubus-attach-step, ends with NULL */
	int64_t deadline_ms;
	int64_t retry_ms; /* when a step is tried again */
};

/* Never from inside step_runner_start(). */
struct step_runner_callbacks {
	void (*on_result)(void *context, uint64_t token, const struct step *step,
			  const struct step_result *result);
	/* Steps cannot be begun, and why; NULL: they can again. When that changes. */
	void (*on_trouble)(void *context, const char *reason);
};

/* `options` and `callbacks` are copied, argv is borrowed. */
struct step_runner *step_runner_new(struct loop *loop, const struct step_runner_options *options,
				    const struct step_runner_callbacks *callbacks, void *context);
/* Kills what runs: no result comes any more. */
void step_runner_free(struct step_runner *runner);
DEFINE_CLEANUP(struct step_runner *, step_runner_free);

/* `step` is copied. */
void step_runner_start(struct step_runner *runner, uint64_t token, const struct step *step);
/* Steps whose result is still to come. */
size_t step_runner_pending(const struct step_runner *runner);
/* Processes that were killed and do not end. */
size_t step_runner_undead(const struct step_runner *runner);
