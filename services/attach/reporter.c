#include "attach/reporter.h"

#include <stdlib.h>
#include <string.h>

#include "attach/crash_points.h"
#include "base/log.h"
#include "base/memory.h"
#include "codec/event_id.h"
#include "loop/clock.h"
#include "model/partition.h"

/* What was said last about one assignment, until it is delivered. */
struct word {
	struct word *next;
	char *assignment_id; /* owned */
	struct announcement announcement;
};

struct reporter {
	struct codec *codec;	     /* borrowed */
	struct publisher *publisher; /* owned */
	const char *host;	     /* borrowed */
	char *pool_id;		     /* owned */
	int32_t partition;
	struct word *first; /* owned, also each */
	loop_fn on_idle;
	void *context; /* the owner's */
};

static void word_free(struct word *word)
{
	announcement_deinit(&word->announcement);
	free(word->assignment_id);
	free(word);
}

static void forget_delivered(struct reporter *reporter)
{
	struct word **link = &reporter->first;
	while (*link) {
		struct word *word = *link;
		if (announcement_is_quiet(&word->announcement)) {
			*link = word->next;
			word_free(word);
		} else {
			link = &word->next;
		}
	}
}

static struct word *find_or_add(struct reporter *reporter, const char *assignment_id)
{
	for (struct word *word = reporter->first; word; word = word->next)
		if (strcmp(word->assignment_id, assignment_id) == 0)
			return word;
	struct word *word = memory_zeroed(1, sizeof(*word));
	word->assignment_id = memory_strdup(assignment_id);
	word->announcement = (struct announcement){
		.topic = TOPIC_ATTACHMENTS,
		.partition = reporter->partition,
		.key = memory_strdup(reporter->pool_id),
		.event_type = record_event_type(RECORD_GPU_ATTACHMENT),
		.host = reporter->host,
	};
	word->next = reporter->first;
	return reporter->first = word;
}

/* A reason is somebody else's words. One that cannot be written must not keep back what has happened. */
static int encode(struct reporter *reporter, struct record *record, struct arena *arena,
		  struct buf *out)
{
	if (codec_encode(reporter->codec, record, out) == 0)
		return 0;
	struct gpu_attachment *report = &record->gpu_attachment;
	log_warning("the reasons of the report about %s are left out: %s", report->assignment_id,
		    codec_error(reporter->codec));
	struct attached_gpu *gpus = arena_array(arena, report->n_gpus, sizeof(*gpus));
	for (size_t i = 0; i < report->n_gpus; i++) {
		gpus[i] = report->gpus[i];
		gpus[i].reason = NULL;
	}
	report->gpus = gpus;
	report->reason = NULL;
	return codec_encode(reporter->codec, record, out);
}

void reporter_report(struct reporter *reporter, const struct gpu_attachment *report)
{
	crash_point("agent-report-unsent");
	cleanup(arena_deinit) struct arena arena;
	arena_init(&arena);
	cleanup(buf_deinit) struct buf value = { 0 };
	struct record record = { .type = RECORD_GPU_ATTACHMENT, .gpu_attachment = *report };
	record.gpu_attachment.observed_at = clock_wall_us();
	if (encode(reporter, &record, &arena, &value)) {
		log_error("the report about %s cannot be written: %s", report->assignment_id,
			  codec_error(reporter->codec));
		return;
	}
	forget_delivered(reporter);
	struct announcement *announcement =
		&find_or_add(reporter, report->assignment_id)->announcement;
	buf_clear(&announcement->value);
	buf_append(&announcement->value, value.data, value.len);
	free(announcement->event_id);
	announcement->event_id = memory_strdup(record_event_id(&record, &arena));
	announcement->time_us = record.gpu_attachment.observed_at;
	publisher_announce(reporter->publisher, announcement);
}

bool reporter_is_idle(const struct reporter *reporter)
{
	return publisher_is_idle(reporter->publisher);
}

static void on_published(void *context)
{
	struct reporter *reporter = context;
	crash_point("agent-report-delivered");
	forget_delivered(reporter);
	reporter->on_idle(reporter->context);
}

int reporter_new(struct loop *loop, const struct reporter_options *options, struct codec *codec,
		 loop_fn on_idle, void *context, struct reporter **ret_reporter)
{
	cleanup(reporter_freep) struct reporter *reporter = memory_zeroed(1, sizeof(*reporter));
	reporter->codec = codec;
	reporter->host = options->host;
	reporter->pool_id = memory_strdup(options->pool_id);
	reporter->partition = partition_of_pool(options->pool_id, options->n_partitions);
	reporter->on_idle = on_idle;
	reporter->context = context;
	int r = publisher_new(loop, options->bus, "attach", on_published, reporter,
			      &reporter->publisher);
	if (r)
		return r;
	*ret_reporter = steal(&reporter);
	return 0;
}

void reporter_free(struct reporter *reporter)
{
	if (!reporter)
		return;
	/* First the publisher: it reports what is in flight to the words. */
	publisher_free(reporter->publisher);
	while (reporter->first) {
		struct word *word = reporter->first;
		reporter->first = word->next;
		word_free(word);
	}
	free(reporter->pool_id);
	free(reporter);
}
