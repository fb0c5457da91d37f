/*
 * The protocol of the log (HACKING.md), the log: when a decision counts, epochs, void records, taking over. Each test is a
 * story about one rule; without the rule it ends otherwise:
 *
 *   answers_are_told_after_the_read_back...       a delivery report counts as the read back
 *   a_decision_that_is_late_is_waited_for         an answer is done when it is sent
 *   void_records_are_ignored_by_the_owner         the owner folds void records
 *   void_records_are_ignored_by_a_takeover        a takeover folds void records
 *   a_zombie_tells_nothing_and_commits_nothing    a delivery report counts as the read back
 *   the_epoch_is_the_offset_of_the_own_marker...  any marker is taken for the own one
 *   a_takeover_reads_up_to_the_own_marker...      a takeover ends at the log's end as asked for
 *   an_input_decided_while_a_takeover_goes_on...  where inputs end is not asked again
 *   a_takeover_knows_everything...                any marker is taken for the own one
 */
#include "fixture.h"

/* ---- when a decision counts ------------------------------------------------------------------------ */

static void answers_are_told_after_the_read_back_not_on_delivery(void **state)
{
	struct world *w = *state;
	struct scheduler *a = start_owner(w, "a", 2);

	a->held[STEP_DECISIONS] = true;
	request(w, 0, "r1", "vm1", 1);
	world_run(w);
	assert_int_equal(find_decisions(w, 0, "r1").n, 1);
	assert_int_equal(a->producer.n_reports, 0); /* it was told that the record is in the log */
	assert_int_equal(find_answers(w, 0, "r1").n, 0);
	assert_int_equal(committed(w, 0), 0);

	a->held[STEP_DECISIONS] = false;
	world_run(w);
	assert_answered(w, "r1", "GpuAssigned");
	assert_int_equal(find_answers(w, 0, "r1").revision, find_decisions(w, 0, "r1").offset);
	assert_int_equal(committed(w, 0), 1);
}

static void a_decision_that_is_late_is_waited_for(void **state)
{
	struct world *w = *state;
	struct scheduler *a = start_owner(w, "a", 2);

	a->producer.cut[TOPIC_DECISIONS] = true;
	request(w, 0, "r1", "vm1", 1);
	request(w, 0, "r2", "vm2", 1);
	request(w, 0, "r3", "vm3", 1);
	world_pass(w, 5 * 1000000);
	assert_int_equal(find_answers(w, 0, "r1").n, 0);

	a->producer.cut[TOPIC_DECISIONS] = false;
	world_run(w);
	assert_answered(w, "r1", "GpuAssigned");
	assert_answered(w, "r2", "GpuAssigned");
	assert_answered(w, "r3", "RequestRejected/NO_CAPACITY");
	assert_int_equal(find_decisions(w, 0, "r1").n, 1);
	assert_int_equal(committed(w, 0), 3);
}

/* ---- void records ---------------------------------------------------------------------------------- */

/* A decides r1 and stops before the record lands; B takes over and gives the only GPU to r2; then A's
 * record lands. */
static struct scheduler *zombie_writes_late(struct world *w, struct scheduler **ret_zombie)
{
	struct scheduler *a = start_owner(w, "a", 1);

	a->producer.cut[TOPIC_DECISIONS] = true;
	request(w, 0, "r1", "vm1", 1);
	world_run(w);
	a->frozen = true;

	struct scheduler *b = world_start(w, "b");
	world_give(w, b, 0);
	broker_lose(&w->broker, TOPIC_REQUESTS, 0, 0); /* B's first is r2, not r1 */
	request(w, 0, "r2", "vm2", 1);
	world_run(w);
	assert_answered(w, "r2", "GpuAssigned");

	a->producer.cut[TOPIC_DECISIONS] = false;
	assert_true(scheduler_step(a, STEP_LAND_DECISIONS, 0));
	assert_int_equal(find_decisions(w, 0, "r1").n, 1);
	*ret_zombie = a;
	return b;
}

static void void_records_are_ignored_by_the_owner(void **state)
{
	struct world *w = *state;
	struct scheduler *a;
	struct scheduler *b = zombie_writes_late(w, &a);

	world_run(w);
	assert_phase(b, SHARD_OWNING);
	assert_int_equal(shard_figures(shard_at(b, 0)).void_records, 1);
	assert_int_equal(find_answers(w, 0, "r1").n, 0);

	/* What the zombie gave away was not given: vm2 releases, and the GPU is there for vm3. */
	release(w, 0, "r3", "vm2");
	request(w, 0, "r4", "vm4", 1);
	world_run(w);
	assert_answered(w, "r4", "GpuAssigned");
	assert_checkpoint_good(w);
}

static void void_records_are_ignored_by_a_takeover(void **state)
{
	struct world *w = *state;
	struct scheduler *a;
	struct scheduler *b = zombie_writes_late(w, &a);

	world_run(w);
	world_kill(w, b);
	store_server_wipe(&w->store, 0);
	struct scheduler *c = world_start(w, "c");
	world_give(w, c, 0);
	world_run(w);
	assert_phase(c, SHARD_OWNING);
	release(w, 0, "r3", "vm1"); /* holds nothing: what said so is void */
	world_run(w);
	assert_answered(w, "r3", "RequestCompleted/NOTHING_HELD");
}

static void a_zombie_tells_nothing_and_commits_nothing(void **state)
{
	struct world *w = *state;
	struct scheduler *a;

	zombie_writes_late(w, &a);
	int64_t before = committed(w, 0);
	a->frozen = false;
	world_run(w); /* it reads its own record back, behind B's marker */
	assert_int_equal(find_answers(w, 0, "r1").n, 0);
	assert_int_equal(committed(w, 0), before);
}

