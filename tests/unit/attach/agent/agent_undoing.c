/* How GPUs come back: releases, failures, force, what is dirty or stuck. Each test is a story about one
 * rule of agent/plan.h or agent.h. */
#include "story.h"

#include "base/buf.h"

/* ---- releases ---- */

static void a_released_gpu_is_unplugged_cleaned_and_kept_on_vfio(void **state)
{
	struct agent_world *w = *state;
	int number = assign_to_running(w, 1, 0, 2);
	release(w, number);
	assert_string_equal(world_word(w, 1), "DETACHED");
	assert_string_equal(world_gpu_word(w, 1, 0), "CLEAN");
	for (int i = 0; i < 2; i++) {
		assert_int_equal(world_touches(w, i, STEP_UNPLUG), 1);
		assert_int_equal(world_touches(w, i, STEP_CLEAN), 1);
		assert_int_equal(world_touches(w, i, STEP_GIVE_BACK), 0);
		assert_true(fake_gpu_is_bound(&w->host, i));
	}
}

static void by_policy_it_goes_back_to_its_first_driver(void **state)
{
	struct agent_world *w = *state;
	const int gpus[] = { 0 };
	/* The first one leaves it on vfio-pci: the second finds it there, and remembers all the same. */
	release(w, assign_to_running(w, 1, 0, 1));
	w->host.vms[2].running = true;
	int number = fake_assign(&w->scheduler, 2, gpus, 1, true);
	world_run(w);
	world_restart(w);
	w->host.gpus[0].functions[0].native = "none of my choice";
	release(w, number);
	assert_string_equal(world_word(w, 2), "DETACHED");
	assert_string_equal(w->host.gpus[0].functions[0].driver, "nouveau");
}

static void a_driver_that_does_not_take_it_back_leaves_it_dirty(void **state)
{
	struct agent_world *w = *state;
	const int gpus[] = { 0 };
	let_fail(w, 0, STEP_GIVE_BACK, ATTACH_DRIVER_NOT_RESTORED);
	int number = fake_assign(&w->scheduler, 1, gpus, 1, true);
	world_run(w);
	release(w, number);
	assert_string_equal(world_word(w, 1), "DETACHED");
	assert_string_equal(world_gpu_word(w, 1, 0), "DIRTY DRIVER_NOT_RESTORED");
}

static void a_guest_that_does_not_let_go_is_asked_again_and_shown(void **state)
{
	struct agent_world *w = *state;
	int number = assign_to_running(w, 1, 0, 1);
	w->host.vms[1].clings = true;
	release(w, number);
	assert_string_equal(world_word(w, 1), "ATTACHED UNPLUG_PENDING");
	assert_int_equal(world_touches(w, 0, STEP_UNPLUG), 1);
	size_t said = w->n_reports;
	world_pass(w, WORLD_LOOK_US);
	assert_int_equal(world_touches(w, 0, STEP_UNPLUG), 2);
	assert_int_equal(w->n_reports, said); /* that is no news */
	assert_true(agent_is_settled(w->agent));
	w->host.vms[1].clings = false;
	world_pass(w, WORLD_LOOK_US);
	assert_string_equal(world_word(w, 1), "DETACHED");
	assert_int_equal(world_touches(w, 0, STEP_CLEAN), 1);
}

static void a_gpu_that_cannot_be_reset_is_dirty_until_it_is_returned(void **state)
{
	struct agent_world *w = *state;
	int number = assign_to_running(w, 1, 0, 2);
	let_fail(w, 0, STEP_CLEAN, ATTACH_RESET_FAILED);
	release(w, number);
	assert_string_equal(world_gpu_word(w, 1, 0), "DIRTY RESET_FAILED");
	assert_string_equal(world_gpu_word(w, 1, 1), "CLEAN");
	assert_int_equal(w->scheduler.gpus[0], GPU_IN_QUARANTINE);
	world_restart(w);
	world_pass(w, 3 * WORLD_LOOK_US);
	assert_int_equal(world_touches(w, 0, STEP_CLEAN), 1);

	/* Whoever returns it is not taken at his word. */
	fault(w, 0, STEP_CLEAN)->fails = false;
	fake_return(&w->scheduler, 0);
	world_run(w);
	assert_int_equal(world_touches(w, 0, STEP_CLEAN), 2);
	assert_true(fake_gpu_is_clean(&w->host, 0));
	assign_to_running(w, 2, 0, 1);
}

