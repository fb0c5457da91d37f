/* VmReleased and what agents report: when GPUs come back, and when they do not. */
#include "world.h"

#include <string.h>

static void a_pool_without_agents_frees_at_once(void **state)
{
	struct world *w = *state;
	world_pool(w, "external", "pack");
	world_host(w, "h1 P4*2");
	world_ask(w, "r1 vm1 P4*2");
	assert_string_equal(world_release(w, "x1 vm1"), "released vm1: h1 01 02");
	/* Both requests are answered by the release from now on. */
	assert_string_equal(world_release(w, "x1 vm1"), "again released vm1: h1 01 02");
	assert_string_equal(world_ask(w, "r1 vm1 P4*2"), "again released vm1: h1 01 02");
	assert_string_equal(world_ask(w, "r2 vm2 P4*2"), "vm2: h1 01 02");
	assert_int_equal(shard_counts(w->state).gpus_assigned, 2);
	assert_int_equal(shard_counts(w->state).vms, 1);

	const struct gpu_released *released = &w->log[1].record.gpu_released;
	assert_string_equal(released->assignment_id, "r1/1");
	assert_string_equal(released->request_id, "x1");
	assert_string_equal(released->gpus[1].gpu_id, "h1/0000:02:00.0");
	assert_int_equal(released->gpus[1].n_functions, 2);
	assert_int_equal(released->gpus[1].iommu_group, 12);
}

static void agents_free_by_a_clean_detach_of_the_right_assignment(void **state)
{
	struct world *w = *state;
	world_host(w, "h1 P4*2");
	world_ask(w, "r1 vm1 P4*2 instance=i1");
	assert_string_equal(world_report(w, "vm1 r1/1 DETACHED clean=1"), "nothing");
	assert_string_equal(world_release(w, "x1 vm1"), "releasing vm1: h1 01 02");
	const struct gpu_assigned *releasing = &w->log[1].record.gpu_assigned;
	assert_string_equal(releasing->assignment_id, "r1/1");
	assert_string_equal(releasing->request_id, "r1");
	assert_string_equal(releasing->release_request_id, "x1");
	assert_string_equal(releasing->vm_instance_id, "i1");

	/* The answers are what stands now. */
	assert_string_equal(world_ask(w, "r1 vm1 P4*2"), "again releasing vm1: h1 01 02");
	assert_string_equal(world_release(w, "x1 vm1"), "again releasing vm1: h1 01 02");
	assert_string_equal(world_release(w, "x2 vm1"),
			    "ALREADY_RELEASING: the GPUs of VM vm1 are being released already "
			    "(request x1)");

	assert_string_equal(world_report(w, "vm1 r0/1 DETACHED 01=CLEAN 02=CLEAN"), "nothing");
	assert_string_equal(world_report(w, "vm1 r1/1 DETACHED clean=1 host=h2"), "nothing");
	assert_string_equal(world_report(w, "vm2 r1/1 DETACHED clean=1"), "nothing");
	assert_non_null(strstr(world_ask(w, "r2 vm2 P4*1"), "NO_CAPACITY"));

	assert_string_equal(world_report(w, "vm1 r1/1 DETACHED clean=1"), "released vm1: h1 01 02");
	assert_string_equal(w->log[w->n_log - 1].record.gpu_released.request_id, "x1");
	assert_string_equal(world_report(w, "vm1 r1/1 DETACHED clean=1"), "nothing");
	assert_string_equal(world_release(w, "x1 vm1"), "again released vm1: h1 01 02");
	assert_string_equal(world_ask(w, "r3 vm3 P4*2"), "vm3: h1 01 02");
}

