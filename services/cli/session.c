#include "cli/session.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "bus/producer.h"
#include "bus/reader.h"
#include "bus/topics.h"
#include "cli/exit_status.h"

enum { REACH_MS = 10000, CLIENTS_END_MS = 3000 };

static void on_interrupt(void *context)
{
	struct session *session = context;
	session->interrupted = true;
	loop_stop(session->loop);
}

int session_open(struct session *session, const struct settings *settings)
{
	cleanup(buf_deinit) struct buf report = { 0 };
	const struct bus_topics_options expected = { .timeout_ms = REACH_MS };

	*session = (struct session){ .settings = settings };
	if (codec_new(&session->codec)) {
		complain("the embedded schemas do not parse: this program is broken");
		return STATUS_ERROR;
	}
	/* How the topics are set is for `topics verify` and the scheduler to judge. */
	if (bus_topics_verify(settings->bus, &expected, true, &report, &session->n_partitions)) {
		while (report.len > 0 && report.data[report.len - 1] == '\n')
			report.data[--report.len] = '\0';
		complain("%s (brokers: %s)", report.len ? report.data : "the topics cannot be read",
			 bus_config_get(settings->bus, "bootstrap.servers"));
		return STATUS_ERROR;
	}
	session->loop = loop_new();
	loop_catch_signals(session->loop, CLIENTS_END_MS);
	loop_on_shutdown(session->loop, on_interrupt, session);
	return STATUS_OK;
}

void session_close(struct session *session)
{
	codec_free(steal(&session->codec));
	if (!session->loop)
		return;
	loop_free(steal(&session->loop));
	/* Clients that do not end in time end with the process. */
	(void)!bus_wait_destroyed(CLIENTS_END_MS);
}

int32_t session_partitions(const struct session *session, enum topic topic)
{
	return topic_is_sharded(topic) ? session->n_partitions : 1;
}

struct deadline {
	struct loop *loop;
	bool passed;
};

static void on_deadline(void *context)
{
	struct deadline *deadline = context;
	deadline->passed = true;
	loop_stop(deadline->loop);
}

bool session_run(struct session *session, int64_t timeout_ms)
{
	struct deadline deadline = { .loop = session->loop };
	if (session->interrupted)
		return false;
	struct loop_timer *timer = loop_timer_new(session->loop, on_deadline, &deadline);
	if (timeout_ms > 0)
		loop_timer_start(timer, timeout_ms, 0);
	(void)!loop_run(session->loop); /* LOOP_OVERDUE: a second signal; `interrupted` says it */
	loop_timer_free(timer);
	return deadline.passed;
}

/* ---- offsets --------------------------------------------------------------------------------- */

struct offsets_wait {
	struct session *session;
	struct bus_offset *offsets;
	bool answered;
	int status;
};

static void on_offsets(void *context, const struct bus_offset *offsets, size_t n, const char *error)
{
	struct offsets_wait *wait = context;
	wait->answered = true;
	if (error) {
		complain("%s", error);
		wait->status = STATUS_ERROR;
	} else {
		memcpy(wait->offsets, offsets, n * sizeof(*offsets));
	}
	loop_stop(wait->session->loop);
}

int session_ask_offsets(struct session *session, const char *group_id, struct bus_offset *offsets,
			size_t n)
{
	cleanup(bus_offsets_freep) struct bus_offsets *client = NULL;
	cleanup(freep) struct bus_partition *places = memory_zeroed(n, sizeof(*places));
	struct offsets_wait wait = { .session = session, .offsets = offsets };

	if (bus_offsets_new(session->loop, session->settings->bus, group_id, &client))
		return STATUS_ERROR;
	for (size_t i = 0; i < n; i++)
		places[i] = (struct bus_partition){ offsets[i].topic, offsets[i].partition };
	bus_offsets_ask(client, places, n, on_offsets, &wait);
	while (!wait.answered && !session->interrupted)
		session_run(session, 0);
	return wait.answered ? wait.status : STATUS_ERROR;
}

/* ---- deliver --------------------------------------------------------------------------------- */

struct delivery {
	struct session *session;
	int64_t *offsets;
	size_t n;
	size_t settled;
	size_t failed;
	bool purging;
	const char *fatal; /* borrowed; NULL: none */
};

static void on_delivery(void *context, void *token, enum bus_delivery outcome, int64_t offset)
{
	struct delivery *delivery = context;
	if (delivery->purging)
		return;
	delivery->offsets[(size_t)(uintptr_t)token] = outcome == BUS_DELIVERED ? offset : -1;
	delivery->failed += outcome != BUS_DELIVERED;
	delivery->settled++;
	loop_stop(delivery->session->loop);
}

static void on_fatal(void *context, const char *reason)
{
	struct delivery *delivery = context;
	complain("%s", reason);
	delivery->fatal = reason;
	loop_stop(delivery->session->loop);
}

