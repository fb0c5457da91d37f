/*
 * Inside the bus only: the state of a group member, shared by group.c (what the owner calls),
 * group_membership.c (the state machine below) and group_commit.c (commits).
 *
 * Membership is a small state machine. librdkafka announces a rebalance while a batch is taken from the
 * queue; it is only noted there (`announced`) and carried out after the batch, so that every message
 * taken before belongs to the old assignment. librdkafka in turn waits for rd_kafka_assign().
 *
 *   NONE ──assign──> ASSIGNED ──revoke──> REVOKING ──done or timeout──> NONE
 *
 * In REVOKING the slots are closed (nothing is delivered) but the members stay, because the owner
 * still commits. It ends when the owner said so and no commit is asked for or under way, or when the
 * time is up.
 */
#pragma once

#include "bus/group.h"
#include "bus/intake.h"

struct group_member {
	struct bus_partition place;
	int64_t start;	/* first offset, given inside on_assigned(); BUS_NONE: the committed one */
	int64_t wanted; /* to be committed; -1: nothing */
	int64_t sent;	/* commit under way; -1: none */
	int64_t seek;	/* sought but not done yet; -1: nothing */
};

enum group_state { GROUP_NONE, GROUP_ASSIGNED, GROUP_REVOKING };

struct announcement {
	struct announcement *next;
	bool assign;
	bool lost;
	rd_kafka_topic_partition_list_t *list; /* owned */
};

struct bus_group {
	struct loop *loop;
	struct intake *intake; /* owned */
	struct bus_group_callbacks callbacks;
	void *context; /* the owner's */
	int64_t revoke_timeout_ms;
	int64_t commit_interval_ms;

	enum group_state state;
	bool in_assigned;   /* on_assigned() runs: members are known, nothing is fetched yet */
	bool owner_is_done; /* with the revocation */
	bool lost;
	struct announcement *announced; /* owned, oldest first */
	struct group_member *members;	/* owned, sorted by place */
	size_t n_members;
	struct loop_timer *revoke_timer; /* owned */
	struct loop_timer *seek_timer;	 /* owned */
	struct loop_timer *commit_timer; /* owned */
	bool commit_under_way;
	bool commit_backs_off; /* until the timer tries again */

	void (*on_left)(void *context); /* while leaving */
	bool leaving;
	struct loop_timer *leave_timer; /* owned */
	int64_t leave_until_us;

	char fatal[256]; /* noted, to be reported; "": nothing */
	bool freed;	 /* lives until the last timer is closed */
};

struct group_member *group_member_find(struct bus_group *group, enum topic topic,
				       int32_t partition);
void group_members_clear(struct bus_group *group);
void group_announcements_clear(struct bus_group *group);
/* At the end of every turn: carries out what librdkafka has announced, and ends a revocation when
 * everything it waits for has happened. `owner` is the group. */
void group_on_served(void *owner);
void group_on_rebalance(rd_kafka_t *rk, rd_kafka_resp_err_t what,
			rd_kafka_topic_partition_list_t *list, void *opaque);
void group_on_revoke_timer(void *context);
/* Reports what is not committed yet as failed. */
void group_commit_give_up(struct bus_group *group, const char *reason);
void group_on_commit_timer(void *context);
