/* How a VM gets its GPUs and keeps them: each test is a story about one rule of agent/plan.h or agent.h. */
#include "story.h"

#include "base/buf.h"

static void nothing_is_done_before_the_log_is_read(void **state)
{
	struct agent_world *w = *state;
	world_kill(w, false);
	const int gpus[] = { 0 };
	w->host.vms[1].running = true;
	fake_assign(&w->scheduler, 1, gpus, 1, false);
	world_start(w); /* goes on after each record, and notices steps */
	assert_int_equal(w->n_steps, 0);
	world_run(w);
	assert_string_equal(world_word(w, 1), "ATTACHED");
}

static void a_vm_that_runs_gets_its_gpus(void **state)
{
	struct agent_world *w = *state;
	assign_to_running(w, 1, 0, 2);
	assert_true(fake_gpu_is_plugged(&w->host, 0, 1) && fake_gpu_is_plugged(&w->host, 1, 1));
	assert_int_equal(world_touches(w, 0, STEP_BIND), 1);
	assert_int_equal(world_touches(w, 0, STEP_PLUG), 1);
	assert_int_equal(world_touches(w, 0, STEP_CLEAN), 0);
	assert_string_equal(world_gpu_word(w, 1, 1), "ATTACHED");
	assert_string_equal(world_report_of(w, 1)->host, FAKE_HOST);
	assert_string_equal(world_report_of(w, 1)->pool_id, FAKE_POOL);
	assert_true(agent_is_settled(w->agent));
}

static void drivers_are_on_the_disk_before_the_first_touch(void **state)
{
	struct agent_world *w = *state;
	const int gpus[] = { 0 };
	fake_assign(&w->scheduler, 1, gpus, 1, false);
	run_until(w, STEP_BIND);
	assert_non_null(strstr(w->saved, "nouveau"));
	assert_non_null(strstr(w->saved, "touched"));
	assert_null(strstr(w->saved, "lent"));
}

static void that_a_vm_may_have_it_is_on_the_disk_before_it_has(void **state)
{
	struct agent_world *w = *state;
	const int gpus[] = { 0 };
	w->host.vms[1].running = true;
	fake_assign(&w->scheduler, 1, gpus, 1, false);
	run_until(w, STEP_PLUG);
	assert_non_null(strstr(w->saved, "lent"));
}

static void nothing_is_plugged_before_all_are_bound(void **state)
{
	struct agent_world *w = *state;
	const int gpus[] = { 0, 1 };
	w->host.vms[1].running = true;
	let_fail(w, 1, STEP_BIND, ATTACH_IN_USE);
	fake_assign(&w->scheduler, 1, gpus, 2, false);
	world_run(w);
	assert_int_equal(world_touches(w, 0, STEP_PLUG), 0);
}

static void a_vm_that_is_absent_gets_them_when_it_comes(void **state)
{
	struct agent_world *w = *state;
	assign(w, 1, 0, 1);
	assert_string_equal(world_word(w, 1), "BOUND VM_ABSENT");
	assert_non_null(strstr(world_report_of(w, 1)->reason, "vm1"));
	assert_true(agent_is_settled(w->agent));
	w->host.vms[1].running = true;
	assert_true(agent_wake_at(w->agent) <= w->now_us + WORLD_LOOK_US);
	world_pass(w, WORLD_LOOK_US);
	assert_string_equal(world_word(w, 1), "ATTACHED");
}

static void a_silent_hypervisor_is_asked_again(void **state)
{
	struct agent_world *w = *state;
	w->host.vms[1].running = true;
	w->host.silent = true;
	assign(w, 1, 0, 1);
	assert_string_equal(world_word(w, 1), "BOUND HYPERVISOR_SILENT");
	w->host.silent = false;
	world_pass(w, WORLD_LOOK_US);
	assert_string_equal(world_word(w, 1), "ATTACHED");
	/* That it says nothing does not say that the VM has lost them. */
	w->host.silent = true;
	world_pass(w, WORLD_LOOK_US);
	assert_string_equal(world_word(w, 1), "ATTACHED HYPERVISOR_SILENT");
}

static void a_vm_that_restarts_gets_them_again(void **state)
{
	struct agent_world *w = *state;
	assign_to_running(w, 1, 0, 1);
	fake_vm_stop(&w->host, 1);
	world_pass(w, WORLD_LOOK_US);
	assert_string_equal(world_word(w, 1), "BOUND VM_ABSENT");
	w->host.vms[1].running = true;
	world_pass(w, WORLD_LOOK_US);
	assert_string_equal(world_word(w, 1), "ATTACHED");
	assert_true(fake_gpu_is_plugged(&w->host, 0, 1));
}

