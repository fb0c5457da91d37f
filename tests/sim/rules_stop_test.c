/*
 * The protocol of the log (HACKING.md), the loud stops: what says that a topic was truncated, created anew or damaged stops
 * the shard for an operator. Nothing is decided or committed then, and other shards go on. Each test is a
 * story about one stop; without the rule it ends otherwise:
 *
 *   a_gap_in_decisions_stops_the_owner          it is passed over
 *   a_gap_in_decisions_stops_a_takeover         it is passed over
 *   a_missing_beginning_of_decisions...         a log that cannot be followed is waited for
 *   a_record_that_counts_and_cannot_be_read...  it is passed over
 *   a_void_record_that_cannot_be_read...        void records are decoded too
 *   a_record_that_contradicts_the_log...        it is passed over
 *   a_record_of_our_epoch_that_we_did_not...    what is read back is not compared
 *   a_checkpoint_ahead_of_the_log...            a stop only drops the shard, as being deposed does
 *   an_own_marker_that_is_not_above...          the marker's offset is not compared
 *   redis_knows_an_epoch_that_the_log...        what Redis says of epochs is not listened to
 *   an_applied_position_behind_the_end...       the positions are not compared
 *   a_topic_that_cannot_be_followed...          it is passed over
 *   a_stopped_shard_does_not_stop_the_others    the positions are not compared
 *   a_stopped_shard_is_handed_over              it says nothing when stopped; it is taken over again
 */
#include "fixture.h"

#include <string.h>

#include "model/gpu_state.h"

static void assert_stopped(struct world *w, struct scheduler *scheduler, const char *because)
{
	const char *reason = shard_stopped_because(shard_at(scheduler, 0));
	int64_t before = committed(w, 0);
	int64_t decisions = broker_end(&w->broker, TOPIC_DECISIONS, 0);

	if (!reason)
		fail_msg("it goes on: %s", shard_phase_name(phase_of(scheduler, 0)));
	if (!strstr(reason, because))
		fail_msg("it stopped because %s", reason);
	request(w, 0, "after", "vm-after", 1);
	world_pass(w, 100 * w->config.back_off_us);
	assert_phase(scheduler, SHARD_STOPPED);
	assert_int_equal(committed(w, 0), before);
	assert_int_equal(broker_end(&w->broker, TOPIC_DECISIONS, 0), decisions);
}

/* A log with two decisions and a checkpoint at its end; its owner is gone. */
static void live_and_die(struct world *w)
{
	struct scheduler *a = start_owner(w, "a", 3);
	request(w, 0, "r1", "vm1", 1);
	request(w, 0, "r2", "vm2", 1);
	world_run(w);
	assert_checkpoint_good(w);
	world_kill(w, a);
}

static struct scheduler *successor(struct world *w)
{
	struct scheduler *b = world_start(w, "b");
	world_give(w, b, 0);
	world_run(w);
	return b;
}

static void a_gap_in_decisions_stops_the_owner(void **state)
{
	struct world *w = *state;
	struct scheduler *a = start_owner(w, "a", 3);

	a->held[STEP_DECISIONS] = true;
	request(w, 0, "r1", "vm1", 1);
	request(w, 0, "r2", "vm2", 1);
	world_run(w);
	broker_lose(&w->broker, TOPIC_DECISIONS, 0, find_decisions(w, 0, "r1").offset);
	a->held[STEP_DECISIONS] = false;
	world_run(w);
	assert_stopped(w, a, "decisions has no offset");
	assert_int_equal(committed(w, 0), 0);
}

static void a_gap_in_decisions_stops_a_takeover(void **state)
{
	struct world *w = *state;

	live_and_die(w);
	store_server_wipe(&w->store, 0);
	broker_lose(&w->broker, TOPIC_DECISIONS, 0, 1);
	assert_stopped(w, successor(w), "decisions has no offset");
}

static void a_missing_beginning_of_decisions_stops_a_takeover(void **state)
{
	struct world *w = *state;

	live_and_die(w);
	store_server_wipe(&w->store, 0);
	broker_lose(&w->broker, TOPIC_DECISIONS, 0, 0);
	broker_lose(&w->broker, TOPIC_DECISIONS, 0, 1);
	assert_stopped(w, successor(w), "cannot be read from offset 0");
}

