#include "store/redis_link.h"

#include <errno.h>
#include <hiredis/async.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <uv.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/memory.h"
#include "loop/clock.h"
#include "loop/loop.h"
#include "store/redis_command.h"
#include "store/redis_tls.h"
#include "store/redis_url.h"
#include "store/redis_uv.h"

/*
 * WAITING --timer--> RESOLVING --> CONNECTING --> GREETING (AUTH, SELECT) --> UP
 *    ^                   |             |              |                       |
 *    +-------------------+-------------+--------------+-----------------------+   link_lost()
 *
 * `timer` is the back-off in WAITING, the connect deadline in the next three states, and in UP looks
 * for commands that wait too long. hiredis frees its context itself when it loses the connection, so
 * there are two ways down: hiredis tells us (context_is_gone()), or we tell hiredis (redis_link_drop()).
 */
enum link_state { WAITING, RESOLVING, CONNECTING, GREETING, UP };

/* A command without its answer. hiredis holds one reference until it calls back, which it always does,
 * the link's list the other. */
struct pending {
	int refs;
	struct pending *next;
	struct redis_link *link; /* NULL: nobody listens any more */
	redis_reply_fn fn;
	void *context;
	int64_t sent_us;
};

/* Outlives the link if that is freed while the name is being looked up. */
struct lookup {
	uv_getaddrinfo_t request;
	struct redis_link *link;
};

struct redis_link {
	struct loop *loop;
	struct redis_url *url;
	struct redis_tls *tls;
	struct redis_link_config config;
	struct redis_link_callbacks callbacks;
	enum link_state state;
	struct loop_timer *timer;
	struct lookup *lookup;
	redisAsyncContext *context; /* hiredis'; NULL when it is not or no longer ours */
	struct pending *first, **last;
	uint32_t failures; /* in a row */
	uint32_t attempts; /* which of the host's addresses comes next */
	uint64_t connects, failed_connects;
	int64_t up_since_us;   /* monotonic */
	int64_t down_since_us; /* wall clock */
	unsigned seed;
	char *reason; /* of the latest loss; NULL before the first attempt has ended */
	bool settled; /* redis_link_settled() was called: the next loss is news */
	struct buf status;
};

static void on_timer(void *context);

static void release(struct pending *pending)
{
	if (--pending->refs == 0)
		free(pending);
}

/* ---- going down ----------------------------------------------------------------------------- */

static int64_t backoff_ms(struct redis_link *link)
{
	uint64_t delay = link->config.backoff_max_ms;
	if (link->failures < 6)
		delay >>= 6 - link->failures;
	/* Half of it is jitter, so that many owners do not come back to one Redis at once. */
	return (int64_t)(delay / 2 + (uint64_t)rand_r(&link->seed) % (delay / 2 + 1)) + 1;
}

/* Everything is put in order before the first callback. */
static void link_lost(struct redis_link *link, const char *reason)
{
	if (link->state == UP) {
		link->down_since_us = clock_wall_us();
		/* A connection that did not hold is a failed attempt: do not hammer. */
		if (clock_monotonic_us() - link->up_since_us >
		    (int64_t)link->config.backoff_max_ms * 1000)
			link->failures = 0;
	} else {
		link->failed_connects++;
	}
	bool told_before = !link->settled && link->reason && strcmp(link->reason, reason) == 0;
	if (!told_before) {
		char *kept = memory_strdup(reason);
		free(link->reason);
		link->reason = kept;
		log_warning("redis is down url=%s reason=\"%s\"", link->url->shown, reason);
	}
	link->settled = false;
	loop_timer_start(link->timer, backoff_ms(link), 0);
	link->failures++;
	link->state = WAITING;
	if (link->lookup) {
		link->lookup->link = NULL;
		uv_cancel((uv_req_t *)&link->lookup->request);
		link->lookup = NULL;
	}

	struct pending *orphans = link->first;
	link->first = NULL;
	link->last = &link->first;
	for (struct pending *orphan = orphans; orphan; orphan = orphan->next)
		orphan->link = NULL;
	redisAsyncContext *context = steal(&link->context);

	if (context)
		redisAsyncFree(context);
	for (struct pending *orphan = orphans, *next; orphan; orphan = next) {
		next = orphan->next;
		orphan->fn(orphan->context, NULL);
		release(orphan);
	}
	if (link->callbacks.on_down)
		link->callbacks.on_down(link->callbacks.context, link->reason);
}

/* hiredis is freeing the context: it must not be freed again, and no command may be sent. */
static void context_is_gone(struct redis_link *link)
{
	char reason[sizeof(link->context->c.errstr)];
	memcpy(reason, link->context->c.errstr, sizeof(reason));
	link->context = NULL;
	link_lost(link, *reason ? reason : "the connection was closed");
}

void redis_link_drop(struct redis_link *link, const char *reason)
{
	if (link->state != WAITING)
		link_lost(link, reason);
}

static void on_poll_error(void *user, int error)
{
	redis_link_drop(user, strerror(error));
}

