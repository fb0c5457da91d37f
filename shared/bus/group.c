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
	SEEK_TIMEOUT_MS = 100, /* librdkafka's own thread answers, usually within microseconds */
	SEEK_RETRY_MS = 20,
	LEAVE_POLL_MS = 10,
	LEAVE_TIMEOUT_MS = 3500, /* beyond the time for the revocation */
};

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
	.on_served = group_on_served,
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

	group_announcements_clear(group);
	group_members_clear(group);
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
		clock_monotonic_us() + (group->revoke_timeout_ms + LEAVE_TIMEOUT_MS) * 1000;
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

/* librdkafka's error callback, which only takes notes. */
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

static int client_new(struct bus_group *group, const struct bus_config *config,
		      const struct bus_group_options *options, struct kafka_client **ret_client)
{
	int64_t session_ms =
		options->session_timeout_ms ? options->session_timeout_ms : SESSION_TIMEOUT_MS;
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
	rd_kafka_conf_set_rebalance_cb(conf, group_on_rebalance);
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
	group->revoke_timer = loop_timer_new(loop, group_on_revoke_timer, group);
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
