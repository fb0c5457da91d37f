/*
 * The protocol of the log (HACKING.md), answering: inputs are acknowledged in order and after their answers, and what is read
 * or sent again is told again. Each test is a story about one rule; without the rule it ends otherwise:
 *
 *   offsets_are_committed_after_the_answers...  an input is done when its answer is sent
 *   the_report_of_a_decision_is_not...          both have the token of the input
 *   offsets_are_committed_in_order              each is committed when it is done
 *   every_kind_of_request_is_answered           an answer stays what it was first (core)
 *   what_is_read_again_is_told_again...         it is passed over
 *   a_report_that_is_read_again...              it is passed over
 *   what_is_told_again_is_told_as_it_is_now     an answer stays what it was first (core)
 *   what_is_told_again_waits...                 it is told before the records ahead of it are read back
 *   a_request_sent_again...                     it is not told; nothing is ever forgotten (core)
 *   what_is_read_again_and_forgotten...         what is read again is decided again
 */
#include "fixture.h"

#include "model/gpu_state.h"

/* ---- acknowledging ------------------------------------------------------------------------------------ */

static void offsets_are_committed_after_the_answers_are_delivered(void **state)
{
	struct world *w = *state;
	struct scheduler *a = start_owner(w, "a", 2);

	a->producer.cut[TOPIC_ANSWERS] = true;
	request(w, 0, "r1", "vm1", 1);
	world_run(w);
	assert_int_equal(find_decisions(w, 0, "r1").n, 1);
	assert_int_equal(committed(w, 0), 0);

	a->producer.cut[TOPIC_ANSWERS] = false;
	a->producer.silent[TOPIC_ANSWERS] = true;
	world_run(w);
	assert_answered(w, "r1", "GpuAssigned");
	assert_int_equal(committed(w, 0), 0);

	a->producer.silent[TOPIC_ANSWERS] = false;
	world_run(w);
	assert_int_equal(committed(w, 0), 1);
}

/* The record is read back before its own delivery report comes: that report is not the answer's. */
static void the_report_of_a_decision_is_not_that_of_its_answer(void **state)
{
	struct world *w = *state;
	struct scheduler *a = start_owner(w, "a", 2);

	a->producer.cut[TOPIC_ANSWERS] = true;
	a->producer.silent[TOPIC_DECISIONS] = true;
	request(w, 0, "r1", "vm1", 1);
	world_run(w);
	a->producer.silent[TOPIC_DECISIONS] = false;
	world_run(w);
	assert_int_equal(find_answers(w, 0, "r1").n, 0);
	assert_int_equal(committed(w, 0), 0);
}

static void offsets_are_committed_in_order(void **state)
{
	struct world *w = *state;
	struct scheduler *a = start_owner(w, "a", 2);

	request(w, 0, "r1", "vm1", 1);
	publish_bytes(w, TOPIC_REQUESTS, 0, "garbage", 7); /* needs no log: done before r1 */
	a->producer.cut[TOPIC_DECISIONS] = true;
	world_run(w);
	assert_int_equal(broker_end(&w->broker, TOPIC_DEAD_LETTERS, 0), 1);
	assert_int_equal(committed(w, 0), 0);
	a->producer.cut[TOPIC_DECISIONS] = false;
	world_run(w);
	assert_int_equal(committed(w, 0), 2);
}

static void every_kind_of_request_is_answered(void **state)
{
	struct world *w = *state;

	start_owner(w, "a", 2);
	publish_host(w, 0, "h2");
	publish_gpu(w, 0, "h2", 0, MODEL, GPU_STATE_AVAILABLE);
	request(w, 0, "r1", "vm1", 1);
	check_migration(w, 0, "r2", "vm1");
	release(w, 0, "r3", "vm1");
	release(w, 0, "r4", "vm1");
	world_run(w);
	assert_answered(w, "r1", "GpuAssigned");
	assert_answered(w, "r2", "MigrationVerdict");
	assert_answered(w, "r3", "GpuReleased");
	assert_answered(w, "r4", "RequestCompleted/NOTHING_HELD");
	assert_int_equal(committed(w, 0), 4);
	assert_checkpoint_good(w);
}

