/*
 * The group member's promises: partitions are handed over only when the owner is done with them (or its
 * time is up), exactly what was asked for is committed, and a member that leaves costs the others no
 * session timeout.
 */
#include "fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/memory.h"
#include "loop/clock.h"

enum { MEMBERSHIP_PARTITIONS = 2 * TEST_PARTITIONS };

/* One member, and everything it was told. Inputs are requests and attachments, as the scheduler's. */
struct member {
	struct fixture *fixture;
	struct bus_group *group;
	bool owns[TOPICS][TEST_PARTITIONS];
	size_t n_owned;
	size_t assignments;
	size_t revocations;
	bool lost;
	bool finishes_at_once; /* says that it is done inside on_revoked() */
	bool revoked;	       /* and has not said that it is done */
	bool left;
	size_t messages;
	char last_value[24];
	int64_t last_offset;
	int64_t first_offset; /* of the messages since it was set to -1 */
	int64_t committed[TOPICS][TEST_PARTITIONS];
	size_t commit_errors;
	bool pause_all;
	int64_t start_at; /* -1: as the group says; else requests 0 starts there */
	void (*act)(struct member *member); /* optional, at every message */
};

static void on_assigned(void *context, const struct bus_partition *partitions, size_t n)
{
	struct member *member = context;

	assert_int_equal(member->n_owned, 0);
	for (size_t i = 0; i < n; i++) {
		member->owns[partitions[i].topic][partitions[i].partition] = true;
		if (member->pause_all)
			bus_group_pause(member->group, partitions[i].topic,
					partitions[i].partition);
	}
	if (member->start_at >= 0)
		bus_group_seek(member->group, TOPIC_REQUESTS, 0, member->start_at);
	member->n_owned = n;
	member->assignments++;
}

static void on_revoked(void *context, const struct bus_partition *partitions, size_t n, bool lost)
{
	struct member *member = context;

	for (size_t i = 0; i < n; i++)
		member->owns[partitions[i].topic][partitions[i].partition] = false;
	member->n_owned -= n;
	member->revocations++;
	member->lost = lost;
	member->revoked = true;
	if (!member->finishes_at_once)
		return;
	member->revoked = false;
	bus_group_revoked_done(member->group);
}

static void on_message(void *context, const struct message *message)
{
	struct member *member = context;

	assert_true(member->owns[message->topic][message->partition]);
	member->messages++;
	snprintf(member->last_value, sizeof(member->last_value), "%.*s", (int)message->value_len,
		 (const char *)message->value);
	member->last_offset = message->offset;
	if (member->first_offset < 0)
		member->first_offset = message->offset;
	if (member->act)
		member->act(member);
}

static void on_committed(void *context, struct bus_partition place, int64_t next_offset,
			 const char *error)
{
	struct member *member = context;

	if (error)
		member->commit_errors++;
	else
		member->committed[place.topic][place.partition] = next_offset;
}

static void on_error(void *context, const char *reason)
{
	(void)context;
	fail_msg("%s", reason);
}

static const struct bus_group_callbacks callbacks = {
	.on_assigned = on_assigned,
	.on_revoked = on_revoked,
	.on_message = on_message,
	.on_committed = on_committed,
	.on_error = on_error,
};

/* Each test has a group of its own. */
static const char *new_group_id(void)
{
	static char id[64];
	static int number;

	snprintf(id, sizeof(id), "test-%lld-%d", (long long)clock_wall_us(), number++);
	return id;
}

static void member_init(struct member *member, struct fixture *fixture)
{
	*member = (struct member){ .fixture = fixture,
				   .finishes_at_once = true,
				   .pause_all = true,
				   .start_at = -1,
				   .first_offset = -1 };
}

static void member_join(struct member *member, const char *group_id, int64_t revoke_timeout_ms)
{
	static const enum topic topics[] = { TOPIC_REQUESTS, TOPIC_ATTACHMENTS };
	const struct bus_group_options options = {
		.group_id = group_id,
		.topics = topics,
		.n_topics = 2,
		.session_timeout_ms = 6000,
		.revoke_timeout_ms = revoke_timeout_ms,
		.commit_interval_ms = 20,
	};

	assert_int_equal(bus_group_new(member->fixture->loop, member->fixture->config, &options,
				       &callbacks, member, &member->group),
			 0);
}

