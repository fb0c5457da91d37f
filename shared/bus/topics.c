#include "bus/topics.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/log.h"
#include "base/memory.h"
#include "bus/kafka.h"
#include "bus/topic_settings.h"
#include "loop/clock.h"

enum { TIMEOUT_MS = 30000, REQUEST_MS = 5000, SETTLE_MS = 100, AWAIT_SECONDS = 2 };

/* An admin session: a client and the queue its answers come to. Blocking. */
struct admin {
	struct kafka_client *client; /* owned */
	rd_kafka_queue_t *queue;     /* owned */
	struct bus_topics_options options;
	int64_t until_us;
	struct buf *report;
};

/* What one topic is like in the cluster. */
struct found {
	int32_t partitions; /* 0: the topic is missing */
	int32_t replication_factor;
};

static int admin_init(struct admin *admin, const struct bus_config *config,
		      const struct bus_topics_options *options, struct buf *report)
{
	int outcome;

	*admin = (struct admin){ .options = *options, .report = report };
	if (!admin->options.timeout_ms)
		admin->options.timeout_ms = TIMEOUT_MS;
	admin->until_us = clock_monotonic_us() + admin->options.timeout_ms * 1000;
	outcome = kafka_client_new(RD_KAFKA_PRODUCER, "topics", kafka_conf_new(config, NULL, 0),
				   NULL, &admin->client);
	if (outcome) {
		buf_puts(report, "the Kafka configuration is refused, see the log\n");
		return BUS_TOPICS_UNREACHABLE;
	}
	admin->queue = rd_kafka_queue_new(admin->client->rk);
	return 0;
}

static void admin_deinit(struct admin *admin)
{
	if (admin->queue)
		rd_kafka_queue_destroy(admin->queue);
	kafka_client_free(admin->client);
}

static int time_left_ms(const struct admin *admin)
{
	int64_t left_us = admin->until_us - clock_monotonic_us();

	return left_us > 0 ? (int)(left_us / 1000) : 0;
}

static int unreachable(struct admin *admin, const char *what, const char *reason)
{
	buf_printf(admin->report, "%s: %s\n", what, reason);
	return BUS_TOPICS_UNREACHABLE;
}

/* ---- asking -------------------------------------------------------------------------------- */

static void read_metadata(const rd_kafka_metadata_t *metadata, struct found found[TOPICS])
{
	for (int i = 0; i < metadata->topic_cnt; i++) {
		const rd_kafka_metadata_topic_t *from = &metadata->topics[i];
		enum topic topic;

		if (topic_by_name(from->topic, &topic) || from->err)
			continue;
		found[topic].partitions = from->partition_cnt;
		/* The smallest: one partition that lacks a replica makes the topic less safe. */
		for (int p = 0; p < from->partition_cnt; p++)
			if (!p || from->partitions[p].replica_cnt < found[topic].replication_factor)
				found[topic].replication_factor = from->partitions[p].replica_cnt;
	}
}

static int find_topics(struct admin *admin, struct found found[TOPICS], int32_t *ret_brokers)
{
	const rd_kafka_metadata_t *metadata;
	rd_kafka_resp_err_t error;

	memset(found, 0, TOPICS * sizeof(*found));
	/* All topics rather than ours by name: asking for a topic by name may create it. */
	do {
		int left_ms = time_left_ms(admin);

		error = rd_kafka_metadata(admin->client->rk, 1, NULL, &metadata,
					  left_ms < REQUEST_MS ? left_ms : REQUEST_MS);
	} while (error && time_left_ms(admin));
	if (error)
		return unreachable(admin, "cannot reach Kafka", rd_kafka_err2str(error));
	read_metadata(metadata, found);
	*ret_brokers = metadata->broker_cnt;
	rd_kafka_metadata_destroy(metadata);
	return 0;
}

static const char *value_of(const rd_kafka_ConfigResource_t *resource, const char *name)
{
	const rd_kafka_ConfigEntry_t **entries;
	size_t n;

	entries = rd_kafka_ConfigResource_configs(resource, &n);
	for (size_t i = 0; i < n; i++)
		if (!strcmp(rd_kafka_ConfigEntry_name(entries[i]), name))
			return rd_kafka_ConfigEntry_value(entries[i]);
	return NULL;
}