static void force_frees_at_once_and_needs_a_reason_and_an_actor(void **state)
{
	struct world *w = *state;
	world_host(w, "h1 P4*1");
	world_ask(w, "r1 vm1 P4*1");
	world_release(w, "x1 vm1");
	assert_string_equal(world_release(w, "x2 vm1 force=1"),
			    "INVALID_REQUEST: force needs a reason");
	assert_string_equal(world_release(w, "x2b vm1 force=1 reason=agent-is-dead actor="),
			    "INVALID_REQUEST: actor is empty");
	assert_string_equal(world_release(w, "x3 vm1 force=1 reason=agent-is-dead actor=alice"),
			    "released vm1: h1 01");
	const struct gpu_released *released = &w->log[w->n_log - 1].record.gpu_released;
	assert_string_equal(released->reason, "agent-is-dead");
	assert_string_equal(released->actor, "alice");
	assert_string_equal(released->code, "FORCED");
	/* The release that was under way is answered, too. */
	assert_string_equal(world_release(w, "x1 vm1"), "again released vm1: h1 01");
	assert_string_equal(world_ask(w, "r1 vm1 P4*1"), "again released vm1: h1 01");
}

static void nothing_held_is_no_error(void **state)
{
	struct world *w = *state;
	w->unknown = true; /* the ledger is always known */
	assert_string_equal(world_release(w, "x1 vm1"),
			    "NOTHING_HELD: VM vm1 holds no GPUs in pool 1");
	assert_string_equal(world_release(w, "x1 vm1"),
			    "again NOTHING_HELD: VM vm1 holds no GPUs in pool 1");
	assert_non_null(strstr(world_release(w, "x2 vm\x03"), "INVALID_REQUEST"));
}

static void a_definition_that_is_not_read_yet_may_change_the_answer(void **state)
{
	struct world *w = *state;
	world_host(w, "h1 P4*1");
	world_ask(w, "r1 vm1 P4*1");
	w->unknown = true;
	assert_string_equal(world_release(w, "x1 vm1"), "unknown");
	world_pool(w, "agent", "pack");
	assert_string_equal(world_release(w, "x1 vm1"), "releasing vm1: h1 01");
}

static void a_gpu_that_turned_bad_does_not_come_back(void **state)
{
	struct world *w = *state;
	world_pool(w, "external", "pack");
	world_host(w, "h1 P4*1");
	world_ask(w, "r1 vm1 P4*1");
	world_gpus(w, "h1 P4@01/GROUP_SHARED");
	assert_non_null(strstr(world_ask(w, "r2 vm2 P4*1"), "GP104GL [Tesla P4]: 1 assigned"));
	assert_string_equal(world_release(w, "x1 vm1"), "released vm1: h1 01");
	assert_non_null(strstr(world_ask(w, "r3 vm2 P4*1"), "1 sharing an IOMMU group"));
}

static void what_was_assigned_is_what_is_released(void **state)
{
	struct world *w = *state;
	world_pool(w, "external", "pack");
	world_host(w, "h1 P4@01/n1 T4@02");
	world_ask(w, "r1 vm1 P4*1 T4*1");
	/* The card is swapped behind our back, the other one is gone from the inventory. */
	world_gpus(w, "h1 P100@01");
	world_remove_gpu(w, "h1/0000:02:00.0");
	assert_string_equal(world_release(w, "x1 vm1"), "released vm1: h1 01 02");
	const struct gpu_released *released = &w->log[1].record.gpu_released;
	assert_string_equal(released->gpus[0].name, "GP104GL [Tesla P4]");
	assert_string_equal(released->gpus[0].device, "10de:1bb3");
	assert_int_equal(released->gpus[0].numa_node, 1);
	assert_string_equal(released->gpus[1].name, "TU104GL [Tesla T4]");
	assert_string_equal(world_ask(w, "r2 vm2 P100*1"), "vm2: h1 01");
	assert_non_null(strstr(world_ask(w, "r3 vm3 T4*1"), "MODEL_UNKNOWN"));
}

int main(void)
{
#define STORY(f) cmocka_unit_test_setup_teardown(f, world_setup, world_teardown)
	const struct CMUnitTest tests[] = {
		STORY(a_pool_without_agents_frees_at_once),
		STORY(agents_free_by_a_clean_detach_of_the_right_assignment),
		STORY(force_frees_at_once_and_needs_a_reason_and_an_actor),
		STORY(nothing_held_is_no_error),
		STORY(a_definition_that_is_not_read_yet_may_change_the_answer),
		STORY(a_gpu_that_turned_bad_does_not_come_back),
		STORY(what_was_assigned_is_what_is_released),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
