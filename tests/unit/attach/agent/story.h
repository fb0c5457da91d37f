/* What the stories of agents share: a world for each, and sentences to tell it with. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "agent_world.h"
#include "base/memory.h"

#define STORY(test) cmocka_unit_test_setup_teardown(test, story_begin, story_end)

static inline int story_begin(void **state)
{
	struct agent_world *world = memory_zeroed(1, sizeof(*world));
	world_init(world);
	*state = world;
	return 0;
}

static inline int story_end(void **state)
{
	struct agent_world *world = *state;
	const char *problem = world->problem ? world->problem : world->host.problem;
	if (problem)
		print_error("%s\n", problem);
	world_deinit(world);
	free(world);
	return problem != NULL;
}

/* VM `vm` gets GPU `gpu` (and the next, when n is 2), and everything is done that can be. */
static inline int assign(struct agent_world *world, int vm, int gpu, int n)
{
	const int gpus[] = { gpu, gpu + 1 };
	int number = fake_assign(&world->scheduler, vm, gpus, n, false);
	world_run(world);
	return number;
}

static inline int assign_to_running(struct agent_world *world, int vm, int gpu, int n)
{
	world->host.vms[vm].running = true;
	int number = assign(world, vm, gpu, n);
	assert_string_equal(world_word(world, vm), "ATTACHED");
	return number;
}

static inline void release(struct agent_world *world, int number)
{
	fake_release(&world->scheduler, number);
	world_run(world);
}

static inline void force(struct agent_world *world, int number)
{
	fake_force(&world->scheduler, number);
	world_run(world);
}

static inline struct fake_fault *fault(struct agent_world *world, int gpu, enum step_verb verb)
{
	return &world->host.gpus[gpu].faults[verb];
}

static inline void let_fail(struct agent_world *world, int gpu, enum step_verb verb,
			    enum attach_code code)
{
	*fault(world, gpu, verb) = (struct fake_fault){ .fails = true, .code = code };
}

/* Finishes steps until one of this verb runs. */
static inline void run_until(struct agent_world *world, enum step_verb verb)
{
	for (int i = 0; i < 100; i++) {
		agent_go_on(world->agent, world->now_us);
		if (world->n_steps > 0 && world->steps[0].step.verb == verb)
			return;
		if (!world_finish(world, 0) && !world_heed(world) && !world_deliver(world))
			break;
	}
	fail_msg("no such step");
}
