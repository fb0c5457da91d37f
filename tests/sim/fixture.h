/*
 * What every cmocka program here begins with: one new world for each test.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/log.h"
#include "fresh_fold.h"
#include "story.h"

static int set_up(void **state)
{
	static struct world world;
	world_init(&world);
	*state = &world;
	return 0;
}

static int tear_down(void **state)
{
	struct world *world = *state;
	bool restless = world->restless;
	world_deinit(world);
	return restless ? -1 : 0;
}

#define rule(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

#define assert_phase(scheduler, phase)                                                             \
	assert_string_equal(shard_phase_name(phase_of((scheduler), 0)), shard_phase_name(phase))
#define assert_answered(world, request_id, what)                                                   \
	assert_true(answered((world), 0, (request_id), (what)))
#define assert_checkpoint_good(world)                                                              \
	do {                                                                                       \
		const char *problem_ = checkpoint_problem((world), 0);                             \
		if (problem_)                                                                      \
			fail_msg("%s", problem_);                                                  \
	} while (0)