/* ---- commands ------------------------------------------------------------------------------- */

static void on_reply(redisAsyncContext *context, void *reply, void *privdata)
{
	struct pending *pending = privdata;
	struct redis_link *link = pending->link;
	(void)context;
	if (link && !reply) {
		context_is_gone(link);
	} else if (link) {
		link->first = pending->next;
		if (!link->first)
			link->last = &link->first;
		pending->link = NULL;
		pending->refs--; /* the list's */
		pending->fn(pending->context, reply);
	}
	release(pending);
}

static void send_command(struct redis_link *link, const char *command, size_t len,
			 redis_reply_fn fn, void *context)
{
	struct pending *pending = memory_alloc(sizeof(*pending));
	*pending = (struct pending){ .refs = 2,
				     .link = link,
				     .fn = fn,
				     .context = context,
				     .sent_us = clock_monotonic_us() };
	*link->last = pending;
	link->last = &pending->next;
	/* Refused only for a context that is being freed, and such a one is not ours any more. */
	if (redisAsyncFormattedCommand(link->context, on_reply, pending, command, len) != REDIS_OK)
		memory_exhausted();
}

void redis_link_send(struct redis_link *link, const char *command, size_t len, redis_reply_fn fn,
		     void *context)
{
	send_command(link, command, len, fn, context);
}

/* ---- coming up ------------------------------------------------------------------------------ */

static void is_up(struct redis_link *link)
{
	link->state = UP;
	link->up_since_us = clock_monotonic_us();
	link->connects++;
	int64_t look_ms = link->config.command_timeout_ms / 4 + 1;
	loop_timer_start(link->timer, look_ms, look_ms);
	link->callbacks.on_up(link->callbacks.context);
}

/* Only the error's first word is told: servers exist that repeat a command they do not know. */
static bool refused(struct redis_link *link, const char *command, const redisReply *reply)
{
	if (reply && reply->type != REDIS_REPLY_ERROR)
		return false;
	if (reply) {
		char reason[128];
		snprintf(reason, sizeof(reason), "%s was refused: %.*s", command,
			 (int)strcspn(reply->str, " "), reply->str);
		redis_link_drop(link, reason);
	}
	return true;
}

static void on_selected(void *context, const redisReply *reply)
{
	struct redis_link *link = context;
	if (!refused(link, "SELECT", reply))
		is_up(link);
}

static void select_database(struct redis_link *link)
{
	if (link->url->db == 0) {
		is_up(link);
		return;
	}
	cleanup(buf_deinit) struct buf command = { 0 };
	redis_command_begin(&command, 2);
	redis_command_text(&command, "SELECT");
	redis_command_number(&command, link->url->db);
	send_command(link, command.data, command.len, on_selected, link);
}

static void on_authenticated(void *context, const redisReply *reply)
{
	struct redis_link *link = context;
	if (!refused(link, "AUTH", reply))
		select_database(link);
}

static void greet(struct redis_link *link)
{
	const struct redis_url *url = link->url;
	link->state = GREETING;
	if (!url->password) {
		select_database(link);
		return;
	}
	struct buf command = { 0 };
	if (url->user)
		redis_command_words(&command, "AUTH", url->user, url->password, NULL);
	else
		redis_command_words(&command, "AUTH", url->password, NULL);
	send_command(link, command.data, command.len, on_authenticated, link);
	explicit_bzero(command.data, command.len);
	buf_deinit(&command);
}

static void on_connect(const redisAsyncContext *context, int status)
{
	struct redis_link *link = context->data;
	if (link->context != context)
		return;
	if (status != REDIS_OK)
		context_is_gone(link);
	else
		greet(link);
}

/* Of a context without pending commands; with some, their callbacks have come before. */
static void on_disconnect(const redisAsyncContext *context, int status)
{
	struct redis_link *link = context->data;
	(void)status;
	if (link && link->context == context)
		context_is_gone(link);
}

static void use_context(struct redis_link *link, redisAsyncContext *context)
{
	if (!context)
		memory_exhausted();
	char reason[sizeof(context->c.errstr)] = "";
	int error = 0;
	if (context->err || redis_tls_start(link->tls, &context->c))
		memcpy(reason, context->c.errstr, sizeof(reason));
	else if ((error = redis_uv_attach(context, link->loop, on_poll_error, link)) < 0)
		snprintf(reason, sizeof(reason), "%s", uv_strerror(error));
	else {
		link->state = CONNECTING;
		link->context = context;
		context->data = link;
		redisAsyncSetDisconnectCallback(context, on_disconnect);
		redisAsyncSetConnectCallback(context, on_connect);
		return;
	}
	redisAsyncFree(context);
	link_lost(link, *reason ? reason : "no connection could be started");
}

