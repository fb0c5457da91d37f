/* What hosts and inventories say, in any order, and what they cannot undo. */
#include "world.h"

#include <stdio.h>
#include <string.h>

static void a_silent_host_gives_nothing_and_frees_nothing(void **state)
{
	struct world *w = *state;
	world_host(w, "h1 P4*2");
	world_ask(w, "r1 vm1 P4*1");
	w->now += 45 * SECOND;
	assert_string_equal(world_ask(w, "r2 vm2 P4*1"), "vm2: h1 02");
	world_release(w, "x2 vm2 force=1 reason=test");
	w->now += 1;
	assert_string_equal(world_ask(w, "r3 vm3 P4*1"),
			    "NO_CAPACITY: pool 1 has 2 × GP104GL [Tesla P4]: 1 assigned, 1 on host "
			    "h1 not heard of lately");
	assert_int_equal(shard_counts(w->state).gpus_assigned, 1);
	world_heartbeat(w, "h1");
	assert_string_equal(world_ask(w, "r4 vm3 P4*1"), "vm3: h1 02");
	assert_string_equal(world_ask(w, "r1 vm1 P4*1"), "again vm1: h1 01");
}

static void hosts_fall_silent_in_the_order_of_their_heartbeats(void **state)
{
	struct world *w = *state;
	world_host(w, "h1 P4*1");
	w->now += 10 * SECOND;
	world_host(w, "h2 P4*1");
	w->now -= 5 * SECOND; /* timestamps may go back a little */
	world_host(w, "h3 P4*1");
	w->now += 5 * SECOND;
	world_heartbeat(w, "h1");
	w->now += 41 * SECOND;
	assert_string_equal(world_ask(w, "r1 vm1 P4*1 host=h2"), "vm1: h2 01");
	assert_non_null(strstr(world_ask(w, "r2 vm2 P4*1 host=h3"), "not heard of for 46 s"));
	w->now += 5 * SECOND;
	assert_non_null(strstr(world_ask(w, "r3 vm3 P4*1"), "NO_CAPACITY"));
}

static void heartbeat_and_inventory_in_either_order(void **state)
{
	struct world *w = *state;
	world_gpus(w, "h1 P4*1");
	assert_string_equal(
		world_ask(w, "r1 vm1 P4*1"),
		"NO_CAPACITY: pool 1 has 1 × GP104GL [Tesla P4]: 1 on host h1 not heard "
		"of lately");
	world_heartbeat(w, "h1");
	assert_string_equal(world_ask(w, "r2 vm1 P4*1"), "vm1: h1 01");
}

static void preflight_may_come_and_go(void **state)
{
	struct world *w = *state;
	world_host(w, "h1 P4*1");
	static const char *const broken[] = { "h1 iommu=0", "h1 vfio=0", "h1 ir=0" };
	for (size_t i = 0; i < 3; i++) {
		char ask[32];
		snprintf(ask, sizeof(ask), "r%zu vm1 P4*1", i);
		world_heartbeat(w, broken[i]);
		assert_non_null(strstr(world_ask(w, ask), "NO_CAPACITY"));
	}
	world_heartbeat(w, "h1 iommu=-1 vfio=-1 ir=-1"); /* not known is no obstacle */
	assert_string_equal(world_ask(w, "r4 vm1 P4*1"), "vm1: h1 01");
}

static void ownership_survives_a_missing_inventory(void **state)
{
	struct world *w = *state;
	world_pool(w, "external", "pack");
	world_host(w, "h1 P4*1");
	world_ask(w, "r1 vm1 P4*1");
	world_remove_gpu(w, "h1/0000:01:00.0");
	shard_remove_host(w->state, "h1");
	assert_int_equal(shard_counts(w->state).gpus, 0);
	assert_int_equal(shard_counts(w->state).gpus_assigned, 1);
	assert_non_null(strstr(world_ask(w, "r2 vm2 P4*1"), "1 assigned"));
	world_host(w, "h1 P4*1");
	assert_non_null(strstr(world_ask(w, "r3 vm2 P4*1"), "1 assigned"));
	world_release(w, "x1 vm1");
	assert_string_equal(world_ask(w, "r4 vm2 P4*1"), "vm2: h1 01");
}

static void a_gpu_without_inventory_goes_with_its_release(void **state)
{
	struct world *w = *state;
	world_pool(w, "external", "pack");
	world_host(w, "h1 P4*1");
	world_ask(w, "r1 vm1 P4*1");
	world_remove_gpu(w, "h1/0000:01:00.0");
	world_release(w, "x1 vm1");
	assert_non_null(strstr(world_ask(w, "r2 vm2 P4*1"), "MODEL_UNKNOWN"));
	shard_remove_host(w->state, "h1");
	assert_int_equal(shard_counts(w->state).hosts, 0);
	assert_non_null(strstr(world_ask(w, "r3 vm2 P4*1"), "MODEL_UNKNOWN"));
}

