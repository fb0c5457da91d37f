#include "store/redis_uv.h"

#include <errno.h>
#include <stdlib.h>
#include <hiredis/async.h>
#include <sys/socket.h>
#include <uv.h>

#include "base/memory.h"
#include "loop/loop.h"

/* Owned by itself: freed when the poll handle is closed, which is after hiredis has closed the socket. */
struct redis_uv {
	uv_poll_t poll;
	redisAsyncContext *context; /* NULL once hiredis has let go of us */
	int events;
	void (*on_error)(void *user, int error);
	void *user;
};

static void on_closed(uv_handle_t *handle)
{
	free(handle->data);
}

static int socket_error(const struct redis_uv *adapter)
{
	int error = 0;
	socklen_t len = sizeof(error);
	if (getsockopt(adapter->context->c.fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
		return errno;
	return error ? error : EIO;
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
	struct redis_uv *adapter = poll->data;
	if (status < 0) {
		/* libuv has stopped polling, so hiredis would wait for ever. */
		adapter->on_error(adapter->user, socket_error(adapter));
		return;
	}
	if (adapter->context && (events & UV_READABLE))
		redisAsyncHandleRead(adapter->context);
	/* Reading may have ended the context and with it set ours to NULL. */
	if (adapter->context && (events & UV_WRITABLE))
		redisAsyncHandleWrite(adapter->context);
}

static void want(struct redis_uv *adapter, int events)
{
	if (!adapter->context || adapter->events == events)
		return;
	adapter->events = events;
	/* These fail only when another handle polls the same descriptor, and ours is only here. */
	if (events)
		(void)uv_poll_start(&adapter->poll, events, on_poll);
	else
		(void)uv_poll_stop(&adapter->poll);
}

static void add_read(void *privdata)
{
	struct redis_uv *adapter = privdata;
	want(adapter, adapter->events | UV_READABLE);
}

static void del_read(void *privdata)
{
	struct redis_uv *adapter = privdata;
	want(adapter, adapter->events & ~UV_READABLE);
}

static void add_write(void *privdata)
{
	struct redis_uv *adapter = privdata;
	want(adapter, adapter->events | UV_WRITABLE);
}

static void del_write(void *privdata)
{
	struct redis_uv *adapter = privdata;
	want(adapter, adapter->events & ~UV_WRITABLE);
}

static void let_go(void *privdata)
{
	struct redis_uv *adapter = privdata;
	adapter->context = NULL;
	uv_close((uv_handle_t *)&adapter->poll, on_closed);
}

int redis_uv_attach(redisAsyncContext *context, struct loop *loop,
		    void (*on_error)(void *user, int error), void *user)
{
	struct redis_uv *adapter = memory_zeroed(1, sizeof(*adapter));
	*adapter = (struct redis_uv){ .context = context, .on_error = on_error, .user = user };
	int error = uv_poll_init(loop_uv(loop), &adapter->poll, context->c.fd);
	if (error) {
		free(adapter);
		return error;
	}
	adapter->poll.data = adapter;
	context->ev.data = adapter;
	context->ev.addRead = add_read;
	context->ev.delRead = del_read;
	context->ev.addWrite = add_write;
	context->ev.delWrite = del_write;
	context->ev.cleanup = let_go;
	return 0;
}
