/*
 * What folding and settling do to the ledger, rule by rule: what shows, what is forgotten, what never moves back.
 */
#include "world.h"

#include <string.h>

static void malformed_functions_of_an_assignment_are_left_out(void **state)
{
	struct world *w = *state;
	world_pool(w, "external", "pack");
	world_host(w, "h1 P4*1");
	world_ask(w, "r1 vm1 P4*1");
	world_release(w, "x1 vm1");
	const char *functions[] = { "0000:01:00.0", "nonsense" };
	struct record record = w->log[0].record;
	struct assigned_gpu gpu = record.gpu_assigned.gpus[0];
	gpu.functions = functions;
	record.gpu_assigned.gpus = &gpu;
	const struct logged *logged = world_log(w, &record);
	shard_settle(w->state, world_fold(w->state, logged), world_offset(w, logged), NULL, NULL);
	assert_string_equal(world_release(w, "x2 vm1"), "released vm1: h1 01");
	assert_int_equal(w->log[w->n_log - 1].record.gpu_released.gpus[0].n_functions, 1);
	/* The texts that other entries share are still theirs. */
	assert_string_equal(world_ask(w, "r2 vm2 P4*1"), "vm2: h1 01");
}

static void only_settled_rows_show(void **state)
{
	struct world *w = *state;
	world_host(w, "h1 P4*1");
	world_ask(w, "r1 vm1 P4*1");
	uint64_t digest = shard_digest(w->state);
	struct record event = { .type = RECORD_VM_RELEASED };
	event.vm_released = (struct vm_released){ .request_id = "x1",
						  .vm_id = "vm1",
						  .pool_id = "1",
						  .force = 1,
						  .reason = "test",
						  .actor = "tester" };
	decide(w->state, &event, w->now, true, &w->deciding, &w->decision);
	struct logged *logged = world_log(w, &w->decision.record);
	struct change *change = world_fold(w->state, logged);
	assert_int_equal(shard_digest(w->state), digest);
	const struct answer *answer = shard_find_answer(w->state, "1", RECORD_VM_RELEASED, "x1");
	assert_int_equal(answer->revision, -1);
	assert_int_equal(shard_counts(w->state).gpus_assigned, 0);
	shard_settle(w->state, change, 9, NULL, NULL);
	assert_int_equal(answer->revision, 9);
	assert_true(shard_digest(w->state) != digest);
}

static void answers_are_forgotten_but_not_those_of_living_vms(void **state)
{
	struct world *w = *state;
	world_host(w, "h1 P4*2");
	world_pool(w, "external", "pack");
	world_ask(w, "r1 vm1 P4*1");
	world_release(w, "x0 vm0");
	world_ask(w, "r2 vm2 P4*1");
	world_release(w, "x2 vm2");
	assert_int_equal(shard_counts(w->state).answers, 4);
	w->now += 24 * 3600 * (int64_t)SECOND;
	world_heartbeat(w, "h1");
	assert_non_null(strstr(world_release(w, "x3 vm0"), "NOTHING_HELD"));
	assert_int_equal(shard_counts(w->state).answers, 5);
	w->now += 1;
	assert_non_null(strstr(world_release(w, "x4 vm0"), "NOTHING_HELD"));
	assert_int_equal(shard_counts(w->state).answers, 3); /* r1, x3, x4 */
	assert_string_equal(world_ask(w, "r1 vm1 P4*1"), "again vm1: h1 01");
	assert_string_equal(world_ask(w, "r2 vm2 P4*1"), "vm2: h1 02"); /* asked anew */
}

static void a_clock_that_is_behind_does_not_age_answers(void **state)
{
	struct world *w = *state;
	world_release(w, "x1 vm1");
	w->now -= 100 * SECOND;
	world_release(w, "x2 vm1");
	assert_int_equal(w->log[1].record.request_completed.decided_at, 900 * (int64_t)SECOND);
	const struct answer *answer = shard_find_answer(w->state, "1", RECORD_VM_RELEASED, "x2");
	assert_int_equal(answer->decided_at, 1000 * (int64_t)SECOND);
}

static void positions_never_move_back(void **state)
{
	struct world *w = *state;
	struct record record = { .type = RECORD_REQUEST_COMPLETED };
	record.request_completed = (struct request_completed){
		.request_id = "x", .request_type = "VmReleased", .pool_id = "1", .code = "C"
	};
	struct change *change;
	assert_int_equal(
		shard_fold(w->state, &record, "v", 1, (struct input_positions){ 7, 3 }, &change),
		0);
	change_free(change);
	assert_int_equal(
		shard_fold(w->state, &record, "v", 1, (struct input_positions){ 6, 4 }, &change),
		0);
	change_free(change);
	assert_int_equal(shard_applied(w->state).requests, 7);
	assert_int_equal(shard_applied(w->state).attachments, 4);
}

int main(void)
{
#define STORY(f) cmocka_unit_test_setup_teardown(f, world_setup, world_teardown)
	const struct CMUnitTest tests[] = {
		STORY(malformed_functions_of_an_assignment_are_left_out),
		STORY(only_settled_rows_show),
		STORY(answers_are_forgotten_but_not_those_of_living_vms),
		STORY(a_clock_that_is_behind_does_not_age_answers),
		STORY(positions_never_move_back),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
