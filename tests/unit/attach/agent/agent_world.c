#include "agent_world.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/memory.h"

static void notice(struct agent_world *world, const char *problem)
{
	if (!world->problem)
		world->problem = problem;
}

/* ---- what the agent asks for ---- */

static int on_save(void *context, const char *text, size_t len)
{
	struct agent_world *world = context;
	if (world->save_fails)
		return -EIO;
	free(world->saved);
	world->saved = memory_alloc(len + 1);
	memcpy(world->saved, text, len + 1);
	world->n_saves++;
	for (int i = 0; i < FAKE_GPUS; i++)
		world->stuck_saved[i] = world->stuck_told[i];
	return 0;
}

static void on_step(void *context, uint64_t token, const struct step *step)
{
	struct agent_world *world = context;
	int gpu = fake_gpu_of(&step->unit);
	for (size_t i = 0; i < world->n_steps; i++)
		if (fake_gpu_of(&world->steps[i].step.unit) == gpu)
			notice(world, "two steps of one unit at the same time");
	if (world->stuck_told[gpu] || world->stuck_saved[gpu])
		notice(world, "a GPU that is stuck was touched");
	if (!world->touchable[gpu] && step->verb != STEP_LOOK)
		notice(world, "a GPU was touched that is nobody's");
	if (world->n_steps == world->max_steps) {
		notice(world, "too many steps at the same time");
		return;
	}
	world->host.gpus[gpu].touches[step->verb]++;
	struct world_step *started = &world->steps[world->n_steps++];
	*started = (struct world_step){ .token = token, .step = *step };
	if (step->vm_id)
		started->step.vm_id = arena_strdup(&world->scheduler.arena, step->vm_id);
}

static void check_report(struct agent_world *world, const struct gpu_attachment *report)
{
	for (size_t i = 0; i < report->n_gpus; i++)
		if (strcmp(report->gpus[i].state, "CLEAN") == 0 &&
		    !fake_gpu_is_clean(&world->host, fake_gpu_by_id(report->gpus[i].gpu_id)))
			notice(world, "a GPU was reported CLEAN that is not");
}

static void on_report(void *context, const struct gpu_attachment *report)
{
	struct agent_world *world = context;
	struct arena *arena = &world->scheduler.arena;
	struct gpu_attachment copy = *report;
	check_report(world, report);
	copy.assignment_id = arena_strdup(arena, report->assignment_id);
	copy.vm_id = arena_strdup(arena, report->vm_id);
	copy.pool_id = arena_strdup(arena, report->pool_id);
	copy.host = arena_strdup(arena, report->host);
	copy.state = arena_strdup(arena, report->state);
	copy.code = report->code ? arena_strdup(arena, report->code) : NULL;
	copy.reason = report->reason ? arena_strdup(arena, report->reason) : NULL;
	copy.gpus = arena_array(arena, report->n_gpus, sizeof(*copy.gpus));
	for (size_t i = 0; i < report->n_gpus; i++) {
		const struct attached_gpu *gpu = &report->gpus[i];
		copy.gpus[i] = (struct attached_gpu){
			.gpu_id = arena_strdup(arena, gpu->gpu_id),
			.state = arena_strdup(arena, gpu->state),
			.code = gpu->code ? arena_strdup(arena, gpu->code) : NULL,
			.reason = gpu->reason ? arena_strdup(arena, gpu->reason) : NULL,
		};
	}
	world->reports =
		memory_resize(world->reports, world->n_reports + 1, sizeof(*world->reports));
	world->reports[world->n_reports++] = (struct world_report){ copy, world->now_us };
}

/* ---- lives ---- */

void world_start(struct agent_world *world)
{
	char boot_id[32];
	snprintf(boot_id, sizeof(boot_id), "boot-%d", world->boot);
	struct agent_options options = { .host = FAKE_HOST,
					 .pool_id = FAKE_POOL,
					 .boot_id = boot_id,
					 .has_hypervisor = !world->no_hypervisor,
					 .look_every_us = WORLD_LOOK_US,
					 .max_steps = world->max_steps };
	struct agent_io io = {
		.context = world, .save = on_save, .start_step = on_step, .report = on_report
	};
	cleanup(buf_deinit) struct buf error = { 0 };
	world->agent = agent_new(&options, &io);
	if (world->saved && agent_load(world->agent, world->saved, strlen(world->saved), &error))
		notice(world, "what was saved is refused");
	int64_t next, epoch;
	agent_position(world->agent, &next, &epoch);
	while (next < world->scheduler.n_log) {
		world_deliver(world);
		agent_position(world->agent, &next, &epoch);
		agent_go_on(world->agent, world->now_us); /* not caught up: does nothing */
	}
	if (world->n_steps > 0)
		notice(world, "something was done before the log was read");
	for (int i = 0; i < FAKE_GPUS && !world->saved; i++)
		world->adopted[i] = world->adopted[i] || world->touchable[i];
	agent_on_caught_up(world->agent, world->now_us);
}

void world_init(struct agent_world *world)
{
	*world = (struct agent_world){ .max_steps = WORLD_STEPS_MAX };
	fake_host_init(&world->host);
	fake_scheduler_init(&world->scheduler);
	world_start(world);
}

void world_deinit(struct agent_world *world)
{
	agent_free(world->agent);
	fake_scheduler_deinit(&world->scheduler);
	free(world->saved);
	free(world->reports);
}

