/* What the agent knows, for people. */
#include <string.h>

#include "attach/agent/agent_internal.h"
#include "attach/agent/status.h"

static void describe_assignment(struct agent *agent, const struct assignment *assignment,
				struct buf *out)
{
	static const char *const meanwhile[] = {
		[ASSIGNMENT_WANTED] = "attaching",
		[ASSIGNMENT_RELEASING] = "releasing",
		[ASSIGNMENT_ENDED] = "ended, its GPUs are not free of it yet",
	};
	struct gpu_attachment report;
	arena_reset(&agent->arena);
	buf_printf(out, "%s %s ", assignment->vm_id, assignment->id);
	if (agent->caught_up && status_of(assignment, &agent->arena, &report) == 0) {
		buf_puts(out, report.state);
		if (report.code)
			buf_printf(out, " %s: %s", report.code, report.reason);
	} else {
		buf_puts(out, assignment->failed ? "failing" : meanwhile[assignment->state]);
		if (assignment->failed)
			buf_printf(out, " %s: %s", attach_code_name(assignment->trouble.code),
				   assignment->trouble.reason);
	}
	buf_putc(out, '\n');
}

static void describe_claim(const struct claim *claim, struct buf *out)
{
	const struct trouble *why = claim->mark ? &claim->trouble : &claim->wait;
	if (!claim->mark && !claim->waits)
		return;
	buf_printf(out, "  %s %s: %s\n", claim->gpu_id, attach_code_name(why->code), why->reason);
}

void agent_describe(const struct agent *agent, struct buf *out)
{
	struct agent *scratch = (struct agent *)agent; /* only its arena is written to */
	if (agent->save_error)
		buf_printf(out, "nothing is touched: the state cannot be saved: %s\n",
			   strerror(agent->save_error));
	if (!agent->caught_up)
		buf_puts(out, "the log is not read to its end yet: nothing is done\n");
	for (size_t i = 0; i < agent->book.n; i++) {
		const struct assignment *assignment = agent->book.assignments[i];
		describe_assignment(scratch, assignment, out);
		for (size_t k = 0; k < assignment->n_claims; k++)
			describe_claim(&assignment->claims[k], out);
	}
}
