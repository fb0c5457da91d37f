/*
 * The event loop of a service: a thin layer over libuv. Everything here is called on the loop's thread,
 * except loop_defer(). Handles are freed in their last close callback, so a free function may be called
 * at any time, also from inside the handle's own callback; no callback comes after it.
 *
 * Shutdown: the first SIGTERM or SIGINT (or loop_shutdown()) calls the shutdown callbacks in the order
 * in which they were added. They start what has to end in order; whoever finishes it calls loop_stop().
 * If nobody does so within the grace period, or a second signal comes, the loop stops anyhow.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/error.h"

struct loop;
struct loop_timer;
struct uv_loop_s;

typedef void (*loop_fn)(void *context);

struct loop *loop_new(void);
/* Closes what is still open, waits for work in the thread pool, and frees. Not from a callback. */
void loop_free(struct loop *loop);
DEFINE_CLEANUP(struct loop *, loop_free);
/* Runs until loop_stop(). Positive LOOP_OVERDUE: stopped by the end of the grace period or a second
 * signal, with something unfinished. */
enum { LOOP_OVERDUE = 1 };
int loop_run(struct loop *loop) MUST_CHECK;
void loop_stop(struct loop *loop);

/* Takes SIGTERM and SIGINT, ignores SIGPIPE. Only in main(). */
void loop_catch_signals(struct loop *loop, int64_t grace_ms);
void loop_on_shutdown(struct loop *loop, loop_fn fn, void *context);
/* As if a signal had come. Further calls do nothing. */
void loop_shutdown(struct loop *loop);

/* Calls `fn` on the loop's thread, soon, never from inside this call, in the order of the calls.
 * From any thread, as long as the loop exists. What is pending at loop_free() is dropped. */
void loop_defer(struct loop *loop, loop_fn fn, void *context);
/* Runs `work` in a thread of the pool, then `done` on the loop. The loop is not freed before `done`. */
void loop_work(struct loop *loop, loop_fn work, loop_fn done, void *context);

struct loop_timer *loop_timer_new(struct loop *loop, loop_fn fn, void *context);
void loop_timer_free(struct loop_timer *timer);
DEFINE_CLEANUP(struct loop_timer *, loop_timer_free);
/* The same, and then, with no callback on the stack any more, fn(context): the place to free the object
 * around the timer. */
void loop_timer_free_then(struct loop_timer *timer, loop_fn fn, void *context);
/* First after `delay_ms`, then every `repeat_ms` (0: once). Starting again replaces the old setting. */
void loop_timer_start(struct loop_timer *timer, int64_t delay_ms, int64_t repeat_ms);
void loop_timer_stop(struct loop_timer *timer);
bool loop_timer_is_active(const struct loop_timer *timer);

/* For the layers above that bring handles of their own (bus, store, inventory). */
struct uv_loop_s *loop_uv(struct loop *loop);
