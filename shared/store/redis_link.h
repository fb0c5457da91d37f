/*
 * One connection to Redis that comes back by itself: resolves, connects, authenticates, and does it
 * again after an exponential, jittered back-off when the connection is lost, refused or silent. Never
 * blocks the loop. On the loop's thread. redis_link_free() gives every pending command its NULL, and after
 * it no callback comes; it must not be called from a callback.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/error.h"

struct loop;
struct redis_link;
struct redis_url;
struct redisReply;

struct redis_link_config {
	uint32_t connect_timeout_ms; /* from the look-up of the name to the last answer of AUTH */
	uint32_t command_timeout_ms; /* an answer this late means that the connection is dead */
	uint32_t backoff_max_ms;     /* the first wait is 1/64 of it */
};

struct redis_link_callbacks {
	void *context;
	/* Connected and authenticated. */
	void (*on_up)(void *context);
	/* After every pending command got its NULL. Also after each failed attempt to connect. */
	void (*on_down)(void *context, const char *reason);
};

/* `reply` is valid during the call; NULL: the connection was lost, and whether the command was carried
 * out is not known. Errors of Redis arrive as replies of type error. */
typedef void (*redis_reply_fn)(void *context, const struct redisReply *reply);

/* Takes the URL. Positive: TLS is asked for but not built in, or its files cannot be used; `ret_error`
 * (heap, the caller's) says which. The first attempt starts with the loop. */
int redis_link_new(struct loop *loop, struct redis_url *url, const struct redis_link_config *config,
		   const struct redis_link_callbacks *callbacks, struct redis_link **ret_link,
		   char **ret_error) MUST_CHECK;
void redis_link_free(struct redis_link *link);
DEFINE_CLEANUP(struct redis_link *, redis_link_free);

/* The owner finds the connection usable: it is logged, and so will be its loss. Without it a server that
 * accepts us again and again, only to be dropped for the same reason, is logged once. */
void redis_link_settled(struct redis_link *link);
bool redis_link_is_up(const struct redis_link *link);
/* Only while up. `command` is in the wire format (see redis_command.h) and is copied. */
void redis_link_send(struct redis_link *link, const char *command, size_t len, redis_reply_fn fn,
		     void *context);
/* Drops the connection as if it had been lost; the next attempt comes after the back-off. */
void redis_link_drop(struct redis_link *link, const char *reason);

/* "up: URL" or "down since TIME: URL: REASON"; valid until the next call. */
const char *redis_link_status(struct redis_link *link);
uint64_t redis_link_connects(const struct redis_link *link);
uint64_t redis_link_failed_connects(const struct redis_link *link);
