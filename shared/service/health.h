/*
 * Whether a service is ready, and if not, what it waits for: plain values, logged on change. Not
 * thread-safe: only on the loop.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/error.h"

struct health;

struct health *health_new(void);
void health_free(struct health *health);

/* `part` ("redis", "shard 3") is not ready, and why. Logged when the reason is new. */
void health_wait(struct health *health, const char *part, const char *reason, ...)
	PRINTF_LIKE(3, 4);
void health_ready(struct health *health, const char *part);
/* The part is gone: it counts no more. */
void health_forget(struct health *health, const char *part);

/* Every part is ready. */
bool health_is_ready(const struct health *health);
/* What it waits for: "redis: connection refused; shard 3: reading decisions", or "". */
void health_describe(const struct health *health, struct buf *out);
