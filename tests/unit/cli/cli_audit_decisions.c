/*
 * Audit of decisions: each planted mistake is found, and a log without mistakes is clean.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "audit_world.h"
#include "codec/envelope_headers.h"

/* ---- a log without mistakes ------------------------------------------------------------------------ */

static void whole_life_is_clean(void **state)
{
	struct world world;
	(void)state;

	world_start(&world, 1);
	world_marker(&world);
	world.applied = 0;
	world_assign(&world, "r1", "vm1", "h1/0000:01:00.0");
	world.applied = 1;
	world_reject(&world, "r2");
	world.applied = 2;
	world_release(&world, "d1", "r1", "vm1", "h1/0000:01:00.0");
	world.applied = 3;
	world_assign(&world, "r3", "vm3", "h1/0000:01:00.0");
	world_ask(&world, "r1");
	world_ask(&world, "r2");
	world_ask_release(&world, "d1");
	world_ask(&world, "r3");
	world_ask(&world, "r1"); /* again: it is answered, not decided */
	world_ask(&world, "r4"); /* not dealt with yet */
	world_expect_clean(&world);

	struct audit_requests counts = audit_requests(world.log);
	assert_int_equal(counts.seen, 5);
	assert_int_equal(counts.granted, 2);
	assert_int_equal(counts.rejected, 1);
	assert_int_equal(counts.released, 1);
	assert_int_equal(counts.pending, 1);
	assert_int_equal(counts.repeated, 1);
	assert_int_equal(audit_assigned_gpus(world.log), 1);
	world_stop(&world);
}

static void releasing_is_no_second_outcome(void **state)
{
	struct world world;
	(void)state;

	world_start(&world, 1);
	world_marker(&world);
	world_assign(&world, "r1", "vm1", "h1/0000:01:00.0");
	struct record releasing = world_assigned(&world, "r1", "vm1", "h1/0000:01:00.0");
	releasing.gpu_assigned.state = "RELEASING";
	releasing.gpu_assigned.release_request_id = "d1";
	world.applied = 1;
	world_decide(&world, &releasing);
	assert_int_equal(audit_assigned_gpus(world.log), 1);
	world_release(&world, "d1", "r1", "vm1", "h1/0000:01:00.0");
	world_ask(&world, "r1");
	world_ask_release(&world, "d1");
	world_expect_clean(&world);
	assert_int_equal(audit_assigned_gpus(world.log), 0);
	world_stop(&world);
}

static void void_records_are_counted_and_ignored(void **state)
{
	struct world world;
	(void)state;

	world_start(&world, 1);
	world_marker(&world);
	int64_t zombie = world.epoch;
	world.applied = 0;
	world_assign(&world, "r1", "vm1", "h1/0000:01:00.0");
	world_marker(&world);
	/* A deposed owner gives the same GPU away, answers the same request otherwise, and garbage. */
	struct record record = world_assigned(&world, "r2", "vm2", "h1/0000:01:00.0");
	world_decide_in_epoch(&world, &record, zombie);
	record = world_assigned(&world, "r1", "vm1", "h1/0000:02:00.0");
	world_decide_in_epoch(&world, &record, zombie);
	const struct message garbage = { .topic = TOPIC_DECISIONS,
					 .offset = world.next[TOPIC_DECISIONS][0]++,
					 .value = "x",
					 .value_len = 1 };
	audit_decision(world.log, &garbage);
	world_ask(&world, "r1");
	world_ask(&world, "r2");
	world_expect_clean(&world);

	struct audit_shard shard = audit_shard(world.log, 0);
	assert_int_equal(shard.epochs, 2);
	assert_int_equal(shard.records, 1);
	assert_int_equal(shard.void_records, 3);
	assert_int_equal(shard.n_voids, 2);
	assert_int_equal(shard.voids[0].epoch, zombie);
	assert_int_equal(shard.voids[0].records, 2);
	assert_int_equal(shard.voids[1].epoch, -1);
	assert_int_equal(audit_requests(world.log).pending, 1);
	world_stop(&world);
}