/* Repaired, or another one in its place: the host has it. */
static void a_gpu_that_is_returned_to_the_host_is_not_reset_under_it(void **state)
{
	struct agent_world *w = *state;
	int number = assign_to_running(w, 1, 0, 1);
	let_fail(w, 0, STEP_CLEAN, ATTACH_RESET_FAILED);
	release(w, number);
	fake_vm_stop(&w->host, 1);
	fake_host_reboot(&w->host);
	fake_return(&w->scheduler, 0);
	world_run(w);
	assert_int_equal(world_touches(w, 0, STEP_CLEAN), 1);
	assign_to_running(w, 1, 0, 1);
}

static void what_was_never_lent_needs_no_reset(void **state)
{
	struct agent_world *w = *state;
	const int gpus[] = { 0 };
	int number = fake_assign(&w->scheduler, 1, gpus, 1, false);
	run_until(w, STEP_BIND);
	fake_release(&w->scheduler, number);
	world_deliver(w);
	world_run(w);
	assert_string_equal(world_word(w, 1), "DETACHED");
	assert_int_equal(world_touches(w, 0, STEP_CLEAN), 0);
}

static void what_was_never_touched_is_not_touched_to_be_released(void **state)
{
	struct agent_world *w = *state;
	const int gpus[] = { 0 };
	fake_release(&w->scheduler, fake_assign(&w->scheduler, 1, gpus, 1, true));
	world_deliver(w);
	world_deliver(w);
	world_run(w);
	assert_string_equal(world_word(w, 1), "DETACHED");
	assert_string_equal(world_gpu_word(w, 1, 0), "CLEAN");
	for (int verb = STEP_LOOK; verb < STEP_VERBS; verb++)
		assert_int_equal(world_touches(w, 0, (enum step_verb)verb), 0);
}

static void a_release_after_a_reboot_is_verified(void **state)
{
	struct agent_world *w = *state;
	int number = assign_to_running(w, 1, 0, 1);
	w->host.vms[1].clings = true;
	release(w, number);
	world_reboot(w);
	world_run(w);
	assert_string_equal(world_word(w, 1), "DETACHED");
	assert_int_equal(world_touches(w, 0, STEP_CLEAN), 1);
}

/* ---- failures ---- */

static void a_failure_undoes_all_units_and_is_not_tried_again(void **state)
{
	struct agent_world *w = *state;
	let_fail(w, 1, STEP_BIND, ATTACH_IN_USE);
	w->deaf = true; /* the log does not change yet */
	assign(w, 1, 0, 2);
	assert_string_equal(world_word(w, 1), "FAILED IN_USE");
	assert_string_equal(world_gpu_word(w, 1, 0), "CLEAN");
	assert_string_equal(world_gpu_word(w, 1, 1), "CLEAN");
	assert_true(fake_gpu_is_native(&w->host, 0));
	assert_int_equal(world_touches(w, 0, STEP_CLEAN), 0);
	fault(w, 1, STEP_BIND)->fails = false;
	world_pass(w, 5 * WORLD_LOOK_US);
	world_restart(w);
	world_pass(w, 5 * WORLD_LOOK_US);
	assert_int_equal(world_touches(w, 1, STEP_BIND), 1);
}

static void a_failed_plug_is_cleaned_and_put_back(void **state)
{
	struct agent_world *w = *state;
	w->host.vms[1].running = true;
	let_fail(w, 1, STEP_PLUG, ATTACH_NO_FREE_PORT);
	assign(w, 1, 0, 2);
	assert_string_equal(world_word(w, 1), "FAILED NO_FREE_PORT");
	for (int i = 0; i < 2; i++) {
		assert_string_equal(world_gpu_word(w, 1, i), "CLEAN");
		assert_true(fake_gpu_is_native(&w->host, i));
		assert_true(fake_gpu_is_clean(&w->host, i));
	}
}

