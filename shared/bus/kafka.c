#include "bus/kafka.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>
#include <uv.h>

#include "base/log.h"
#include "base/memory.h"
#include "bus/config_internal.h"
#include "loop/clock.h"

/* ---- clients ------------------------------------------------------------------------------- */

/* Our defaults, over which people may set theirs. Small messages and short round trips: nothing waits
 * to be batched; a lost connection is tried again soon. */
static const struct kafka_property defaults[] = {
	{ "bootstrap.servers", "localhost:9092" }, { "socket.nagle.disable", "true" },
	{ "socket.keepalive.enable", "true" },	   { "reconnect.backoff.ms", "50" },
	{ "reconnect.backoff.max.ms", "2000" },	   { "allow.auto.create.topics", "false" },
};

static void conf_set(rd_kafka_conf_t *conf, const char *name, const char *value)
{
	char reason[512];
	rd_kafka_conf_res_t result = rd_kafka_conf_set(conf, name, value, reason, sizeof(reason));

	if (result == RD_KAFKA_CONF_OK)
		return;
	/* What people set was checked before; so this is a property that this librdkafka lacks. */
	log_warning("librdkafka %s does not take %s", rd_kafka_version_str(), name);
}

/* Several lines a second come from a cluster that is away: one in ten seconds is enough to know. */
enum { LOG_INTERVAL_US = 10 * 1000 * 1000 };

static bool is_about_connections(const char *facility)
{
	return !strcmp(facility, "FAIL") || !strcmp(facility, "ERROR") ||
	       !strcmp(facility, "REQTMOUT");
}

static void on_log(const rd_kafka_t *rk, int level, const char *facility, const char *text)
{
	struct kafka_client *client = rd_kafka_opaque(rk);
	enum log_level ours = level <= 3   ? LOG_LEVEL_ERROR
			      : level == 4 ? LOG_LEVEL_WARNING
			      : level <= 6 ? LOG_LEVEL_INFO
					   : LOG_LEVEL_DEBUG;
	int64_t now_us = clock_monotonic_us();
	long long until_us, suppressed;

	/* No news to people: that producers ignore the consumers' properties of the common list, that
	 * something we rely on is called experimental, that the mock broker speaks an old protocol. */
	if (!strcmp(facility, "CONFWARN") || !strcmp(facility, "AUTOCREATE"))
		ours = LOG_LEVEL_DEBUG;
	if (client && atomic_load(&client->ending))
		ours = LOG_LEVEL_DEBUG;
	/* That connections go and come is no error of ours: the clients try again for ever. */
	if (!client || ours == LOG_LEVEL_DEBUG || !is_about_connections(facility)) {
		log_write(ours, "kafka: %s: %s", facility, text);
		return;
	}
	ours = LOG_LEVEL_WARNING;
	until_us = atomic_load(&client->log_until_us);
	if (now_us < until_us || !atomic_compare_exchange_strong(&client->log_until_us, &until_us,
								 now_us + LOG_INTERVAL_US)) {
		atomic_fetch_add(&client->log_suppressed, 1);
		return;
	}
	suppressed = atomic_exchange(&client->log_suppressed, 0);
	if (suppressed)
		log_write(ours, "kafka %s: %s: %s (%lld more lines before)", client->role, facility,
			  text, suppressed);
	else
		log_write(ours, "kafka %s: %s: %s", client->role, facility, text);
}

rd_kafka_conf_t *kafka_conf_new(const struct bus_config *config, const struct kafka_property *own,
				size_t n)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_new();

	conf_set(conf, "client.id", program_invocation_short_name);
	for (size_t i = 0; i < sizeof(defaults) / sizeof(defaults[0]); i++)
		conf_set(conf, defaults[i].name, defaults[i].value);
	for (size_t i = 0; i < n; i++)
		conf_set(conf, own[i].name, own[i].value);
	for (size_t i = 0; i < config->n; i++)
		conf_set(conf, config->items[i].name, config->items[i].value);
	/* From 2.2 on: how long a full queue keeps from fetching; a second by default. */
	if (!bus_config_get(config, "fetch.queue.backoff.ms"))
		rd_kafka_conf_set(conf, "fetch.queue.backoff.ms", "5", NULL, 0);
	rd_kafka_conf_set_log_cb(conf, on_log);
	return conf;
}

int kafka_client_new(rd_kafka_type_t type, const char *role, rd_kafka_conf_t *conf, void *owner,
		     struct kafka_client **ret_client)
{
	struct kafka_client *client = memory_zeroed(1, sizeof(*client));
	char reason[512];

