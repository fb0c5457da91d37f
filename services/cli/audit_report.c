#include "cli/audit_report.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "cli/table.h"

static const char *const standing_names[] = {
	[STANDING_NOT_ASKED] = "NOT ASKED", [STANDING_IN_STEP] = "IN STEP",
	[STANDING_BEHIND] = "BEHIND",	    [STANDING_EMPTY] = "EMPTY",
	[STANDING_MOVING] = "MOVING",	    [STANDING_DIFFERENT] = "DIFFERENT",
};

/* ---- Redis against the log -------------------------------------------------------------------------- */

static void differ(struct audit_log *log, int32_t shard, struct audit_comparison *comparison,
		   const char *why)
{
	comparison->standing = STANDING_DIFFERENT;
	audit_violate(log, "REDIS_DIFFERENT", TOPIC_DECISIONS, shard,
		      comparison->stored.meta.offset, "the checkpoint in Redis: %s", why);
}

void audit_compare(struct audit_log *log, int32_t shard, int64_t end,
		   struct audit_comparison *comparison)
{
	const struct audit_stored *stored = &comparison->stored;
	struct audit_shard of_log = audit_shard(log, shard);
	char why[160];

	switch (stored->status) {
	case STORED_NOT_ASKED:
		comparison->standing = STANDING_NOT_ASKED;
		return;
	case STORED_EMPTY:
		comparison->standing = STANDING_EMPTY;
		return;
	case STORED_FAILED:
	case STORED_UNREADABLE:
		differ(log, shard, comparison, stored->why);
		return;
	case STORED_MOVING:
	case STORED_THERE:
		break;
	}
	if (stored->meta.offset > of_log.next) {
		snprintf(why, sizeof(why),
			 "it stands at offset %" PRId64 ", and the log ends at %" PRId64
			 ": was the topic truncated or created anew?",
			 stored->meta.offset, of_log.next);
		differ(log, shard, comparison, why);
	} else if (!of_log.reached || of_log.expected_digest != stored->meta.digest) {
		snprintf(why, sizeof(why),
			 "its digest is %016" PRIx64
			 ", that of the log at the same offset %016" PRIx64,
			 stored->meta.digest, of_log.expected_digest);
		differ(log, shard, comparison, why);
	} else if (stored->status == STORED_THERE && stored->rows_digest != stored->meta.digest) {
		snprintf(why, sizeof(why),
			 "its rows add up to %016" PRIx64 ", and its digest is %016" PRIx64,
			 stored->rows_digest, stored->meta.digest);
		differ(log, shard, comparison, why);
	} else {
		comparison->behind = end > stored->meta.offset ? end - stored->meta.offset : 0;
		comparison->standing = stored->status == STORED_MOVING ? STANDING_MOVING
				       : comparison->behind > 0	       ? STANDING_BEHIND
								       : STANDING_IN_STEP;
	}
}

bool audit_is_clean(const struct audit_report *report)
{
	size_t kept, all;
	audit_violations(report->log, &kept, &all);
	return all == 0;
}

/* ---- JSON -------------------------------------------------------------------------------------------- */

static json_t *digest_to_json(uint64_t digest)
{
	char text[17];
	snprintf(text, sizeof(text), "%016" PRIx64, digest);
	return json_string(text);
}

static json_t *redis_to_json(const struct audit_comparison *comparison)
{
	const struct audit_stored *stored = &comparison->stored;
	bool there = stored->status == STORED_THERE;
	bool has_meta = there || stored->status == STORED_MOVING;

	json_t *json = json_pack("{s:s, s:I}", "standing", standing_names[comparison->standing],
				 "behind", (json_int_t)comparison->behind);
	json_object_set_new(json, "offset",
			    has_meta ? json_integer(stored->meta.offset) : json_null());
	json_object_set_new(json, "digest",
			    has_meta ? digest_to_json(stored->meta.digest) : json_null());
	json_object_set_new(json, "rows_digest",
			    there ? digest_to_json(stored->rows_digest) : json_null());
	return json;
}