/* ---- the epoch and taking over ----------------------------------------------------------------------- */

static void the_epoch_is_the_offset_of_the_own_marker_known_by_its_nonce(void **state)
{
	struct world *w = *state;

	publish_fleet(w, 0, 1);
	struct scheduler *a = world_start(w, "a");
	struct scheduler *b = world_start(w, "b");
	world_give(w, a, 0);
	a->producer.cut[TOPIC_DECISIONS] = true;
	b->producer.cut[TOPIC_DECISIONS] = true;
	world_run(w);
	world_give(w, b, 0);
	world_run(w);

	a->producer.cut[TOPIC_DECISIONS] = false; /* A's marker lands first; B reads it */
	a->held[STEP_DECISIONS] = true;
	world_run(w);
	assert_int_equal(find_markers(w, 0).n, 1);
	assert_phase(b, SHARD_CATCHING_UP);

	b->producer.cut[TOPIC_DECISIONS] = false;
	world_run(w);
	assert_phase(b, SHARD_OWNING);
	assert_int_equal(epoch_of(b, 0), 1);

	request(w, 0, "r1", "vm1", 1);
	world_run(w);
	const struct message *message =
		broker_at(&w->broker, TOPIC_DECISIONS, 0, find_decisions(w, 0, "r1").offset);
	assert_string_equal(header_text(w, message, "ce_epoch"), "1");
	assert_answered(w, "r1", "GpuAssigned");
}

/* What the old owner gets into the log before the new marker counts, however late that is. */
static void a_takeover_reads_up_to_the_own_marker_not_to_a_watermark(void **state)
{
	struct world *w = *state;
	struct scheduler *a = start_owner(w, "a", 1);

	a->producer.cut[TOPIC_DECISIONS] = true;
	request(w, 0, "r1", "vm1", 1);
	world_run(w);

	/* B has read the log to its end and everything else too; only its marker is late. */
	struct scheduler *b = world_start(w, "b");
	b->producer.cut[TOPIC_DECISIONS] = true;
	world_give(w, b, 0);
	request(w, 0, "r2", "vm2", 1);
	a->frozen = true;
	world_run(w);
	assert_phase(b, SHARD_CATCHING_UP);

	a->producer.cut[TOPIC_DECISIONS] = false;
	assert_true(scheduler_step(a, STEP_LAND_DECISIONS, 0));
	b->producer.cut[TOPIC_DECISIONS] = false;
	world_run(w);
	assert_phase(b, SHARD_OWNING);
	assert_answered(w, "r1", "GpuAssigned");
	assert_answered(w, "r2", "RequestRejected/NO_CAPACITY");
	assert_int_equal(find_decisions(w, 0, "r1").n, 1); /* told by B, not decided again */
}

/* As above, and the request came after B had asked where the inputs end: that is no truncated topic. */
static void an_input_decided_while_a_takeover_goes_on_is_not_behind_the_end(void **state)
{
	struct world *w = *state;
	struct scheduler *a = start_owner(w, "a", 1);

	struct scheduler *b = world_start(w, "b");
	b->producer.cut[TOPIC_DECISIONS] = true;
	world_give(w, b, 0);
	world_run(w);
	assert_phase(b, SHARD_CATCHING_UP);

	request(w, 0, "r1", "vm1", 1);
	world_run(w); /* A has not heard of B */
	assert_int_equal(find_decisions(w, 0, "r1").n, 1);
	b->producer.cut[TOPIC_DECISIONS] = false;
	world_run(w);
	assert_phase(b, SHARD_OWNING);
	assert_answered(w, "r1", "GpuAssigned");
	assert_int_equal(find_decisions(w, 0, "r1").n, 1);
	assert_phase(a, SHARD_DEPOSED);
}

/* The next owner starts where Redis stands, or at the log's beginning when Redis has nothing. */
static void a_takeover_knows_everything_with_and_without_a_checkpoint(void **state)
{
	struct world *w = *state;
	struct scheduler *a = start_owner(w, "a", 2);

	request(w, 0, "r1", "vm1", 1);
	world_run(w);
	assert_checkpoint_good(w);
	world_kill(w, a);

	struct scheduler *b = world_start(w, "b");
	world_give(w, b, 0);
	request(w, 0, "r2", "vm2", 1);
	world_run(w);
	assert_answered(w, "r2", "GpuAssigned");
	world_kill(w, b);

	store_server_wipe(&w->store, 0);
	struct scheduler *c = world_start(w, "c");
	world_give(w, c, 0);
	request(w, 0, "r3", "vm3", 1);
	request(w, 0, "r4", "vm1", 1);
	world_run(w);
	assert_answered(w, "r3", "RequestRejected/NO_CAPACITY");
	assert_answered(w, "r4", "RequestRejected/VM_HAS_GPUS");
	assert_checkpoint_good(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		rule(answers_are_told_after_the_read_back_not_on_delivery),
		rule(a_decision_that_is_late_is_waited_for),
		rule(void_records_are_ignored_by_the_owner),
		rule(void_records_are_ignored_by_a_takeover),
		rule(a_zombie_tells_nothing_and_commits_nothing),
		rule(the_epoch_is_the_offset_of_the_own_marker_known_by_its_nonce),
		rule(a_takeover_reads_up_to_the_own_marker_not_to_a_watermark),
		rule(an_input_decided_while_a_takeover_goes_on_is_not_behind_the_end),
		rule(a_takeover_knows_everything_with_and_without_a_checkpoint),
	};

	log_init("sim", LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
