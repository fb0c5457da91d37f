/* What agent.c and its parts share. */
#pragma once

#include "attach/agent/agent.h"
#include "attach/agent/book.h"
#include "base/arena.h"

struct running_step {
	uint64_t token;
	struct claim *claim; /* is not swept while it runs */
	enum step_verb verb;
};

struct agent {
	struct agent_options options; /* its strings are owned */
	struct agent_io io;
	struct book book;
	struct arena arena; /* of one call */
	int64_t next;	    /* position in decisions */
	int64_t epoch;

	bool blank; /* nothing was loaded, and the log is not read yet */
	bool rebooted;
	bool caught_up;

	bool relink;  /* claims came, went or changed hands */
	bool unsaved; /* the memory has changed: nothing is touched or told before it is saved */
	size_t moved; /* records since the position was saved */
	int64_t moved_since_us; /* INT64_MAX: not seen by agent_go_on yet */
	int save_error;		/* errno of the last attempt; 0: it worked */
	int64_t save_retry_us;

	struct claim **claims; /* all of them, in order; owned */
	size_t n_claims;
	size_t turn;		      /* the claim that is served first, so that none starves */
	struct running_step *running; /* options.max_steps of them; owned */
	size_t n_running;
	uint64_t next_token;
	int64_t wake_us;
	bool settled;
};

/* Tells what is news; lowers agent->wake_us when something becomes news later. */
void agent_report(struct agent *agent, int64_t now_us);
