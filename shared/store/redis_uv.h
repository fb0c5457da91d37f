/*
 * hiredis' asynchronous context on the loop. Unlike the adapter that comes with hiredis it does not
 * lose poll errors: they are told through on_error (at most once), and the owner drops the context.
 */
#pragma once

#include "base/error.h"

struct redisAsyncContext;
struct loop;

/* Negative: the loop cannot watch this socket. `error` is an errno. Not called any more once the context is freed (redisAsyncFree). */
int redis_uv_attach(struct redisAsyncContext *context, struct loop *loop,
		    void (*on_error)(void *user, int error), void *user) MUST_CHECK;
