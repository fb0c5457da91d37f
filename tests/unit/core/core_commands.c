/* OperatorCommand: hosts and GPUs out of service, and back in; and what holds meanwhile. */
#include "world.h"

#include <string.h>

static const struct record *last(const struct world *w)
{
	return &w->log[w->n_log - 1].record;
}

/* ---- hosts ---- */

static void a_cordoned_host_gets_no_new_vms(void **state)
{
	struct world *w = *state;
	world_host(w, "h1 P4*2");
	world_ask(w, "r1 vm1 P4*1");
	assert_string_equal(world_command(w, "c1 CORDON_HOST h1 actor=alice reason=new_fans"),
			    "h1 CORDONED");
	const struct host_marked *marked = &last(w)->host_marked;
	assert_string_equal(marked->request_id, "c1");
	assert_string_equal(marked->pool_id, "1");
	assert_string_equal(marked->actor, "alice");
	assert_string_equal(marked->reason, "new fans");
	assert_int_equal(marked->decided_at, w->now);

	assert_string_equal(
		world_ask(w, "r2 vm2 P4*1"),
		"NO_CAPACITY: pool 1 has 2 × GP104GL [Tesla P4]: 1 assigned, 1 on host h1 "
		"that is cordoned");
	assert_string_equal(world_reasons(w), "h1 HOST_CORDONED");
	/* The VM that is there stays, and leaves when it wants. */
	assert_string_equal(world_report(w, "vm1 r1/1 ATTACHED"), "vm1: h1 01, ATTACHED");
	assert_string_equal(world_release(w, "x1 vm1 force=1 reason=x"), "released vm1: h1 01");
	assert_non_null(strstr(world_ask(w, "r3 vm2 P4*1"), "2 on host h1 that is cordoned"));

	assert_string_equal(world_command(w, "c2 CORDON_HOST h1"),
			    "NOTHING_CHANGED: host h1 is cordoned already (alice: new fans)");
	assert_string_equal(world_command(w, "c3 UNCORDON_HOST h1"), "h1 OPEN");
	assert_string_equal(world_command(w, "c4 UNCORDON_HOST h1"),
			    "NOTHING_CHANGED: host h1 is not cordoned");
	assert_string_equal(world_ask(w, "r4 vm2 P4*2"), "vm2: h1 01 02");
	/* The same command again gets the same answer, whatever has happened since. */
	assert_string_equal(world_command(w, "c1 CORDON_HOST h1"), "again h1 CORDONED");
	assert_int_equal(shard_counts(w->state).hosts_cordoned, 0);
}

static void a_cordon_outlives_its_host(void **state)
{
	struct world *w = *state;
	world_host(w, "h1 P4*1");
	world_host(w, "h2 P4*1");
	world_command(w, "c1 CORDON_HOST h1");
	w->now += 100 * (int64_t)SECOND;
	world_heartbeat(w, "h2");
	assert_non_null(strstr(world_ask(w, "r1 vm1 P4*1 host=h1"), "an operator has cordoned it"));
	world_heartbeat(w, "h1");
	assert_non_null(strstr(world_ask(w, "r2 vm1 P4*1 host=h1"), "an operator has cordoned it"));
	world_remove_gpu(w, "h1/0000:01:00.0");
	shard_remove_host(w->state, "h1");
	assert_non_null(strstr(world_command(w, "c2 CORDON_HOST h1"), "is cordoned already"));
	world_host(w, "h1 P4*1");
	assert_non_null(strstr(world_ask(w, "r3 vm1 P4*1 host=h1"), "an operator has cordoned it"));
	/* Under another pool, too: it is the same machine. */
	w->pool = "2";
	world_host(w, "h1 T4@05");
	assert_non_null(strstr(world_ask(w, "r4 vm2 T4*1"), "1 on host h1 that is cordoned"));
	assert_string_equal(world_command(w, "c3 UNCORDON_HOST h1"),
			    "NOTHING_CHANGED: host h1 is cordoned under another pool only: open it "
			    "there");
	w->pool = "1";
	/* It is taken back though the host is gone. */
	world_remove_gpu(w, "h1/0000:01:00.0");
	assert_string_equal(world_command(w, "c4 UNCORDON_HOST h1"), "h1 OPEN");
	w->pool = "2";
	assert_string_equal(world_ask(w, "r5 vm2 T4*1"), "vm2: h1 05");
}

/* ---- GPUs ---- */