static void on_looked_up(uv_getaddrinfo_t *request, int status, struct addrinfo *found)
{
	struct lookup *lookup = request->data;
	struct redis_link *link = lookup->link;
	char address[INET6_ADDRSTRLEN] = "";

	if (link) {
		link->lookup = NULL;
		uint32_t n = 0;
		for (struct addrinfo *it = found; it; it = it->ai_next)
			n++;
		struct addrinfo *chosen = found;
		for (uint32_t i = n ? link->attempts++ % n : 0; i; i--)
			chosen = chosen->ai_next;
		if (chosen)
			uv_ip_name(chosen->ai_addr, address, sizeof(address));
	}
	uv_freeaddrinfo(found);
	free(lookup);
	if (!link)
		return;
	if (status < 0 || !*address)
		link_lost(link, status < 0 ? uv_strerror(status) : "the host has no address");
	else
		use_context(link, redisAsyncConnect(address, link->url->port));
}

static void start(struct redis_link *link)
{
	loop_timer_start(link->timer, link->config.connect_timeout_ms, 0);
	if (link->url->path) {
		use_context(link, redisAsyncConnectUnix(link->url->path));
		return;
	}
	/* hiredis would look the name up on the loop's thread. */
	struct lookup *lookup = memory_zeroed(1, sizeof(*lookup));
	struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM };
	lookup->link = link;
	lookup->request.data = lookup;
	link->state = RESOLVING;
	int error = uv_getaddrinfo(loop_uv(link->loop), &lookup->request, on_looked_up,
				   link->url->host, NULL, &hints);
	if (error) {
		free(lookup);
		link_lost(link, uv_strerror(error));
		return;
	}
	link->lookup = lookup;
}

static void on_timer(void *context)
{
	struct redis_link *link = context;
	char reason[64];
	switch (link->state) {
	case WAITING:
		start(link);
		return;
	case RESOLVING:
	case CONNECTING:
	case GREETING:
		snprintf(reason, sizeof(reason), "no connection within %u ms",
			 link->config.connect_timeout_ms);
		link_lost(link, reason);
		return;
	case UP:
		if (!link->first || clock_monotonic_us() - link->first->sent_us <
					    (int64_t)link->config.command_timeout_ms * 1000)
			return;
		snprintf(reason, sizeof(reason), "no answer within %u ms",
			 link->config.command_timeout_ms);
		link_lost(link, reason);
		return;
	}
}

/* ---- life ----------------------------------------------------------------------------------- */

int redis_link_new(struct loop *loop, struct redis_url *url, const struct redis_link_config *config,
		   const struct redis_link_callbacks *callbacks, struct redis_link **ret_link,
		   char **ret_error)
{
	cleanup(redis_url_freep) struct redis_url *owned_url = url;
	struct redis_tls *tls;
	int r = redis_tls_new(url, &tls, ret_error);
	if (r)
		return r;

	struct redis_link *link = memory_zeroed(1, sizeof(*link));
	link->loop = loop;
	link->url = steal(&owned_url);
	link->tls = tls;
	link->config = *config;
	link->callbacks = *callbacks;
	link->last = &link->first;
	link->down_since_us = clock_wall_us();
	if (uv_random(NULL, NULL, &link->seed, sizeof(link->seed), 0, NULL) < 0)
		link->seed = (unsigned)clock_monotonic_us();
	link->timer = loop_timer_new(loop, on_timer, link);
	loop_timer_start(link->timer, 0, 0);
	*ret_link = link;
	return 0;
}

void redis_link_free(struct redis_link *link)
{
	if (!link)
		return;
	loop_timer_free(link->timer);
	if (link->lookup) {
		link->lookup->link = NULL;
		uv_cancel((uv_req_t *)&link->lookup->request);
	}
	redisAsyncContext *context = steal(&link->context);
	for (struct pending *pending = link->first, *next; pending; pending = next) {
		next = pending->next;
		pending->link = NULL;
		pending->fn(pending->context, NULL);
		release(pending);
	}
	if (context) {
		context->data = NULL;
		redisAsyncFree(context);
	}
	redis_tls_free(link->tls);
	redis_url_free(link->url);
	free(link->reason);
	buf_deinit(&link->status);
	free(link);
}

void redis_link_settled(struct redis_link *link)
{
	link->settled = true;
	log_info("redis is up url=%s", link->url->shown);
}

bool redis_link_is_up(const struct redis_link *link)
{
	return link->state == UP;
}

const char *redis_link_status(struct redis_link *link)
{
	buf_clear(&link->status);
	if (link->state == UP) {
		buf_printf(&link->status, "up: %s", link->url->shown);
		return link->status.data;
	}
	char since[32];
	struct tm utc;
	time_t seconds = (time_t)(link->down_since_us / 1000000);
	gmtime_r(&seconds, &utc);
	strftime(since, sizeof(since), "%Y-%m-%dT%H:%M:%SZ", &utc);
	buf_printf(&link->status, "down since %s: %s: %s", since, link->url->shown,
		   link->reason ? link->reason : "not connected yet");
	return link->status.data;
}

uint64_t redis_link_connects(const struct redis_link *link)
{
	return link->connects;
}

uint64_t redis_link_failed_connects(const struct redis_link *link)
{
	return link->failed_connects;
}
