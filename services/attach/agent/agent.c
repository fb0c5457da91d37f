#include "attach/agent/agent.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "attach/agent/agent_internal.h"
#include "attach/agent/fold.h"
#include "attach/agent/memory.h"
#include "attach/agent/outcome.h"
#include "attach/agent/overlap.h"
#include "attach/agent/plan.h"
#include "base/memory.h"

enum {
	SAVE_RETRY_US = 1000 * 1000,
	/* The position alone is saved seldom: reading a little again costs nothing. */
	POSITION_RECORDS = 500,
	POSITION_US = 30 * 1000 * 1000,
};

struct agent *agent_new(const struct agent_options *options, const struct agent_io *io)
{
	struct agent *agent = memory_zeroed(1, sizeof(*agent));
	agent->options = *options;
	agent->options.host = memory_strdup(options->host);
	agent->options.pool_id = memory_strdup(options->pool_id);
	agent->options.boot_id = memory_strdup(options->boot_id);
	if (options->max_steps == 0)
		agent->options.max_steps = 1;
	agent->io = *io;
	agent->running = memory_zeroed(agent->options.max_steps, sizeof(*agent->running));
	agent->blank = true;
	agent->epoch = -1;
	agent->wake_us = INT64_MAX;
	agent->moved_since_us = INT64_MAX;
	arena_init(&agent->arena);
	return agent;
}

void agent_free(struct agent *agent)
{
	if (!agent)
		return;
	book_deinit(&agent->book);
	arena_deinit(&agent->arena);
	free(agent->claims);
	free(agent->running);
	free((char *)agent->options.host);
	free((char *)agent->options.pool_id);
	free((char *)agent->options.boot_id);
	free(agent);
}

/* ---- memory ---- */

static struct memory_place place_of(const struct agent *agent)
{
	return (struct memory_place){ .host = agent->options.host,
				      .pool_id = agent->options.pool_id,
				      .boot_id = agent->options.boot_id,
				      .next = agent->next,
				      .epoch = agent->epoch };
}

int agent_load(struct agent *agent, const char *text, size_t len, struct buf *error)
{
	struct memory_place place = place_of(agent);
	struct memory_loaded loaded;
	int r = memory_load(&agent->book, &place, text, len, &loaded, error);
	if (r)
		return r;
	agent->next = loaded.next;
	agent->epoch = loaded.epoch;
	agent->rebooted = !loaded.same_boot;
	agent->blank = false;
	return 0;
}

void agent_position(const struct agent *agent, int64_t *ret_next, int64_t *ret_epoch)
{
	*ret_next = agent->next;
	*ret_epoch = agent->epoch;
}

static bool position_is_due(const struct agent *agent, int64_t now_us)
{
	return agent->moved >= POSITION_RECORDS ||
	       (agent->moved > 0 && now_us - agent->moved_since_us >= POSITION_US);
}

static void save_if_due(struct agent *agent, int64_t now_us)
{
	if (!agent->unsaved && !position_is_due(agent, now_us))
		return;
	if (agent->save_error && now_us < agent->save_retry_us)
		return;
	cleanup(buf_deinit) struct buf text = { 0 };
	struct memory_place place = place_of(agent);
	memory_save(&agent->book, &place, &text);
	int r = agent->io.save(agent->io.context, text.data, text.len);
	agent->save_error = -r;
	if (r) {
		agent->save_retry_us = now_us + SAVE_RETRY_US;
		return;
	}
	agent->unsaved = false;
	agent->moved = 0;
}

/* ---- the log ---- */

void agent_on_decision(struct agent *agent, const struct record *record, int64_t next,
		       int64_t epoch)
{
	struct fold_place place = { .host = agent->options.host,
				    .pool_id = agent->options.pool_id,
				    .blank = agent->blank };
	agent->next = next;
	agent->epoch = epoch;
	agent->moved++;
	if (!record || !fold_decision(&agent->book, &place, record))
		return;
	/* Without a memory the whole log goes by: what has ended does not pile up. */
	if (!agent->caught_up)
		book_sweep(&agent->book);
	agent->relink = true;
}

