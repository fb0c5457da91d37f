#include "bus/group_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/memory.h"
#include "loop/clock.h"

enum {
	SESSION_TIMEOUT_MS = 10000,
	REVOKE_TIMEOUT_MS = 2000,
	COMMIT_INTERVAL_MS = 50,
	COMMIT_GRACE_MS =
		500, /* of the last commits, once the owner's time for a revocation is up */
	SEEK_TIMEOUT_MS = 100, /* librdkafka's own thread answers, usually within microseconds */
	SEEK_RETRY_MS = 20,
	LEAVE_POLL_MS = 10,
	LEAVE_TIMEOUT_MS = 3000, /* beyond the time for the revocation */
};

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

static void members_clear(struct bus_group *group)
{
	free(group->members);
	group->members = NULL;
	group->n_members = 0;
}

static void members_set(struct bus_group *group, const rd_kafka_topic_partition_list_t *list)
{
	members_clear(group);
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
	members_clear(group);
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

void group_advance(struct bus_group *group)
{
	if (group->state != GROUP_REVOKING || !group->owner_is_done)
		return;
	if (group_commits_done(group))
		end_revocation(group);
	else if (!group->commit_backs_off)
		bus_group_commit_now(group);
}

static void free_announcement(struct announcement *announcement)
{
	rd_kafka_topic_partition_list_destroy(announcement->list);
	free(announcement);
}

/* Everything that callbacks of librdkafka have only noted. */
static void on_served(void *owner)
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
	group_advance(group);
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
			group_advance(group);
	}
}

