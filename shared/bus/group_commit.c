#include "bus/group_internal.h"

#include "base/log.h"

enum { RETRY_MS = 100 };

bool bus_group_commits_done(const struct bus_group *group)
{
	if (group->commit_under_way)
		return false;
	for (size_t i = 0; i < group->n_members; i++)
		if (group->members[i].wanted >= 0)
			return false;
	return true;
}

static void report(struct bus_group *group, struct bus_partition place, int64_t next_offset,
		   const char *error)
{
	if (!group->freed && group->callbacks.on_committed)
		group->callbacks.on_committed(group->context, place, next_offset, error);
}

void group_commit_give_up(struct bus_group *group, const char *reason)
{
	loop_timer_stop(group->commit_timer);
	for (size_t i = 0; i < group->n_members && !group->freed; i++) {
		struct group_member *member = &group->members[i];
		int64_t offset = member->wanted >= 0 ? member->wanted : member->sent;

		member->wanted = -1;
		member->sent = -1;
		if (offset >= 0)
			report(group, member->place, offset, reason);
	}
}

/* The coordinator is away or busy; the commit itself is as good as before. */
static bool is_transient(rd_kafka_resp_err_t error)
{
	switch (error) {
	case RD_KAFKA_RESP_ERR__TRANSPORT:
	case RD_KAFKA_RESP_ERR__TIMED_OUT:
	case RD_KAFKA_RESP_ERR__WAIT_COORD:
	case RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT:
	case RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS:
	case RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE:
	case RD_KAFKA_RESP_ERR_NOT_COORDINATOR:
	/* The rebalance waits for us, and the offsets are still ours: the same again. */
	case RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS:
		return true;
	default:
		return false;
	}
}

static void on_result(rd_kafka_t *rk, rd_kafka_resp_err_t error,
		      rd_kafka_topic_partition_list_t *list, void *opaque)
{
	struct bus_group *group = opaque;
	bool again = false;

	(void)rk;
	if (group->freed)
		return;
	group->commit_under_way = false;
	for (int i = 0; list && i < list->cnt && !group->freed; i++) {
		rd_kafka_topic_partition_t *done = &list->elems[i];
		rd_kafka_resp_err_t problem = done->err ? done->err : error;
		struct group_member *member;
		enum topic topic;

		if (topic_by_name(done->topic, &topic))
			continue;
		member = group_member_find(group, topic, done->partition);
		/* Given up or revoked meanwhile: reported then. */
		if (!member || member->sent != done->offset)
			continue;
		member->sent = -1;
		if (problem && is_transient(problem)) {
			if (member->wanted < 0)
				member->wanted = done->offset;
			again = true;
			continue;
		}
		report(group, member->place, done->offset,
		       problem ? rd_kafka_err2str(problem) : NULL);
	}
	if (group->freed)
		return;
	group->commit_backs_off = again;
	if (!bus_group_commits_done(group))
		loop_timer_start(group->commit_timer, again ? RETRY_MS : group->commit_interval_ms,
				 0);
	/* What waits for the end of the commits goes on after this batch (see on_served()). */
}

void bus_group_commit_now(struct bus_group *group)
{
	rd_kafka_topic_partition_list_t *list;
	rd_kafka_resp_err_t error;

	/* One at a time: its result starts the next one. */
	if (group->commit_under_way)
		return;
	loop_timer_stop(group->commit_timer);
	list = rd_kafka_topic_partition_list_new((int)group->n_members);
	for (size_t i = 0; i < group->n_members; i++) {
		struct group_member *member = &group->members[i];

		if (member->wanted < 0)
			continue;
		rd_kafka_topic_partition_list_add(list, topic_name(member->place.topic),
						  member->place.partition)
			->offset = member->wanted;
		member->sent = member->wanted;
		member->wanted = -1;
	}
	if (list->cnt) {
		error = rd_kafka_commit_queue(intake_client(group->intake), list,
					      intake_queue(group->intake), on_result, group);
		if (!error)
			group->commit_under_way = true;
		else
			on_result(NULL, error, list, group);
	}
	rd_kafka_topic_partition_list_destroy(list);
}

void group_on_commit_timer(void *context)
{
	struct bus_group *group = context;

	group->commit_backs_off = false;
	bus_group_commit_now(group);
}

void bus_group_commit(struct bus_group *group, enum topic topic, int32_t partition,
		      int64_t next_offset)
{
	struct group_member *member = group_member_find(group, topic, partition);

	if (!member || group->lost || next_offset < 0)
		return;
	member->wanted = next_offset;
	if (!group->commit_under_way && !loop_timer_is_active(group->commit_timer))
		loop_timer_start(group->commit_timer, group->commit_interval_ms, 0);
}