static void after_a_reboot_they_are_bound_before_anything_is_said(void **state)
{
	struct agent_world *w = *state;
	assign_to_running(w, 1, 0, 1);
	size_t said = w->n_reports;
	world_reboot(w);
	run_until(w, STEP_BIND);
	assert_int_equal(w->n_reports, said);
	world_run(w);
	assert_string_equal(world_word(w, 1), "BOUND VM_ABSENT");
	assert_true(fake_gpu_is_bound(&w->host, 0));
	w->host.vms[1].running = true;
	world_pass(w, WORLD_LOOK_US);
	assert_string_equal(world_word(w, 1), "ATTACHED");
}

/* The host's drivers may be others than before. */
static void after_a_reboot_drivers_are_looked_at_anew(void **state)
{
	struct agent_world *w = *state;
	const int gpus[] = { 0 };
	int number = fake_assign(&w->scheduler, 1, gpus, 1, true);
	world_run(w);
	w->host.gpus[0].functions[0].native = "nvidia";
	world_reboot(w);
	world_run(w);
	release(w, number);
	assert_string_equal(w->host.gpus[0].functions[0].driver, "nvidia");
}

/* A process of the host has the device by now: it is not to be reset under it. */
static void after_a_reboot_what_cannot_be_bound_is_left_alone(void **state)
{
	struct agent_world *w = *state;
	assign_to_running(w, 1, 0, 1);
	let_fail(w, 0, STEP_BIND, ATTACH_IN_USE);
	world_reboot(w);
	world_run(w);
	assert_string_equal(world_word(w, 1), "FAILED IN_USE");
	assert_int_equal(world_touches(w, 0, STEP_CLEAN), 0);
	assert_int_equal(world_touches(w, 0, STEP_GIVE_BACK), 0);
}

static void without_a_hypervisor_bound_is_all(void **state)
{
	struct agent_world *w = *state;
	w->no_hypervisor = true;
	world_restart(w);
	int number = assign(w, 1, 0, 1);
	assert_string_equal(world_word(w, 1), "BOUND");
	assert_int_equal(world_touches(w, 0, STEP_PLUG), 0);
	release(w, number);
	assert_int_equal(world_touches(w, 0, STEP_CLEAN), 1); /* somebody's VM may have had it */
	assert_string_equal(world_word(w, 1), "DETACHED");
}

/* ---- what the log says ---- */

static void records_of_others_change_nothing(void **state)
{
	struct agent_world *w = *state;
	int number = assign_to_running(w, 1, 0, 1);
	struct record record = { .type = RECORD_GPU_ASSIGNED,
				 .gpu_assigned = fake_assigned_record(&w->scheduler, number) };
	/* Another pool's VM of the same id. */
	record.gpu_assigned.pool_id = "8";
	record.gpu_assigned.assignment_id = "other/1";
	fake_write(&w->scheduler, &record);
	/* Another VM on another host. */
	record.gpu_assigned.pool_id = FAKE_POOL;
	record.gpu_assigned.vm_id = "vm4";
	record.gpu_assigned.host = "h2";
	fake_write(&w->scheduler, &record);
	size_t said = w->n_reports;
	world_pass(w, 3 * WORLD_LOOK_US);
	assert_int_equal(w->n_reports, said);
	assert_true(fake_gpu_is_plugged(&w->host, 0, 1));
}

static void an_assignment_elsewhere_ends_the_one_here(void **state)
{
	struct agent_world *w = *state;
	int number = assign_to_running(w, 1, 0, 1);
	struct record record = { .type = RECORD_GPU_ASSIGNED,
				 .gpu_assigned = fake_assigned_record(&w->scheduler, number) };
	record.gpu_assigned.assignment_id = "r-0/2";
	record.gpu_assigned.host = "h2";
	fake_write(&w->scheduler, &record);
	world_run(w);
	assert_true(fake_gpu_is_clean(&w->host, 0));
	cleanup(buf_deinit) struct buf text = { 0 };
	agent_describe(w->agent, &text);
	assert_int_equal(text.len, 0); /* it is forgotten */
}

