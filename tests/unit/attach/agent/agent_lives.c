/*
 * Agents that live random lives: assignments come, are released, taken by force, replaced and returned; VMs
 * come, go and restart; guests do not let go; hypervisors are silent; steps fail and hang; the host boots;
 * the disk is full; the agent is killed between any two calls and in the middle of steps, and starts again
 * with what it saved or with nothing. agent_world.h and fake_host.h notice what must never happen. In the
 * end all faults are over, and every GPU must be attached as the log wants it, or free and clean, or in
 * quarantine by a report.
 *
 *   SEEDS=100000 unit_agent_lives    so many lives (LIVES_DEFAULT without it)
 *   SEED=4711 unit_agent_lives       this one, told step by step
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent_world.h"
#include "base/buf.h"

enum { LIVES_DEFAULT = 1500, ACTIONS = 150, VMS = 5, PROBE_VM = 5 };

struct life {
	struct agent_world world;
	uint64_t random;
	bool told;
	bool faults; /* steps fail and hang in this life */
	bool loses;  /* its memory, now and then */
};

/* What all lives together have seen: a zero would say that something was never tried. */
static struct {
	int64_t kills, losses, reboots, forced, failed, quarantined, returned, attached, bad_saves;
} sums;

PRINTF_LIKE(2, 3) static void tell(const struct life *life, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	if (life->told)
		vfprintf(stderr, format, args);
	va_end(args);
}

/* splitmix64, by Sebastiano Vigna, public domain. */
static int draw(struct life *life, int n)
{
	uint64_t z = life->random += 0x9e3779b97f4a7c15u;
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return (int)((z ^ (z >> 31)) % (uint64_t)n);
}

/* ---- the log ---- */

static void change_log(struct life *life)
{
	struct fake_scheduler *scheduler = &life->world.scheduler;
	int vm = draw(life, VMS);
	int number = fake_assignment_of_vm(scheduler, vm);
	int gpus[FAKE_GPUS], n = 0, wanted = 1 + draw(life, 2);
	if (number >= 0) {
		bool force = draw(life, 3) == 0;
		tell(life, "%s %s\n", force ? "force" : "release",
		     scheduler->assignments[number].id);
		if (force)
			fake_force(scheduler, number);
		else if (!scheduler->assignments[number].releasing)
			fake_release(scheduler, number);
		sums.forced += force;
		return;
	}
	for (int i = 0, first = draw(life, FAKE_GPUS); i < FAKE_GPUS && n < wanted; i++)
		if (scheduler->gpus[(first + i) % FAKE_GPUS] == GPU_FREE)
			gpus[n++] = (first + i) % FAKE_GPUS;
	if (n == 0)
		return;
	number = fake_assign(scheduler, vm, gpus, n, draw(life, 2));
	tell(life, "assign %s to vm%d: gpu %d%s\n", scheduler->assignments[number].id, vm, gpus[0],
	     n > 1 ? " and the next" : "");
}

static void return_gpu(struct life *life)
{
	int gpu = draw(life, FAKE_GPUS);
	if (life->world.scheduler.gpus[gpu] != GPU_IN_QUARANTINE)
		return;
	tell(life, "return gpu %d\n", gpu);
	fake_return(&life->world.scheduler, gpu);
	sums.returned++;
}

/* ---- the host ---- */

static void change_vms(struct life *life)
{
	struct fake_host *host = &life->world.host;
	int vm = draw(life, VMS);
	switch (draw(life, 4)) {
	case 0:
		tell(life, "vm%d stops\n", vm);
		fake_vm_stop(host, vm);
		break;
	case 1:
		host->vms[vm].clings = draw(life, 2);
		break;
	case 2:
		host->silent = draw(life, 3) == 0;
		break;
	default:
		tell(life, "vm%d runs\n", vm);
		host->vms[vm].running = true;
	}
}

