/* MigrationCheck: where a VM's GPUs could be had instead. */
#include "world.h"

#include <string.h>

static void any_host_best_first(void **state)
{
	struct world *w = *state;
	world_host(w, "h1 P4*2");
	world_host(w, "h2 P4*4");
	world_host(w, "h3 P4*2");
	world_host(w, "h4 P4*1");
	world_host(w, "h5 T4*2");
	world_ask(w, "r1 vm1 P4*2 host=h1");
	assert_string_equal(world_migrate(w, "m1 vm1"),
			    "h3 01 02 | h3 FITS | h2 FITS | h4 TOO_FEW_GPUS | h1 CURRENT_HOST | "
			    "h5 NO_SUCH_MODEL");
	assert_non_null(strstr(world_migrate(w, "m1 vm1"), "again h3 01 02"));
	/* Nothing is held by a check. */
	assert_string_equal(world_ask(w, "r2 vm2 P4*2 host=h3"), "vm2: h3 01 02");
	assert_string_equal(world_migrate(w, "m2 vm1"),
			    "h2 01 02 | h2 FITS | h4 TOO_FEW_GPUS | h1 CURRENT_HOST | h3 "
			    "GPUS_ASSIGNED | h5 NO_SUCH_MODEL");
}

static void a_target(void **state)
{
	struct world *w = *state;
	world_type(w, "two cpu=8 ram=8 P4*1 T4*1");
	world_host(w, "h1 cpu=8 ram=8 P4@01 T4@02");
	world_host(w, "h2 cpu=8 ram=8 P4@05 T4@06");
	world_host(w, "h3 cpu=4 ram=8 P4@05 T4@06");
	world_ask(w, "r1 vm1 type=two host=h1");
	assert_string_equal(world_migrate(w, "m1 vm1 target=h2"), "h2 05 06 | h2 FITS");
	assert_string_equal(world_migrate(w, "m2 vm1 target=h3"), "no | h3 NO_CPU");
	assert_string_equal(world_migrate(w, "m3 vm1 target=h1"), "no | h1 CURRENT_HOST");
	assert_string_equal(world_migrate(w, "m4 vm1 target=h9"),
			    "HOST_UNKNOWN: pool 1 has no host h9; its hosts: h1, h2, h3");
}

/* It has room for another of this kind, but the VM is there already. */
static void the_present_host_is_no_candidate(void **state)
{
	struct world *w = *state;
	world_host(w, "h1 P4*4");
	world_ask(w, "r1 vm1 P4*2");
	assert_string_equal(world_migrate(w, "m1 vm1"), "no | h1 CURRENT_HOST");
	world_host(w, "h2 P4*2");
	world_command(w, "c1 CORDON_HOST h2");
	assert_string_equal(world_migrate(w, "m2 vm1"), "no | h1 CURRENT_HOST | h2 HOST_CORDONED");
	world_command(w, "c2 UNCORDON_HOST h2");
	assert_string_equal(world_migrate(w, "m3 vm1"), "h2 01 02 | h2 FITS | h1 CURRENT_HOST");
}

static void what_cannot_be_checked(void **state)
{
	struct world *w = *state;
	world_host(w, "h1 P4*1");
	assert_string_equal(world_migrate(w, "m1 vm1"),
			    "VM_HAS_NO_GPUS: VM vm1 holds no GPUs in pool 1");
	world_ask(w, "r1 vm1 P4*1");
	assert_non_null(strstr(world_migrate(w, "m2 vm1 reserve=1"), "NOT_SUPPORTED: reserve"));
	assert_non_null(strstr(world_migrate(w, "m3 "
						"vm\x01"),
			       "INVALID_REQUEST"));
	assert_string_equal(world_migrate(w, "m4 vm1"), "no | h1 CURRENT_HOST");
}

static void a_vm_whose_gpus_are_being_released(void **state)
{
	struct world *w = *state;
	world_host(w, "h1 P4*1");
	world_host(w, "h2 P4*1");
	world_ask(w, "r1 vm1 P4*1");
	world_release(w, "x1 vm1"); /* the pool has agents: they must detach first */
	assert_string_equal(world_migrate(w, "m1 vm1"),
			    "VM_HAS_NO_GPUS: the GPUs of VM vm1 are being released (request x1)");
}

static void a_no_waits_until_it_is_known(void **state)
{
	struct world *w = *state;
	world_host(w, "h1 P4*1");
	world_host(w, "h2 P4@01/UNREADABLE");
	world_ask(w, "r1 vm1 P4*1");
	w->unknown = true;
	assert_string_equal(world_migrate(w, "m1 vm1"), "unknown");
	assert_string_equal(world_migrate(w, "m1 vm1 target=h2"), "unknown");
	assert_string_equal(world_migrate(w, "m1 vm1 target=h3"), "unknown");
	assert_string_equal(world_migrate(w, "m2 vm1 target=h1"), "no | h1 CURRENT_HOST");
	world_host(w, "h2 P4*1");
	assert_string_equal(world_migrate(w, "m1 vm1"), "h2 01 | h2 FITS | h1 CURRENT_HOST");
}

static void other_boards_of_the_model_will_do(void **state)
{
	struct world *w = *state;
	world_host(w, "h1 P4*1");
	world_host(w, "h2 P4b*1");
	world_host(w, "h3 Px*1");
	world_ask(w, "r1 vm1 P4*1 host=h1");
	assert_string_equal(world_migrate(w, "m1 vm1"),
			    "h2 01 | h2 FITS | h1 CURRENT_HOST | h3 NO_SUCH_MODEL");
}

int main(void)
{
#define STORY(f) cmocka_unit_test_setup_teardown(f, world_setup, world_teardown)
	const struct CMUnitTest tests[] = {
		STORY(any_host_best_first),
		STORY(the_present_host_is_no_candidate),
		STORY(a_target),
		STORY(what_cannot_be_checked),
		STORY(a_vm_whose_gpus_are_being_released),
		STORY(a_no_waits_until_it_is_known),
		STORY(other_boards_of_the_model_will_do),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