static void a_state_of_a_later_version_is_not_guessed_at(void **state)
{
	struct agent_world *w = *state;
	const int gpus[] = { 0 };
	int number = fake_assign(&w->scheduler, 1, gpus, 1, false);
	struct record record = { .type = RECORD_GPU_ASSIGNED,
				 .gpu_assigned = fake_assigned_record(&w->scheduler, number) };
	record.gpu_assigned.state = "SUSPENDED";
	w->scheduler.n_log = 0;
	fake_write(&w->scheduler, &record);
	world_run(w);
	assert_int_equal(world_touches(w, 0, STEP_LOOK), 0);
}

static void assign_malformed(struct agent_world *w, void (*malform)(struct gpu_assigned *))
{
	const int gpus[] = { 0, 1 };
	int number = fake_assign(&w->scheduler, 1, gpus, 2, false);
	struct record record = { .type = RECORD_GPU_ASSIGNED,
				 .gpu_assigned = fake_assigned_record(&w->scheduler, number) };
	malform(&record.gpu_assigned);
	w->scheduler.n_log = 0;
	fake_write(&w->scheduler, &record);
	w->deaf = true;
	world_run(w);
	assert_string_equal(world_word(w, 1), "FAILED INVALID_ASSIGNMENT");
	assert_int_equal(world_touches(w, 0, STEP_BIND) + world_touches(w, 1, STEP_BIND), 0);
}

static void share_a_function(struct gpu_assigned *assigned)
{
	assigned->gpus[1].functions[1] = assigned->gpus[0].functions[1];
}

static void name_no_address(struct gpu_assigned *assigned)
{
	assigned->gpus[1].functions[1] = "0000:zz:00.0";
}

static void name_no_functions(struct gpu_assigned *assigned)
{
	assigned->gpus[1].n_functions = 0;
}

static void begin_with_another(struct gpu_assigned *assigned)
{
	assigned->gpus[1].functions[0] = assigned->gpus[1].functions[1];
}

static void name_a_function_twice(struct gpu_assigned *assigned)
{
	assigned->gpus[1].functions[1] = assigned->gpus[1].functions[0];
}

static void have_no_gpus(struct gpu_assigned *assigned)
{
	assigned->n_gpus = 0;
}

static void units_that_share_a_function_are_refused(void **state)
{
	assign_malformed(*state, share_a_function);
	assert_string_equal(world_gpu_word(*state, 1, 0), "CLEAN");
}

static void functions_that_are_no_addresses_are_refused(void **state)
{
	assign_malformed(*state, name_no_address);
	assert_string_equal(world_gpu_word(*state, 1, 1), "CLEAN");
}

static void a_unit_without_functions_is_refused(void **state)
{
	assign_malformed(*state, name_no_functions);
}

static void a_unit_that_does_not_begin_with_its_gpu_is_refused(void **state)
{
	assign_malformed(*state, begin_with_another);
}

static void a_unit_that_names_a_function_twice_is_refused(void **state)
{
	assign_malformed(*state, name_a_function_twice);
}

static void an_assignment_without_gpus_is_refused(void **state)
{
	assign_malformed(*state, have_no_gpus);
}

static void a_unit_that_another_vm_has_is_refused(void **state)
{
	struct agent_world *w = *state;
	assign_to_running(w, 1, 0, 1);
	const int gpus[] = { 0 };
	w->deaf = true;
	fake_assign(&w->scheduler, 2, gpus, 1, false);
	world_run(w);
	assert_string_equal(world_word(w, 2), "FAILED INVALID_ASSIGNMENT");
	assert_string_equal(world_gpu_word(w, 2, 0), "DIRTY INVALID_ASSIGNMENT");
	assert_true(fake_gpu_is_plugged(&w->host, 0, 1));
}

/* ---- steps ---- */

static void steps_of_many_units_run_side_by_side(void **state)
{
	struct agent_world *w = *state;
	w->max_steps = 2;
	world_restart(w);
	const int gpus[] = { 0, 1, 2, 3 };
	fake_assign(&w->scheduler, 1, gpus, 4, false);
	world_deliver(w);
	agent_go_on(w->agent, w->now_us);
	assert_int_equal(w->n_steps, 2);
	agent_go_on(w->agent, w->now_us);
	assert_int_equal(w->n_steps, 2);
	assert_false(agent_is_settled(w->agent));
	world_run(w);
	assert_string_equal(world_word(w, 1), "BOUND VM_ABSENT");
}