static int check_settings(struct admin *admin, const rd_kafka_ConfigResource_t *resource,
			  const struct found found[TOPICS])
{
	const char *name = rd_kafka_ConfigResource_name(resource);
	struct topic_setting settings[TOPIC_SETTINGS_MAX];
	enum topic topic;
	int outcome = 0;
	size_t n;

	if (topic_by_name(name, &topic))
		return 0;
	if (rd_kafka_ConfigResource_error(resource))
		return unreachable(admin, name, rd_kafka_ConfigResource_error_string(resource));
	n = topic_settings(topic, found[topic].replication_factor, settings);
	for (size_t i = 0; i < n; i++) {
		static const char *const words[] = { "must be", "must be at least",
						     "must be at most", "must be" };
		const char *actual = value_of(resource, settings[i].name);

		/* A broker that does not know a setting cannot be told about it either. */
		if (!actual || topic_setting_holds(&settings[i], actual))
			continue;
		buf_printf(admin->report,
			   "%s: %s is %s, %s %s: kafka-configs.sh --alter --entity-type topics "
			   "--entity-name %s --add-config %s=[%s]\n",
			   name, settings[i].name, actual, words[settings[i].rule],
			   settings[i].value, name, settings[i].name, settings[i].value);
		outcome = BUS_TOPICS_DEVIATE;
	}
	return outcome;
}

/* The next event of the queue, or NULL with a line in the report. */
static rd_kafka_event_t *answer(struct admin *admin, const char *what)
{
	rd_kafka_event_t *event =
		rd_kafka_queue_poll(admin->queue, time_left_ms(admin) + REQUEST_MS);

	if (!event) {
		unreachable(admin, what, "no answer");
	} else if (rd_kafka_event_error(event)) {
		unreachable(admin, what, rd_kafka_event_error_string(event));
		rd_kafka_event_destroy(event);
		event = NULL;
	}
	return event;
}

static int describe_settings(struct admin *admin, const struct found found[TOPICS])
{
	rd_kafka_ConfigResource_t *asked[TOPICS];
	const rd_kafka_ConfigResource_t **resources;
	rd_kafka_event_t *event;
	size_t n = 0;
	int outcome = 0;

	for (enum topic topic = 0; topic < TOPICS; topic++)
		if (found[topic].partitions)
			asked[n++] = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC,
								 topic_name(topic));
	if (!n)
		return 0;
	rd_kafka_DescribeConfigs(admin->client->rk, asked, n, NULL, admin->queue);
	rd_kafka_ConfigResource_destroy_array(asked, n);
	event = answer(admin, "cannot read the topics' settings");
	if (!event)
		return BUS_TOPICS_UNREACHABLE;
	resources = rd_kafka_DescribeConfigs_result_resources(
		rd_kafka_event_DescribeConfigs_result(event), &n);
	for (size_t i = 0; i < n; i++) {
		int one = check_settings(admin, resources[i], found);

		if (one)
			outcome = one;
	}
	rd_kafka_event_destroy(event);
	return outcome;
}

/* ---- checking ------------------------------------------------------------------------------ */

static int check_partitions(struct admin *admin, const struct found found[TOPICS],
			    int32_t *ret_partitions)
{
	/* The log cannot be repartitioned: it says what is right. */
	int32_t right = admin->options.partitions ? admin->options.partitions
						  : found[TOPIC_DECISIONS].partitions;
	int outcome = 0;

	for (enum topic topic = 0; topic < TOPICS; topic++) {
		int32_t expected = topic_is_sharded(topic) ? right : 1;

		if (!found[topic].partitions) {
			buf_printf(admin->report, "%s: missing: gpubus topics apply\n",
				   topic_name(topic));
			outcome = BUS_TOPICS_DEVIATE;
		} else if (expected && found[topic].partitions != expected) {
			buf_printf(admin->report,
				   "%s: %d partitions, must be %d: the count is fixed for life; "
				   "delete and create the topic if it holds nothing yet\n",
				   topic_name(topic), found[topic].partitions, expected);
			outcome = BUS_TOPICS_DEVIATE;
		}
	}
	if (right > LIMIT_PARTITIONS) {
		buf_printf(admin->report, "%d partitions: at most %d are supported\n", right,
			   LIMIT_PARTITIONS);
		outcome = BUS_TOPICS_DEVIATE;
	}
	if (!outcome)
		*ret_partitions = right;
	return outcome;
}

static int verify(struct admin *admin, bool settings_too, int32_t *ret_partitions)
{
	struct found found[TOPICS];
	int32_t brokers, partitions = 0;
	int outcome = find_topics(admin, found, &brokers), settings = 0;

	if (outcome)
		return outcome;
	outcome = check_partitions(admin, found, &partitions);
	if (settings_too)
		settings = describe_settings(admin, found);
	if (settings > outcome)
		outcome = settings;
	if (!outcome)
		*ret_partitions = partitions;
	return outcome;
}

int bus_topics_verify(const struct bus_config *config, const struct bus_topics_options *options,
		      bool broker_is_mock, struct buf *report, int32_t *ret_partitions)
{
	struct admin admin;
	int outcome = admin_init(&admin, config, options, report);

	if (!outcome)
		outcome = verify(&admin, !broker_is_mock, ret_partitions);
	admin_deinit(&admin);
	return outcome;
}