static json_t *shard_to_json(const struct audit_report *report, int32_t i)
{
	struct audit_shard shard = audit_shard(report->log, i);
	json_t *voids = json_array();
	for (size_t v = 0; v < shard.n_voids; v++)
		json_array_append_new(voids, json_pack("{s:I, s:I}", "epoch",
						       (json_int_t)shard.voids[v].epoch, "records",
						       (json_int_t)shard.voids[v].records));
	json_t *json = json_pack("{s:i, s:I, s:I, s:I, s:I, s:I, s:o, s:I}", "shard", (int)i, "end",
				 (json_int_t)shard.next, "epoch", (json_int_t)shard.epoch, "epochs",
				 (json_int_t)shard.epochs, "records", (json_int_t)shard.records,
				 "void_records", (json_int_t)shard.void_records, "voids", voids,
				 "applied_requests", (json_int_t)shard.applied);
	json_object_set_new(json, "digest", digest_to_json(shard.digest));
	json_object_set_new(json, "redis", redis_to_json(&report->comparisons[i]));
	return json;
}

static json_t *requests_to_json(const struct audit_requests *counts)
{
	const struct {
		const char *name;
		uint64_t value;
	} members[] = {
		{ "seen", counts->seen },
		{ "granted", counts->granted },
		{ "rejected", counts->rejected },
		{ "released", counts->released },
		{ "completed", counts->completed },
		{ "verdicts", counts->verdicts },
		{ "marked", counts->marked },
		{ "pending", counts->pending },
		{ "dead_lettered", counts->dead_lettered },
		{ "repeated", counts->repeated },
		{ "forwarded", counts->forwarded },
		{ "expired", counts->expired },
		{ "answered", counts->answered },
	};
	json_t *json = json_object();
	for (size_t i = 0; i < sizeof(members) / sizeof(*members); i++)
		json_object_set_new(json, members[i].name,
				    json_integer((json_int_t)members[i].value));
	return json;
}

json_t *audit_report_json(const struct audit_report *report)
{
	struct audit_requests counts = audit_requests(report->log);
	json_t *shards = json_array(), *list = json_array();
	size_t kept, all;
	const struct audit_violation *violations = audit_violations(report->log, &kept, &all);

	for (int32_t i = 0; i < report->n_shards; i++)
		json_array_append_new(shards, shard_to_json(report, i));
	for (size_t i = 0; i < kept; i++)
		json_array_append_new(list, json_pack("{s:s, s:s, s:i, s:I, s:s}", "rule",
						      violations[i].rule, "topic",
						      topic_name(violations[i].topic), "partition",
						      (int)violations[i].partition, "offset",
						      (json_int_t)violations[i].offset, "text",
						      violations[i].text));
	return json_pack("{s:b, s:I, s:o, s:o, s:o, s:{s:I, s:I}, s:I, s:I, s:I}", "clean",
			 audit_is_clean(report), "violations_total", (json_int_t)all, "violations",
			 list, "shards", shards, "requests", requests_to_json(&counts), "answers",
			 "told", (json_int_t)counts.answers, "told_again",
			 (json_int_t)counts.told_again, "assigned_gpus",
			 (json_int_t)audit_assigned_gpus(report->log), "quarantined_gpus",
			 (json_int_t)audit_marks(report->log, "gpu"), "cordoned_hosts",
			 (json_int_t)audit_marks(report->log, "host"));
}

/* ---- for people --------------------------------------------------------------------------------------- */

static void put_voids(struct buf *out, const struct audit_shard *shard)
{
	buf_printf(out, "%" PRIu64, shard->void_records);
	for (size_t i = 0; i < shard->n_voids; i++) {
		buf_puts(out, i ? ", " : " (");
		if (shard->voids[i].epoch < 0)
			buf_printf(out, "%" PRIu64 " without epoch", shard->voids[i].records);
		else
			buf_printf(out, "%" PRIu64 " of epoch %" PRId64, shard->voids[i].records,
				   shard->voids[i].epoch);
	}
	if (shard->n_voids > 0)
		buf_putc(out, ')');
}