static void a_record_that_counts_and_cannot_be_read_stops_a_takeover(void **state)
{
	struct world *w = *state;

	live_and_die(w);
	store_server_wipe(&w->store, 0);
	broker_overwrite(&w->broker, TOPIC_DECISIONS, 0, 1, "garbage", 7);
	assert_stopped(w, successor(w), "offset 1 of decisions counts but cannot be read");
}

/* Void records are not even looked at. */
static void a_void_record_that_cannot_be_read_stops_nobody(void **state)
{
	struct world *w = *state;

	live_and_die(w);
	store_server_wipe(&w->store, 0);
	publish_bytes(w, TOPIC_DECISIONS, 0, "garbage", 7);
	struct scheduler *b = successor(w);
	publish_bytes(w, TOPIC_DECISIONS, 0, "garbage", 7);
	request(w, 0, "r3", "vm3", 1);
	world_run(w);
	assert_phase(b, SHARD_OWNING);
	assert_answered(w, "r3", "GpuAssigned");
}

static void a_record_that_contradicts_the_log_stops_a_takeover(void **state)
{
	struct world *w = *state;

	live_and_die(w);
	store_server_wipe(&w->store, 0);
	/* The record of r2 says what that of r1 says, for another VM: one GPU with two owners. */
	struct record *record = read_record(w, broker_at(&w->broker, TOPIC_DECISIONS, 0, 1));
	record->gpu_assigned.vm_id = "vm2";
	record->gpu_assigned.request_id = "r2";
	record->gpu_assigned.assignment_id = "r2/1";
	cleanup(buf_deinit) struct buf bytes = { 0 };
	assert_int_equal(codec_encode(w->codec, record, &bytes), 0);
	broker_overwrite(&w->broker, TOPIC_DECISIONS, 0, 2, bytes.data, bytes.len);
	assert_stopped(w, successor(w), "contradicts the log");
}

static void a_record_of_our_epoch_that_we_did_not_send_stops_the_owner(void **state)
{
	struct world *w = *state;
	struct scheduler *a = start_owner(w, "a", 3);

	a->held[STEP_DECISIONS] = true;
	request(w, 0, "r1", "vm1", 1);
	world_run(w);
	int64_t offset = find_decisions(w, 0, "r1").offset;
	struct record *record = read_record(w, broker_at(&w->broker, TOPIC_DECISIONS, 0, offset));
	record->gpu_assigned.vm_id = "vm2";
	cleanup(buf_deinit) struct buf bytes = { 0 };
	assert_int_equal(codec_encode(w->codec, record, &bytes), 0);
	broker_overwrite(&w->broker, TOPIC_DECISIONS, 0, offset, bytes.data, bytes.len);
	a->held[STEP_DECISIONS] = false;
	world_run(w);
	assert_stopped(w, a, "not what we sent");
}

static void a_checkpoint_ahead_of_the_log_stops_a_takeover(void **state)
{
	struct world *w = *state;

	live_and_die(w);
	broker_truncate(&w->broker, TOPIC_DECISIONS, 0, 1);
	assert_stopped(w, successor(w), "truncated or created anew");
}

/* The log is shorter than the checkpoint says, but has grown to it by the time it is read: the own
 * marker stands at an offset at which the checkpoint knows another record. */
static void an_own_marker_that_is_not_above_what_is_known_stops_a_takeover(void **state)
{
	struct world *w = *state;

	live_and_die(w);
	int64_t end = broker_end(&w->broker, TOPIC_DECISIONS, 0);
	broker_truncate(&w->broker, TOPIC_DECISIONS, 0, end - 1);
	struct scheduler *b = world_start(w, "b");
	b->held[STEP_DECISIONS] = true;
	world_give(w, b, 0);
	world_run(w);
	assert_stopped(w, b, "truncated or created anew");
}

/* Redis came back after the takeover, and knows more of the log than there is. */
static void redis_knows_an_epoch_that_the_log_does_not(void **state)
{
	struct world *w = *state;
	struct scheduler *a = start_owner(w, "a", 3);

	shard_on_store_ahead(shard_at(a, 0), broker_end(&w->broker, TOPIC_DECISIONS, 0));
	world_pass(w, w->config.back_off_us);
	assert_stopped(w, a, "Redis knows epoch");
}