/* ---- creating ------------------------------------------------------------------------------ */

static rd_kafka_NewTopic_t *new_topic(enum topic topic, int32_t partitions,
				      int32_t replication_factor)
{
	struct topic_setting settings[TOPIC_SETTINGS_MAX];
	size_t n = topic_settings(topic, replication_factor, settings);
	rd_kafka_NewTopic_t *new =
		rd_kafka_NewTopic_new(topic_name(topic), topic_is_sharded(topic) ? partitions : 1,
				      replication_factor, NULL, 0);

	for (size_t i = 0; i < n; i++)
		rd_kafka_NewTopic_set_config(new, settings[i].name, settings[i].value);
	return new;
}

static int read_created(struct admin *admin, rd_kafka_event_t *event)
{
	const rd_kafka_topic_result_t **results;
	size_t n;
	int outcome = 0;

	results =
		rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event), &n);
	for (size_t i = 0; i < n; i++) {
		const char *name = rd_kafka_topic_result_name(results[i]);
		rd_kafka_resp_err_t error = rd_kafka_topic_result_error(results[i]);
		const char *text = rd_kafka_topic_result_error_string(results[i]);

		if (!error)
			buf_printf(admin->report, "%s: created\n", name);
		else if (error == RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS)
			buf_printf(admin->report, "%s: was created meanwhile\n", name);
		else
			outcome = unreachable(admin, name, text ? text : rd_kafka_err2str(error));
	}
	return outcome;
}

static int create_missing(struct admin *admin, const struct found found[TOPICS], int32_t brokers)
{
	int32_t partitions = admin->options.partitions		 ? admin->options.partitions
			     : found[TOPIC_DECISIONS].partitions ? found[TOPIC_DECISIONS].partitions
								 : DEFAULT_PARTITIONS;
	int32_t replicas = admin->options.replication_factor ? admin->options.replication_factor
			   : brokers < 3		     ? brokers
							     : 3;
	rd_kafka_NewTopic_t *topics[TOPICS];
	rd_kafka_event_t *event;
	size_t n = 0;
	int outcome = BUS_TOPICS_UNREACHABLE;

	for (enum topic topic = 0; topic < TOPICS; topic++) {
		if (found[topic].partitions)
			buf_printf(admin->report, "%s: exists\n", topic_name(topic));
		else
			topics[n++] = new_topic(topic, partitions, replicas);
	}
	if (!n)
		return 0;
	rd_kafka_CreateTopics(admin->client->rk, topics, n, NULL, admin->queue);
	rd_kafka_NewTopic_destroy_array(topics, n);
	event = answer(admin, "cannot create topics");
	if (event) {
		outcome = read_created(admin, event);
		rd_kafka_event_destroy(event);
	}
	return outcome;
}

static int apply(struct admin *admin)
{
	cleanup(buf_deinit) struct buf trial = { 0 };
	struct buf *report = admin->report;
	struct found found[TOPICS];
	int32_t brokers, partitions;
	int outcome = find_topics(admin, found, &brokers);

	if (!outcome)
		outcome = create_missing(admin, found, brokers);
	if (outcome)
		return outcome;
	/* New topics reach the brokers' metadata a moment later. What differs for good is reported
	 * when the topics are all there. */
	admin->report = &trial;
	do {
		buf_clear(&trial);
		outcome = verify(admin, true, &partitions);
		if (!outcome || !strstr(trial.data ? trial.data : "", ": missing"))
			break;
		rd_kafka_poll(admin->client->rk, SETTLE_MS);
	} while (time_left_ms(admin));
	buf_append(report, trial.data ? trial.data : "", trial.len);
	admin->report = report;
	return outcome;
}

int bus_topics_apply(const struct bus_config *config, const struct bus_topics_options *options,
		     struct buf *report)
{
	struct admin admin;
	int outcome = admin_init(&admin, config, options, report);

	if (!outcome)
		outcome = apply(&admin);
	admin_deinit(&admin);
	return outcome;
}

int bus_topics_await(const struct bus_config *config, bool patient, int32_t *ret_partitions)
{
	for (;;) {
		cleanup(buf_deinit) struct buf report = { 0 };
		const struct bus_topics_options any = { 0 };
		int r = bus_topics_verify(config, &any, true, &report, ret_partitions);
		if (r <= 0)
			return r;
		log_error("waiting for the topics (gpubus topics apply): %s",
			  report.data ? report.data : "");
		if (!patient)
			return r;
		sleep(AWAIT_SECONDS);
	}
}
