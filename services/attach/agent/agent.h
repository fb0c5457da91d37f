/*
 * The mind of the attach agent, without IO: it is told what the log says and what steps have seen, and
 * asks for steps, reports and saves. Level-triggered: desired is what the log says of this host, actual is
 * what STEP_LOOK sees; it converges from wherever it finds itself. The same code runs in gpubus-attach and
 * in tests that crash it between any two calls.
 *
 * For each unit: look; if the memory says that it belongs to an assignment that has ended, failed or is
 * releasing: unplug, clean, give back; else bind, plug. See plan.h for the rules.
 *
 * Times are microseconds of a clock that the caller chooses; they come in with the calls. Not thread-safe.
 * Callbacks of agent_io must not call back into the agent.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "attach/step/step.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "model/record.h"

struct agent;

struct agent_options {
	const char *host;
	const char *pool_id;
	const char *
		boot_id; /* a device of an earlier boot is clean by power-up, and nothing is bound */
	bool has_hypervisor; /* false ("none"): BOUND is all there is to reach */
	int64_t look_every_us; /* units that wait, and those that are attached, are looked at this often */
	size_t max_steps; /* that run at the same time */
};

struct agent_io {
	void *context;
	/* Durable before it returns. Negative: -errno; the agent does nothing that needs it. */
	int (*save)(void *context, const char *text, size_t len);
	/* One step a unit at a time; agent_on_step_done(token) when it has ended. `step` is valid during
	 * the call. */
	void (*start_step)(void *context, uint64_t token, const struct step *step);
	/* The newest word about an assignment; one that is still on its way may be dropped for it. Must
	 * reach the topic, however long that takes. observed_at is filled in by the callee. */
	void (*report)(void *context, const struct gpu_attachment *report);
};

struct agent *agent_new(const struct agent_options *options, const struct agent_io *io);
void agent_free(struct agent *agent);
DEFINE_CLEANUP(struct agent *, agent_free);

/* What save() was given last time. Before anything else. Positive: not of this form, or of another host or
 * pool; `error` says what, and the agent starts as if it had never lived (which is survivable: it looks at
 * everything, and asks the kernel for drivers that it does not remember). */
int agent_load(struct agent *agent, const char *text, size_t len, struct buf *error) MUST_CHECK;
/* Where to go on reading decisions, and the epoch there; 0 and -1: from the beginning. */
void agent_position(const struct agent *agent, int64_t *ret_next, int64_t *ret_epoch);

/*
 * A record of decisions that counts (follow/follow.h), in the order of the log; NULL: one that concerns
 * nobody here (a marker, a void one), so that the position goes on. Records of other hosts change nothing.
 * `next` and `epoch`: the position behind it.
 */
void agent_on_decision(struct agent *agent, const struct record *record, int64_t next,
		       int64_t epoch);
/* The log is read to the end that it had at the start: from now on the agent acts. */
void agent_on_caught_up(struct agent *agent, int64_t now_us);

void agent_on_step_done(struct agent *agent, uint64_t token, const struct step_result *result,
			int64_t now_us);

/* Does what is due; call it after the calls above (once for many), and at agent_wake_at(). */
void agent_go_on(struct agent *agent, int64_t now_us);
/* When something is due that no call announces; INT64_MAX: nothing. */
int64_t agent_wake_at(const struct agent *agent);

/* A line for each assignment of this host, for logs and people: "vm-1 r-1/1 ATTACHED", ... */
void agent_describe(const struct agent *agent, struct buf *out);
/* No step runs and nothing is to be done but looking or asking again. */
bool agent_is_settled(const struct agent *agent);