/* A reboot undid what was bound and plugged, unless somebody has done it again. What is to be undone is
 * undone as ever: cleaning verifies. */
static void look_after_reboot(struct agent *agent)
{
	for (size_t i = 0; i < agent->book.n; i++) {
		struct assignment *assignment = agent->book.assignments[i];
		for (size_t k = 0; k < assignment->n_claims; k++)
			if (assignment_is_wanted(assignment) && assignment->claims[k].touched)
				claim_suspect(&assignment->claims[k]);
	}
}

void agent_on_caught_up(struct agent *agent, int64_t now_us)
{
	if (agent->caught_up)
		return;
	if (agent->blank)
		fold_adopt(&agent->book);
	if (agent->rebooted)
		look_after_reboot(agent);
	agent->caught_up = true;
	agent->unsaved = agent->blank || agent->rebooted;
	agent->blank = false;
	agent->relink = true;
	agent->wake_us = now_us;
}

/* ---- planning ---- */

static void link_claims(struct agent *agent)
{
	if (!agent->relink)
		return;
	agent->relink = false;
	book_sweep(&agent->book);
	overlap_link(&agent->book);
	size_t n = 0;
	for (size_t i = 0; i < agent->book.n; i++)
		n += agent->book.assignments[i]->n_claims;
	agent->claims = memory_resize(agent->claims, n + 1, sizeof(struct claim *));
	agent->n_claims = 0;
	for (size_t i = 0; i < agent->book.n; i++)
		for (size_t k = 0; k < agent->book.assignments[i]->n_claims; k++)
			agent->claims[agent->n_claims++] = &agent->book.assignments[i]->claims[k];
}

static void take(struct agent *agent, struct claim *claim)
{
	claim->touched = true;
	for (size_t i = 0; i < claim->unit.n; i++) {
		const char *driver = claim->drivers[i];
		if (driver_is_hosts(driver))
			book_first_driver_set(&agent->book, claim->unit.functions[i], driver);
	}
}

/* True: the book has changed, and others' plans with it. */
static bool act(struct agent *agent, struct claim *claim, const struct plan *plan)
{
	claim->due = plan->act == PLAN_STEP;
	switch (plan->act) {
	case PLAN_REST:
		return false;
	case PLAN_STEP:
		claim->next = plan->verb;
		return false;
	case PLAN_TAKE:
		take(agent, claim);
		break;
	case PLAN_LEND:
		claim->lent = true;
		break;
	case PLAN_HAND_ON:
		claim->newer->unclean = true;
		claim_free_unit(claim);
		break;
	case PLAN_FREE:
		claim_free_unit(claim);
		break;
	case PLAN_FAIL:
		assignment_fail(claim->of, plan->why.code, plan->why.reason);
		break;
	}
	agent->unsaved = true;
	agent->relink = true;
	return true;
}

/* Until nothing changes but by steps. Each act is done once at most for a claim, so this ends. */
static void plan_all(struct agent *agent, int64_t now_us)
{
	for (bool changed = true; changed;) {
		changed = false;
		link_claims(agent);
		for (size_t i = 0; i < agent->n_claims; i++) {
			struct claim *claim = agent->claims[i];
			struct plan plan;
			if (claim->fresh && now_us >= claim->look_us)
				claim->fresh = false;
			plan_claim(claim, agent->options.has_hypervisor, &plan);
			changed = act(agent, claim, &plan) || changed;
		}
	}
}

/* ---- steps ---- */

/* What the unit gets back is what it was found with; was that vfio-pci or is not known, what it had before
 * gpubus ever touched it. */
static void choose_drivers(const struct agent *agent, const struct claim *claim, struct step *step)
{
	for (size_t i = 0; i < claim->unit.n; i++) {
		const char *driver = claim->drivers[i];
		if (!driver_is_hosts(driver)) {
			driver = book_first_driver(&agent->book, claim->unit.functions[i]);
			driver = driver ? driver : BOOK_ANY_DRIVER;
		}
		driver_set(step->drivers[i], driver);
	}
}

