/*
 * DESIGN section 5, the log: when a decision counts, epochs, void records, taking over, being deposed,
 * rebalances, a broken producer. Each test is a story about one rule; without the rule it ends otherwise:
 */
#include "fixture.h"

#include "follow/follow.h"
#include "model/gpu_state.h"

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

/* ---- deposed --------------------------------------------------------------------------------------------- */

static void
a_deposed_owner_drops_what_is_in_flight_and_takes_over_again_if_still_assigned(void **state)
{
	struct world *w = *state;
	struct scheduler *a = start_owner(w, "a", 1);

	a->producer.cut[TOPIC_DECISIONS] = true;
	request(w, 0, "r1", "vm1", 1);
	world_run(w);

	struct record marker = { .type = RECORD_EPOCH_STARTED,
				 .epoch_started = { .owner = "stray", .nonce = "stray-1" } };
	publish(w, TOPIC_DECISIONS, 0, "", &marker);
	world_run(w);
	assert_phase(a, SHARD_DEPOSED);
	assert_int_equal(shard_figures(shard_at(a, 0)).in_flight, 0);
	assert_int_equal(find_markers(w, 0).n, 2);

	a->producer.cut[TOPIC_DECISIONS] = false;
	world_pass(w, w->config.back_off_us - 1);
	assert_phase(a, SHARD_DEPOSED);
	assert_int_equal(find_answers(w, 0, "r1").n, 0);
	assert_int_equal(committed(w, 0), 0);

	world_pass(w, 1);
	assert_phase(a, SHARD_OWNING);
	assert_int_equal(epoch_of(a, 0), find_markers(w, 0).offset);
	assert_answered(w, "r1", "GpuAssigned");
	assert_int_equal(find_decisions(w, 0, "r1").n, 2); /* one void, one true */
	assert_int_equal(find_answers(w, 0, "r1").n, 1);
	assert_int_equal(find_answers(w, 0, "r1").revision, find_decisions(w, 0, "r1").offset);
	assert_int_equal(committed(w, 0), 1);
	assert_checkpoint_good(w);
}

/* ---- rebalance ---------------------------------------------------------------------------------------------- */

static void a_revoked_shard_finishes_what_is_in_flight(void **state)
{
	struct world *w = *state;
	struct scheduler *a = start_owner(w, "a", 2);

	a->producer.cut[TOPIC_DECISIONS] = true;
	request(w, 0, "r1", "vm1", 1);
	world_run(w);
	world_revoke(a, 0);
	assert_phase(a, SHARD_DRAINING);
	assert_false(a->seats[0].drained);
	request(w, 0, "r2", "vm2", 1);

	a->producer.cut[TOPIC_DECISIONS] = false;
	world_run(w);
	assert_phase(a, SHARD_RESTING);
	assert_true(a->seats[0].drained);
	assert_answered(w, "r1", "GpuAssigned");
	assert_int_equal(committed(w, 0), 1);
	assert_int_equal(a->refused_commits, 0);
	assert_int_equal(find_decisions(w, 0, "r2").n, 0);
}

static void a_shard_that_comes_back_goes_on_with_its_epoch(void **state)
{
	struct world *w = *state;
	struct scheduler *a = start_owner(w, "a", 2);
	int64_t epoch = epoch_of(a, 0);

	world_revoke(a, 0);
	assert_phase(a, SHARD_RESTING);
	request(w, 0, "r1", "vm1", 1);
	publish_gpu(w, 0, "h1", 2, MODEL, GPU_STATE_AVAILABLE); /* it keeps following */
	world_pass(w, 1000000);
	assert_int_equal(find_decisions(w, 0, "r1").n, 0);

	world_give(w, a, 0);
	request(w, 0, "r2", "vm2", 2);
	world_run(w);
	assert_int_equal(epoch_of(a, 0), epoch);
	assert_int_equal(find_markers(w, 0).n, 1);
	assert_answered(w, "r1", "GpuAssigned");
	assert_answered(w, "r2", "GpuAssigned");
	assert_int_equal(committed(w, 0), 2);
}