static void put_shards(const struct audit_report *report, struct buf *out)
{
	static const char *const titles[] = { "SHARD", "END",	 "EPOCHS", "RECORDS",
					      "VOID",  "DIGEST", "REDIS" };
	struct table table;

	table_init(&table, titles, 7);
	for (int32_t i = 0; i < report->n_shards; i++) {
		struct audit_shard shard = audit_shard(report->log, i);
		const struct audit_comparison *comparison = &report->comparisons[i];
		struct buf cells[7] = { 0 };
		const char *texts[7];

		buf_printf(&cells[0], "%d", i);
		buf_printf(&cells[1], "%" PRId64, shard.next);
		buf_printf(&cells[2], "%" PRIu64, shard.epochs);
		buf_printf(&cells[3], "%" PRIu64, shard.records);
		put_voids(&cells[4], &shard);
		buf_printf(&cells[5], "%016" PRIx64, shard.digest);
		buf_puts(&cells[6], standing_names[comparison->standing]);
		if (comparison->standing == STANDING_BEHIND)
			buf_printf(&cells[6], " by %" PRId64, comparison->behind);
		for (size_t c = 0; c < 7; c++)
			texts[c] = cells[c].data;
		table_add(&table, texts);
		for (size_t c = 0; c < 7; c++)
			buf_deinit(&cells[c]);
	}
	table_print(&table, out);
	table_deinit(&table);
}

static void put_counts(const struct audit_report *report, struct buf *out)
{
	struct audit_requests n = audit_requests(report->log);

	buf_printf(out,
		   "\n%" PRIu64 " requests: %" PRIu64 " granted, %" PRIu64 " rejected, %" PRIu64
		   " released, %" PRIu64 " completed, %" PRIu64 " verdicts, %" PRIu64
		   " marks, %" PRIu64 " pending, %" PRIu64 " dead letters\n",
		   n.seen, n.granted, n.rejected, n.released, n.completed, n.verdicts, n.marked,
		   n.pending, n.dead_lettered);
	if (n.repeated || n.forwarded || n.expired)
		buf_printf(out,
			   "%" PRIu64 " asked again, %" PRIu64 " forwarded, %" PRIu64
			   " no longer kept in requests\n",
			   n.repeated, n.forwarded, n.expired);
	buf_printf(out,
		   "%" PRIu64 " requests answered by %" PRIu64 " messages, %" PRIu64
		   " of them told again; %" PRIu64 " GPUs are assigned\n",
		   n.answered, n.answers, n.told_again, audit_assigned_gpus(report->log));
	if (audit_marks(report->log, "gpu") || audit_marks(report->log, "host"))
		buf_printf(out, "%" PRIu64 " GPUs are in quarantine, %" PRIu64 " hosts cordoned\n",
			   audit_marks(report->log, "gpu"), audit_marks(report->log, "host"));
}

void audit_report_text(const struct audit_report *report, struct buf *out)
{
	size_t kept, all;
	const struct audit_violation *violations = audit_violations(report->log, &kept, &all);

	put_shards(report, out);
	put_counts(report, out);
	if (all == 0) {
		buf_puts(out, "clean\n");
		return;
	}
	buf_printf(out, "\nNOT CLEAN: %zu violations\n", all);
	for (size_t i = 0; i < kept; i++)
		buf_printf(out, "  %s  %s[%d]@%" PRId64 "  %s\n", violations[i].rule,
			   topic_short_name(violations[i].topic), violations[i].partition,
			   violations[i].offset, violations[i].text);
	if (kept < all)
		buf_printf(out, "  ... and %zu more\n", all - kept);
}