/* ---- read again, sent again ------------------------------------------------------------------------------ */

/* A answered r1 and could not commit; its successor reads r1 again. */
static void what_is_read_again_is_told_again_and_not_decided_again(void **state)
{
	struct world *w = *state;
	struct scheduler *a = start_owner(w, "a", 2);

	a->producer.silent[TOPIC_ANSWERS] = true;
	request(w, 0, "r1", "vm1", 1);
	world_run(w);
	struct found first = find_answers(w, 0, "r1");
	world_kill(w, a);

	struct scheduler *b = world_start(w, "b");
	world_give(w, b, 0);
	world_run(w);
	struct found again = find_answers(w, 0, "r1");
	assert_int_equal(find_decisions(w, 0, "r1").n, 1);
	assert_int_equal(again.n, 2);
	assert_int_equal(again.revision, first.revision);
	assert_int_equal(committed(w, 0), 1);
	assert_string_equal(
		header_text(w, broker_at(&w->broker, TOPIC_ANSWERS, 0, first.offset), "ce_id"),
		header_text(w, broker_at(&w->broker, TOPIC_ANSWERS, 0, again.offset), "ce_id"));
}

/* The same for a report: what it caused is the answer to the request that began the release. */
static void a_report_that_is_read_again_tells_what_came_of_it(void **state)
{
	struct world *w = *state;
	struct scheduler *a = start_owner(w, "a", 2);

	publish_pool(w, 0, "agent");
	request(w, 0, "r1", "vm1", 1);
	release(w, 0, "r2", "vm1");
	world_run(w);
	assert_int_equal(committed(w, 0), 2);
	a->producer.cut[TOPIC_ANSWERS] = true;
	report(w, 0, &find_answers(w, 0, "r1").record->gpu_assigned, "DETACHED", 0, NULL);
	world_run(w);
	assert_int_equal(find_decisions(w, 0, "r2").n, 1);
	assert_int_equal(find_answers(w, 0, "r2").n, 0);
	world_kill(w, a);

	struct scheduler *b = world_start(w, "b");
	world_give(w, b, 0);
	world_run(w);
	assert_answered(w, "r2", "GpuReleased");
	assert_int_equal(find_decisions(w, 0, "r2").n, 1);
	assert_int_equal(w->broker.committed[1][0], 1);
}

/* Between A's decision and its being read again the GPUs were released: that is what is told. */
static void what_is_told_again_is_told_as_it_is_now(void **state)
{
	struct world *w = *state;
	struct scheduler *a = start_owner(w, "a", 2);

	a->producer.silent[TOPIC_ANSWERS] = true;
	request(w, 0, "r1", "vm1", 1);
	release(w, 0, "r2", "vm1");
	world_run(w);
	assert_int_equal(committed(w, 0), 0);
	world_kill(w, a);

	struct scheduler *b = world_start(w, "b");
	world_give(w, b, 0);
	int64_t answers = broker_end(&w->broker, TOPIC_ANSWERS, 0);
	world_run(w);
	assert_int_equal(committed(w, 0), 2);
	assert_int_equal(find_decisions(w, 0, "r1").n, 1);
	/* Both are answered again, and nothing says that vm1 has its GPU. */
	assert_int_equal(broker_end(&w->broker, TOPIC_ANSWERS, 0), answers + 2);
	for (; answers < broker_end(&w->broker, TOPIC_ANSWERS, 0); answers++) {
		const struct message *message = broker_at(&w->broker, TOPIC_ANSWERS, 0, answers);
		assert_int_equal(read_record(w, message)->type, RECORD_GPU_RELEASED);
	}
}