static void a_shard_that_does_not_come_back_is_given_up(void **state)
{
	struct world *w = *state;
	struct scheduler *a = start_owner(w, "a", 1);

	world_revoke(a, 0);
	world_pass(w, w->config.rest_us);
	assert_phase(a, SHARD_IDLE);
	assert_int_equal(a->seats[0].follow_next[0], -1);
	world_give(w, a, 0);
	world_run(w);
	assert_phase(a, SHARD_OWNING);
	assert_int_equal(find_markers(w, 0).n, 2);
}

static void a_resting_shard_that_sees_another_epoch_is_no_longer_its_owner(void **state)
{
	struct world *w = *state;
	struct scheduler *a = start_owner(w, "a", 1);

	world_revoke(a, 0);
	struct scheduler *b = world_start(w, "b");
	world_give(w, b, 0);
	request(w, 0, "r1", "vm1", 1);
	world_run(w);
	assert_phase(a, SHARD_IDLE);
	world_revoke(b, 0);
	world_give(w, a, 0);
	request(w, 0, "r2", "vm2", 1);
	world_run(w);
	assert_int_equal(find_markers(w, 0).n, 3);
	assert_answered(w, "r2", "RequestRejected/NO_CAPACITY");
}

/* The other's marker is in the log, but the returning owner has not read it yet. */
static void a_shard_that_comes_back_after_another_epoch_is_deposed(void **state)
{
	struct world *w = *state;
	struct scheduler *a = start_owner(w, "a", 1);

	world_revoke(a, 0);
	a->held[STEP_DECISIONS] = true;
	struct scheduler *b = world_start(w, "b");
	world_give(w, b, 0);
	request(w, 0, "r1", "vm1", 1);
	world_run(w);
	assert_answered(w, "r1", "GpuAssigned");
	world_kill(w, b);

	request(w, 0, "r2", "vm2", 1);
	world_give(w, a, 0);
	world_run(w); /* A decides r2 in its old epoch */
	assert_int_equal(find_decisions(w, 0, "r2").n, 1);
	a->held[STEP_DECISIONS] = false;
	world_run(w);
	assert_phase(a, SHARD_DEPOSED);
	assert_int_equal(find_answers(w, 0, "r2").n, 0);

	world_pass(w, w->config.back_off_us);
	assert_phase(a, SHARD_OWNING);
	assert_answered(w, "r2", "RequestRejected/NO_CAPACITY");
	assert_int_equal(committed(w, 0), 2);
}

static void a_takeover_that_is_revoked_is_broken_off(void **state)
{
	struct world *w = *state;

	publish_fleet(w, 0, 1);
	struct scheduler *a = world_start(w, "a");
	a->producer.cut[TOPIC_DECISIONS] = true;
	world_give(w, a, 0);
	world_run(w);
	world_revoke(a, 0);
	assert_true(a->seats[0].drained);
	a->producer.cut[TOPIC_DECISIONS] = false;
	request(w, 0, "r1", "vm1", 1);
	world_run(w);
	assert_phase(a, SHARD_IDLE);
	assert_int_equal(find_decisions(w, 0, "r1").n, 0);
}

/* ---- a broken producer ---------------------------------------------------------------------------------------- */

/* r1's record is in flight when the producer breaks. It lands before the new marker, after it, or never. */
static void break_producer(struct world *w, int when)
{
	struct scheduler *a = start_owner(w, "a", 2);

	a->producer.cut[TOPIC_DECISIONS] = true;
	request(w, 0, "r1", "vm1", 1);
	world_run(w);
	world_break_producer(a);
	assert_phase(a, SHARD_DEPOSED);
	assert_int_equal(w->broker.n_ghosts, 1);
	a->producer.cut[TOPIC_DECISIONS] = false;
	if (when == 0)
		broker_land_ghost(&w->broker, 0);
	world_pass(w, w->config.back_off_us);
	if (when == 1)
		broker_land_ghost(&w->broker, 0);
	world_run(w);

	assert_phase(a, SHARD_OWNING);
	assert_answered(w, "r1", "GpuAssigned");
	assert_int_equal(find_decisions(w, 0, "r1").n, when == 1 ? 2 : 1);
	assert_int_equal(committed(w, 0), 1);
	request(w, 0, "r2", "vm2", 1);
	request(w, 0, "r3", "vm3", 1);
	world_run(w);
	assert_answered(w, "r2", "GpuAssigned");
	assert_answered(w, "r3", "RequestRejected/NO_CAPACITY");
	assert_int_equal(committed(w, 0), 3);
	assert_checkpoint_good(w);
}

