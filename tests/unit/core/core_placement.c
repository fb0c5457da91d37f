/* Which host, and which units of it. */
#include "world.h"

#include <string.h>

static void pack_fills_and_spread_levels(void **state)
{
	struct world *w = *state;
	world_host(w, "h1 P4*4");
	world_host(w, "h2 P4*2");
	world_host(w, "h3 P4*4");
	assert_string_equal(world_ask(w, "r1 vm1 P4*1"), "vm1: h2 01");
	assert_string_equal(world_ask(w, "r2 vm2 P4*2"), "vm2: h1 01 02");
	assert_string_equal(world_ask(w, "r3 vm3 P4*1"), "vm3: h2 02");
	assert_string_equal(world_ask(w, "r4 vm4 P4*1 policy=spread"), "vm4: h3 01");
	world_pool(w, "agent", "spread");
	assert_string_equal(world_ask(w, "r5 vm5 P4*1"), "vm5: h3 02");
	assert_string_equal(world_ask(w, "r6 vm6 P4*1"), "vm6: h1 03");
	assert_string_equal(world_ask(w, "r7 vm7 P4*1 policy=pack"), "vm7: h1 04");
}

static void ties_go_to_the_host_known_longest(void **state)
{
	struct world *w = *state;
	world_host(w, "zebra P4*2");
	world_host(w, "ant P4*2");
	assert_string_equal(world_ask(w, "r1 vm1 P4*2"), "vm1: zebra 01 02");
}

static void one_switch_before_one_node(void **state)
{
	struct world *w = *state;
	world_host(w, "h1 P4@01/n0/s1 P4@02/n0/s2 P4@03/n0/s2 P4@04/n1/s3 P4@05/n1/s4");
	assert_string_equal(world_ask(w, "r1 vm1 P4*2"), "vm1: h1 02 03");
	assert_string_equal(world_ask(w, "r2 vm2 P4*2"), "vm2: h1 04 05");
}

static void the_tightest_group_that_suffices(void **state)
{
	struct world *w = *state;
	world_host(w, "h1 P4@01/n0/s1 P4@02/n0/s1 P4@03/n0/s1 P4@04/n0/s2 P4@05/n0/s2 P4@06/n1/s3");
	assert_string_equal(world_ask(w, "r1 vm1 P4*1"), "vm1: h1 06");
	assert_string_equal(world_ask(w, "r2 vm2 P4*2"), "vm2: h1 04 05");
	assert_string_equal(world_ask(w, "r3 vm3 P4*3"), "vm3: h1 01 02 03");
}

static void a_gpu_without_a_switch_is_a_group_of_its_own(void **state)
{
	struct world *w = *state;
	world_host(w, "h1 P4@01/n0/s1 P4@02/n0/s1 P4@03/n0 P4@04/n0");
	assert_string_equal(world_ask(w, "r1 vm1 P4*1"), "vm1: h1 03");
	assert_string_equal(world_ask(w, "r2 vm2 P4*2"), "vm2: h1 01 02");
}

static void more_than_a_node_has(void **state)
{
	struct world *w = *state;
	/* Three of the larger node under one switch, and one of the other node that breaks up no
	 * pair. */
	world_host(w, "h1 P4@01/n0/s1 P4@02/n0/s1 P4@03/n0/s1 P4@04/n1/s2 P4@05/n1/s2 P4@06/n1/s3");
	assert_string_equal(world_ask(w, "r1 vm1 P4*4"), "vm1: h1 01 02 03 06");
}

static void fewer_nodes_among_equally_full_hosts(void **state)
{
	struct world *w = *state;
	world_host(w, "h1 P4@01/n0 P4@02/n1");
	world_host(w, "h2 P4@01/n0 P4@02/n0");
	world_host(w, "h3 P4@01/n0/s1 P4@02/n0/s1");
	assert_string_equal(world_ask(w, "r1 vm1 P4*2"), "vm1: h3 01 02");
	assert_string_equal(world_ask(w, "r2 vm2 P4*2"), "vm2: h2 01 02");
	assert_string_equal(world_ask(w, "r3 vm3 P4*2"), "vm3: h1 01 02");
}

static void a_pair_is_taken_where_it_breaks_up_nothing(void **state)
{
	struct world *w = *state;
	world_host(w, "h1 P4@01/n0/s1 P4@02/n0/s1 P4@03/n0/s1");
	world_host(w, "h2 P4@01/n0/s1 P4@02/n0/s1 P4@03/n0/s2");
	assert_string_equal(world_ask(w, "r1 vm1 P4*2"), "vm1: h2 01 02");
}

static void several_models_stay_together(void **state)
{
	struct world *w = *state;
	world_host(w, "h1 P4@01/n0 P4@02/n1 T4@03/n1 T4@04/n2");
	assert_string_equal(world_ask(w, "r1 vm1 P4*1 T4*1"), "vm1: h1 02 03");
}

static void a_pinned_host_is_the_only_one(void **state)
{
	struct world *w = *state;
	world_host(w, "h1 P4*1");
	world_host(w, "h2 P4*2");
	assert_string_equal(world_ask(w, "r1 vm1 P4*1 host=h2"), "vm1: h2 01");
	assert_string_equal(world_ask(w, "r2 vm2 P4*2 host=h2"),
			    "NO_CAPACITY: host h2: has 2 × GP104GL [Tesla P4]: 1 free, 1 assigned");
	assert_string_equal(world_reasons(w), "h2 GPUS_ASSIGNED");
}

static void addresses_beyond_four_digits(void **state)
{
	struct world *w = *state;
	world_heartbeat(w, "h1");
	const char *functions[] = { "10000:01:00.0", "10000:01:00.1", "0000:05:00.0" };
	struct gpu_discovered gpu = {
		.gpu_id = "h1/10000:01:00.0",
		.host = "h1",
		.pool_id = "1",
		.pci_address = "10000:01:00.0",
		.model = "GP104GL [Tesla P4]",
		.vendor = "NVIDIA Corporation",
		.vendor_id = "10de",
		.device_id = "1bb3",
		.class_id = "030200",
		.iommu_group = 1,
		.numa_node = 0,
		.functions = functions,
		.n_functions = 3,
		.state = "AVAILABLE",
		.boot_id = "b",
	};
	const char *error;
	assert_int_equal(shard_fold_gpu(w->state, &gpu, &error), 0);
	world_ask(w, "r1 vm1 P4*1");
	const struct gpu_assigned *assigned = &w->log[0].record.gpu_assigned;
	assert_string_equal(assigned->gpus[0].gpu_id, "h1/10000:01:00.0");
	assert_int_equal(assigned->gpus[0].n_functions, 3);
	assert_string_equal(assigned->gpus[0].functions[2], "0000:05:00.0");
}

int main(void)
{
#define STORY(f) cmocka_unit_test_setup_teardown(f, world_setup, world_teardown)
	const struct CMUnitTest tests[] = {
		STORY(pack_fills_and_spread_levels),
		STORY(ties_go_to_the_host_known_longest),
		STORY(one_switch_before_one_node),
		STORY(the_tightest_group_that_suffices),
		STORY(a_gpu_without_a_switch_is_a_group_of_its_own),
		STORY(more_than_a_node_has),
		STORY(fewer_nodes_among_equally_full_hosts),
		STORY(a_pair_is_taken_where_it_breaks_up_nothing),
		STORY(several_models_stay_together),
		STORY(a_pinned_host_is_the_only_one),
		STORY(addresses_beyond_four_digits),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