	client->role = role;
	client->owner = owner;
	rd_kafka_conf_set_opaque(conf, client);
	client->rk = rd_kafka_new(type, conf, reason, sizeof(reason));
	if (!client->rk) {
		log_error("kafka %s: %s", role, reason);
		rd_kafka_conf_destroy(conf);
		free(client);
		return 1;
	}
	*ret_client = client;
	return 0;
}

/* ---- the end of a client ------------------------------------------------------------------- */

static pthread_mutex_t ending_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t ending_changed = PTHREAD_COND_INITIALIZER;
static size_t ending;

static void *end_client(void *argument)
{
	struct kafka_client *client = argument;

	/* Leaving a group is the group's own business, before (see bus_group_leave()). */
	rd_kafka_destroy_flags(client->rk, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
	free(client);
	pthread_mutex_lock(&ending_lock);
	ending--;
	pthread_cond_broadcast(&ending_changed);
	pthread_mutex_unlock(&ending_lock);
	return NULL;
}

void kafka_client_free(struct kafka_client *client)
{
	pthread_t thread;

	if (!client)
		return;
	atomic_store(&client->ending, true);
	pthread_mutex_lock(&ending_lock);
	ending++;
	pthread_mutex_unlock(&ending_lock);
	if (pthread_create(&thread, NULL, end_client, client))
		end_client(client); /* no thread to be had: blocking is better than a leak */
	else
		pthread_detach(thread);
}

int bus_wait_destroyed(int64_t timeout_ms)
{
	struct timespec until;
	int outcome;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += timeout_ms / 1000;
	until.tv_nsec += timeout_ms % 1000 * 1000000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000;
	}
	pthread_mutex_lock(&ending_lock);
	while (ending && !pthread_cond_timedwait(&ending_changed, &ending_lock, &until))
		;
	outcome = ending ? 1 : 0;
	pthread_mutex_unlock(&ending_lock);
	return outcome;
}

/* ---- queues on the loop -------------------------------------------------------------------- */

struct kafka_wakeup {
	uv_poll_t poll;
	int fd; /* eventfd, written by librdkafka's threads */
	rd_kafka_queue_t *queue;
	loop_fn fn;
	void *context; /* the owner's */
};

static void on_readable(uv_poll_t *poll, int status, int events)
{
	struct kafka_wakeup *wakeup = poll->data;
	eventfd_t count;

	(void)status;
	(void)events;
	/* Before the queue is looked at: what comes in between wakes again. */
	if (eventfd_read(wakeup->fd, &count) == 0)
		wakeup->fn(wakeup->context);
}

struct kafka_wakeup *kafka_wakeup_new(struct loop *loop, rd_kafka_queue_t *queue, loop_fn fn,
				      void *context)
{
	static const uint64_t one = 1;
	struct kafka_wakeup *wakeup = memory_zeroed(1, sizeof(*wakeup));

	wakeup->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (wakeup->fd < 0 || uv_poll_init(loop_uv(loop), &wakeup->poll, wakeup->fd)) {
		/* No descriptors left: without its queue a client is deaf. */
		log_error("cannot watch a queue: %s", strerror(errno));
		abort();
	}
	wakeup->poll.data = wakeup;
	wakeup->queue = queue;
	wakeup->fn = fn;
	wakeup->context = context;
	uv_poll_start(&wakeup->poll, UV_READABLE, on_readable);
	rd_kafka_queue_io_event_enable(queue, wakeup->fd, &one, sizeof(one));
	/* What stood in the queue before the descriptor was enabled has woken nobody. */
	kafka_wakeup_poke(wakeup);
	return wakeup;
}

void kafka_wakeup_poke(struct kafka_wakeup *wakeup)
{
	eventfd_write(wakeup->fd, 1);
}

static void on_poll_closed(uv_handle_t *handle)
{
	struct kafka_wakeup *wakeup = handle->data;

	close(wakeup->fd);
	free(wakeup);
}

void kafka_wakeup_free(struct kafka_wakeup *wakeup)
{
	if (!wakeup)
		return;
	/* No thread writes to the descriptor after this call. */
	rd_kafka_queue_io_event_enable(wakeup->queue, -1, NULL, 0);
	rd_kafka_queue_destroy(wakeup->queue);
	uv_close((uv_handle_t *)&wakeup->poll, on_poll_closed);
}