static bool owns_all(void *context)
{
	return ((struct member *)context)->n_owned == MEMBERSHIP_PARTITIONS;
}

static bool owns_half(void *context)
{
	return ((struct member *)context)->n_owned == MEMBERSHIP_PARTITIONS / 2;
}

static bool is_revoked(void *context)
{
	return ((struct member *)context)->revoked;
}

static bool commits_done(void *context)
{
	return bus_group_commits_done(((struct member *)context)->group);
}

static void on_left(void *context)
{
	((struct member *)context)->left = true;
}

static bool has_left(void *context)
{
	return ((struct member *)context)->left;
}

static void member_leave(struct member *member)
{
	member->finishes_at_once = true;
	bus_group_leave(member->group, on_left);
	WAIT_UNTIL(member->fixture->loop, has_left, member);
	bus_group_free(member->group);
}

struct asked {
	bool known;
	int64_t committed;
};

static void on_offsets(void *context, const struct bus_offset *offsets, size_t n, const char *error)
{
	struct asked *asked = context;

	assert_null(error);
	assert_int_equal(n, 1);
	asked->committed = offsets[0].committed;
	asked->known = true;
}

static bool is_known(void *context)
{
	return ((struct asked *)context)->known;
}

static int64_t committed_of(struct fixture *fixture, const char *group_id, enum topic topic,
			    int32_t partition)
{
	struct bus_offsets *offsets;
	struct asked asked = { 0 };

	assert_int_equal(bus_offsets_new(fixture->loop, fixture->config, group_id, &offsets), 0);
	bus_offsets_ask(offsets, &(struct bus_partition){ topic, partition }, 1, on_offsets,
			&asked);
	WAIT_UNTIL(fixture->loop, is_known, &asked);
	bus_offsets_free(offsets);
	return asked.committed;
}

/* ---- tests --------------------------------------------------------------------------------- */

static void test_commits_what_was_asked_and_no_more(void **state)
{
	struct fixture *fixture = *state;
	const char *group_id = new_group_id();
	struct member member;

	member_init(&member, fixture);
	member_join(&member, group_id, 0);
	WAIT_UNTIL(fixture->loop, owns_all, &member);
	assert_int_equal(member.assignments, 1);
	for (int64_t offset = 1; offset <= 500; offset++)
		bus_group_commit(member.group, TOPIC_REQUESTS, 1, offset);
	bus_group_commit(member.group, TOPIC_DECISIONS, 0, 7); /* not ours */
	assert_false(bus_group_commits_done(member.group));
	WAIT_UNTIL(fixture->loop, commits_done, &member);
	assert_int_equal(member.committed[TOPIC_REQUESTS][1], 500);
	assert_int_equal(member.commit_errors, 0);
	member_leave(&member);
	assert_int_equal(committed_of(fixture, group_id, TOPIC_REQUESTS, 1), 500);
	assert_int_equal(committed_of(fixture, group_id, TOPIC_REQUESTS, 0), BUS_NONE);
	assert_int_equal(committed_of(fixture, group_id, TOPIC_ATTACHMENTS, 1), BUS_NONE);
}

static void test_last_commit_is_sent_before_leaving(void **state)
{
	struct fixture *fixture = *state;
	const char *group_id = new_group_id();
	struct member member;

	member_init(&member, fixture);
	member_join(&member, group_id, 0);
	WAIT_UNTIL(fixture->loop, owns_all, &member);
	bus_group_commit(member.group, TOPIC_REQUESTS, 2, 33);
	member_leave(&member);
	assert_int_equal(member.revocations, 1);
	assert_false(member.lost);
	assert_int_equal(member.committed[TOPIC_REQUESTS][2], 33);
	assert_int_equal(committed_of(fixture, group_id, TOPIC_REQUESTS, 2), 33);
}

