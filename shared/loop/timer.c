#include "loop/loop.h"

#include <stdlib.h>
#include <uv.h>

#include "base/memory.h"

struct loop_timer {
	uv_timer_t uv;
	loop_fn fn;
	void *context; /* the owner's */
	bool closing;  /* fn is what comes after the end */
};

static void on_timer(uv_timer_t *uv)
{
	struct loop_timer *timer = uv->data;

	timer->fn(timer->context);
}

static void on_closed(uv_handle_t *handle)
{
	struct loop_timer *timer = handle->data;

	if (timer->closing)
		timer->fn(timer->context);
	free(timer);
}

struct loop_timer *loop_timer_new(struct loop *loop, loop_fn fn, void *context)
{
	struct loop_timer *timer = memory_zeroed(1, sizeof(*timer));

	uv_timer_init(loop_uv(loop), &timer->uv);
	timer->uv.data = timer;
	timer->fn = fn;
	timer->context = context;
	return timer;
}

void loop_timer_free(struct loop_timer *timer)
{
	if (timer)
		uv_close((uv_handle_t *)&timer->uv, on_closed);
}

void loop_timer_free_then(struct loop_timer *timer, loop_fn fn, void *context)
{
	timer->fn = fn;
	timer->context = context;
	timer->closing = true;
	uv_close((uv_handle_t *)&timer->uv, on_closed);
}

void loop_timer_start(struct loop_timer *timer, int64_t delay_ms, int64_t repeat_ms)
{
	/* libuv counts from the time it read at the start of this turn, which may be long ago. */
	uv_update_time(timer->uv.loop);
	uv_timer_start(&timer->uv, on_timer, (uint64_t)(delay_ms > 0 ? delay_ms : 0),
		       (uint64_t)(repeat_ms > 0 ? repeat_ms : 0));
}

void loop_timer_stop(struct loop_timer *timer)
{
	uv_timer_stop(&timer->uv);
}

bool loop_timer_is_active(const struct loop_timer *timer)
{
	return uv_is_active((const uv_handle_t *)&timer->uv);
}