/* What an attempt found on vfio-pci stays there. */
static void an_attempt_puts_back_what_it_found(void **state)
{
	struct agent_world *w = *state;
	release(w, assign_to_running(w, 1, 0, 1));
	w->host.vms[2].running = true;
	let_fail(w, 0, STEP_PLUG, ATTACH_NO_FREE_PORT);
	assign(w, 2, 0, 1);
	assert_string_equal(world_word(w, 2), "FAILED NO_FREE_PORT");
	assert_int_equal(world_touches(w, 0, STEP_GIVE_BACK), 0);
	assert_true(fake_gpu_is_bound(&w->host, 0));
}

static void what_was_not_put_back_is_dirty(void **state)
{
	struct agent_world *w = *state;
	let_fail(w, 0, STEP_BIND, ATTACH_BIND_FAILED);
	fault(w, 0, STEP_BIND)->not_put_back = true;
	assign(w, 1, 0, 2);
	assert_string_equal(world_word(w, 1), "FAILED BIND_FAILED");
	assert_string_equal(world_gpu_word(w, 1, 0), "DIRTY BIND_FAILED");
	assert_string_equal(world_gpu_word(w, 1, 1), "CLEAN");
}

/* A bind that fails puts back what it found, and that is what the killed one had made of it. */
static void a_bind_that_fails_after_one_that_was_killed_is_given_back(void **state)
{
	struct agent_world *w = *state;
	fake_assign(&w->scheduler, 1, (const int[]){ 0 }, 1, false);
	run_until(w, STEP_BIND);
	world_kill(w, true);
	assert_false(fake_gpu_is_native(&w->host, 0));
	let_fail(w, 0, STEP_BIND, ATTACH_BIND_FAILED);
	world_start(w);
	world_run(w);
	assert_string_equal(world_word(w, 1), "FAILED BIND_FAILED");
	assert_string_equal(world_gpu_word(w, 1, 0), "CLEAN");
	assert_true(fake_gpu_is_native(&w->host, 0));
}

/* The VM was not there when it was asked to let go, and now runs with the device of its own accord. */
static void come_back_with_it(struct agent_world *w, int vm, int gpu)
{
	struct step_result wait = { .outcome = STEP_WAIT, .code = ATTACH_UNPLUG_PENDING };
	uint64_t token = w->steps[0].token;
	w->host.vms[vm].running = true;
	for (int k = 0; k < FAKE_FUNCTIONS; k++)
		w->host.gpus[gpu].functions[k].holder = w->host.gpus[gpu].functions[k].used_by = vm;
	w->n_steps = 0;
	agent_on_step_done(w->agent, token, &wait, w->now_us);
	world_pass(w, 2 * WORLD_LOOK_US);
}

/* Else it would be waited for for ever, or given back as the VM has left it. */
static void a_vm_that_comes_back_with_it_is_asked_again(void **state)
{
	static const enum step_verb when[] = { STEP_CLEAN, STEP_GIVE_BACK };
	struct agent_world *w = *state;
	for (int i = 0; i < 2; i++) {
		int number = assign_to_running(w, 1, i, 1);
		w->scheduler.assignments[number].gives_back = true;
		fake_vm_stop(&w->host, 1);
		fake_release(&w->scheduler, number);
		run_until(w, when[i]);
		come_back_with_it(w, 1, i);
		assert_string_equal(world_word(w, 1), "DETACHED");
		assert_true(fake_gpu_is_clean(&w->host, i) && fake_gpu_is_native(&w->host, i));
		assert_int_equal(world_touches(w, i, STEP_UNPLUG), 2);
	}
}

