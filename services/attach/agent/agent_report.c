/* What is news of an assignment, and telling it. */
#include <stdlib.h>
#include <string.h>

#include "attach/agent/agent_internal.h"
#include "attach/agent/status.h"
#include "base/index.h"
#include "base/memory.h"

/* The same thing in other words is told no more often than this. */
enum { REWORD_US = 60 * 1000 * 1000 };

static bool same(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

static uint64_t digest(const struct gpu_attachment *report)
{
	cleanup(buf_deinit) struct buf text = { 0 };
	for (size_t i = 0; i < report->n_gpus; i++)
		buf_printf(&text, "%s %s\n", report->gpus[i].state,
			   report->gpus[i].code ? report->gpus[i].code : "-");
	return index_hash(text.data, text.len, 0) | 1;
}

/* INT64_MIN: now; INT64_MAX: it is none. */
static int64_t news_at(const struct assignment *assignment, const struct gpu_attachment *report)
{
	const struct told *told = &assignment->told;
	if (!told->state) {
		/* Does the log have it? DETACHED and FAILED it only has by dropping the assignment. */
		bool known = same(assignment->logged.state, report->state) &&
			     same(assignment->logged.code, report->code);
		return known ? INT64_MAX : INT64_MIN;
	}
	if (!same(told->state, report->state) || !same(told->code, report->code) ||
	    told->gpus != digest(report))
		return INT64_MIN;
	return same(told->reason, report->reason) ? INT64_MAX : told->at_us + REWORD_US;
}

static void tell(struct agent *agent, struct assignment *assignment, struct gpu_attachment *report,
		 int64_t now_us)
{
	report->host = agent->options.host;
	report->pool_id = agent->options.pool_id;
	agent->io.report(agent->io.context, report);
	told_deinit(&assignment->told);
	assignment->told = (struct told){ .state = memory_strdup(report->state),
					  .code = memory_strdup(report->code),
					  .reason = memory_strdup(report->reason),
					  .gpus = digest(report),
					  .at_us = now_us };
}

void agent_report(struct agent *agent, int64_t now_us)
{
	for (size_t i = 0; i < agent->book.n; i++) {
		struct assignment *assignment = agent->book.assignments[i];
		struct gpu_attachment report;
		arena_reset(&agent->arena);
		if (status_of(assignment, &agent->arena, &report))
			continue;
		int64_t at = news_at(assignment, &report);
		if (at <= now_us)
			tell(agent, assignment, &report, now_us);
		else if (at < agent->wake_us)
			agent->wake_us = at;
	}
}
