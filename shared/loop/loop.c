#include "loop/loop.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <uv.h>

#include "base/log.h"
#include "base/memory.h"

struct call {
	loop_fn fn;
	void *context;
};

struct calls {
	struct call *items; /* owned */
	size_t n;
	size_t size;
};

struct loop {
	uv_loop_t uv;
	uv_async_t wake;
	uv_signal_t signals[2];
	struct loop_timer *grace; /* owned; NULL: signals are not caught */
	int64_t grace_ms;
	struct calls on_shutdown;
	bool shutting_down;
	bool overdue;
	pthread_mutex_t lock; /* guards `deferred` */
	struct calls deferred;
};

struct work {
	uv_work_t uv;
	loop_fn work;
	loop_fn done;
	void *context;
};

static void calls_add(struct calls *calls, loop_fn fn, void *context)
{
	if (calls->n == calls->size) {
		calls->size = calls->size ? 2 * calls->size : 8;
		calls->items = memory_resize(calls->items, calls->size, sizeof(*calls->items));
	}
	calls->items[calls->n++] = (struct call){ fn, context };
}

static void calls_run(const struct calls *calls)
{
	for (size_t i = 0; i < calls->n; i++)
		calls->items[i].fn(calls->items[i].context);
}

/* What is deferred by the functions that run here waits for the next turn. */
static void on_wake(uv_async_t *wake)
{
	struct loop *loop = wake->data;
	struct calls calls;

	pthread_mutex_lock(&loop->lock);
	calls = loop->deferred;
	loop->deferred = (struct calls){ 0 };
	pthread_mutex_unlock(&loop->lock);
	calls_run(&calls);
	free(calls.items);
}

struct loop *loop_new(void)
{
	struct loop *loop = memory_zeroed(1, sizeof(*loop));

	if (uv_loop_init(&loop->uv) || uv_async_init(&loop->uv, &loop->wake, on_wake)) {
		/* No descriptor left for epoll: nothing can run in this process. */
		log_error("cannot create an event loop");
		abort();
	}
	loop->uv.data = loop;
	loop->wake.data = loop;
	pthread_mutex_init(&loop->lock, NULL);
	return loop;
}

static void close_forgotten(uv_handle_t *handle, void *unused)
{
	(void)unused;
	if (!uv_is_closing(handle))
		uv_close(handle, NULL);
}

void loop_free(struct loop *loop)
{
	if (!loop)
		return;
	loop_timer_free(loop->grace);
	uv_walk(&loop->uv, close_forgotten, NULL);
	/* Ends when the last close callback and the last work of the pool are done. */
	uv_run(&loop->uv, UV_RUN_DEFAULT);
	if (uv_loop_close(&loop->uv))
		log_warning("event loop closed with open handles");
	pthread_mutex_destroy(&loop->lock);
	free(loop->on_shutdown.items);
	free(loop->deferred.items);
	free(loop);
}

int loop_run(struct loop *loop)
{
	uv_run(&loop->uv, UV_RUN_DEFAULT);
	return loop->overdue ? LOOP_OVERDUE : 0;
}

void loop_stop(struct loop *loop)
{
	uv_stop(&loop->uv);
}

static void on_grace_over(void *context)
{
	struct loop *loop = context;

	log_warning("shutdown is not complete after %lld ms: stopping anyhow",
		    (long long)loop->grace_ms);
	loop->overdue = true;
	loop_stop(loop);
}

static void on_signal(uv_signal_t *handle, int number)
{
	struct loop *loop = handle->data;

	if (!loop->shutting_down) {
		log_info("signal %d: shutting down", number);
		loop_shutdown(loop);
		return;
	}
	log_warning("signal %d again: stopping at once", number);
	loop->overdue = true;
	loop_stop(loop);
}

void loop_catch_signals(struct loop *loop, int64_t grace_ms)
{
	static const int numbers[] = { SIGTERM, SIGINT };

	signal(SIGPIPE, SIG_IGN);
	loop->grace_ms = grace_ms;
	loop->grace = loop_timer_new(loop, on_grace_over, loop);
	for (size_t i = 0; i < 2; i++) {
		uv_signal_init(&loop->uv, &loop->signals[i]);
		loop->signals[i].data = loop;
		uv_signal_start(&loop->signals[i], on_signal, numbers[i]);
	}
}

void loop_on_shutdown(struct loop *loop, loop_fn fn, void *context)
{
	calls_add(&loop->on_shutdown, fn, context);
}

void loop_shutdown(struct loop *loop)
{
	if (loop->shutting_down)
		return;
	loop->shutting_down = true;
	if (loop->grace)
		loop_timer_start(loop->grace, loop->grace_ms, 0);
	calls_run(&loop->on_shutdown);
}

void loop_defer(struct loop *loop, loop_fn fn, void *context)
{
	pthread_mutex_lock(&loop->lock);
	calls_add(&loop->deferred, fn, context);
	pthread_mutex_unlock(&loop->lock);
	uv_async_send(&loop->wake);
}

static void on_work(uv_work_t *uv)
{
	struct work *work = uv->data;

	work->work(work->context);
}

static void on_work_done(uv_work_t *uv, int status)
{
	struct work *work = uv->data;

	(void)status;
	work->done(work->context);
	free(work);
}

void loop_work(struct loop *loop, loop_fn fn, loop_fn done, void *context)
{
	struct work *work = memory_zeroed(1, sizeof(*work));

	work->uv.data = work;
	work->work = fn;
	work->done = done;
	work->context = context;
	uv_queue_work(&loop->uv, &work->uv, on_work, on_work_done);
}

struct uv_loop_s *loop_uv(struct loop *loop)
{
	return &loop->uv;
}
