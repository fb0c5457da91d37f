#include "model/topics.h"

#include <string.h>

static const struct {
	const char *name;
	const char *short_name;
} topics[TOPICS] = {
	[TOPIC_CATALOG] = { "gpubus.catalog.v1", "catalog" },
	[TOPIC_INVENTORY] = { "gpubus.inventory.v1", "inventory" },
	[TOPIC_HOSTS] = { "gpubus.hosts.v1", "hosts" },
	[TOPIC_REQUESTS] = { "gpubus.requests.v1", "requests" },
	[TOPIC_ATTACHMENTS] = { "gpubus.attachments.v1", "attachments" },
	[TOPIC_DECISIONS] = { "gpubus.decisions.v1", "decisions" },
	[TOPIC_ANSWERS] = { "gpubus.answers.v1", "answers" },
	[TOPIC_DEAD_LETTERS] = { "gpubus.dead-letters.v1", "dead-letters" },
};

const char *topic_name(enum topic topic)
{
	return topics[topic].name;
}

const char *topic_short_name(enum topic topic)
{
	return topics[topic].short_name;
}

int topic_by_name(const char *name, enum topic *ret_topic)
{
	for (int topic = 0; topic < TOPICS; topic++) {
		if (strcmp(name, topics[topic].name) == 0 ||
		    strcmp(name, topics[topic].short_name) == 0) {
			*ret_topic = (enum topic)topic;
			return 0;
		}
	}
	return 1;
}

bool topic_is_sharded(enum topic topic)
{
	return topic != TOPIC_CATALOG;
}