static void test_hands_over_when_the_owner_is_done(void **state)
{
	struct fixture *fixture = *state;
	const char *group_id = new_group_id();
	struct member first, second;

	member_init(&first, fixture);
	member_init(&second, fixture);
	first.finishes_at_once = false;
	member_join(&first, group_id, 20000);
	WAIT_UNTIL(fixture->loop, owns_all, &first);
	member_join(&second, group_id, 20000);
	WAIT_UNTIL(fixture->loop, is_revoked, &first);
	/* Not done: the other gets nothing, and what is committed now still counts. */
	bus_group_commit(first.group, TOPIC_REQUESTS, 0, 11);
	bus_group_commit_now(first.group);
	WAIT_UNTIL(fixture->loop, commits_done, &first);
	assert_int_equal(first.committed[TOPIC_REQUESTS][0], 11);
	assert_int_equal(second.assignments, 0);
	bus_group_commit(first.group, TOPIC_REQUESTS, 3,
			 44); /* not waited for: sent before the end */
	first.finishes_at_once = true;
	bus_group_revoked_done(first.group);
	WAIT_UNTIL(fixture->loop, owns_half, &second);
	WAIT_UNTIL(fixture->loop, owns_half, &first);
	for (int32_t p = 0; p < TEST_PARTITIONS; p++) {
		assert_int_equal(first.owns[TOPIC_REQUESTS][p], !second.owns[TOPIC_REQUESTS][p]);
		/* Equal partitions of both topics go to one member. */
		assert_int_equal(first.owns[TOPIC_REQUESTS][p], first.owns[TOPIC_ATTACHMENTS][p]);
	}
	assert_int_equal(committed_of(fixture, group_id, TOPIC_REQUESTS, 0), 11);
	assert_int_equal(committed_of(fixture, group_id, TOPIC_REQUESTS, 3), 44);
	assert_int_equal(first.commit_errors, 0);
	member_leave(&second);
	WAIT_UNTIL(fixture->loop, owns_all, &first);
	member_leave(&first);
}

static void test_hands_over_when_the_time_is_up(void **state)
{
	struct fixture *fixture = *state;
	const char *group_id = new_group_id();
	struct member first, second;

	member_init(&first, fixture);
	member_init(&second, fixture);
	first.finishes_at_once = false;
	member_join(&first, group_id, 100);
	WAIT_UNTIL(fixture->loop, owns_all, &first);
	member_join(&second, group_id, 100);
	WAIT_UNTIL(fixture->loop, owns_half, &second);
	assert_true(first.revoked); /* it never said that it was done */
	member_leave(&second);
	member_leave(&first);
}

static void test_leaving_spares_the_session_timeout(void **state)
{
	struct fixture *fixture = *state;
	const char *group_id = new_group_id();
	struct member first, second;
	int64_t left_us;

	member_init(&first, fixture);
	member_init(&second, fixture);
	member_join(&first, group_id, 0);
	WAIT_UNTIL(fixture->loop, owns_all, &first);
	member_join(&second, group_id, 0);
	WAIT_UNTIL(fixture->loop, owns_half, &second);
	left_us = clock_monotonic_us();
	member_leave(&first);
	WAIT_UNTIL(fixture->loop, owns_all, &second);
	assert_true(clock_monotonic_us() - left_us < 5000000); /* the session is 6 s */
	member_leave(&second);
}

static bool has_last(void *context)
{
	return !strcmp(((struct member *)context)->last_value, "r99");
}

static void test_begins_where_on_assigned_says(void **state)
{
	struct fixture *fixture = *state;
	int64_t end = end_of(fixture, TOPIC_REQUESTS, 0);
	struct member member;
	struct writer writer;

	writer_start(&writer, fixture, fixture->config);
	write_messages(&writer, fixture, TOPIC_REQUESTS, 0, "r", 100);
	member_init(&member, fixture);
	member.start_at = end + 40;
	member_join(&member, new_group_id(), 0);
	WAIT_UNTIL(fixture->loop, owns_all, &member);
	assert_int_equal(member.messages, 0); /* all are paused */
	bus_group_resume(member.group, TOPIC_REQUESTS, 0);
	WAIT_UNTIL(fixture->loop, has_last, &member);
	assert_int_equal(member.first_offset, end + 40);
	assert_int_equal(member.messages, 60);
	member_leave(&member);
	bus_producer_purge_and_free(writer.producer);
}

