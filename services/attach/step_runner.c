#include "attach/step_runner.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "attach/crash_points.h"
#include "attach/step/step_json.h"
#include "attach/step_process.h"
#include "base/log.h"
#include "base/memory.h"
#include "loop/clock.h"

/* From SIGKILL to the end of a process that the kernel lets go. */
enum { DEATH_MS = 1000, LABEL_BYTES = 64 };

/* A step from its start to its result, and beyond that while its process does not end. */
struct run {
	struct step_runner *runner;
	struct run *next;
	uint64_t token;
	struct step step; /* its vm_id is owned */
	char label[LABEL_BYTES];
	struct step_process *process; /* NULL: waits for the next attempt */
	struct loop_timer *timer;     /* owned: the next attempt, the deadline, the death */
	unsigned attempt;	      /* processes there were */
	int64_t started_us;
	bool killed;
	bool told; /* it has its result */
};

struct step_runner {
	struct loop *loop; /* borrowed */
	struct step_runner_options options;
	struct step_runner_callbacks callbacks;
	void *context;	   /* the owner's */
	struct run *first; /* owned, also each */
	bool in_trouble;
};

/* ---- results ------------------------------------------------------------------------------- */

static void run_free(struct run *run)
{
	struct run **link = &run->runner->first;
	while (*link != run)
		link = &(*link)->next;
	*link = run->next;
	step_process_free(run->process);
	loop_timer_free(run->timer);
	free((char *)run->step.vm_id);
	free(run);
}

static void tell(struct run *run, const struct step_result *result)
{
	const struct step_runner *runner = run->runner;
	run->told = true;
	log_debug("step=%s pid=%d ms=%lld", run->label,
		  run->process ? (int)step_process_pid(run->process) : 0,
		  (long long)(clock_monotonic_us() - run->started_us) / 1000);
	runner->callbacks.on_result(runner->context, run->token, &run->step, result);
}

/* Nobody knows how far it came. */
static void tell_unknown(struct run *run, enum step_outcome outcome, const char *what)
{
	struct step_result result = {
		.outcome = outcome,
		.code = outcome == STEP_WAIT ? ATTACH_STEP_PENDING : ATTACH_STUCK,
	};
	snprintf(result.reason, sizeof(result.reason), "the step \"%s\" %s",
		 step_verb_name(run->step.verb), what);
	tell(run, &result);
}

static enum step_outcome outcome_of_lost(const struct run *run)
{
	return run->step.verb == STEP_LOOK ? STEP_WAIT : STEP_STUCK;
}

/* ---- processes ----------------------------------------------------------------------------- */

static void try_again_later(struct run *run)
{
	loop_timer_start(run->timer, run->runner->options.retry_ms, 0);
}

static void take_trouble(struct step_runner *runner, const char *reason)
{
	if (runner->in_trouble == (reason != NULL))
		return;
	runner->in_trouble = reason != NULL;
	runner->callbacks.on_trouble(runner->context, reason);
}

/* 0: the process has said what has become of the step. */
static int read_result(const struct run *run, const struct step_process_end *end,
		       struct step_result *ret_result, struct buf *why)
{
	cleanup(buf_deinit) struct buf mistake = { 0 };
	if (end->too_much)
		buf_puts(why, "wrote more than a result may have");
	else if (end->signal)
		buf_printf(why, "was ended by signal %d (%s)", end->signal, strsignal(end->signal));
	else if (end->status)
		buf_printf(why, "ended with status %d", end->status);
	else if (step_result_from_json(end->output, end->len, run->step.verb, ret_result, &mistake))
		buf_printf(why, "wrote what is no result: %s", mistake.data);
	else
		return 0;
	return 1;
}

static void not_begun(struct run *run)
{
	cleanup(buf_deinit) struct buf reason = { 0 };
	buf_printf(&reason, "%s ends without having begun: its words are in the log",
		   run->runner->options.argv[0]);
	take_trouble(run->runner, reason.data);
	run->process = NULL;
	run->attempt--;
	try_again_later(run);
}

static void repeat(struct run *run, const char *why)
{
	log_warning("step=%s %s: it is repeated", run->label, why);
	run->process = NULL;
	try_again_later(run);
}