/* ---- planted mistakes ------------------------------------------------------------------------------ */

static void two_owners_are_found(void **state)
{
	struct world world;
	(void)state;

	world_start(&world, 1);
	world_marker(&world);
	world.applied = 1;
	world_assign(&world, "r1", "vm1", "h1/0000:01:00.0");
	world_assign(&world, "r2", "vm2", "h1/0000:01:00.0");
	world_ask(&world, "r1");
	world_ask(&world, "r2");
	world_expect_violation(&world, "GPU_OWNED_TWICE", 2);
	world_stop(&world);
}

static void a_second_set_for_a_vm_is_found(void **state)
{
	struct world world;
	(void)state;

	world_start(&world, 1);
	world_marker(&world);
	world.applied = 1;
	world_assign(&world, "r1", "vm1", "h1/0000:01:00.0");
	world_assign(&world, "r2", "vm1", "h1/0000:02:00.0");
	world_ask(&world, "r1");
	world_ask(&world, "r2");
	world_expect_violation(&world, "CONTRADICTION", 2);
	world_stop(&world);
}

static void release_of_nothing_is_found(void **state)
{
	struct world world;
	(void)state;

	world_start(&world, 1);
	world_marker(&world);
	world.applied = 2;
	world_assign(&world, "r1", "vm1", "h1/0000:01:00.0");
	world_release(&world, "d1", "r1", "vm1", "h1/0000:01:00.0");
	world_release(&world, "d2", "r1", "vm1", "h1/0000:01:00.0");
	world_ask(&world, "r1");
	world_ask_release(&world, "d1");
	world_ask_release(&world, "d2");
	world_expect_violation(&world, "RELEASE_OF_NOTHING", 3);
	world_stop(&world);
}

static void a_second_outcome_is_found(void **state)
{
	struct world world;
	(void)state;

	world_start(&world, 1);
	world_marker(&world);
	world.applied = 0;
	world_reject(&world, "r1");
	world_assign(&world, "r1", "vm1", "h1/0000:01:00.0");
	world_ask(&world, "r1");
	world_expect_violation(&world, "SECOND_OUTCOME", 2);
	world_stop(&world);
}

static void an_outcome_after_forgetting_is_a_new_one(void **state)
{
	struct world world;
	(void)state;

	world_start(&world, 1);
	world_marker(&world);
	world.applied = 2;
	world_reject(&world, "r1");
	world.now += 2 * REMEMBER_US;
	world_reject(&world, "r2"); /* with it, r1 is forgotten */
	world_assign(&world, "r1", "vm1", "h1/0000:01:00.0");
	world_ask(&world, "r1");
	world_ask(&world, "r2");
	world_ask(&world, "r1");
	world_expect_clean(&world);
	world_stop(&world);
}

/* The request of a VM that holds GPUs is remembered for as long as it does. */
static void what_is_held_is_never_forgotten(void **state)
{
	struct world world;
	(void)state;

	world_start(&world, 1);
	world_marker(&world);
	world.applied = 1;
	world_assign(&world, "r1", "vm1", "h1/0000:01:00.0");
	world.now += 2 * REMEMBER_US;
	world_reject(&world, "r2");
	world_reject(&world, "r1");
	world_ask(&world, "r1");
	world_ask(&world, "r2");
	world_expect_violation(&world, "SECOND_OUTCOME", 3);
	world_stop(&world);
}

static void a_missing_outcome_is_found(void **state)
{
	struct world world;
	(void)state;

	world_start(&world, 1);
	world_marker(&world);
	world.applied = 1;
	world_reject(&world, "r2");
	world_ask(&world, "r1");
	world_ask(&world, "r2");
	world_expect_violation(&world, "NO_OUTCOME", 0);
	world_stop(&world);
}