void world_kill(struct agent_world *world, bool half)
{
	agent_free(world->agent);
	world->agent = NULL;
	for (size_t i = 0; half && i < world->n_steps; i++)
		if (!world->steps[i].acted)
			fake_step_half(&world->host, &world->steps[i].step);
	world->n_steps = 0;
	for (int i = 0; i < FAKE_GPUS; i++)
		world->stuck_told[i] = world->stuck_saved[i];
}

void world_restart(struct agent_world *world)
{
	world_kill(world, false);
	world_start(world);
}

void world_lose_memory(struct agent_world *world)
{
	free(world->saved);
	world->saved = NULL;
	for (int i = 0; i < FAKE_GPUS; i++) {
		world->stuck_saved[i] = false;
		world->stuck_told[i] = false;
	}
}

void world_reboot(struct agent_world *world)
{
	world_kill(world, false);
	fake_host_reboot(&world->host);
	world->boot++;
	world_start(world);
}

/* ---- one thing each ---- */

/* Without a memory it may undo again what an earlier life has undone and reported. */
static void forbid(struct agent_world *world, int gpu)
{
	world->touchable[gpu] = world->adopted[gpu];
}

/* What a decision means for who may touch what, for notice() above. */
static void heed_decision(struct agent_world *world, const struct record *record)
{
	const struct gpu_released *released = &record->gpu_released;
	const struct gpu_assigned *assigned = &record->gpu_assigned;
	if (record->type == RECORD_GPU_ASSIGNED && strcmp(assigned->host, FAKE_HOST) == 0)
		for (size_t i = 0; i < assigned->n_gpus; i++)
			world->touchable[fake_gpu_by_id(assigned->gpus[i].gpu_id)] = true;
	if (record->type == RECORD_GPU_RELEASED &&
	    strcmp(released->code, released_code_name(CODE_RELEASED)) == 0)
		for (size_t i = 0; i < released->n_gpus; i++)
			forbid(world, fake_gpu_by_id(released->gpus[i].gpu_id));
	if (record->type == RECORD_GPU_MARKED) {
		int gpu = fake_gpu_by_id(record->gpu_marked.gpu_id);
		world->stuck_told[gpu] = false;
		world->stuck_saved[gpu] = false;
		world->touchable[gpu] = true;
	}
}

bool world_deliver(struct agent_world *world)
{
	int64_t next, epoch;
	agent_position(world->agent, &next, &epoch);
	if (next >= world->scheduler.n_log)
		return false;
	const struct record *record = world->scheduler.log[next];
	heed_decision(world, record);
	agent_on_decision(world->agent, record, next + 1, 0);
	return true;
}

bool world_act(struct agent_world *world, size_t at)
{
	struct world_step *step = &world->steps[at];
	if (at >= world->n_steps || step->acted)
		return false;
	step->acted = true;
	fake_step(&world->host, &step->step, &step->result);
	return true;
}

bool world_finish(struct agent_world *world, size_t at)
{
	if (at >= world->n_steps)
		return false;
	world_act(world, at);
	struct world_step step = world->steps[at];
	world->steps[at] = world->steps[--world->n_steps];
	if (step.result.outcome == STEP_STUCK)
		world->stuck_told[fake_gpu_of(&step.step.unit)] = true;
	agent_on_step_done(world->agent, step.token, &step.result, world->now_us);
	return true;
}

bool world_heed(struct agent_world *world)
{
	if (world->deaf || world->n_heeded == world->n_reports)
		return false;
	fake_heed(&world->scheduler, &world->reports[world->n_heeded++].body);
	return true;
}

void world_run(struct agent_world *world)
{
	for (int i = 0; i < 2000; i++) {
		agent_go_on(world->agent, world->now_us);
		if (world_finish(world, 0) || world_heed(world) || world_deliver(world))
			continue;
		if (agent_wake_at(world->agent) > world->now_us)
			return;
	}
	notice(world, "it does not come to rest");
}

void world_pass(struct agent_world *world, int64_t us)
{
	int64_t until_us = world->now_us + us;
	world_run(world);
	for (int i = 0; i < 10000 && agent_wake_at(world->agent) <= until_us; i++) {
		world->now_us = agent_wake_at(world->agent);
		world_run(world);
	}
	world->now_us = until_us;
	world_run(world);
}

/* ---- looking ---- */

const struct gpu_attachment *world_report_of(const struct agent_world *world, int vm)
{
	for (size_t i = world->n_reports; i-- > 0;)
		if (strcmp(world->reports[i].body.vm_id, fake_vm_id(vm)) == 0)
			return &world->reports[i].body;
	return NULL;
}

static const char *words(struct agent_world *world, const char *state, const char *code)
{
	return arena_printf(&world->scheduler.arena, "%s%s%s", state, code ? " " : "",
			    code ? code : "");
}

const char *world_word(struct agent_world *world, int vm)
{
	const struct gpu_attachment *report = world_report_of(world, vm);
	return report ? words(world, report->state, report->code) : "";
}

const char *world_gpu_word(struct agent_world *world, int vm, int gpu)
{
	const struct gpu_attachment *report = world_report_of(world, vm);
	for (size_t i = 0; report && i < report->n_gpus; i++)
		if (fake_gpu_by_id(report->gpus[i].gpu_id) == gpu)
			return words(world, report->gpus[i].state, report->gpus[i].code);
	return "";
}

int world_touches(const struct agent_world *world, int gpu, enum step_verb verb)
{
	return world->host.gpus[gpu].touches[verb];
}