static void a_quarantined_gpu_goes_to_no_vm(void **state)
{
	struct world *w = *state;
	world_host(w, "h1 P4*2");
	assert_string_equal(world_command(w, "c1 QUARANTINE_GPU h1/01 actor=bob reason=ECC_errors"),
			    "h1/0000:01:00.0 QUARANTINED");
	assert_string_equal(last(w)->gpu_marked.host, "h1");
	assert_string_equal(last(w)->gpu_marked.reason, "ECC errors");
	assert_string_equal(world_ask(w, "r1 vm1 P4*1"), "vm1: h1 02");
	assert_string_equal(world_ask(w, "r2 vm2 P4*1"),
			    "NO_CAPACITY: pool 1 has 2 × GP104GL [Tesla P4]: 1 assigned, 1 in "
			    "quarantine");
	assert_string_equal(
		world_command(w, "c2 QUARANTINE_GPU h1/0000:01:00.0"),
		"NOTHING_CHANGED: GPU h1/0000:01:00.0 is in quarantine already (bob: ECC "
		"errors)");
	/* In any spelling. */
	assert_string_equal(world_command(w, "c3 RETURN_GPU h1/00000:01:00.0"),
			    "h1/0000:01:00.0 RETURNED");
	assert_string_equal(world_command(w, "c4 RETURN_GPU h1/01"),
			    "NOTHING_CHANGED: GPU h1/0000:01:00.0 is not in quarantine");
	assert_string_equal(world_ask(w, "r3 vm2 P4*1"), "vm2: h1 01");
	assert_string_equal(world_command(w, "c1 QUARANTINE_GPU h1/01"),
			    "again h1/0000:01:00.0 QUARANTINED");
}

static void the_vm_that_holds_it_keeps_it(void **state)
{
	struct world *w = *state;
	world_host(w, "h1 P4*1");
	world_ask(w, "r1 vm1 P4*1");
	assert_string_equal(world_command(w, "c1 QUARANTINE_GPU h1/01"),
			    "h1/0000:01:00.0 QUARANTINED");
	assert_string_equal(world_report(w, "vm1 r1/1 ATTACHED"), "vm1: h1 01, ATTACHED");
	assert_int_equal(shard_counts(w->state).gpus_assigned, 1);
	/* Clean or not: it stays out of service. */
	world_release(w, "x1 vm1");
	assert_string_equal(world_report(w, "vm1 r1/1 DETACHED clean=1"), "released vm1: h1 01");
	assert_non_null(strstr(world_ask(w, "r2 vm2 P4*1"), "1 in quarantine"));
	assert_string_equal(world_command(w, "c2 RETURN_GPU h1/01"), "h1/0000:01:00.0 RETURNED");
	assert_string_equal(world_ask(w, "r3 vm2 P4*1"), "vm2: h1 01");
}

static void what_an_agent_quarantined_an_operator_returns(void **state)
{
	struct world *w = *state;
	world_host(w, "h1 P4*1");
	world_ask(w, "r1 vm1 P4*1");
	world_command(w, "c0 QUARANTINE_GPU h1/01 reason=old");
	world_release(w, "x1 vm1");
	world_report(w, "vm1 r1/1 DETACHED 01=DIRTY/RESET_FAILED/it_hangs");
	/* The latest reason holds; a release by force does not clean anything. */
	assert_string_equal(world_command(w, "c1 QUARANTINE_GPU h1/01"),
			    "NOTHING_CHANGED: GPU h1/0000:01:00.0 is in quarantine already "
			    "(RESET_FAILED: it hangs)");
	assert_string_equal(world_command(w, "c2 RETURN_GPU h1/01 reason="),
			    "h1/0000:01:00.0 RETURNED");
	assert_string_equal(world_ask(w, "r2 vm2 P4*1"), "vm2: h1 01");
}

static void a_quarantine_outlives_its_gpu(void **state)
{
	struct world *w = *state;
	world_host(w, "h1 P4*1");
	world_command(w, "c1 QUARANTINE_GPU h1/01");
	world_remove_gpu(w, "h1/0000:01:00.0");
	shard_remove_host(w->state, "h1");
	world_host(w, "h1 P4*1");
	assert_non_null(strstr(world_ask(w, "r1 vm1 P4*1"), "1 in quarantine"));
	/* The host moves to another pool of the shard: it is the same card. */
	w->pool = "2";
	world_host(w, "h1 P4*1");
	assert_non_null(strstr(world_ask(w, "r2 vm1 P4*1"), "1 in quarantine"));
	assert_string_equal(
		world_command(w, "c1b RETURN_GPU h1/01"),
		"NOTHING_CHANGED: GPU h1/0000:01:00.0 is in quarantine under another pool "
		"only: return it there");
	assert_string_equal(world_command(w, "c2 QUARANTINE_GPU h1/01"),
			    "h1/0000:01:00.0 QUARANTINED");
	w->pool = "1";
	/* Returned though the inventory has it no more; the other pool's word still holds. */
	assert_string_equal(world_command(w, "c3 RETURN_GPU h1/01"), "h1/0000:01:00.0 RETURNED");
	w->pool = "2";
	assert_non_null(strstr(world_ask(w, "r3 vm1 P4*1"), "1 in quarantine"));
	assert_string_equal(world_command(w, "c4 RETURN_GPU h1/01"), "h1/0000:01:00.0 RETURNED");
	assert_string_equal(world_ask(w, "r4 vm1 P4*1"), "vm1: h1 01");
}