static void a_device_that_another_vm_has_is_not_reset_under_it(void **state)
{
	struct agent_world *w = *state;
	w->host.vms[1].running = true;
	let_fail(w, 0, STEP_PLUG, ATTACH_HELD_BY_VM);
	assign(w, 1, 0, 1);
	assert_string_equal(world_word(w, 1), "FAILED HELD_BY_VM");
	assert_string_equal(world_gpu_word(w, 1, 0), "DIRTY HELD_BY_VM");
	assert_int_equal(world_touches(w, 0, STEP_CLEAN), 0);
	assert_int_equal(world_touches(w, 0, STEP_GIVE_BACK), 0);
}

/* ---- force ---- */

static void who_is_forced_out_is_undone_before_the_next_one(void **state)
{
	struct agent_world *w = *state;
	int number = assign_to_running(w, 1, 0, 1);
	w->host.vms[1].clings = true;
	w->host.vms[2].running = true;
	force(w, number);
	assign(w, 2, 0, 2);
	assert_string_equal(world_word(w, 2), "BOUND UNPLUG_PENDING");
	assert_int_equal(world_touches(w, 0, STEP_PLUG), 1);
	world_pass(w, 3 * WORLD_LOOK_US);
	assert_true(fake_gpu_is_plugged(&w->host, 0, 1));
	w->host.vms[1].clings = false;
	world_pass(w, 2 * WORLD_LOOK_US);
	assert_string_equal(world_word(w, 2), "ATTACHED");
	assert_int_equal(world_touches(w, 0, STEP_CLEAN), 1);
}

static void a_release_waits_for_who_was_forced_out_before(void **state)
{
	struct agent_world *w = *state;
	int number = assign_to_running(w, 1, 0, 1);
	w->host.vms[1].clings = true;
	force(w, number);
	number = assign(w, 2, 0, 1);
	release(w, number);
	assert_string_equal(world_word(w, 2), "BOUND UNPLUG_PENDING");
	w->host.vms[1].clings = false;
	world_pass(w, 2 * WORLD_LOOK_US);
	assert_string_equal(world_word(w, 2), "DETACHED");
	assert_string_equal(world_gpu_word(w, 2, 0), "CLEAN");
}

static void what_the_old_one_left_dirty_fails_the_new_one(void **state)
{
	struct agent_world *w = *state;
	int number = assign_to_running(w, 1, 0, 1);
	let_fail(w, 0, STEP_CLEAN, ATTACH_RESET_FAILED);
	force(w, number);
	world_restart(w);
	assign(w, 2, 0, 2);
	assert_string_equal(world_word(w, 2), "FAILED RESET_FAILED");
	assert_string_equal(world_gpu_word(w, 2, 0), "DIRTY RESET_FAILED");
	assert_string_equal(world_gpu_word(w, 2, 1), "CLEAN");
	assert_true(fake_gpu_is_native(&w->host, 1));
	assert_int_equal(w->scheduler.gpus[0], GPU_IN_QUARANTINE);
}

static void the_same_vm_may_get_what_it_was_forced_out_of(void **state)
{
	struct agent_world *w = *state;
	force(w, assign_to_running(w, 1, 0, 1));
	assign_to_running(w, 1, 0, 1);
	assert_int_equal(world_touches(w, 0, STEP_CLEAN), 1);
	assert_int_equal(world_touches(w, 0, STEP_PLUG), 2);
}

/* ---- stuck ---- */

static int touches_of_all_verbs(const struct agent_world *w, int gpu)
{
	int n = 0;
	for (int verb = 0; verb < STEP_VERBS; verb++)
		n += world_touches(w, gpu, (enum step_verb)verb);
	return n;
}

