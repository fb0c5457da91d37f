/*
 * The protocol of the log (HACKING.md), who owns a shard: being deposed, rebalances, a broken producer. Each test is a story
 * about one rule; without the rule it ends otherwise:
 *
 *   a_deposed_owner_drops_what_is_in_flight...   a newer marker is passed over; what is in flight is kept;
 *                                                    inputs are not rewound; it stays deposed; no back-off
 *   a_revoked_shard_finishes_what_is_in_flight   it is dropped; handed over with one input left
 *   a_shard_that_comes_back_goes_on...           it is taken over anew; it rests without following
 *   a_shard_that_comes_and_goes_...              what was revoked while it came back is forgotten
 *   a_shard_that_does_not_come_back...           it rests for ever
 *   a_resting_shard_that_sees_another_epoch...   a resting shard passes markers over
 *   a_shard_that_comes_back_after_another...     a newer marker is passed over
 *   a_shard_that_comes_back_acknowledges...      it acts at once, without reading the log to its end
 *   a_takeover_that_is_revoked_is_broken_off     it goes on
 *   ..._that_lands_before_the_new_marker_counts  inputs are not rewound; what is read again is not told
 *   ..._that_lands_after_the_new_marker_is_void  the owner folds void records; inputs are not rewound
 *   ..._that_never_lands_is_decided_again        inputs are not rewound
 *   a_marker_of_a_broken_producer...             one nonce serves for all takeovers
 *   a_broken_producer_does_not_take_back...      what is being handed over may be given up as ours
 *   a_lost_shard_is_dropped_at_once              it is given up as still ours
 */
#include "fixture.h"

#include "model/gpu_state.h"

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

/* Rebalances come in rows: taken away again before the log was read to its end. */
static void a_shard_that_comes_and_goes_keeps_its_epoch(void **state)
{
	struct world *w = *state;
	struct scheduler *a = start_owner(w, "a", 2);

	a->held[STEP_ENDS] = true;
	for (int i = 0; i < 3; i++) {
		world_revoke(a, 0);
		assert_phase(a, SHARD_RESTING);
		world_give(w, a, 0);
		world_run(w);
		assert_phase(a, SHARD_CATCHING_UP);
	}
	a->held[STEP_ENDS] = false;
	request(w, 0, "r1", "vm1", 1);
	world_run(w);
	assert_answered(w, "r1", "GpuAssigned");
	assert_int_equal(find_markers(w, 0).n, 1);
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
	world_run(w);
	assert_int_equal(find_answers(w, 0, "r2").n, 0);
	a->held[STEP_DECISIONS] = false;
	world_run(w);
	assert_phase(a, SHARD_DEPOSED);
	assert_int_equal(find_answers(w, 0, "r2").n, 0);

	world_pass(w, w->config.back_off_us);
	assert_phase(a, SHARD_OWNING);
	assert_answered(w, "r2", "RequestRejected/NO_CAPACITY");
	assert_int_equal(committed(w, 0), 2);
}

/* As above, and what is read asks for nothing in the old epoch's eyes, so nothing would be logged and
 * found void: an agent's report about an assignment of the other epoch. */
static void a_shard_that_comes_back_acknowledges_nothing_before_it_has_read_the_log(void **state)
{
	struct world *w = *state;
	struct scheduler *a = start_owner(w, "a", 1);

	publish_pool(w, 0, "agent");
	world_run(w);
	world_revoke(a, 0);
	a->held[STEP_DECISIONS] = true;
	struct scheduler *b = world_start(w, "b");
	world_give(w, b, 0);
	request(w, 0, "r1", "vm1", 1);
	release(w, 0, "r2", "vm1");
	world_run(w);
	struct found releasing = find_answers(w, 0, "r1");
	assert_string_equal(releasing.record->gpu_assigned.state, "RELEASING");
	world_kill(w, b);

	report(w, 0, &releasing.record->gpu_assigned, "DETACHED", 0, NULL);
	world_give(w, a, 0);
	world_run(w);
	assert_int_equal(w->broker.committed[1][0], 0);
	a->held[STEP_DECISIONS] = false;
	world_run(w);
	world_pass(w, w->config.back_off_us);
	assert_answered(w, "r2", "GpuReleased");
	assert_int_equal(w->broker.committed[1][0], 1);
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
		rule(a_deposed_owner_drops_what_is_in_flight_and_takes_over_again_if_still_assigned),
		rule(a_revoked_shard_finishes_what_is_in_flight),
		rule(a_shard_that_comes_back_goes_on_with_its_epoch),
		rule(a_shard_that_comes_and_goes_keeps_its_epoch),
		rule(a_shard_that_does_not_come_back_is_given_up),
		rule(a_resting_shard_that_sees_another_epoch_is_no_longer_its_owner),
		rule(a_shard_that_comes_back_after_another_epoch_is_deposed),
		rule(a_shard_that_comes_back_acknowledges_nothing_before_it_has_read_the_log),
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