static void decisions_may_be_read_before_the_inventory(void **state)
{
	struct world *w = *state;
	world_host(w, "h1 cpu=8 ram=8 P4*2");
	world_type(w, "big cpu=6 ram=6 P4*1");
	world_ask(w, "r1 vm1 type=big");

	struct shard_state *first = w->state;
	w->state = world_empty_state(w);
	change_free(world_fold(w->state, &w->log[0]));
	world_host(w, "h1 cpu=8 ram=8 P4*2");
	assert_non_null(strstr(world_ask(w, "r2 vm2 P4*2"), "1 assigned, 1 free"));
	assert_non_null(strstr(world_ask(w, "r3 vm2 type=big"), "NO_CAPACITY"));
	assert_string_equal(world_reasons(w), "h1 NO_CPU");
	assert_string_equal(world_ask(w, "r4 vm2 P4*1"), "vm2: h1 02");
	shard_state_free(first);
}

static void a_changed_record_counts_whoever_sent_it_first(void **state)
{
	struct world *w = *state;
	world_host(w, "h1 P4@01/IN_USE_BY_HOST");
	assert_non_null(strstr(world_ask(w, "r1 vm1 P4*1"), "1 in use by the host"));
	world_gpus(w, "h1 P4@01");
	world_gpus(w, "h1 T4@01");
	assert_non_null(strstr(world_ask(w, "r2 vm1 P4*1"), "MODEL_UNKNOWN"));
	assert_string_equal(world_ask(w, "r3 vm1 T4*1"), "vm1: h1 01");
	assert_int_equal(shard_counts(w->state).gpus, 1);
}

static void a_moved_host_is_not_given_twice(void **state)
{
	struct world *w = *state;
	world_host(w, "h1 P4*2");
	world_ask(w, "r1 vm1 P4*1");
	w->pool = "2";
	world_host(w, "h1 P4*2");
	/* In its new pool the host has one GPU to give; the other is held from the old pool. */
	assert_non_null(strstr(world_ask(w, "r2 vm2 P4*2"), "1 assigned, 1 free"));
	assert_string_equal(world_ask(w, "r3 vm2 P4*1"), "vm2: h1 02");
	w->pool = "1";
	assert_non_null(strstr(world_ask(w, "r4 vm3 P4*1"), "NO_CAPACITY"));
	world_release(w, "x1 vm1 force=1 reason=moved");
	assert_non_null(strstr(world_ask(w, "r5 vm3 P4*1"), "POOL_UNKNOWN"));
	w->pool = "2";
	assert_string_equal(world_ask(w, "r6 vm4 P4*1"), "vm4: h1 01");
	assert_int_equal(shard_counts(w->state).gpus, 2);
}

static void a_moved_host_whose_old_assignment_is_read_last(void **state)
{
	struct world *w = *state;
	world_host(w, "h1 P4*1");
	world_ask(w, "r1 vm1 P4*1");

	struct shard_state *first = w->state;
	w->state = world_empty_state(w);
	w->pool = "2";
	world_host(w, "h1 P4*1");
	change_free(world_fold(w->state, &w->log[0]));
	assert_non_null(strstr(world_ask(w, "r2 vm2 P4*1"), "1 assigned"));
	shard_state_free(first);
}

static void a_number_of_a_model_that_is_gone_is_used_again(void **state)
{
	struct world *w = *state;
	world_host(w, "h1 T4@01");
	assert_non_null(strstr(world_ask(w, "r1 vm1 10de:1eb8*2"), "NO_CAPACITY"));
	world_remove_gpu(w, "h1/0000:01:00.0");
	world_gpus(w, "h1 P100@01");
	assert_non_null(strstr(world_ask(w, "r2 vm1 10de:1eb8*1"), "MODEL_UNKNOWN"));
	assert_string_equal(world_ask(w, "r3 vm1 10de:15f8*1"), "vm1: h1 01");
	world_gpus(w, "h1 T4@02");
	assert_string_equal(world_ask(w, "r4 vm2 10de:1eb8*1"), "vm2: h1 02");
}

