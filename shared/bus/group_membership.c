#include "bus/group_internal.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/memory.h"

/* For the last commits, once the owner's time for a revocation is up. */
enum { COMMIT_GRACE_MS = 500 };

/* ---- members ------------------------------------------------------------------------------- */

static int compare_places(const void *a, const void *b)
{
	const struct group_member *x = a, *y = b;

	if (x->place.topic != y->place.topic)
		return x->place.topic < y->place.topic ? -1 : 1;
	return (x->place.partition > y->place.partition) -
	       (x->place.partition < y->place.partition);
}

struct group_member *group_member_find(struct bus_group *group, enum topic topic, int32_t partition)
{
	const struct group_member key = { .place = { topic, partition } };

	if (!group->n_members)
		return NULL;
	return bsearch(&key, group->members, group->n_members, sizeof(key), compare_places);
}

void group_members_clear(struct bus_group *group)
{
	free(group->members);
	group->members = NULL;
	group->n_members = 0;
}

static void members_set(struct bus_group *group, const rd_kafka_topic_partition_list_t *list)
{
	group_members_clear(group);
	group->members = memory_zeroed((size_t)list->cnt, sizeof(*group->members));
	for (int i = 0; i < list->cnt; i++) {
		struct group_member *member = &group->members[group->n_members];

		if (topic_by_name(list->elems[i].topic, &member->place.topic))
			continue;
		member->place.partition = list->elems[i].partition;
		member->start = BUS_NONE;
		member->wanted = member->sent = member->seek = -1;
		group->n_members++;
		intake_open(group->intake, member->place.topic, member->place.partition);
	}
	qsort(group->members, group->n_members, sizeof(*group->members), compare_places);
}

static struct bus_partition *members_places(const struct bus_group *group)
{
	struct bus_partition *places = memory_alloc(group->n_members * sizeof(*places));

	for (size_t i = 0; i < group->n_members; i++)
		places[i] = group->members[i].place;
	return places;
}

/* ---- membership ---------------------------------------------------------------------------- */

static void assign(struct bus_group *group, const rd_kafka_topic_partition_list_t *list)
{
	rd_kafka_resp_err_t error = rd_kafka_assign(intake_client(group->intake), list);

	if (error)
		log_error("kafka group: assignment failed: %s", rd_kafka_err2str(error));
}

static void carry_out_assign(struct bus_group *group, rd_kafka_topic_partition_list_t *list)
{
	cleanup(freep) struct bus_partition *places = NULL;

	members_set(group, list);
	group->state = GROUP_ASSIGNED;
	group->lost = false;
	places = members_places(group);
	group->in_assigned = true;
	group->callbacks.on_assigned(group->context, places, group->n_members);
	group->in_assigned = false;
	if (group->freed)
		return;
	for (int i = 0; i < list->cnt; i++) {
		struct group_member *member;
		enum topic topic;

		if (topic_by_name(list->elems[i].topic, &topic))
			continue;
		member = group_member_find(group, topic, list->elems[i].partition);
		if (member->start != BUS_NONE)
			list->elems[i].offset = member->start;
	}
	assign(group, list);
}

static void end_revocation(struct bus_group *group)
{
	loop_timer_stop(group->revoke_timer);
	group_commit_give_up(group, group->lost ? "the partition was lost to another member"
						: "the partition was handed over");
	if (group->freed)
		return;
	group_members_clear(group);
	group->commit_under_way = false;
	group->state = GROUP_NONE;
	assign(group, NULL);
}

static void carry_out_revoke(struct bus_group *group, bool lost)
{
	cleanup(freep) struct bus_partition *places = members_places(group);

	loop_timer_stop(group->seek_timer);
	for (size_t i = 0; i < group->n_members; i++)
		intake_close(group->intake,
			     intake_slot(group->intake, group->members[i].place.topic,
					 group->members[i].place.partition));
	group->state = GROUP_REVOKING;
	group->owner_is_done = false;
	group->lost = lost;
	if (group->n_members)
		group->callbacks.on_revoked(group->context, places, group->n_members, lost);
	if (group->freed)
		return;
	if (lost || !group->n_members)
		end_revocation(group);
	else
		loop_timer_start(group->revoke_timer, group->revoke_timeout_ms, 0);
}

static void advance(struct bus_group *group)
{
	if (group->state != GROUP_REVOKING || !group->owner_is_done)
		return;
	if (bus_group_commits_done(group))
		end_revocation(group);
	else if (!group->commit_backs_off)
		bus_group_commit_now(group);
}

static void free_announcement(struct announcement *announcement)
{
	rd_kafka_topic_partition_list_destroy(announcement->list);
	free(announcement);
}

void group_announcements_clear(struct bus_group *group)
{
	while (group->announced) {
		struct announcement *announcement = group->announced;

		group->announced = announcement->next;
		free_announcement(announcement);
	}
}

/* Everything that callbacks of librdkafka have only noted. */
void group_on_served(void *owner)
{
	struct bus_group *group = owner;

	if (group->fatal[0]) {
		char reason[sizeof(group->fatal)];

		memcpy(reason, group->fatal, sizeof(reason));
		group->fatal[0] = '\0';
		group->callbacks.on_error(group->context, reason);
		if (group->freed)
			return;
	}
	advance(group);
	/* While the owner is busy with a revocation the next announcement waits, unless it says that
	 * there is nothing left to hand over. */
	while (!group->freed && group->announced) {
		struct announcement *next = group->announced;

		if (group->state == GROUP_REVOKING) {
			if (!next->lost)
				return;
			group->lost = true;
			end_revocation(group);
			if (group->freed)
				return;
		}
		group->announced = next->next;
		if (next->assign)
			carry_out_assign(group, next->list);
		else
			carry_out_revoke(group, next->lost);
		free_announcement(next);
		if (!group->freed)
			advance(group);
	}
}

void group_on_rebalance(rd_kafka_t *rk, rd_kafka_resp_err_t what,
			rd_kafka_topic_partition_list_t *list, void *opaque)
{
	struct kafka_client *client = opaque;
	struct bus_group *group = client->owner;
	struct announcement *announcement, **last = &group->announced;

	if (group->freed)
		return;
	announcement = memory_zeroed(1, sizeof(*announcement));
	announcement->assign = what == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
	announcement->lost = !announcement->assign && rd_kafka_assignment_lost(rk);
	announcement->list = rd_kafka_topic_partition_list_copy(list);
	while (*last)
		last = &(*last)->next;
	*last = announcement;
}

void group_on_revoke_timer(void *context)
{
	struct bus_group *group = context;

	if (!group->owner_is_done) {
		log_warning("kafka group: handing partitions over, unfinished, after %lld ms",
			    (long long)group->revoke_timeout_ms);
		group->owner_is_done = true;
		loop_timer_start(group->revoke_timer, COMMIT_GRACE_MS, 0);
		advance(group);
	} else {
		end_revocation(group);
	}
}

void bus_group_revoked_done(struct bus_group *group)
{
	if (group->state != GROUP_REVOKING)
		return;
	group->owner_is_done = true;
	/* May be called from inside on_revoked() or a commit's result: it goes on after those. */
	intake_poke(group->intake);
}
