/*
 * Inside the bus only: the librdkafka client behind each of the bus's objects, made from the common
 * configuration, and its queue on the loop. No header that others include may include this one.
 */
#pragma once

#include <librdkafka/rdkafka.h>
#include <stdatomic.h>
#include <stddef.h>

#include "base/error.h"
#include "bus/config.h"
#include "loop/loop.h"
#include "model/topics.h"

struct kafka_property {
	const char *name;
	const char *value;
};

/* A client; the opaque pointer of its librdkafka instance. Logging may use it from any thread, so it
 * lives until the instance is destroyed. */
struct kafka_client {
	rd_kafka_t *rk;
	const char *role;   /* "producer": static text */
	void *owner;	    /* the bus object that made it */
	atomic_bool ending; /* what librdkafka says about it now is of no interest */
	atomic_llong log_until_us;
	atomic_llong log_suppressed;
};

/* The settings of one client: our defaults, `own` over them, and over both what people set, which is
 * nothing that a guarantee rests on: bus_config_set() refuses that. */
rd_kafka_conf_t *kafka_conf_new(const struct bus_config *config, const struct kafka_property *own,
				size_t n);
/* Consumes `conf`. Positive: librdkafka refuses the settings, the reason was logged. */
int kafka_client_new(rd_kafka_type_t type, const char *role, rd_kafka_conf_t *conf, void *owner,
		     struct kafka_client **ret_client) MUST_CHECK;
/* Ends the client in a thread of its own: librdkafka waits for its threads there. */
void kafka_client_free(struct kafka_client *client);

/* A queue of librdkafka that calls `fn` on the loop when something stands in it. */
struct kafka_wakeup;

/* Keeps `queue` until it is freed. */
struct kafka_wakeup *kafka_wakeup_new(struct loop *loop, rd_kafka_queue_t *queue, loop_fn fn,
				      void *context);
/* Calls `fn` in the next turn of the loop, whatever stands in the queue. */
void kafka_wakeup_poke(struct kafka_wakeup *wakeup);
/* Also gives the queue back. */
void kafka_wakeup_free(struct kafka_wakeup *wakeup);
