/*
 * Brings what the agent reports to the topic attachments: the newest word about each assignment, kept
 * until it is in the log. Loop thread only.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "codec/codec.h"
#include "loop/loop.h"
#include "model/record.h"
#include "publish/publisher.h"

struct reporter;

struct reporter_options {
	const struct bus_config *bus; /* all borrowed */
	const char *host;
	const char *pool_id;
	int32_t n_partitions;
};

/* `on_idle`: every report is in the log. Positive: the configuration is refused, the reason was logged. */
int reporter_new(struct loop *loop, const struct reporter_options *options, struct codec *codec,
		 loop_fn on_idle, void *context, struct reporter **ret_reporter) MUST_CHECK;
void reporter_free(struct reporter *reporter);
DEFINE_CLEANUP(struct reporter *, reporter_free);

/* Copies it; observed_at is now. */
void reporter_report(struct reporter *reporter, const struct gpu_attachment *report);
bool reporter_is_idle(const struct reporter *reporter);