static void a_stuck_gpu_is_not_touched_until_it_is_returned(void **state)
{
	struct agent_world *w = *state;
	w->host.vms[1].running = true;
	fault(w, 0, STEP_PLUG)->sticks = true;
	assign(w, 1, 0, 2);
	assert_string_equal(world_word(w, 1), "FAILED STUCK");
	assert_string_equal(world_gpu_word(w, 1, 0), "STUCK STUCK");
	assert_string_equal(world_gpu_word(w, 1, 1), "CLEAN"); /* the other one goes on */
	int touches = touches_of_all_verbs(w, 0);
	world_pass(w, 3 * WORLD_LOOK_US);
	world_restart(w);
	world_pass(w, 3 * WORLD_LOOK_US);
	world_reboot(w);
	world_pass(w, 3 * WORLD_LOOK_US);
	assert_int_equal(touches_of_all_verbs(w, 0), touches);
	fault(w, 0, STEP_PLUG)->sticks = false;
	fake_return(&w->scheduler, 0);
	world_run(w);
	assert_true(touches_of_all_verbs(w, 0) > touches);
	assign_to_running(w, 1, 0, 2);
}

static void a_look_can_be_stuck_too(void **state)
{
	struct agent_world *w = *state;
	fault(w, 0, STEP_LOOK)->sticks = true;
	assign(w, 1, 0, 1);
	assert_string_equal(world_word(w, 1), "FAILED STUCK");
	assert_string_equal(world_gpu_word(w, 1, 0), "STUCK STUCK");
	world_restart(w);
	world_run(w);
	assert_int_equal(world_touches(w, 0, STEP_LOOK), 1);
}

static void a_release_with_a_stuck_gpu_says_so(void **state)
{
	struct agent_world *w = *state;
	int number = assign_to_running(w, 1, 0, 2);
	fault(w, 1, STEP_UNPLUG)->sticks = true;
	release(w, number);
	assert_string_equal(world_word(w, 1), "DETACHED");
	assert_string_equal(world_gpu_word(w, 1, 0), "CLEAN");
	assert_string_equal(world_gpu_word(w, 1, 1), "STUCK STUCK");
}

static void who_gets_a_stuck_gpu_fails(void **state)
{
	struct agent_world *w = *state;
	int number = assign_to_running(w, 1, 0, 1);
	fault(w, 0, STEP_UNPLUG)->sticks = true;
	force(w, number);
	int touches = touches_of_all_verbs(w, 0);
	assign(w, 2, 0, 1);
	assert_string_equal(world_word(w, 2), "FAILED STUCK");
	assert_string_equal(world_gpu_word(w, 2, 0), "STUCK STUCK");
	assert_int_equal(touches_of_all_verbs(w, 0), touches);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		STORY(a_released_gpu_is_unplugged_cleaned_and_kept_on_vfio),
		STORY(by_policy_it_goes_back_to_its_first_driver),
		STORY(a_driver_that_does_not_take_it_back_leaves_it_dirty),
		STORY(a_guest_that_does_not_let_go_is_asked_again_and_shown),
		STORY(a_gpu_that_cannot_be_reset_is_dirty_until_it_is_returned),
		STORY(a_gpu_that_is_returned_to_the_host_is_not_reset_under_it),
		STORY(what_was_never_lent_needs_no_reset),
		STORY(what_was_never_touched_is_not_touched_to_be_released),
		STORY(a_release_after_a_reboot_is_verified),
		STORY(a_failure_undoes_all_units_and_is_not_tried_again),
		STORY(a_failed_plug_is_cleaned_and_put_back),
		STORY(an_attempt_puts_back_what_it_found),
		STORY(what_was_not_put_back_is_dirty),
		STORY(a_bind_that_fails_after_one_that_was_killed_is_given_back),
		STORY(a_vm_that_comes_back_with_it_is_asked_again),
		STORY(a_device_that_another_vm_has_is_not_reset_under_it),
		STORY(who_is_forced_out_is_undone_before_the_next_one),
		STORY(a_release_waits_for_who_was_forced_out_before),
		STORY(what_the_old_one_left_dirty_fails_the_new_one),
		STORY(the_same_vm_may_get_what_it_was_forced_out_of),
		STORY(a_stuck_gpu_is_not_touched_until_it_is_returned),
		STORY(a_look_can_be_stuck_too),
		STORY(a_release_with_a_stuck_gpu_says_so),
		STORY(who_gets_a_stuck_gpu_fails),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