static void on_rebalance(rd_kafka_t *rk, rd_kafka_resp_err_t what,
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

static void on_client_problem(rd_kafka_t *rk, int error, const char *reason, void *opaque)
{
	struct kafka_client *client = opaque;
	struct bus_group *group = client->owner;

	if (error != RD_KAFKA_RESP_ERR__FATAL) {
		log_debug("kafka group: %s", reason);
		return;
	}
	if (!group->freed)
		rd_kafka_fatal_error(rk, group->fatal, sizeof(group->fatal));
}

static void on_revoke_timer(void *context)
{
	struct bus_group *group = context;

	if (!group->owner_is_done) {
		log_warning("kafka group: handing partitions over, unfinished, after %lld ms",
			    (long long)group->revoke_timeout_ms);
		group->owner_is_done = true;
		loop_timer_start(group->revoke_timer, COMMIT_GRACE_MS, 0);
		group_advance(group);
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

/* ---- messages ------------------------------------------------------------------------------ */

static void on_message(void *owner, const struct message *message)
{
	struct bus_group *group = owner;

	group->callbacks.on_message(group->context, message);
}

static void on_batch_done(void *owner)
{
	struct bus_group *group = owner;

	if (group->callbacks.on_batch_done)
		group->callbacks.on_batch_done(group->context);
}

static void on_client_error(void *owner, rd_kafka_resp_err_t error, const char *reason)
{
	struct bus_group *group = owner;

	switch (error) {
	case RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED:
	case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
	case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
	case RD_KAFKA_RESP_ERR_INCONSISTENT_GROUP_PROTOCOL:
	case RD_KAFKA_RESP_ERR_INVALID_GROUP_ID:
	case RD_KAFKA_RESP_ERR_INVALID_SESSION_TIMEOUT:
	case RD_KAFKA_RESP_ERR_UNSUPPORTED_VERSION:
		group->callbacks.on_error(group->context, reason);
		return;
	default:
		/* Brokers that are away come back; after a loop that stood still (MAX_POLL_EXCEEDED)
		 * we join anew; a topic that is missing is looked for again. */
		log_warning("kafka group: %s: %s", rd_kafka_err2name(error), reason);
	}
}

static void on_partition_error(void *owner, struct bus_partition place, rd_kafka_resp_err_t error,
			       const char *reason)
{
	char text[512];

	snprintf(text, sizeof(text), "%s %d: %s", topic_name(place.topic), place.partition, reason);
	on_client_error(owner, error, text);
}

static const struct intake_handlers handlers = {
	.on_message = on_message,
	.on_batch_done = on_batch_done,
	.on_error = on_partition_error,
	.on_client_error = on_client_error,
	.on_served = on_served,
};

void bus_group_pause(struct bus_group *group, enum topic topic, int32_t partition)
{
	struct intake_slot *slot = intake_slot(group->intake, topic, partition);

	if (slot && slot->open)
		intake_hold(group->intake, slot, INTAKE_PAUSED);
}

void bus_group_resume(struct bus_group *group, enum topic topic, int32_t partition)
{
	struct intake_slot *slot = intake_slot(group->intake, topic, partition);

	if (slot && slot->open)
		intake_release(group->intake, slot, INTAKE_PAUSED);
}

/* librdkafka refuses to seek in a partition whose fetching has not begun yet (it asks for the committed
 * offset first); then it is tried again, and until it worked nothing is delivered. What was fetched
 * before the call is outdated when it returns, so everything delivered afterwards comes from there. */
static void try_seek(struct bus_group *group, struct group_member *member)
{
	struct intake_slot *slot =
		intake_slot(group->intake, member->place.topic, member->place.partition);
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
	rd_kafka_topic_partition_t *item = rd_kafka_topic_partition_list_add(
		list, topic_name(member->place.topic), member->place.partition);
	rd_kafka_error_t *error;

	item->offset = member->seek;
	intake_discard(group->intake, slot);
	error = rd_kafka_seek_partitions(intake_client(group->intake), list, SEEK_TIMEOUT_MS);
	if (!error && !item->err) {
		member->seek = -1;
		intake_release(group->intake, slot, INTAKE_SEEKING);
	} else {
		intake_hold(group->intake, slot, INTAKE_SEEKING);
		loop_timer_start(group->seek_timer, SEEK_RETRY_MS, 0);
	}
	if (error)
		rd_kafka_error_destroy(error);
	rd_kafka_topic_partition_list_destroy(list);
}

static void on_seek_timer(void *context)
{
	struct bus_group *group = context;

	for (size_t i = 0; i < group->n_members; i++)
		if (group->members[i].seek >= 0)
			try_seek(group, &group->members[i]);
}

void bus_group_seek(struct bus_group *group, enum topic topic, int32_t partition, int64_t offset)
{
	struct group_member *member = group_member_find(group, topic, partition);

	if (!member || group->state != GROUP_ASSIGNED)
		return;
	if (group->in_assigned) {
		member->start = offset;
		return;
	}
	member->seek = offset;
	try_seek(group, member);
}

/* ---- begin and end ------------------------------------------------------------------------- */

static void destroy(void *context)
{
	struct bus_group *group = context;

	while (group->announced) {
		struct announcement *announcement = group->announced;

		group->announced = announcement->next;
		free_announcement(announcement);
	}
	members_clear(group);
	free(group);
}

static void on_leave_timer(void *context)
{
	struct bus_group *group = context;
	bool closed = rd_kafka_consumer_closed(intake_client(group->intake));

	if (!closed && clock_monotonic_us() < group->leave_until_us)
		return;
	if (!closed)
		log_warning("kafka group: not left in time: the others take over when the session "
			    "ends");
	loop_timer_stop(group->leave_timer);
	group->on_left(group->context);
}

void bus_group_leave(struct bus_group *group, void (*on_left)(void *context))
{
	rd_kafka_t *rk = intake_client(group->intake);
	rd_kafka_queue_t *queue;
	rd_kafka_error_t *error;

	if (group->leaving)
		return;
	group->leaving = true;
	group->on_left = on_left;
	group->leave_until_us =
		clock_monotonic_us() +
		(group->revoke_timeout_ms + COMMIT_GRACE_MS + LEAVE_TIMEOUT_MS) * 1000;
	/* librdkafka forwards the consumer's own queue to this one; it must be another. */
	queue = rd_kafka_queue_new(rk);
	error = rd_kafka_consumer_close_queue(rk, queue);
	if (error) {
		log_warning("kafka group: cannot leave: %s", rd_kafka_error_string(error));
		rd_kafka_error_destroy(error);
		group->leave_until_us = 0;
	}
	intake_redirect(group->intake, queue);
	loop_timer_start(group->leave_timer, LEAVE_POLL_MS, LEAVE_POLL_MS);
}

static int subscribe(struct bus_group *group, const struct bus_group_options *options)
{
	rd_kafka_topic_partition_list_t *list =
		rd_kafka_topic_partition_list_new((int)options->n_topics);
	rd_kafka_resp_err_t error;

	for (size_t i = 0; i < options->n_topics; i++)
		rd_kafka_topic_partition_list_add(list, topic_name(options->topics[i]),
						  RD_KAFKA_PARTITION_UA);
	error = rd_kafka_subscribe(intake_client(group->intake), list);
	rd_kafka_topic_partition_list_destroy(list);
	if (!error)
		return 0;
	log_error("kafka group: cannot subscribe: %s", rd_kafka_err2str(error));
	return 1;
}

static int64_t session_timeout_ms(const struct bus_config *config,
				  const struct bus_group_options *options)
{
	const char *set = bus_config_get(config, "session.timeout.ms");

	if (set)
		return atoll(set);
	return options->session_timeout_ms ? options->session_timeout_ms : SESSION_TIMEOUT_MS;
}

static int client_new(struct bus_group *group, const struct bus_config *config,
		      const struct bus_group_options *options, struct kafka_client **ret_client)
{
	int64_t session_ms = session_timeout_ms(config, options);
	char session[24], heartbeat[24], poll[24];
	const struct kafka_property guarantees[] = {
		{ "group.id", options->group_id },
		{ "partition.assignment.strategy", "range" },
		{ "enable.auto.commit", "false" },
		{ "enable.auto.offset.store", "false" },
		{ "auto.offset.reset", "earliest" },
		{ "enable.partition.eof", "false" },
		{ "session.timeout.ms", session },
		{ "heartbeat.interval.ms", heartbeat },
		/* How long the group waits for a member whose loop stands still while librdkafka's
		 * threads go on saying that it lives. */
		{ "max.poll.interval.ms", poll },
		{ "fetch.wait.max.ms", "50" },
		{ "fetch.error.backoff.ms", "50" },
	};
	rd_kafka_conf_t *conf;

	snprintf(session, sizeof(session), "%lld", (long long)session_ms);
	snprintf(heartbeat, sizeof(heartbeat), "%lld",
		 (long long)(session_ms / 6 < 1000 ? session_ms / 6 : 1000));
	snprintf(poll, sizeof(poll), "%lld", (long long)(session_ms > 30000 ? session_ms : 30000));
	conf = kafka_conf_new(config, guarantees, sizeof(guarantees) / sizeof(guarantees[0]));
	rd_kafka_conf_set_rebalance_cb(conf, on_rebalance);
	rd_kafka_conf_set_error_cb(conf, on_client_problem);
	return kafka_client_new(RD_KAFKA_CONSUMER, "group", conf, group, ret_client);
}

int bus_group_new(struct loop *loop, const struct bus_config *config,
		  const struct bus_group_options *options,
		  const struct bus_group_callbacks *callbacks, void *context,
		  struct bus_group **ret_group)
{
	struct bus_group *group = memory_zeroed(1, sizeof(*group));
	struct kafka_client *client;
	int outcome = client_new(group, config, options, &client);

	if (outcome) {
		free(group);
		return outcome;
	}
	rd_kafka_poll_set_consumer(client->rk);
	group->loop = loop;
	group->callbacks = *callbacks;
	group->context = context;
	group->revoke_timeout_ms =
		options->revoke_timeout_ms ? options->revoke_timeout_ms : REVOKE_TIMEOUT_MS;
	group->commit_interval_ms =
		options->commit_interval_ms ? options->commit_interval_ms : COMMIT_INTERVAL_MS;
	group->revoke_timer = loop_timer_new(loop, on_revoke_timer, group);
	group->seek_timer = loop_timer_new(loop, on_seek_timer, group);
	group->commit_timer = loop_timer_new(loop, group_on_commit_timer, group);
	group->leave_timer = loop_timer_new(loop, on_leave_timer, group);
	group->intake = intake_new(loop, client, &handlers, group);
	outcome = subscribe(group, options);
	if (outcome) {
		bus_group_free(group);
		return outcome;
	}
	*ret_group = group;
	return 0;
}

void bus_group_free(struct bus_group *group)
{
	if (!group || group->freed)
		return;
	group->freed = true;
	intake_free(group->intake);
	loop_timer_free(group->revoke_timer);
	loop_timer_free(group->seek_timer);
	loop_timer_free(group->commit_timer);
	/* Not here: this may be a callback of ours, and what called it looks at `freed`. */
	loop_timer_free_then(group->leave_timer, destroy, group);
}