/* Even while the decision that changes it is still on its way into the log. */
static void what_is_told_again_waits_for_what_changes_it(void **state)
{
	struct world *w = *state;
	struct scheduler *a = start_owner(w, "a", 2);

	request(w, 0, "r1", "vm1", 1);
	world_run(w);
	a->producer.cut[TOPIC_DECISIONS] = true;
	release(w, 0, "r2", "vm1");
	request(w, 0, "r1", "vm1", 1);
	world_run(w);
	assert_int_equal(find_answers(w, 0, "r1").n, 1);
	a->producer.cut[TOPIC_DECISIONS] = false;
	world_run(w);
	assert_int_equal(committed(w, 0), 3);
	const struct message *last = broker_at(&w->broker, TOPIC_ANSWERS, 0,
					       broker_end(&w->broker, TOPIC_ANSWERS, 0) - 1);
	assert_int_equal(read_record(w, last)->type, RECORD_GPU_RELEASED);
	assert_int_equal(find_decisions(w, 0, "r1").n, 1);
}

static void a_request_sent_again_is_told_again_until_it_is_forgotten(void **state)
{
	struct world *w = *state;
	struct scheduler *a = start_owner(w, "a", 2);

	request(w, 0, "r1", "vm1", 5); /* refused: there are only 2 */
	world_run(w);
	request(w, 0, "r1", "vm1", 5);
	world_run(w);
	assert_int_equal(find_answers(w, 0, "r1").n, 2);
	assert_int_equal(find_decisions(w, 0, "r1").n, 1);

	/* After a restart too, with the checkpoint and without it. */
	for (int wiped = 0; wiped < 2; wiped++) {
		world_kill(w, a);
		if (wiped)
			store_server_wipe(&w->store, 0);
		a = world_start(w, "a");
		world_give(w, a, 0);
		request(w, 0, "r1", "vm1", 5);
		world_run(w);
		assert_int_equal(find_answers(w, 0, "r1").n, 3 + wiped);
		assert_int_equal(find_answers(w, 0, "r1").revision,
				 find_decisions(w, 0, "r1").offset);
		assert_int_equal(find_decisions(w, 0, "r1").n, 1);
	}

	/* A day of records later it is a new request. Time alone does not count. */
	world_pass(w, w->config.options.remember_us + 1000000);
	publish_host(w, 0, "h1");
	request(w, 0, "r1", "vm1", 5);
	world_run(w);
	assert_int_equal(find_decisions(w, 0, "r1").n, 1);
	request(w, 0, "r2", "vm2", 1);
	world_run(w);
	assert_answered(w, "r2", "GpuAssigned");
	request(w, 0, "r1", "vm1", 5);
	world_run(w);
	assert_int_equal(find_decisions(w, 0, "r1").n, 2);
	assert_checkpoint_good(w);
}

/* Read again after it was forgotten: nobody is waiting any more, and it is not decided again. */
static void what_is_read_again_and_forgotten_is_passed_over(void **state)
{
	struct world *w = *state;
	struct scheduler *a = start_owner(w, "a", 2);

	a->producer.silent[TOPIC_ANSWERS] = true;
	request(w, 0, "r1", "vm1", 5);
	world_run(w);
	world_pass(w, w->config.options.remember_us + 1000000);
	publish_host(w, 0, "h1");
	request(w, 0, "r2", "vm2", 1);
	world_run(w);
	assert_int_equal(committed(w, 0), 0);
	world_kill(w, a);

	struct scheduler *b = world_start(w, "b");
	world_give(w, b, 0);
	world_run(w);
	assert_int_equal(find_decisions(w, 0, "r1").n, 1);
	assert_int_equal(find_answers(w, 0, "r1").n, 1);
	assert_int_equal(find_answers(w, 0, "r2").n, 2);
	assert_int_equal(committed(w, 0), 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		rule(offsets_are_committed_after_the_answers_are_delivered),
		rule(the_report_of_a_decision_is_not_that_of_its_answer),
		rule(offsets_are_committed_in_order),
		rule(every_kind_of_request_is_answered),
		rule(what_is_read_again_is_told_again_and_not_decided_again),
		rule(a_report_that_is_read_again_tells_what_came_of_it),
		rule(what_is_told_again_is_told_as_it_is_now),
		rule(what_is_told_again_waits_for_what_changes_it),
		rule(a_request_sent_again_is_told_again_until_it_is_forgotten),
		rule(what_is_read_again_and_forgotten_is_passed_over),
	};

	log_init("sim", LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
