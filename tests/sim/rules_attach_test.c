/*
 * What agents report and operators command, through a whole shard. With what each test guards, and how
 * the shard would be broken without it:
 *
 *   a_report_that_is_read_again...              only DETACHED tells what came of it
 *   a_failure_is_dealt_with_once                what is read again is decided again
 *   a_malformed_report_that_is_read_again...    it is passed over: nobody learns of it
 *   every_kind_of_command_is_answered           commands are no input of requests
 *   marks_outlive_their_scheduler...            no rows of marks; they are not loaded
 *   a_move_waits_until_hosts_are_read           an end is decided on what is not known yet
 *   a_record_without_room...                    the next decision goes into the log before it
 *   a_shard_that_is_revoked_without_room...     it is handed over with a decision that never was
 */
#include "fixture.h"

#include "model/gpu_state.h"

static struct scheduler *start_two_hosts(struct world *w, const char *name)
{
	struct scheduler *owner = start_owner(w, name, 2);
	publish_pool(w, 0, "agent");
	publish_host(w, 0, "h2");
	for (int n = 0; n < 2; n++)
		publish_gpu(w, 0, "h2", n, MODEL, GPU_STATE_AVAILABLE);
	world_run(w);
	return owner;
}

static struct gpu_assigned *assigned_to(struct world *w, const char *request_id)
{
	struct found found = find_answers(w, 0, request_id);
	assert_non_null(found.record);
	assert_int_equal(found.record->type, RECORD_GPU_ASSIGNED);
	return &found.record->gpu_assigned;
}

/* A new owner in the place of one that could not commit. */
static struct scheduler *succeed(struct world *w, struct scheduler *old, const char *name)
{
	world_kill(w, old);
	struct scheduler *next = world_start(w, name);
	world_give(w, next, 0);
	world_run(w);
	return next;
}

/* ---- reports ------------------------------------------------------------------------------------------ */

static void a_report_that_is_read_again_tells_how_the_request_stands(void **state)
{
	static const char *const states[] = { "BOUND", "FAILED" };
	struct world *w = *state;
	struct scheduler *owner = start_two_hosts(w, "a");
	request(w, 0, "r1", "vm1", 1);
	world_run(w);
	for (int i = 0; i < 2; i++) {
		int answers = find_answers(w, 0, "r1").n;
		owner->producer.cut[TOPIC_ANSWERS] = true;
		report(w, 0, assigned_to(w, "r1"), states[i], 0, NULL);
		world_run(w);
		assert_int_equal(find_answers(w, 0, "r1").n, answers);
		assert_int_equal(w->broker.committed[1][0], i);
		owner = succeed(w, owner, i ? "c" : "b");
		assert_int_equal(find_answers(w, 0, "r1").n, answers + 1);
		assert_int_equal(w->broker.committed[1][0], i + 1);
	}
	assert_string_equal(assigned_to(w, "r1")->replaces, "r1/1");
	assert_checkpoint_good(w);
}

static void a_failure_is_dealt_with_once(void **state)
{
	struct world *w = *state;
	struct scheduler *a = start_two_hosts(w, "a");
	request(w, 0, "r1", "vm1", 1);
	world_run(w);
	struct gpu_assigned *first = assigned_to(w, "r1");
	a->producer.silent[TOPIC_ANSWERS] = true; /* nothing is committed */
	report(w, 0, first, "FAILED", 1, NULL);
	report(w, 0, first, "FAILED", 0, NULL); /* once more, and with another word */
	world_run(w);
	assert_int_equal(w->broker.committed[1][0], 0);
	succeed(w, a, "b");
	assert_int_equal(find_decisions(w, 0, "r1").n, 2);
	assert_int_equal(w->broker.committed[1][0], 2);
	struct gpu_assigned *moved = assigned_to(w, "r1");
	assert_string_equal(moved->assignment_id, "r1/2");
	assert_string_equal(moved->host, strcmp(first->host, "h1") == 0 ? "h2" : "h1");
	assert_int_equal(moved->n_quarantined, 1);
	assert_checkpoint_good(w);
}

static void a_malformed_report_that_is_read_again_is_a_dead_letter_again(void **state)
{
	struct world *w = *state;
	struct scheduler *a = start_two_hosts(w, "a");
	request(w, 0, "r1", "vm1", 1);
	world_run(w);
	a->producer.cut[TOPIC_DEAD_LETTERS] = true;
	report(w, 0, assigned_to(w, "r1"), "EXPLODED", 0, NULL);
	report(w, 0, assigned_to(w, "r1"), "BOUND", 0, NULL); /* the log goes past it */
	world_run(w);
	assert_int_equal(find_decisions(w, 0, "r1").n, 2);
	assert_int_equal(w->broker.committed[1][0], 0);
	succeed(w, a, "b");
	assert_int_equal(w->broker.committed[1][0], 2);
	assert_int_equal(broker_end(&w->broker, TOPIC_DEAD_LETTERS, 0), 1);
	const struct message *letter = broker_at(&w->broker, TOPIC_DEAD_LETTERS, 0, 0);
	assert_string_equal(header_text(w, letter, "dl_code"), "UNUSABLE");
	assert_string_equal(header_text(w, letter, "dl_topic"), "gpubus.attachments.v1");
}

static void a_move_waits_until_hosts_are_read(void **state)
{
	struct world *w = *state;
	struct scheduler *a = start_owner(w, "a", 1);
	publish_pool(w, 0, "agent");
	request(w, 0, "r1", "vm1", 1);
	world_run(w);
	a->held[STEP_HOSTS] = true;
	publish_host(w, 0, "h2");
	publish_gpu(w, 0, "h2", 0, MODEL, GPU_STATE_AVAILABLE);
	report(w, 0, assigned_to(w, "r1"), "FAILED", 0, NULL);
	world_run(w);
	assert_int_equal(find_decisions(w, 0, "r1").n, 1);
	a->held[STEP_HOSTS] = false;
	world_run(w);
	assert_string_equal(assigned_to(w, "r1")->host, "h2");
}

