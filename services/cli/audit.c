/*
 * `gpubus audit`: reads the whole log and what was asked and told, and Redis beside it. The order of
 * reading is the contract of audit_log.h:
 *
 *   ends of decisions -> Redis -> ends of decisions again -> decisions up to there -> requests ->
 *   dead-letters -> committed offsets -> answers
 *
 * Redis is read before the log, so that it never stands ahead of what was read of an unbroken log; and
 * the first ends are older than what Redis said, so that "behind" is never said of one that keeps up.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "cli/audit_log.h"
#include "cli/audit_redis.h"
#include "cli/audit_report.h"
#include "cli/commands.h"
#include "cli/exit_status.h"
#include "cli/session.h"
#include "core/shard_state.h"

enum { REDIS_TIMEOUT_MS = 10000 };

struct audit {
	struct settings settings;
	struct session session;
	bool no_redis;
	int64_t remember_ms;
	const char *group_id;
	struct audit_log *log;		      /* owned */
	struct bus_offset *ends;	      /* owned: of decisions, before Redis was read */
	struct audit_comparison *comparisons; /* owned */
};

static const char epilog[] = "Reads all of decisions, requests, answers and dead-letters from "
			     "their beginnings and checks that\n"
			     "no GPU has two owners, that every request has exactly one outcome, "
			     "and that what was told is\n"
			     "true. Folds the log as the scheduler does and compares the digest "
			     "with Redis at the offset where\n"
			     "Redis stands. Schedulers may go on meanwhile.\n"
			     "\n"
			     "REDIS is IN STEP, BEHIND (by so many messages; it follows by "
			     "itself), EMPTY (a scheduler will\n"
			     "write it anew), MOVING (it never stood still long enough to add up "
			     "its rows) or DIFFERENT. VOID\n"
			     "counts records of deposed schedulers: nobody has acted on them.\n"
			     "\n"
			     "Examples:\n"
			     "  gpubus audit\n"
			     "  gpubus audit -o json | jq .violations\n"
			     "\n" STATUS_TEXT;

static bool parse(struct audit *audit, int argc, char **argv, int *ret_status)
{
	struct verb_options options = { 0 };
	const struct option_spec own[] = {
		{ .name = "no-redis",
		  .no_environment = true,
		  .help = "look at the log only",
		  .set = option_set_flag,
		  .target = &audit->no_redis },
		{ .name = "remember",
		  .argument = "TIME",
		  .help = "how long the schedulers remember answers: older ones may be given\n"
			  "anew (default: as Redis says, else 24h)",
		  .set = option_set_duration_ms,
		  .target = &audit->remember_ms },
		{ .name = "group",
		  .argument = "ID",
		  .fallback = "gpubus-scheduler",
		  .help = "consumer group of the schedulers: what it has committed must be "
			  "answered",
		  .set = option_set_string,
		  .target = &audit->group_id },
	};
	for (size_t i = 0; i < sizeof(own) / sizeof(*own); i++)
		verb_options_add(&options, own[i]);
	settings_add_options(&audit->settings, SETTINGS_KAFKA | SETTINGS_REDIS, &options);

	struct program program = {
		.name = "gpubus audit",
		.summary = "Checks the whole log, and Redis against it.",
		.epilog = epilog,
	};
	int operands;
	return settings_parse(&audit->settings, &program, &options, argc, argv, &operands,
			      ret_status);
}

/* ---- reading --------------------------------------------------------------------------------------- */

static void name_partitions(struct bus_offset *offsets, enum topic topic, int32_t n)
{
	for (int32_t i = 0; i < n; i++)
		offsets[i] = (struct bus_offset){ .topic = topic, .partition = i };
}

static int read_redis(struct audit *audit)
{
	cleanup(store_reader_freep) struct store_reader *reader = NULL;
	cleanup(freep) char *error = NULL;
	int32_t n = audit->session.n_partitions;

	if (audit->no_redis)
		return STATUS_OK;
	if (store_reader_new(audit->settings.redis_url, REDIS_TIMEOUT_MS, &reader, &error)) {
		complain("Redis cannot be reached: %s; --no-redis looks at the log only",
			 error ? error : "no reason given");
		return STATUS_ERROR;
	}
	for (int32_t i = 0; i < n; i++)
		audit_redis_read(reader, i, audit->session.codec, &audit->comparisons[i].stored);
	return STATUS_OK;
}

static void on_message(void *context, const struct message *message)
{
	struct audit *audit = context;
	switch (message->topic) {
	case TOPIC_DECISIONS:
		audit_decision(audit->log, message);
		break;
	case TOPIC_REQUESTS:
		audit_request(audit->log, message);
		break;
	case TOPIC_DEAD_LETTERS:
		audit_dead_letter(audit->log, message);
		break;
	default:
		audit_answer(audit->log, message);
	}
}

static int read_topic(struct audit *audit, const struct bus_offset *offsets, int32_t n)
{
	cleanup(freep) struct session_range *ranges = memory_zeroed((size_t)n, sizeof(*ranges));
	for (int32_t i = 0; i < n; i++)
		ranges[i] =
			(struct session_range){ .place = { offsets[i].topic, offsets[i].partition },
						.next = offsets[i].low,
						.end = offsets[i].high };
	return session_read(&audit->session, ranges, (size_t)n, on_message, audit);
}