static void broken_records_are_refused_and_change_nothing(void **state)
{
	struct world *w = *state;
	const char *error, *functions[] = { "0000:01:00.0" }, *bad_functions[] = { "here" };
	const struct gpu_discovered good = {
		.gpu_id = "h1/0000:01:00.0",
		.host = "h1",
		.pool_id = "1",
		.pci_address = "0000:01:00.0",
		.model = "GP104GL [Tesla P4]",
		.vendor = "NVIDIA Corporation",
		.vendor_id = "10de",
		.device_id = "1bb3",
		.class_id = "030200",
		.iommu_group = ABSENT,
		.numa_node = ABSENT,
		.functions = functions,
		.n_functions = 1,
		.state = "AVAILABLE",
		.boot_id = "b",
	};
	struct gpu_discovered bad[14];
	for (size_t i = 0; i < 14; i++)
		bad[i] = good;
	bad[0].gpu_id = "h2/0000:01:00.0";
	bad[1].pci_address = "01:00.0";
	bad[2].vendor_id = "0x10de";
	bad[3].device_id = "";
	bad[4].class_id = "vga";
	bad[5].functions = bad_functions;
	bad[6].state = "";
	bad[7].iommu_group = INT64_MAX;
	bad[8].numa_node = -2;
	bad[9].pool_id = "a\nb";
	bad[10].host = "";
	bad[11].model = "\x1b[31m";
	bad[12].pcie_switch = "above";
	bad[13].n_functions = 65;
	for (size_t i = 0; i < 14; i++)
		if (shard_fold_gpu(w->state, &bad[i], &error) != 1)
			fail_msg("bad GPU %zu", i);

	const struct host_seen host = { .host = "h1", .pool_id = "1", .boot_id = "b" };
	struct host_seen worse[5] = { host, host, host, host, host };
	worse[0].host = "";
	worse[1].cpu_cores = -1;
	worse[2].ram_gb = INT64_MAX;
	worse[3].iommu = 2;
	worse[4].n_gpus = 257;
	for (size_t i = 0; i < 5; i++)
		if (shard_fold_host(w->state, &worse[i], w->now, &error) != 1)
			fail_msg("bad host %zu", i);
	assert_int_equal(shard_counts(w->state).hosts, 0);
	assert_int_equal(shard_fold_gpu(w->state, &good, &error), 0);
	shard_remove_gpu(w->state, "h1");
	shard_remove_gpu(w->state, "h1/nonsense");
	shard_remove_gpu(w->state, "h9/0000:01:00.0");
	assert_int_equal(shard_counts(w->state).gpus, 1);

	/* What its host could not read is registered all the same, so that people see it. */
	struct gpu_discovered unreadable = good;
	unreadable.gpu_id = "h1/0000:02:00.0";
	unreadable.pci_address = "0000:02:00.0";
	unreadable.vendor_id = unreadable.device_id = "";
	assert_int_equal(shard_fold_gpu(w->state, &unreadable, &error), 1);
	unreadable.state = "UNREADABLE";
	assert_int_equal(shard_fold_gpu(w->state, &unreadable, &error), 0);
	assert_int_equal(shard_counts(w->state).gpus, 2);
}

static void ten_thousand_hosts(void **state)
{
	struct world *w = *state;
	char text[64];
	for (int i = 0; i < 10000; i++) {
		snprintf(text, sizeof(text), "host%d cpu=64 ram=256", i);
		world_heartbeat(w, text);
	}
	for (int i = 0; i < 10000; i++) {
		snprintf(text, sizeof(text), "host%d P4*2", i);
		world_gpus(w, text);
		if (i % 500 == 0)
			arena_reset(&w->arena);
	}
	assert_int_equal(shard_counts(w->state).hosts, 10000);
	assert_int_equal(shard_counts(w->state).gpus, 20000);
	assert_string_equal(world_ask(w, "r1 vm1 P4*2"), "vm1: host0 01 02");
	assert_non_null(strstr(world_ask(w, "r2 vm2 P4*3"), "19998 free (at most 2 on one host)"));
	w->now += 60 * SECOND;
	assert_non_null(strstr(world_ask(w, "r3 vm3 P4*1"), "19998 on hosts not heard of"));
	for (int i = 0; i < 10000; i++) {
		snprintf(text, sizeof(text), "host%d", i);
		shard_remove_host(w->state, text);
	}
	assert_int_equal(shard_counts(w->state).gpus, 20000);
}

int main(void)
{
#define STORY(f) cmocka_unit_test_setup_teardown(f, world_setup, world_teardown)
	const struct CMUnitTest tests[] = {
		STORY(a_silent_host_gives_nothing_and_frees_nothing),
		STORY(hosts_fall_silent_in_the_order_of_their_heartbeats),
		STORY(heartbeat_and_inventory_in_either_order),
		STORY(preflight_may_come_and_go),
		STORY(ownership_survives_a_missing_inventory),
		STORY(a_gpu_without_inventory_goes_with_its_release),
		STORY(decisions_may_be_read_before_the_inventory),
		STORY(a_changed_record_counts_whoever_sent_it_first),
		STORY(a_moved_host_is_not_given_twice),
		STORY(a_moved_host_whose_old_assignment_is_read_last),
		STORY(a_number_of_a_model_that_is_gone_is_used_again),
		STORY(broken_records_are_refused_and_change_nothing),
		STORY(ten_thousand_hosts),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