static void a_forgotten_answer_is_not_a_forgotten_mark(void **state)
{
	struct world *w = *state;
	world_host(w, "h1 P4*1");
	world_host(w, "h2 P4*1");
	world_command(w, "c1 QUARANTINE_GPU h1/01");
	world_command(w, "c2 CORDON_HOST h2");
	assert_int_equal(shard_counts(w->state).answers, 2);
	w->now += 25 * 3600 * (int64_t)SECOND;
	world_heartbeat(w, "h1");
	world_heartbeat(w, "h2");
	assert_non_null(strstr(world_ask(w, "r1 vm1 P4*1"),
			       "1 in quarantine, 1 on host h2 that is cordoned"));
	assert_int_equal(shard_counts(w->state).answers, 1);
	assert_int_equal(shard_counts(w->state).gpus_quarantined, 1);
	assert_int_equal(shard_counts(w->state).hosts_cordoned, 1);
	/* Decided anew. */
	assert_non_null(strstr(world_command(w, "c1 QUARANTINE_GPU h1/01"), "NOTHING_CHANGED"));
	assert_string_equal(world_command(w, "c3 RETURN_GPU h1/01"), "h1/0000:01:00.0 RETURNED");
	assert_string_equal(world_ask(w, "r2 vm1 P4*1"), "vm1: h1 01");
}

static void a_mark_outlives_its_pool(void **state)
{
	struct world *w = *state;
	world_host(w, "h1 P4*1");
	world_command(w, "c1 CORDON_HOST h1");
	world_command(w, "c2 QUARANTINE_GPU h1/01");
	world_remove_gpu(w, "h1/0000:01:00.0");
	shard_remove_host(w->state, "h1");
	assert_non_null(strstr(world_ask(w, "r1 vm1 P4*1"), "POOL_UNKNOWN"));
	assert_string_equal(world_command(w, "c3 UNCORDON_HOST h1"), "h1 OPEN");
	assert_string_equal(world_command(w, "c4 RETURN_GPU h1/01"), "h1/0000:01:00.0 RETURNED");
	assert_non_null(strstr(world_command(w, "c5 RETURN_GPU h1/01"), "POOL_UNKNOWN"));
}

/* ---- refusals ---- */

static void what_is_not_there_is_refused_with_what_is(void **state)
{
	struct world *w = *state;
	world_host(w, "h1 P4*2");
	world_host(w, "h2");
	assert_string_equal(world_command(w, "c1 CORDON_HOST h9"),
			    "HOST_UNKNOWN: pool 1 has no host h9; its hosts: h1, h2");
	assert_string_equal(last(w)->request_rejected.request_type, "OperatorCommand");
	assert_null(last(w)->request_rejected.vm_id);
	assert_string_equal(world_command(w, "c2 UNCORDON_HOST h9"),
			    "HOST_UNKNOWN: pool 1 has no host h9; its hosts: h1, h2");
	assert_string_equal(
		world_command(w, "c3 QUARANTINE_GPU h1/09"),
		"GPU_UNKNOWN: pool 1 has no GPU h1/0000:09:00.0; the GPUs of that host: "
		"0000:01:00.0, 0000:02:00.0");
	assert_string_equal(world_command(w, "c4 RETURN_GPU h9/01"),
			    "GPU_UNKNOWN: pool 1 has no GPU h9/0000:01:00.0; its hosts: h1, h2");
	assert_non_null(strstr(world_command(w, "c5 QUARANTINE_GPU h2/01"),
			       "; that host has no GPUs at all"));
	assert_string_equal(world_command(w, "c6 CORDON_HOST h1 pool=7"),
			    "POOL_UNKNOWN: there is no pool 7; pools here: 1");
	assert_string_equal(world_command(w, "c7 QUARANTINE_GPU h1/01 pool=7"),
			    "POOL_UNKNOWN: there is no pool 7; pools here: 1");
	world_define_pool(w, "");
	w->pool = "3";
	world_define_pool(w, "");
	assert_non_null(strstr(world_command(w, "c8 CORDON_HOST h1"),
			       "HOST_UNKNOWN: pool 3 has no host h1; it has no hosts at all"));
	assert_string_equal(world_command(w, "c1 CORDON_HOST h9 pool=1"),
			    "again HOST_UNKNOWN: pool 1 has no host h9; its hosts: h1, h2");
}