static int read_decisions(struct audit *audit)
{
	int32_t n = audit->session.n_partitions;
	cleanup(freep) struct bus_offset *ends = memory_zeroed((size_t)n, sizeof(*ends));

	name_partitions(ends, TOPIC_DECISIONS, n);
	int status = session_ask_offsets(&audit->session, NULL, ends, (size_t)n);
	for (int32_t i = 0; i < n && status == STATUS_OK; i++) {
		const struct audit_stored *stored = &audit->comparisons[i].stored;
		if (stored->status == STORED_THERE || stored->status == STORED_MOVING)
			audit_expect(audit->log, i, stored->meta.offset);
	}
	return status == STATUS_OK ? read_topic(audit, ends, n) : status;
}

static int read_requests(struct audit *audit)
{
	static const enum topic topics[] = { TOPIC_REQUESTS, TOPIC_DEAD_LETTERS };
	int32_t n = audit->session.n_partitions;
	cleanup(freep) struct bus_offset *ends = memory_zeroed((size_t)n, sizeof(*ends));
	int status = STATUS_OK;

	/* Dead letters after requests: they are looked up among them. */
	for (size_t t = 0; t < 2 && status == STATUS_OK; t++) {
		name_partitions(ends, topics[t], n);
		status = session_ask_offsets(&audit->session, NULL, ends, (size_t)n);
		for (int32_t i = 0; topics[t] == TOPIC_REQUESTS && i < n; i++)
			audit_requests_begin(audit->log, i, ends[i].low == 0);
		if (status == STATUS_OK)
			status = read_topic(audit, ends, n);
	}
	return status;
}

/* What is committed is asked for first: its answers stand before the ends that are asked for then. */
static int read_answers(struct audit *audit)
{
	int32_t n = audit->session.n_partitions;
	cleanup(freep) struct bus_offset *inputs = memory_zeroed((size_t)n, sizeof(*inputs));
	cleanup(freep) struct bus_offset *ends = memory_zeroed((size_t)n, sizeof(*ends));

	name_partitions(inputs, TOPIC_REQUESTS, n);
	name_partitions(ends, TOPIC_ANSWERS, n);
	int status = session_ask_offsets(&audit->session, audit->group_id, inputs, (size_t)n);
	if (status == STATUS_OK)
		status = session_ask_offsets(&audit->session, NULL, ends, (size_t)n);
	if (status != STATUS_OK)
		return status;
	for (int32_t i = 0; i < n; i++)
		audit_answers_begin(audit->log, i, ends[i].low == 0,
				    inputs[i].committed == BUS_NONE ? -1 : inputs[i].committed);
	return read_topic(audit, ends, n);
}

/* ---- the whole --------------------------------------------------------------------------------------- */

static int report(struct audit *audit)
{
	const struct audit_report report = { .log = audit->log,
					     .comparisons = audit->comparisons,
					     .n_shards = audit->session.n_partitions };
	if (audit->settings.json) {
		json_t *json = audit_report_json(&report);
		json_dumpf(json, stdout, JSON_INDENT(2));
		putchar('\n');
		json_decref(json);
	} else {
		cleanup(buf_deinit) struct buf text = { 0 };
		audit_report_text(&report, &text);
		fwrite(text.data, 1, text.len, stdout);
	}
	return audit_is_clean(&report) ? STATUS_OK : STATUS_ERROR;
}

/* All schedulers of a group have the same; the digest depends on it. */
static int64_t remember_us(const struct audit *audit)
{
	const struct shard_options fallback = SHARD_OPTIONS_DEFAULT;
	if (audit->remember_ms >= 0)
		return audit->remember_ms * 1000;
	for (int32_t i = 0; i < audit->session.n_partitions; i++) {
		const struct audit_stored *stored = &audit->comparisons[i].stored;
		if ((stored->status == STORED_THERE || stored->status == STORED_MOVING) &&
		    stored->remember_us >= 0)
			return stored->remember_us;
	}
	return fallback.remember_us;
}

static int run(struct audit *audit)
{
	int status = session_open(&audit->session, &audit->settings);
	if (status != STATUS_OK)
		return status;

	int32_t n = audit->session.n_partitions;
	audit->ends = memory_zeroed((size_t)n, sizeof(*audit->ends));
	audit->comparisons = memory_zeroed((size_t)n, sizeof(*audit->comparisons));

	name_partitions(audit->ends, TOPIC_DECISIONS, n);
	status = session_ask_offsets(&audit->session, NULL, audit->ends, (size_t)n);
	if (status == STATUS_OK)
		status = read_redis(audit);
	const struct audit_options options = { .n_partitions = n,
					       .remember_us = remember_us(audit) };
	audit->log = audit_log_new(&options, audit->session.codec);
	if (status == STATUS_OK)
		status = read_decisions(audit);
	if (status == STATUS_OK)
		status = read_requests(audit);
	if (status == STATUS_OK)
		status = read_answers(audit);
	if (status != STATUS_OK)
		return status;
	audit_finish(audit->log);
	for (int32_t i = 0; i < n; i++)
		audit_compare(audit->log, i, audit->ends[i].high, &audit->comparisons[i]);
	return report(audit);
}

int cli_audit(int argc, char **argv)
{
	struct audit audit = { .remember_ms = ABSENT };
	int status;

	settings_init(&audit.settings);
	if (parse(&audit, argc, argv, &status))
		status = run(&audit);
	audit_log_free(audit.log);
	free(audit.ends);
	free(audit.comparisons);
	session_close(&audit.session);
	settings_deinit(&audit.settings);
	return status;
}
