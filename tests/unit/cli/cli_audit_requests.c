/*
 * Audit of what was asked and told: strays, dead letters, answers.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "audit_world.h"
#include "codec/envelope_headers.h"
#include "model/partition.h"

/* ---- strays ----------------------------------------------------------------------------------------- */

static void dead_letter_for(struct world *world, const struct message *origin)
{
	const char *offset = arena_printf(&world->arena, "%lld", (long long)origin->offset);
	const char *partition = arena_printf(&world->arena, "%d", origin->partition);
	const char *topic = topic_name(TOPIC_REQUESTS);
	const struct header headers[] = {
		{ "dl_topic", topic, strlen(topic) },
		{ "dl_partition", partition, strlen(partition) },
		{ "dl_offset", offset, strlen(offset) },
	};
	struct message letter = *origin;
	letter.topic = TOPIC_DEAD_LETTERS;
	letter.offset = world->next[TOPIC_DEAD_LETTERS][0]++;
	letter.headers = headers;
	letter.n_headers = 3;
	audit_dead_letter(world->log, &letter);
}

static struct message garbage(struct world *world)
{
	const struct message message = { .topic = TOPIC_REQUESTS,
					 .offset = world->next[TOPIC_REQUESTS][0]++,
					 .value = "garbage",
					 .value_len = 7 };
	audit_request(world->log, &message);
	return message;
}

static void garbage_needs_a_dead_letter(void **state)
{
	struct world world;
	(void)state;

	for (int has_letter = 0; has_letter < 2; has_letter++) {
		world_start(&world, 1);
		world_marker(&world);
		world.applied = 1;
		world_reject(&world, "r1");
		struct message message = garbage(&world);
		world_ask(&world, "r1");
		garbage(&world); /* behind what the log reflects: pending */
		if (has_letter)
			dead_letter_for(&world, &message);
		if (has_letter)
			world_expect_clean(&world);
		else
			world_expect_violation(&world, "NOT_ACCOUNTED_FOR", 0);
		assert_int_equal(audit_requests(world.log).pending, 1);
		world_stop(&world);
	}
}

static void a_request_that_could_not_be_used_needs_a_dead_letter(void **state)
{
	struct world world;
	(void)state;

	world_start(&world, 1);
	world_marker(&world);
	world.applied = 1;
	world_reject(&world, "r2");
	struct message unusable = world_ask_in(&world, "unusable", 0);
	world_ask(&world, "r2");
	dead_letter_for(&world, &unusable);
	world_expect_clean(&world);
	assert_int_equal(audit_requests(world.log).dead_lettered, 1);
	world_stop(&world);
}

static void a_misplaced_request_must_be_forwarded(void **state)
{
	struct world world;
	(void)state;
	/* Of two partitions, the one where pool 1 does not belong; decisions are made in partition 0
	 * of these tests, so another pool must not be needed there. */
	int32_t wrong = 1 - partition_of_pool("1", 2);

	for (int forwarded = 0; forwarded < 2; forwarded++) {
		world_start(&world, 2);
		world_ask_in(&world, "r1", wrong);
		if (forwarded)
			world_ask_in(&world, "r1", 1 - wrong);
		audit_finish(world.log);
		assert_int_equal(audit_requests(world.log).forwarded, forwarded);
		/* Once where it was, not dealt with; and once, when forwarded, where it belongs. */
		assert_int_equal(audit_requests(world.log).pending, 1);
		world_stop(&world);
	}
}

/* ---- answers ---------------------------------------------------------------------------------------- */

static void tell(struct world *world, const struct message *decision, int64_t revision)
{
	struct envelope envelope = ENVELOPE_EMPTY;
	envelope.revision = revision;
	struct header headers[ENVELOPE_HEADERS_MAX];
	struct message answer = *decision;
	answer.topic = TOPIC_ANSWERS;
	answer.offset = world->next[TOPIC_ANSWERS][0]++;
	answer.headers = headers;
	answer.n_headers = envelope_to_headers(&envelope, &world->arena, headers);
	audit_answer(world->log, &answer);
}

static void answers_are_told_at_least_once(void **state)
{
	struct world world;
	(void)state;

	world_start(&world, 1);
	world_marker(&world);
	world.applied = 0;
	struct record record = world_assigned(&world, "r1", "vm1", "h1/0000:01:00.0");
	struct message decision = world_decide(&world, &record);
	world_ask(&world, "r1");
	tell(&world, &decision, decision.offset);
	tell(&world, &decision, decision.offset);
	tell(&world, &decision, 99); /* decided after the log was read */
	world_expect_clean(&world);
	assert_int_equal(audit_requests(world.log).answers, 2);
	assert_int_equal(audit_requests(world.log).told_again, 1);
	world_stop(&world);
}