/* ---- commands ----------------------------------------------------------------------------------------- */

static void every_kind_of_command_is_answered(void **state)
{
	struct world *w = *state;
	start_two_hosts(w, "a");
	command(w, 0, "c1", "CORDON_HOST", "h1");
	command(w, 0, "c2", "QUARANTINE_GPU", "h2/0000:01:00.0");
	command(w, 0, "c3", "QUARANTINE_GPU", "h2/0000:01:00.0");
	command(w, 0, "c4", "UNCORDON_HOST", "h9");
	command(w, 0, "c5", "RETURN_GPU", "h2/0000:09:00.0");
	request(w, 0, "r1", "vm1", 1);
	request(w, 0, "r2", "vm2", 1);
	command(w, 0, "c6", "RETURN_GPU", "h2/0000:01:00.0");
	command(w, 0, "c7", "UNCORDON_HOST", "h1");
	world_run(w);
	assert_answered(w, "c1", "HostMarked");
	assert_answered(w, "c2", "GpuMarked");
	assert_answered(w, "c3", "RequestCompleted/NOTHING_CHANGED");
	assert_answered(w, "c4", "RequestRejected/HOST_UNKNOWN");
	assert_answered(w, "c5", "RequestRejected/GPU_UNKNOWN");
	assert_string_equal(assigned_to(w, "r1")->gpus[0].gpu_id, "h2/0000:02:00.0");
	assert_answered(w, "r2", "RequestRejected/NO_CAPACITY");
	assert_answered(w, "c6", "GpuMarked");
	assert_answered(w, "c7", "HostMarked");
	assert_int_equal(committed(w, 0), 9);
	assert_checkpoint_good(w);
}

static void marks_outlive_their_scheduler_and_its_answers(void **state)
{
	struct world *w = *state;
	w->config.options.remember_us = 1000 * 1000;
	struct scheduler *a = start_two_hosts(w, "a");
	command(w, 0, "c1", "CORDON_HOST", "h1");
	command(w, 0, "c2", "QUARANTINE_GPU", "h2/0000:01:00.0");
	world_run(w);
	world_pass(w, 2 * 1000 * 1000);
	release(w, 0, "x1", "vm9"); /* makes the answers old */
	world_run(w);
	assert_checkpoint_good(w);
	/* From the checkpoint, and from the log alone. */
	for (int round = 0; round < 2; round++) {
		char id[8] = { 'r', (char)('0' + round), '\0' };
		a = succeed(w, a, round ? "c" : "b");
		request(w, 0, id, "vm1", 2);
		world_run(w);
		assert_answered(w, id, "RequestRejected/NO_CAPACITY");
		assert_checkpoint_good(w);
		store_server_wipe(&w->store, 0);
	}
	command(w, 0, "c3", "RETURN_GPU", "h2/0000:01:00.0");
	request(w, 0, "r9", "vm1", 2);
	world_run(w);
	assert_string_equal(assigned_to(w, "r9")->host, "h2");
	assert_checkpoint_good(w);
}

/* ---- without room in the producer ------------------------------------------------------------------------ */

/* It is folded already; what is decided upon it must not come before it. */
static void a_record_without_room_holds_up_what_follows(void **state)
{
	struct world *w = *state;
	struct scheduler *a = start_owner(w, "a", 1);
	a->producer.full[TOPIC_DECISIONS] = true;
	request(w, 0, "r1", "vm1", 1);
	release(w, 0, "x1", "vm1");
	request(w, 0, "r2", "vm2", 1);
	world_run(w);
	assert_int_equal(find_decisions(w, 0, "r1").n, 0);
	assert_int_equal(shard_figures(shard_at(a, 0)).in_flight, 1);
	assert_int_equal(committed(w, 0), 0);
	a->producer.full[TOPIC_DECISIONS] = false;
	world_pass(w, 1000 * 1000);
	int64_t first = find_decisions(w, 0, "r1").offset;
	assert_int_equal(find_decisions(w, 0, "x1").offset, first + 1);
	assert_int_equal(find_decisions(w, 0, "r2").offset, first + 2);
	assert_int_equal(committed(w, 0), 3);
	assert_checkpoint_good(w);
}

static void a_shard_that_is_revoked_without_room_finishes_first(void **state)
{
	struct world *w = *state;
	struct scheduler *a = start_owner(w, "a", 1);
	a->producer.full[TOPIC_DECISIONS] = true;
	request(w, 0, "r1", "vm1", 1);
	world_run(w);
	world_revoke(a, 0);
	world_run(w);
	assert_phase(a, SHARD_DRAINING);
	a->producer.full[TOPIC_DECISIONS] = false;
	world_pass(w, 1000 * 1000);
	assert_phase(a, SHARD_RESTING);
	assert_answered(w, "r1", "GpuAssigned");
	assert_int_equal(committed(w, 0), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		rule(a_report_that_is_read_again_tells_how_the_request_stands),
		rule(a_failure_is_dealt_with_once),
		rule(a_malformed_report_that_is_read_again_is_a_dead_letter_again),
		rule(a_move_waits_until_hosts_are_read),
		rule(every_kind_of_command_is_answered),
		rule(marks_outlive_their_scheduler_and_its_answers),
		rule(a_record_without_room_holds_up_what_follows),
		rule(a_shard_that_is_revoked_without_room_finishes_first),
	};

	log_init("sim", LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
