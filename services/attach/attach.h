/*
 * The attach service round its mind (agent/agent.h): decisions go in, steps and reports come out, what it
 * must not forget goes to the disk. Loop thread only.
 *
 * The agent acts once it has read the decisions to the end that they had at the start. A log that is broken
 * holds it: no step is begun any more until a person has looked at it (health says why); steps that run
 * end, and VMs keep their devices. While Kafka is away it goes on with what it knows.
 */
#pragma once

#include "attach/options.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "loop/loop.h"

struct attach;

/* `options` is borrowed. Positive: it cannot start, the reason was logged. Negative: -errno. */
int attach_new(struct loop *loop, const struct attach_options *options, int32_t n_partitions,
	       struct attach **ret_attach) MUST_CHECK;
void attach_free(struct attach *attach);
DEFINE_CLEANUP(struct attach *, attach_free);

/* For loop_on_shutdown(): stops the loop when the running steps have ended, or had their time, and their
 * reports have arrived. Nothing is detached. */
void attach_shut_down(void *attach);