static void a_record_of_a_broken_producer_that_lands_before_the_new_marker_counts(void **state)
{
	break_producer(*state, 0);
}

static void a_record_of_a_broken_producer_that_lands_after_the_new_marker_is_void(void **state)
{
	break_producer(*state, 1);
}

static void a_record_of_a_broken_producer_that_never_lands_is_decided_again(void **state)
{
	break_producer(*state, 2);
}

/* The marker of a takeover that was broken off does not end the next one. */
static void a_marker_of_a_broken_producer_is_not_the_own_marker(void **state)
{
	struct world *w = *state;

	publish_fleet(w, 0, 1);
	struct scheduler *a = world_start(w, "a");
	a->producer.cut[TOPIC_DECISIONS] = true;
	world_give(w, a, 0);
	world_run(w);
	world_break_producer(a);
	world_pass(w, w->config.back_off_us);
	broker_land_ghost(&w->broker, 0);
	world_run(w);
	assert_phase(a, SHARD_CATCHING_UP);
	a->producer.cut[TOPIC_DECISIONS] = false;
	world_run(w);
	assert_phase(a, SHARD_OWNING);
	assert_int_equal(epoch_of(a, 0), 1);
}

/* A shard that was being handed over is not wanted back, whatever the scheduler thinks. */
static void a_broken_producer_does_not_take_back_what_was_revoked(void **state)
{
	struct world *w = *state;
	struct scheduler *a = start_owner(w, "a", 1);

	a->producer.cut[TOPIC_DECISIONS] = true;
	request(w, 0, "r1", "vm1", 1);
	world_run(w);
	world_revoke(a, 0);
	assert_phase(a, SHARD_DRAINING);
	producer_purge(&a->producer);
	shard_give_up(shard_at(a, 0), true, w->now_us);
	assert_phase(a, SHARD_IDLE);
	assert_true(a->seats[0].drained);

	struct scheduler *b = world_start(w, "b");
	world_give(w, b, 0);
	a->producer.cut[TOPIC_DECISIONS] = false;
	world_pass(w, 10 * w->config.back_off_us);
	assert_phase(b, SHARD_OWNING);
	assert_int_equal(find_markers(w, 0).n, 2);
	assert_answered(w, "r1", "GpuAssigned");
}

static void a_lost_shard_is_dropped_at_once(void **state)
{
	struct world *w = *state;
	struct scheduler *a = start_owner(w, "a", 1);

	a->held[STEP_DECISIONS] = true;
	request(w, 0, "r1", "vm1", 1);
	world_run(w);
	struct scheduler *b = world_start(w, "b");
	world_give(w, b, 0);
	world_lose(a, 0);
	assert_phase(a, SHARD_IDLE);
	a->held[STEP_DECISIONS] = false;
	world_pass(w, 10 * w->config.back_off_us);
	assert_phase(a, SHARD_IDLE);
	assert_phase(b, SHARD_OWNING);
	assert_int_equal(find_answers(w, 0, "r1").n, 1);
	assert_int_equal(a->refused_commits, 0);
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
		rule(a_deposed_owner_drops_what_is_in_flight_and_takes_over_again_if_still_assigned),
		rule(a_revoked_shard_finishes_what_is_in_flight),
		rule(a_shard_that_comes_back_goes_on_with_its_epoch),
		rule(a_shard_that_does_not_come_back_is_given_up),
		rule(a_resting_shard_that_sees_another_epoch_is_no_longer_its_owner),
		rule(a_shard_that_comes_back_after_another_epoch_is_deposed),
		rule(a_takeover_that_is_revoked_is_broken_off),
		rule(a_record_of_a_broken_producer_that_lands_before_the_new_marker_counts),
		rule(a_record_of_a_broken_producer_that_lands_after_the_new_marker_is_void),
		rule(a_record_of_a_broken_producer_that_never_lands_is_decided_again),
		rule(a_marker_of_a_broken_producer_is_not_the_own_marker),
		rule(a_broken_producer_does_not_take_back_what_was_revoked),
		rule(a_lost_shard_is_dropped_at_once),
	};

	log_init("sim", LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
