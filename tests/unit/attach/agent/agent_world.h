/*
 * An agent in its world: a log, a disk, a host, steps that take their time, and reports. The agent can be
 * killed and started again at any moment; what was saved is what the next one knows.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "attach/agent/agent.h"
#include "base/arena.h"
#include "fake_host.h"
#include "fake_scheduler.h"

enum { WORLD_STEPS_MAX = 8, WORLD_LOOK_US = 10 * 1000 * 1000 };

struct world_step {
	uint64_t token;
	struct step step;
	bool acted; /* its effect is there, its result is not yet told */
	struct step_result result;
};

/* A copy in the scheduler's arena. */
struct world_report {
	struct gpu_attachment body;
	int64_t at_us;
};

struct agent_world {
	struct fake_host host;
	struct fake_scheduler scheduler;
	struct agent *agent;
	int64_t now_us;
	int boot;
	bool no_hypervisor;
	size_t max_steps;

	char *saved; /* NULL: nothing on the disk */
	int n_saves;
	bool save_fails;

	struct world_step steps[WORLD_STEPS_MAX];
	size_t n_steps;
	struct world_report *reports; /* all, of all lives */
	size_t n_reports;
	size_t n_heeded; /* by the scheduler */
	bool deaf;	 /* the scheduler heeds nothing for now */

	/* What the agent was told of stuck GPUs in this life, and what stands on the disk. */
	bool stuck_told[FAKE_GPUS];
	bool stuck_saved[FAKE_GPUS];
	/* Somebody in the log, or what was done for somebody, is a reason to touch the GPU. */
	bool touchable[FAKE_GPUS];
	bool adopted[FAKE_GPUS]; /* it was somebody's when an agent began without memory */
	const char *problem;	 /* the first thing that must never happen */
};

void world_init(struct agent_world *world);
void world_deinit(struct agent_world *world);

/* From what is saved, which the log is read on to its end from; world_init has started one. */
void world_start(struct agent_world *world);
/* Steps that run are killed: `half` of them in the middle of their effect. */
void world_kill(struct agent_world *world, bool half);
void world_restart(struct agent_world *world);
void world_lose_memory(struct agent_world *world);
void world_reboot(struct agent_world *world);

/* One thing each; false: there was nothing to do. */
bool world_deliver(struct agent_world *world);
bool world_act(struct agent_world *world, size_t step);
bool world_finish(struct agent_world *world, size_t step);
bool world_heed(struct agent_world *world);

/* Until nothing happens any more but by time. */
void world_run(struct agent_world *world);
/* So much later, in pieces, running. */
void world_pass(struct agent_world *world, int64_t us);

/* The last report of the VM's assignments, or NULL; "ATTACHED", "BOUND VM_ABSENT", "" */
const struct gpu_attachment *world_report_of(const struct agent_world *world, int vm);
const char *world_word(struct agent_world *world, int vm);
/* "CLEAN", "DIRTY RESET_FAILED", ... of one GPU in that report. */
const char *world_gpu_word(struct agent_world *world, int vm, int gpu);
/* Steps of this verb that were started for the GPU so far. */
int world_touches(const struct agent_world *world, int gpu, enum step_verb verb);