static void start(struct agent *agent, struct claim *claim)
{
	struct step step = { .verb = claim->next, .unit = claim->unit };
	bool about_vm = step.verb == STEP_PLUG || step.verb == STEP_UNPLUG ||
			(step.verb == STEP_LOOK && agent->options.has_hypervisor);
	step.vm_id = about_vm ? claim->of->vm_id : NULL;
	if (step.verb == STEP_GIVE_BACK)
		choose_drivers(agent, claim, &step);
	claim->running = true;
	claim->due = false;
	uint64_t token = agent->next_token++;
	agent->running[agent->n_running++] =
		(struct running_step){ .token = token, .claim = claim, .verb = step.verb };
	agent->io.start_step(agent->io.context, token, &step);
}

static void wake_by(struct agent *agent, int64_t at_us)
{
	if (at_us < agent->wake_us)
		agent->wake_us = at_us;
}

/* Looking changes nothing, so it does not wait for the memory. */
static void serve(struct agent *agent, struct claim *claim, int64_t now_us)
{
	if (!claim->due) {
		if (claim->fresh && !claim->running && assignment_is_wanted(claim->of))
			wake_by(agent, claim->look_us);
		return;
	}
	if (now_us < claim->retry_us) {
		wake_by(agent, claim->retry_us);
		return;
	}
	bool held = agent->unsaved && claim->next != STEP_LOOK;
	agent->settled = false;
	if (!held && agent->n_running < agent->options.max_steps)
		start(agent, claim);
}

static void serve_all(struct agent *agent, int64_t now_us)
{
	size_t first = agent->n_claims ? agent->turn % agent->n_claims : 0;
	for (size_t i = 0; i < agent->n_claims; i++) {
		size_t at = (first + i) % agent->n_claims;
		bool full = agent->n_running == agent->options.max_steps;
		serve(agent, agent->claims[at], now_us);
		if (!full && agent->n_running == agent->options.max_steps)
			agent->turn = at + 1;
	}
}

void agent_on_step_done(struct agent *agent, uint64_t token, const struct step_result *result,
			int64_t now_us)
{
	size_t i = 0;
	while (i < agent->n_running && agent->running[i].token != token)
		i++;
	if (i == agent->n_running)
		return;
	struct running_step step = agent->running[i];
	agent->running[i] = agent->running[--agent->n_running];
	step.claim->running = false;
	struct outcome_context context = { .has_hypervisor = agent->options.has_hypervisor,
					   .now_us = now_us,
					   .look_every_us = agent->options.look_every_us };
	if (outcome_apply(&context, step.claim, step.verb, result))
		agent->unsaved = true;
	agent->relink = true;
	agent->wake_us = now_us;
}

/* ---- going on ---- */

/* When saving is tried next; INT64_MAX: there is nothing to save. */
static int64_t save_at(const struct agent *agent, int64_t now_us)
{
	int64_t at_us = INT64_MAX;
	if (agent->unsaved)
		at_us = now_us;
	else if (agent->moved > 0)
		at_us = agent->moved_since_us + POSITION_US;
	bool later = agent->save_error && at_us < agent->save_retry_us;
	return later ? agent->save_retry_us : at_us;
}

void agent_go_on(struct agent *agent, int64_t now_us)
{
	if (!agent->caught_up)
		return;
	if (agent->moved > 0 && agent->moved_since_us == INT64_MAX)
		agent->moved_since_us = now_us;
	agent->wake_us = INT64_MAX;
	plan_all(agent, now_us);
	save_if_due(agent, now_us);
	agent->settled = true;
	serve_all(agent, now_us);
	if (!agent->unsaved)
		agent_report(agent, now_us);
	agent->settled = agent->settled && agent->n_running == 0 && !agent->unsaved;

	if (agent->moved == 0)
		agent->moved_since_us = INT64_MAX;
	wake_by(agent, save_at(agent, now_us));
}

int64_t agent_wake_at(const struct agent *agent)
{
	return agent->wake_us;
}

bool agent_is_settled(const struct agent *agent)
{
	return agent->settled;
}