static void on_end(void *context, const struct step_process_end *end)
{
	struct run *run = context;
	cleanup(buf_deinit) struct buf why = { 0 };
	struct step_result result = { 0 };
	if (!run->told && !end->signal && end->status == STEP_NOT_BEGUN) {
		not_begun(run);
		return;
	}
	take_trouble(run->runner, NULL);
	if (run->told) {
		log_info("step=%s has ended at last pid=%d", run->label,
			 (int)step_process_pid(run->process));
	} else if (read_result(run, end, &result, &why) == 0) {
		tell(run, &result);
	} else if (run->killed) {
		tell_unknown(run, outcome_of_lost(run),
			     "did not end by its deadline, and was killed");
	} else if (run->attempt < STEP_ATTEMPTS) {
		repeat(run, why.data);
		return;
	} else {
		tell_unknown(run, outcome_of_lost(run), why.data);
	}
	run->process = NULL;
	run_free(run);
}

static void start_process(struct run *run)
{
	struct step_runner *runner = run->runner;
	cleanup(buf_deinit) struct buf input = { 0 };
	step_to_json(&run->step, &input);
	crash_point("agent-step-unstarted");
	int r = step_process_start(runner->loop, (char *const *)runner->options.argv, input.data,
				   input.len, on_end, run, &run->process);
	if (r < 0) {
		cleanup(buf_deinit) struct buf reason = { 0 };
		buf_printf(&reason, "%s cannot be started: %s", runner->options.argv[0],
			   strerror(-r));
		take_trouble(runner, reason.data);
		try_again_later(run);
		return;
	}
	crash_point("agent-step-started");
	run->attempt++;
	run->killed = false;
	loop_timer_start(run->timer, runner->options.deadline_ms, 0);
}

static void on_timer(void *context)
{
	struct run *run = context;
	if (!run->process) {
		start_process(run);
	} else if (!run->killed) {
		log_warning("step=%s does not end by its deadline: pid=%d is killed", run->label,
			    (int)step_process_pid(run->process));
		run->killed = true;
		step_process_kill(run->process);
		loop_timer_start(run->timer, DEATH_MS, 0);
	} else {
		log_error("step=%s does not die: the kernel has pid=%d in its hands", run->label,
			  (int)step_process_pid(run->process));
		tell_unknown(run, STEP_STUCK, "did not end by its deadline, and cannot be killed");
	}
}

/* ---- life ---------------------------------------------------------------------------------- */

struct step_runner *step_runner_new(struct loop *loop, const struct step_runner_options *options,
				    const struct step_runner_callbacks *callbacks, void *context)
{
	struct step_runner *runner = memory_zeroed(1, sizeof(*runner));
	runner->loop = loop;
	runner->options = *options;
	runner->callbacks = *callbacks;
	runner->context = context;
	return runner;
}

void step_runner_free(struct step_runner *runner)
{
	if (!runner)
		return;
	while (runner->first)
		run_free(runner->first);
	free(runner);
}

void step_runner_start(struct step_runner *runner, uint64_t token, const struct step *step)
{
	struct run *run = memory_zeroed(1, sizeof(*run));
	run->runner = runner;
	run->next = runner->first;
	runner->first = run;
	run->token = token;
	run->step = *step;
	run->step.vm_id = memory_strdup(step->vm_id);
	run->started_us = clock_monotonic_us();
	char address[PCI_ADDRESS_TEXT_BYTES];
	pci_address_format(step->unit.functions[0], address);
	snprintf(run->label, sizeof(run->label), "%s unit=%s", step_verb_name(step->verb), address);
	run->timer = loop_timer_new(runner->loop, on_timer, run);
	/* Not from in here: a process that is not there may be given a result at once. */
	loop_timer_start(run->timer, 0, 0);
}

static size_t count(const struct step_runner *runner, bool told)
{
	size_t n = 0;
	for (const struct run *run = runner->first; run; run = run->next)
		n += run->told == told;
	return n;
}

size_t step_runner_pending(const struct step_runner *runner)
{
	return count(runner, false);
}

size_t step_runner_undead(const struct step_runner *runner)
{
	return count(runner, true);
}
