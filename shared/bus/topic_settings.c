#include "bus/topic_settings.h"

#include <stdlib.h>
#include <string.h>

/* A topic that is compacted keeps its latest value per key only if compaction really runs: the active
 * segment is never compacted (so it must be rolled), and half-dirty logs wait by default. */
#define COMPACTION                                                                                 \
	{ "segment.ms", "3600000", SETTING_AT_MOST },                                              \
		{ "segment.bytes", "16777216", SETTING_AT_MOST },                                  \
		{ "min.cleanable.dirty.ratio", "0.1", SETTING_AT_MOST },                           \
		{ "max.compaction.lag.ms", "21600000", SETTING_AT_MOST },                          \
	/* How long a reader that stopped half-way may take to see that something is gone. */      \
	{                                                                                          \
		"delete.retention.ms", "86400000", SETTING_AT_LEAST                                \
	}

/* With the producers' own times a wrong clock would delete early or never. */
#define BROKER_TIME                                                                                \
	{                                                                                          \
		"message.timestamp.type", "LogAppendTime", SETTING_EXACTLY                         \
	}

#define DELETED_AFTER(ms)                                                                          \
	{ "cleanup.policy", "delete", SETTING_EXACTLY }, { "retention.ms", ms, SETTING_AT_LEAST }, \
		{ "retention.bytes", "-1", SETTING_EXACTLY },                                      \
		{ "segment.ms", "86400000", SETTING_AT_MOST }, BROKER_TIME

static const struct topic_setting of_topics[TOPICS][TOPIC_SETTINGS_MAX] = {
	[TOPIC_CATALOG] = { { "cleanup.policy", "compact", SETTING_EXACTLY }, COMPACTION },
	[TOPIC_INVENTORY] = { { "cleanup.policy", "compact", SETTING_EXACTLY }, COMPACTION },
	[TOPIC_HOSTS] = { { "cleanup.policy", "compact,delete", SETTING_SET_OF },
			  COMPACTION,
			  { "retention.ms", "604800000", SETTING_AT_LEAST },
			  { "retention.bytes", "-1", SETTING_EXACTLY },
			  BROKER_TIME },
	[TOPIC_REQUESTS] = { DELETED_AFTER("604800000") },
	[TOPIC_ATTACHMENTS] = { DELETED_AFTER("604800000") },
	/* The truth: nothing of it may ever go, neither by age or size nor by key. */
	[TOPIC_DECISIONS] = { { "cleanup.policy", "delete", SETTING_EXACTLY },
			      { "retention.ms", "-1", SETTING_EXACTLY },
			      { "retention.bytes", "-1", SETTING_EXACTLY } },
	[TOPIC_ANSWERS] = { DELETED_AFTER("604800000") },
	[TOPIC_DEAD_LETTERS] = { DELETED_AFTER("2592000000") },
};

static const struct topic_setting of_all[] = {
	/* A replica that fell behind must not become the leader and forget what was acknowledged. */
	{ "unclean.leader.election.enable", "false", SETTING_EXACTLY },
	/* Of a batch, not of a message: what librdkafka and Java clients send by default must fit. */
	{ "max.message.bytes", "1048588", SETTING_AT_LEAST },
};

/* Every acknowledged record stands on two disks where there are three, and one broker may be down. */
static const char *min_insync_replicas(int32_t replication_factor)
{
	static const char *const texts[] = { "1", "1", "1", "2", "3", "4" };

	if (replication_factor < 1)
		return "1";
	return texts[replication_factor > 5 ? 5 : replication_factor];
}

size_t topic_settings(enum topic topic, int32_t replication_factor,
		      struct topic_setting ret_settings[TOPIC_SETTINGS_MAX])
{
	size_t n = 0;

	while (of_topics[topic][n].name) {
		ret_settings[n] = of_topics[topic][n];
		n++;
	}
	for (size_t i = 0; i < sizeof(of_all) / sizeof(of_all[0]); i++)
		ret_settings[n++] = of_all[i];
	ret_settings[n++] =
		(struct topic_setting){ "min.insync.replicas",
					min_insync_replicas(replication_factor), SETTING_AT_LEAST };
	return n;
}

static bool has_word(const char *words, const char *word, size_t len)
{
	while (*words) {
		size_t n = strcspn(words, ",");

		if (n == len && !strncmp(words, word, len))
			return true;
		words += n;
		words += *words == ',';
	}
	return false;
}

static bool is_subset(const char *words, const char *of)
{
	while (*words) {
		size_t n = strcspn(words, ",");

		if (!has_word(of, words, n))
			return false;
		words += n;
		words += *words == ',';
	}
	return true;
}

bool topic_setting_holds(const struct topic_setting *setting, const char *actual)
{
	double want = strtod(setting->value, NULL), have = strtod(actual, NULL);

	switch (setting->rule) {
	case SETTING_EXACTLY:
		return !strcmp(actual, setting->value);
	case SETTING_AT_LEAST:
		return have < 0 || have >= want;
	case SETTING_AT_MOST:
		return have >= 0 && have <= want;
	case SETTING_SET_OF:
		return is_subset(actual, setting->value) && is_subset(setting->value, actual);
	}
	return false;
}