static void nobody_starves(void **state)
{
	struct agent_world *w = *state;
	w->max_steps = 1;
	world_restart(w);
	assign(w, 1, 0, 2);
	assign(w, 2, 2, 2);
	int looks[4];
	for (int i = 0; i < 4; i++)
		looks[i] = world_touches(w, i, STEP_LOOK);
	/* Every look takes as long as a look lasts: more is due than can be done. */
	for (int i = 0; i < 8; i++) {
		w->now_us += WORLD_LOOK_US;
		agent_go_on(w->agent, w->now_us);
		world_finish(w, 0);
	}
	for (int i = 0; i < 4; i++)
		assert_int_equal(world_touches(w, i, STEP_LOOK) - looks[i], 2);
}

static void results_of_unknown_steps_are_ignored(void **state)
{
	struct agent_world *w = *state;
	const int gpus[] = { 0 };
	fake_assign(&w->scheduler, 1, gpus, 1, false);
	run_until(w, STEP_LOOK);
	struct step_result stuck = { .outcome = STEP_STUCK };
	agent_on_step_done(w->agent, 4711, &stuck, w->now_us);
	world_run(w);
	assert_string_equal(world_word(w, 1), "BOUND VM_ABSENT");
}

static void a_change_of_mind_waits_for_the_step_that_runs(void **state)
{
	struct agent_world *w = *state;
	const int gpus[] = { 0 };
	w->host.vms[1].running = true;
	int number = fake_assign(&w->scheduler, 1, gpus, 1, false);
	run_until(w, STEP_PLUG);
	fake_release(&w->scheduler, number);
	world_deliver(w);
	agent_go_on(w->agent, w->now_us);
	assert_int_equal(w->n_steps, 1);
	assert_int_equal(w->steps[0].step.verb, STEP_PLUG);
	world_run(w);
	assert_string_equal(world_word(w, 1), "DETACHED");
	assert_true(fake_gpu_is_clean(&w->host, 0));
	assert_int_equal(world_touches(w, 0, STEP_UNPLUG), 1);
}

static void a_look_that_fails_is_tried_again(void **state)
{
	struct agent_world *w = *state;
	assign_to_running(w, 1, 0, 1);
	let_fail(w, 0, STEP_LOOK, ATTACH_DEVICE_GONE);
	world_pass(w, 2 * WORLD_LOOK_US);
	assert_string_equal(world_word(w, 1), "ATTACHED DEVICE_GONE");
	fault(w, 0, STEP_LOOK)->fails = false;
	world_pass(w, WORLD_LOOK_US);
	assert_string_equal(world_word(w, 1), "ATTACHED");
	assert_int_equal(world_touches(w, 0, STEP_UNPLUG), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		STORY(nothing_is_done_before_the_log_is_read),
		STORY(a_vm_that_runs_gets_its_gpus),
		STORY(drivers_are_on_the_disk_before_the_first_touch),
		STORY(that_a_vm_may_have_it_is_on_the_disk_before_it_has),
		STORY(nothing_is_plugged_before_all_are_bound),
		STORY(a_vm_that_is_absent_gets_them_when_it_comes),
		STORY(a_silent_hypervisor_is_asked_again),
		STORY(a_vm_that_restarts_gets_them_again),
		STORY(after_a_reboot_they_are_bound_before_anything_is_said),
		STORY(after_a_reboot_drivers_are_looked_at_anew),
		STORY(after_a_reboot_what_cannot_be_bound_is_left_alone),
		STORY(without_a_hypervisor_bound_is_all),
		STORY(records_of_others_change_nothing),
		STORY(an_assignment_elsewhere_ends_the_one_here),
		STORY(a_state_of_a_later_version_is_not_guessed_at),
		STORY(units_that_share_a_function_are_refused),
		STORY(functions_that_are_no_addresses_are_refused),
		STORY(a_unit_without_functions_is_refused),
		STORY(a_unit_that_does_not_begin_with_its_gpu_is_refused),
		STORY(a_unit_that_names_a_function_twice_is_refused),
		STORY(an_assignment_without_gpus_is_refused),
		STORY(a_unit_that_another_vm_has_is_refused),
		STORY(steps_of_many_units_run_side_by_side),
		STORY(nobody_starves),
		STORY(results_of_unknown_steps_are_ignored),
		STORY(a_change_of_mind_waits_for_the_step_that_runs),
		STORY(a_look_that_fails_is_tried_again),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