static void draw_fault(struct life *life, const struct step *step)
{
	static const enum attach_code codes[STEP_VERBS] = {
		ATTACH_DEVICE_GONE,    ATTACH_IN_USE,	    ATTACH_NO_FREE_PORT,
		ATTACH_ATTACH_REFUSED, ATTACH_RESET_FAILED, ATTACH_DRIVER_NOT_RESTORED,
	};
	struct fake_fault *fault =
		&life->world.host.gpus[fake_gpu_of(&step->unit)].faults[step->verb];
	*fault = (struct fake_fault){ .code = codes[step->verb] };
	if (!life->faults || draw(life, 12) > 0)
		return;
	fault->sticks = draw(life, 4) == 0;
	fault->fails = !fault->sticks;
	fault->not_put_back = step->verb == STEP_BIND && draw(life, 3) == 0;
}

static void work(struct life *life)
{
	struct agent_world *world = &life->world;
	if (world->n_steps == 0)
		return;
	size_t at = (size_t)draw(life, (int)world->n_steps);
	const struct step *step = &world->steps[at].step;
	if (!world->steps[at].acted)
		draw_fault(life, step);
	tell(life, "  step %d on gpu %d for %s\n", (int)step->verb, fake_gpu_of(&step->unit),
	     step->vm_id ? step->vm_id : "-");
	world_act(world, at);
	if (draw(life, 3))
		world_finish(world, at);
}

/* ---- the agent ---- */

static void kill_agent(struct life *life)
{
	struct agent_world *world = &life->world;
	bool half = draw(life, 2);
	sums.kills++;
	tell(life, "kill%s\n", half ? " in the middle of steps" : "");
	world_kill(world, half);
	/* What had not reached the topic is lost with it. */
	if (draw(life, 2))
		world->n_heeded = world->n_reports;
	if (life->loses && draw(life, 4) == 0) {
		tell(life, "the memory is lost\n");
		sums.losses++;
		world_lose_memory(world);
	}
	world_start(world);
}

static void reboot(struct life *life)
{
	tell(life, "reboot\n");
	sums.reboots++;
	world_reboot(&life->world);
}

static void act(struct life *life)
{
	struct agent_world *world = &life->world;
	int what = draw(life, 100);
	if (what < 12)
		change_log(life);
	else if (what < 15)
		return_gpu(life);
	else if (what < 25)
		change_vms(life);
	else if (what < 55)
		work(life);
	else if (what < 65)
		world_deliver(world);
	else if (what < 72)
		world_heed(world);
	else if (what < 76)
		world->now_us += draw(life, 15) * 1000000;
	else if (what < 80)
		kill_agent(life);
	else if (what < 81)
		reboot(life);
	else if (what < 82)
		sums.bad_saves += world->save_fails = draw(life, 3) == 0;
	agent_go_on(world->agent, world->now_us);
}

/* ---- the end ---- */

static void heal(struct life *life)
{
	struct agent_world *world = &life->world;
	world->save_fails = false;
	world->host.silent = false;
	for (int i = 0; i < FAKE_GPUS; i++)
		memset(world->host.gpus[i].faults, 0, sizeof(world->host.gpus[i].faults));
	for (int i = 0; i < FAKE_VMS; i++)
		world->host.vms[i].clings = false;
	tell(life, "heal\n");
	world_pass(world, 10 * WORLD_LOOK_US);
}

static const char *judge_gpu(const struct life *life, int gpu)
{
	const struct agent_world *world = &life->world;
	int owner = world->scheduler.gpus[gpu];
	if (owner == GPU_IN_QUARANTINE)
		return NULL;
	if (owner == GPU_FREE)
		return fake_gpu_is_clean(&world->host, gpu) ? NULL
							    : "a GPU is free that is not clean";
	const struct fake_assignment *assignment = &world->scheduler.assignments[owner];
	if (assignment->releasing)
		return "a release does not end";
	if (!fake_gpu_is_bound(&world->host, gpu))
		return "a GPU is not bound";
	if (world->host.vms[assignment->vm].running &&
	    !fake_gpu_is_plugged(&world->host, gpu, assignment->vm))
		return "a GPU is not in its VM";
	return NULL;
}

