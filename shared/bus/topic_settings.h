/*
 * The settings of each topic that matter to gpubus, and when an existing topic is as it should be.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/topics.h"

enum setting_rule {
	SETTING_EXACTLY,
	SETTING_AT_LEAST, /* a number; -1 is without bound */
	SETTING_AT_MOST,
	SETTING_SET_OF, /* words with commas between them, in any order */
};

struct topic_setting {
	const char *name;
	const char *value; /* what a new topic gets */
	enum setting_rule rule;
};

enum { TOPIC_SETTINGS_MAX = 16 };

/* Fills `ret_settings`; returns how many. The replication factor is the topic's own. */
size_t topic_settings(enum topic topic, int32_t replication_factor,
		      struct topic_setting ret_settings[TOPIC_SETTINGS_MAX]);
bool topic_setting_holds(const struct topic_setting *setting, const char *actual);
