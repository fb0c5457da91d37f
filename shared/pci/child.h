/*
 * The reader process from outside: started, listened to until a deadline, ended. Not thread-safe for one
 * child; children are independent of each other.
 */
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "pci/frame.h"

struct child {
	pid_t pid;
	int fd; /* the pipe's end; -1: none */
};

/* `argv` ends with NULL. Negative: -errno. */
int child_start(const char *path, char *const *argv, struct child *ret_child) MUST_CHECK;

enum child_outcome {
	CHILD_ENDED = 1, /* no frame follows: it ended, or crashed; see child_end() */
	CHILD_TIMEOUT,
	CHILD_GARBAGE /* it sent what is no frame */
};

/* The next frame, checked. `deadline_ms` on child_clock_ms(). */
int child_receive(struct child *child, int64_t deadline_ms, struct frame *ret_frame) MUST_CHECK;

/* Ends it, whatever it does, after `grace_ms` for ending by itself, and without waiting for one that the
 * kernel does not let go. Returns the signal that it had died of by itself, or 0. */
int child_end(struct child *child, int64_t grace_ms);

int64_t child_clock_ms(void);