/* All messages are accepted, or the reason why not was printed. */
static int send_all(struct session *session, struct bus_producer *producer,
		    const struct message *messages, struct delivery *delivery, int64_t timeout_ms,
		    bool *ret_overdue)
{
	for (size_t i = 0; i < delivery->n;) {
		int r = bus_produce(producer, &messages[i], (void *)(uintptr_t)i);
		if (r == 0) {
			i++;
		} else if (r == BUS_FULL && !delivery->fatal && !session->interrupted) {
			if ((*ret_overdue = session_run(session, timeout_ms)))
				return STATUS_ERROR;
		} else {
			if (r == BUS_TOO_LARGE)
				complain("event %zu is too large for the brokers", i + 1);
			else if (r == BUS_BROKEN)
				complain("%s has no partition %d", topic_name(messages[i].topic),
					 messages[i].partition);
			return STATUS_ERROR;
		}
	}
	return STATUS_OK;
}

int session_deliver(struct session *session, const struct message *messages, size_t n,
		    int64_t timeout_ms, int64_t *ret_offsets)
{
	const struct bus_producer_callbacks callbacks = { .on_delivery = on_delivery,
							  .on_fatal = on_fatal };
	struct delivery delivery = { .session = session, .offsets = ret_offsets, .n = n };
	struct bus_producer *producer = NULL;
	bool overdue = false;

	if (bus_producer_new(session->loop, session->settings->bus, &callbacks, &delivery,
			     &producer))
		return STATUS_ERROR;
	int status = send_all(session, producer, messages, &delivery, timeout_ms, &overdue);
	while (status == STATUS_OK && delivery.settled < n && !delivery.fatal && !overdue &&
	       !session->interrupted)
		overdue = session_run(session, timeout_ms);

	if (overdue)
		complain("the brokers did not acknowledge within %" PRId64
			 " s; what was sent may be in the log or not",
			 timeout_ms / 1000);
	if (delivery.failed > 0)
		complain("%zu of %zu refused by the brokers: %s", delivery.failed, n,
			 bus_producer_last_error(producer));
	if (delivery.settled < n || delivery.failed > 0)
		status = STATUS_ERROR;
	delivery.purging = true;
	bus_producer_purge_and_free(producer);
	return status;
}

/* ---- read ------------------------------------------------------------------------------------ */

struct reading {
	struct session *session;
	struct bus_reader *reader; /* owned */
	struct session_range *ranges;
	size_t n;
	size_t open;
	int status;
	void (*on_message)(void *context, const struct message *message);
	void *context;
};

static struct session_range *range_of(struct reading *reading, enum topic topic, int32_t partition)
{
	for (size_t i = 0; i < reading->n; i++)
		if (reading->ranges[i].place.topic == topic &&
		    reading->ranges[i].place.partition == partition)
			return &reading->ranges[i];
	return NULL;
}

static void close_range(struct reading *reading, struct session_range *range)
{
	bus_reader_stop(reading->reader, range->place.topic, range->place.partition);
	range->next = range->end;
	if (--reading->open == 0)
		loop_stop(reading->session->loop);
}

static void on_read_message(void *context, const struct message *message)
{
	struct reading *reading = context;
	struct session_range *range = range_of(reading, message->topic, message->partition);

	if (!range || range->next >= range->end)
		return;
	if (message->offset < range->end) {
		range->next = message->offset + 1;
		reading->on_message(reading->context, message);
	}
	if (message->offset + 1 >= range->end)
		close_range(reading, range);
}

static void on_read_error(void *context, struct bus_partition place, enum bus_reader_error kind,
			  const char *reason)
{
	struct reading *reading = context;
	(void)kind;
	complain("%s partition %d: %s", topic_name(place.topic), place.partition, reason);
	reading->status = STATUS_ERROR;
	loop_stop(reading->session->loop);
}

/* The last offsets may have no message: compaction took it, or they are the marks of an upstream's
 * transactions. */
static void on_read_end(void *context, struct bus_partition place, int64_t next)
{
	struct reading *reading = context;
	struct session_range *range = range_of(reading, place.topic, place.partition);

	if (range && range->next < range->end && next >= range->end)
		close_range(reading, range);
}

int session_read(struct session *session, struct session_range *ranges, size_t n,
		 void (*on_message)(void *context, const struct message *message), void *context)
{
	const struct bus_reader_callbacks callbacks = { .on_message = on_read_message,
							.on_end = on_read_end,
							.on_error = on_read_error };
	struct reading reading = { .session = session,
				   .ranges = ranges,
				   .n = n,
				   .on_message = on_message,
				   .context = context };

	for (size_t i = 0; i < n; i++)
		reading.open += ranges[i].next < ranges[i].end;
	if (reading.open == 0)
		return STATUS_OK;
	if (bus_reader_new(session->loop, session->settings->bus, &callbacks, &reading,
			   &reading.reader))
		return STATUS_ERROR;
	for (size_t i = 0; i < n; i++)
		if (ranges[i].next < ranges[i].end)
			bus_reader_start(reading.reader, ranges[i].place.topic,
					 ranges[i].place.partition, ranges[i].next);
	while (reading.open > 0 && reading.status == STATUS_OK && !session->interrupted)
		session_run(session, 0);
	bus_reader_free(reading.reader);
	if (reading.open > 0 && reading.status == STATUS_OK)
		reading.status = STATUS_ERROR; /* interrupted */
	return reading.status;
}