static const char *find_problem(const struct life *life)
{
	const struct agent_world *world = &life->world;
	return world->host.problem ? world->host.problem : world->problem;
}

/* A GPU that is taken by force and cannot be cleaned is reported when somebody gets it: the free ones all
 * go to one VM. */
static void probe(struct life *life)
{
	struct agent_world *world = &life->world;
	int gpus[FAKE_GPUS], n = 0;
	for (int i = 0; i < FAKE_GPUS; i++)
		if (world->scheduler.gpus[i] == GPU_FREE && !fake_gpu_is_clean(&world->host, i))
			gpus[n++] = i;
	world->host.vms[PROBE_VM].running = true;
	if (n > 0)
		fake_assign(&world->scheduler, PROBE_VM, gpus, n, false);
	tell(life, "probe of %d\n", n);
	world_pass(world, 10 * WORLD_LOOK_US);
}

static const char *judge(struct life *life)
{
	struct agent_world *world = &life->world;
	const char *problem = find_problem(life);
	if (!agent_is_settled(world->agent) && !problem)
		problem = "it is not settled";
	if (!life->faults && !problem && world->scheduler.n_failed + world->scheduler.n_quarantined)
		problem = "something failed, or is in quarantine, without a fault";
	for (int i = 0; i < FAKE_GPUS && !problem; i++) {
		problem = judge_gpu(life, i);
		sums.attached += world->scheduler.gpus[i] >= 0;
	}
	return problem;
}

/* False: something is wrong, and was said. */
static bool live(uint64_t seed, bool told)
{
	struct life life = { .random = seed, .told = told };
	struct agent_world *world = &life.world;
	world_init(world);
	life.faults = draw(&life, 2);
	life.loses = draw(&life, 2);
	world->max_steps = draw(&life, 2) ? WORLD_STEPS_MAX : 2;
	world->scheduler.reschedules = draw(&life, 2);
	world_restart(world);
	for (int i = 0; i < ACTIONS && !find_problem(&life); i++)
		act(&life);
	if (!find_problem(&life))
		heal(&life);
	if (!find_problem(&life) && life.faults)
		probe(&life);
	const char *problem = judge(&life);
	if (problem)
		printf("SEED=%" PRIu64 " unit_agent_lives: %s\n", seed, problem);
	if (told) {
		cleanup(buf_deinit) struct buf text = { 0 };
		agent_describe(world->agent, &text);
		fprintf(stderr, "%s", text.data ? text.data : "");
	}
	sums.failed += world->scheduler.n_failed;
	sums.quarantined += world->scheduler.n_quarantined;
	world_deinit(world);
	return !problem;
}

int main(void)
{
	const char *seed = getenv("SEED");
	const char *seeds = getenv("SEEDS");
	uint64_t n = seeds ? strtoull(seeds, NULL, 10) : LIVES_DEFAULT;
	int bad = 0;
	if (seed)
		return live(strtoull(seed, NULL, 10), true) ? 0 : 1;
	for (uint64_t i = 1; i <= n && bad < 5; i++)
		bad += !live(i, false);
	printf("%" PRIu64 " lives, %d of them went wrong: %" PRId64 " kills, %" PRId64
	       " memories lost, %" PRId64 " reboots, %" PRId64 " taken by force, %" PRId64
	       " failed, %" PRId64 " quarantined, %" PRId64 " returned, %" PRId64
	       " bad disks, %" PRId64 " attached in the end\n",
	       n, bad, sums.kills, sums.losses, sums.reboots, sums.forced, sums.failed,
	       sums.quarantined, sums.returned, sums.bad_saves, sums.attached);
	return bad > 0;
}