static int64_t seek_target;

static void seek_once(struct member *member)
{
	if (member->messages != 30)
		return;
	member->first_offset = -1;
	member->last_value[0] = '\0';
	bus_group_seek(member->group, TOPIC_REQUESTS, 0, seek_target);
}

static void test_seek_delivers_nothing_of_before(void **state)
{
	struct fixture *fixture = *state;
	int64_t end = end_of(fixture, TOPIC_REQUESTS, 0);
	struct member member;
	struct writer writer;

	writer_start(&writer, fixture, fixture->config);
	write_messages(&writer, fixture, TOPIC_REQUESTS, 0, "r", 100);
	member_init(&member, fixture);
	member.start_at = end;
	member.act = seek_once;
	seek_target = end + 10;
	member_join(&member, new_group_id(), 0);
	WAIT_UNTIL(fixture->loop, owns_all, &member);
	bus_group_resume(member.group, TOPIC_REQUESTS, 0);
	WAIT_UNTIL(fixture->loop, has_last, &member);
	assert_int_equal(member.first_offset, end + 10);
	assert_int_equal(member.messages, 30 + 90);
	/* At once after a seek, and while paused: the last one asked for counts. */
	bus_group_pause(member.group, TOPIC_REQUESTS, 0);
	bus_group_seek(member.group, TOPIC_REQUESTS, 0, end + 1);
	bus_group_seek(member.group, TOPIC_REQUESTS, 0, end + 95);
	member.first_offset = -1;
	member.last_value[0] = '\0';
	bus_group_resume(member.group, TOPIC_REQUESTS, 0);
	WAIT_UNTIL(fixture->loop, has_last, &member);
	assert_int_equal(member.first_offset, end + 95);
	assert_int_equal(member.messages, 30 + 90 + 5);
	member_leave(&member);
	bus_producer_purge_and_free(writer.producer);
}

static void free_inside(struct member *member)
{
	bus_group_free(member->group);
	member->group = NULL;
}

static bool is_freed(void *context)
{
	return !((struct member *)context)->group;
}

static void test_free_from_inside(void **state)
{
	struct fixture *fixture = *state;
	int64_t end = end_of(fixture, TOPIC_REQUESTS, 0);
	struct member member;
	struct writer writer;

	writer_start(&writer, fixture, fixture->config);
	write_messages(&writer, fixture, TOPIC_REQUESTS, 0, "r", 100);
	member_init(&member, fixture);
	member.start_at = end;
	member.act = free_inside;
	member_join(&member, new_group_id(), 0);
	WAIT_UNTIL(fixture->loop, owns_all, &member);
	bus_group_commit(member.group, TOPIC_REQUESTS, 0, 1);
	bus_group_resume(member.group, TOPIC_REQUESTS, 0);
	WAIT_UNTIL(fixture->loop, is_freed, &member);
	write_messages(&writer, fixture, TOPIC_REQUESTS, 0, "r", 10);
	assert_int_equal(member.messages, 1);
	assert_int_equal(member.revocations, 0);
	bus_producer_purge_and_free(writer.producer);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest everywhere[] = {
		TEST(test_commits_what_was_asked_and_no_more),
		TEST(test_last_commit_is_sent_before_leaving),
		TEST(test_hands_over_when_the_time_is_up),
		TEST(test_begins_where_on_assigned_says),
		TEST(test_seek_delivers_nothing_of_before),
		TEST(test_free_from_inside),
	};
	/* The mock cluster refuses commits during a rebalance, and lets a group whose member left wait
	 * for its session all the same. */
	const struct CMUnitTest on_kafka[] = {
		TEST(test_hands_over_when_the_owner_is_done),
		TEST(test_leaving_spares_the_session_timeout),
	};
	int failed;

	broker_start();
	failed = cmocka_run_group_tests_name("group", everywhere, NULL, NULL);
	if (broker_is_real())
		failed += cmocka_run_group_tests_name("group, handshakes", on_kafka, NULL, NULL);
	broker_stop();
	return failed;
}