/* A newer owner's, whose marker is on its way to us. */
static void redis_may_know_an_epoch_that_the_log_has(void **state)
{
	struct world *w = *state;
	struct scheduler *a = start_owner(w, "a", 3);

	request(w, 0, "r1", "vm1", 1);
	world_run(w);
	shard_on_store_ahead(shard_at(a, 0), broker_end(&w->broker, TOPIC_DECISIONS, 0) - 1);
	world_pass(w, w->config.back_off_us);
	request(w, 0, "r2", "vm2", 1);
	world_run(w);
	assert_phase(a, SHARD_OWNING);
	assert_answered(w, "r2", "GpuAssigned");
}

static void an_applied_position_behind_the_end_of_requests_stops_a_takeover(void **state)
{
	struct world *w = *state;

	live_and_die(w);
	broker_truncate(&w->broker, TOPIC_REQUESTS, 0, 1);
	assert_stopped(w, successor(w), "a topic was truncated or created anew");
}

static void a_topic_that_cannot_be_followed_stops_the_shard(void **state)
{
	struct world *w = *state;
	struct scheduler *a = start_owner(w, "a", 3);

	broker_truncate(&w->broker, TOPIC_INVENTORY, 0, 1);
	world_run(w);
	assert_stopped(w, a, "inventory");
}

static void a_stopped_shard_does_not_stop_the_others(void **state)
{
	struct world *w = *state;

	live_and_die(w);
	publish_fleet(w, 1, 1);
	broker_truncate(&w->broker, TOPIC_REQUESTS, 0, 1);
	struct scheduler *b = successor(w);
	world_give(w, b, 1);
	request(w, 1, "r1", "vm1", 1);
	world_run(w);
	assert_phase(b, SHARD_STOPPED);
	assert_true(answered(w, 1, "r1", "GpuAssigned"));
}

/* It is handed over like any other, so that a rebalance does not wait for it. */
static void a_stopped_shard_is_handed_over(void **state)
{
	struct world *w = *state;
	struct scheduler *a = start_owner(w, "a", 3);

	a->held[STEP_DECISIONS] = true;
	request(w, 0, "r1", "vm1", 1);
	world_run(w);
	world_revoke(a, 0);
	assert_phase(a, SHARD_DRAINING);
	broker_overwrite(&w->broker, TOPIC_DECISIONS, 0, 1, "garbage", 7);
	a->held[STEP_DECISIONS] = false;
	world_run(w);
	assert_phase(a, SHARD_STOPPED);
	assert_true(a->seats[0].drained);

	int64_t decisions = broker_end(&w->broker, TOPIC_DECISIONS, 0);
	world_give(w, a, 0);
	world_run(w);
	assert_phase(a, SHARD_STOPPED);
	assert_int_equal(broker_end(&w->broker, TOPIC_DECISIONS, 0), decisions);
	world_revoke(a, 0);
	assert_true(a->seats[0].drained);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		rule(a_gap_in_decisions_stops_the_owner),
		rule(a_gap_in_decisions_stops_a_takeover),
		rule(a_missing_beginning_of_decisions_stops_a_takeover),
		rule(a_record_that_counts_and_cannot_be_read_stops_a_takeover),
		rule(a_void_record_that_cannot_be_read_stops_nobody),
		rule(a_record_that_contradicts_the_log_stops_a_takeover),
		rule(a_record_of_our_epoch_that_we_did_not_send_stops_the_owner),
		rule(a_checkpoint_ahead_of_the_log_stops_a_takeover),
		rule(an_own_marker_that_is_not_above_what_is_known_stops_a_takeover),
		rule(redis_knows_an_epoch_that_the_log_does_not),
		rule(redis_may_know_an_epoch_that_the_log_has),
		rule(an_applied_position_behind_the_end_of_requests_stops_a_takeover),
		rule(a_topic_that_cannot_be_followed_stops_the_shard),
		rule(a_stopped_shard_does_not_stop_the_others),
		rule(a_stopped_shard_is_handed_over),
	};

	log_init("sim", LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