static void an_outcome_that_nobody_asked_for_is_found(void **state)
{
	struct world world;
	(void)state;

	world_start(&world, 1);
	world_marker(&world);
	world_reject(&world, "r1");
	world_expect_violation(&world, "NOT_ASKED", 1);
	world_stop(&world);

	/* Unless retention may have taken the question. */
	world_start(&world, 1);
	audit_requests_begin(world.log, 0, false);
	world_marker(&world);
	world_reject(&world, "r1");
	world_expect_clean(&world);
	assert_int_equal(audit_requests(world.log).expired, 1);
	world_stop(&world);
}

static void a_gap_is_found(void **state)
{
	struct world world;
	(void)state;

	world_start(&world, 1);
	world_marker(&world);
	world.next[TOPIC_DECISIONS][0]++;
	world.applied = 0;
	world_reject(&world, "r1");
	world_ask(&world, "r1");
	world_expect_violation(&world, "GAP", 2);
	world_stop(&world);
}

static void an_unreadable_record_that_counts_is_found(void **state)
{
	struct world world;
	struct envelope envelope = ENVELOPE_EMPTY;
	(void)state;

	world_start(&world, 1);
	world_marker(&world);
	envelope.epoch = world.epoch;
	const struct record some = { .type = RECORD_VM_POOL_DEFINED,
				     .vm_pool_defined = { "1", "n", "agent", "pack" } };
	struct message message = world_message(&world, TOPIC_DECISIONS, 0, &some, &envelope);
	message.value_len--;
	audit_decision(world.log, &message);
	world_expect_violation(&world, "UNREADABLE", 1);
	world_stop(&world);
}

static void a_foreign_record_that_counts_is_found(void **state)
{
	struct world world;
	(void)state;

	world_start(&world, 1);
	world_marker(&world);
	const struct record foreign = { .type = RECORD_VM_POOL_DEFINED,
					.vm_pool_defined = { "1", "n", "agent", "pack" } };
	world_decide(&world, &foreign);
	world_expect_violation(&world, "FOREIGN", 1);
	world_stop(&world);
}

/* ---- the digest on the way --------------------------------------------------------------------------- */

static void the_digest_is_taken_where_it_is_asked_for(void **state)
{
	struct world world;
	uint64_t halfway;
	(void)state;

	world_start(&world, 1);
	world_marker(&world);
	world_assign(&world, "r1", "vm1", "h1/0000:01:00.0");
	halfway = audit_shard(world.log, 0).digest;
	assert_false(audit_shard(world.log, 0).reached);
	world_stop(&world);

	world_start(&world, 1);
	audit_expect(world.log, 0, 2);
	world_marker(&world);
	world_assign(&world, "r1", "vm1", "h1/0000:01:00.0");
	world_assign(&world, "r2", "vm2", "h1/0000:02:00.0");
	assert_true(audit_shard(world.log, 0).reached);
	assert_int_equal(audit_shard(world.log, 0).expected_digest, halfway);
	assert_int_not_equal(audit_shard(world.log, 0).digest, halfway);
	world_stop(&world);

	world_start(&world, 1);
	audit_expect(world.log, 0, 0);
	assert_true(audit_shard(world.log, 0).reached);
	assert_int_equal(audit_shard(world.log, 0).expected_digest, 0);
	world_stop(&world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whole_life_is_clean),
		cmocka_unit_test(releasing_is_no_second_outcome),
		cmocka_unit_test(void_records_are_counted_and_ignored),
		cmocka_unit_test(two_owners_are_found),
		cmocka_unit_test(a_second_set_for_a_vm_is_found),
		cmocka_unit_test(release_of_nothing_is_found),
		cmocka_unit_test(a_second_outcome_is_found),
		cmocka_unit_test(an_outcome_after_forgetting_is_a_new_one),
		cmocka_unit_test(what_is_held_is_never_forgotten),
		cmocka_unit_test(a_missing_outcome_is_found),
		cmocka_unit_test(an_outcome_that_nobody_asked_for_is_found),
		cmocka_unit_test(a_gap_is_found),
		cmocka_unit_test(an_unreadable_record_that_counts_is_found),
		cmocka_unit_test(a_foreign_record_that_counts_is_found),
		cmocka_unit_test(the_digest_is_taken_where_it_is_asked_for),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
