/*
 * One process of gpubus-attach-step: gets its input, is listened to until it ends, and is never waited for.
 * Loop thread only.
 *
 * It has standard input and output, and the agent's standard error: what it says there stands in the log.
 * It leads a session of its own, so that a signal from the terminal does not reach it and that a kill
 * reaches what it has started.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "loop/loop.h"

struct step_process;

struct step_process_end {
	int status; /* of exit(); 0 when `signal` is not */
	int signal;
	const char *output; /* NUL-terminated; valid during the call */
	size_t len;
	bool too_much; /* it wrote more than LIMIT_STEP_RESULT_BYTES, and was killed for it */
};

/* It has ended, and the process is freed behind this call. Once, never from inside a call of this header. */
typedef void (*step_process_fn)(void *context, const struct step_process_end *end);

/* `argv` as for execve(), `input` is copied. Negative: -errno, there is no process and will be no call. */
int step_process_start(struct loop *loop, char *const *argv, const char *input, size_t len,
		       step_process_fn on_end, void *context,
		       struct step_process **ret_process) MUST_CHECK;
pid_t step_process_pid(const struct step_process *process);
/* SIGKILL. One that is in the hands of the kernel ("D" state) ends when the kernel lets go of it. */
void step_process_kill(struct step_process *process);
/* Kills it and forgets it: there will be no call. For the end of the program. Accepts NULL. */
void step_process_free(struct step_process *process);