static void absence_is_said_only_when_it_is_known(void **state)
{
	struct world *w = *state;
	w->unknown = true;
	assert_string_equal(world_command(w, "c1 CORDON_HOST h1"), "unknown"); /* no such pool */
	world_host(w, "h2 P4*1");
	assert_string_equal(world_command(w, "c1 CORDON_HOST h1"), "unknown");
	assert_string_equal(world_command(w, "c2 QUARANTINE_GPU h1/01"), "unknown");
	assert_string_equal(world_command(w, "c2 QUARANTINE_GPU h2/02"), "unknown");
	world_host(w, "h1 P4*1");
	assert_string_equal(world_command(w, "c1 CORDON_HOST h1"), "h1 CORDONED");
	assert_string_equal(world_command(w, "c2 QUARANTINE_GPU h1/01"),
			    "h1/0000:01:00.0 QUARANTINED");
	/* What the ledger has is always known. */
	world_remove_gpu(w, "h1/0000:01:00.0");
	shard_remove_host(w->state, "h1");
	assert_string_equal(world_command(w, "c3 UNCORDON_HOST h1"), "h1 OPEN");
	assert_string_equal(world_command(w, "c4 RETURN_GPU h1/01"), "h1/0000:01:00.0 RETURNED");
}

static void malformed_commands_are_refused(void **state)
{
	struct world *w = *state;
	static const struct {
		const char *command, *refusal;
	} cases[] = {
		{ "c01 PAINT_HOST h1", "command is none of" },
		{ "c02 CORDON_HOST h1 reason=", "this command needs a reason" },
		{ "c03 QUARANTINE_GPU h1/01 reason=", "this command needs a reason" },
		{ "c04 CORDON_HOST h1 actor=", "actor is empty" },
		{ "c05 RETURN_GPU h1/01 actor=", "actor is empty" },
		{ "c06 RETURN_GPU h1", "gpu_id is not HOST/PCI-ADDRESS" },
		{ "c07 RETURN_GPU h1/0000:01:00.9", "gpu_id is not HOST/PCI-ADDRESS" },
		{ "c08 QUARANTINE_GPU /0000:01:00.0", "gpu_id is not HOST/PCI-ADDRESS" },
		{ "c09 CORDON_HOST h\x01", "host has control characters" },
		{ "c10 CORDON_HOST h1 reason=\x01", "reason has control characters" },
	};
	world_host(w, "h1 P4*1");
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		const char *line = world_command(w, cases[i].command);
		if (!strstr(line, "INVALID_REQUEST: ") || !strstr(line, cases[i].refusal))
			fail_msg("%s: %s", cases[i].command, line);
	}
	struct record event = { .type = RECORD_OPERATOR_COMMAND };
	event.operator_command = (struct operator_command){ .request_id = "d1",
							    .pool_id = "1",
							    .command = "CORDON_HOST",
							    .reason = "x",
							    .actor = "y" };
	assert_string_equal(world_decide(w, &event), "INVALID_REQUEST: host is empty");
	event.operator_command.request_id = "d2";
	event.operator_command.command = "RETURN_GPU";
	assert_non_null(strstr(world_decide(w, &event), "gpu_id is not"));
	event.operator_command.request_id = "";
	assert_non_null(strstr(world_decide(w, &event), "unusable: request_id is empty"));
}

int main(void)
{
#define STORY(f) cmocka_unit_test_setup_teardown(f, world_setup, world_teardown)
	const struct CMUnitTest tests[] = {
		STORY(a_cordoned_host_gets_no_new_vms),
		STORY(a_cordon_outlives_its_host),
		STORY(a_quarantined_gpu_goes_to_no_vm),
		STORY(the_vm_that_holds_it_keeps_it),
		STORY(what_an_agent_quarantined_an_operator_returns),
		STORY(a_quarantine_outlives_its_gpu),
		STORY(a_mark_outlives_its_pool),
		STORY(a_forgotten_answer_is_not_a_forgotten_mark),
		STORY(what_is_not_there_is_refused_with_what_is),
		STORY(absence_is_said_only_when_it_is_known),
		STORY(malformed_commands_are_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