static void a_void_answer_is_found(void **state)
{
	struct world world;
	(void)state;

	world_start(&world, 1);
	world_marker(&world);
	world.applied = 0;
	world_assign(&world, "r1", "vm1", "h1/0000:01:00.0");
	world_marker(&world);
	struct record record = world_assigned(&world, "r1", "vm1", "h1/0000:02:00.0");
	struct message decision = world_decide_in_epoch(&world, &record, 0);
	world_ask(&world, "r1");
	tell(&world, &decision, decision.offset);
	world_expect_violation(&world, "ANSWER_NOT_TRUE", 0);
	world_stop(&world);
}

static void an_answer_in_other_words_is_found(void **state)
{
	struct world world;
	(void)state;

	world_start(&world, 1);
	world_marker(&world);
	world.applied = 0;
	struct record record = world_assigned(&world, "r1", "vm1", "h1/0000:01:00.0");
	struct message decision = world_decide(&world, &record);
	world_ask(&world, "r1");
	decision.value_len--;
	tell(&world, &decision, decision.offset);
	world_expect_violation(&world, "ANSWER_NOT_TRUE", 0);
	world_stop(&world);
}

/* Committed means: the answer was delivered. */
static void what_is_committed_must_have_been_told(void **state)
{
	struct world world;
	(void)state;

	for (int told = 0; told < 2; told++) {
		world_start(&world, 1);
		audit_answers_begin(world.log, 0, true, 1);
		world_marker(&world);
		world.applied = 1;
		struct record record = world_assigned(&world, "r1", "vm1", "h1/0000:01:00.0");
		struct message decision = world_decide(&world, &record);
		world_reject(&world, "r2"); /* not committed yet: its answer may be on its way */
		world_ask(&world, "r1");
		world_ask(&world, "r2");
		if (told)
			tell(&world, &decision, decision.offset);
		if (told)
			world_expect_clean(&world);
		else
			world_expect_violation(&world, "NOT_TOLD", 0);
		assert_int_equal(audit_requests(world.log).answered, told);
		world_stop(&world);
	}
}

/* The answer to a request is told as it is by then: that its GPUs were released says both. */
static void a_release_answers_the_request_too(void **state)
{
	struct world world;
	(void)state;

	world_start(&world, 1);
	audit_answers_begin(world.log, 0, true, 2);
	world_marker(&world);
	world.applied = 1;
	world_assign(&world, "r1", "vm1", "h1/0000:01:00.0");
	struct record record = world_released(&world, "d1", "r1", "vm1", "h1/0000:01:00.0");
	struct message decision = world_decide(&world, &record);
	world_ask(&world, "r1");
	world_ask_release(&world, "d1");
	tell(&world, &decision, decision.offset);
	world_expect_clean(&world);
	assert_int_equal(audit_requests(world.log).answered, 2);
	world_stop(&world);
}

/* An owner that ended before it told that r1 was granted; the next one tells it as it is then. */
static void an_answer_from_after_the_log_was_read_counts(void **state)
{
	struct world world;
	(void)state;

	world_start(&world, 1);
	audit_answers_begin(world.log, 0, true, 1);
	world_marker(&world);
	world.applied = 0;
	world_assign(&world, "r1", "vm1", "h1/0000:01:00.0");
	struct record record = world_released(&world, "d1", "r1", "vm1", "h1/0000:01:00.0");
	struct envelope envelope = ENVELOPE_EMPTY;
	struct message unread = world_message(&world, TOPIC_DECISIONS, 0, &record, &envelope);
	world_ask(&world, "r1");
	tell(&world, &unread, unread.offset);
	world_expect_clean(&world);
	world_stop(&world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(garbage_needs_a_dead_letter),
		cmocka_unit_test(a_request_that_could_not_be_used_needs_a_dead_letter),
		cmocka_unit_test(a_misplaced_request_must_be_forwarded),
		cmocka_unit_test(answers_are_told_at_least_once),
		cmocka_unit_test(a_void_answer_is_found),
		cmocka_unit_test(an_answer_in_other_words_is_found),
		cmocka_unit_test(what_is_committed_must_have_been_told),
		cmocka_unit_test(a_release_answers_the_request_too),
		cmocka_unit_test(an_answer_from_after_the_log_was_read_counts),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
