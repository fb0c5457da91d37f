/*
 * gpubus-bench-echo: what the same traffic costs when nothing is decided. The legs are the scheduler's:
 * consume a request (consumer group) -> produce a record of a decision's size and headers -> read it
 * back -> produce it as an answer -> commit the request's offset. Bytes are constant, nothing is decoded.
 *
 *   gpubus-bench-echo BOOTSTRAP PARTITIONS ASSIGNED_BYTES RELEASED_BYTES
 * Topics: echo.requests, echo.decisions, echo.answers. Prints "ready" once it owns all partitions. Ends
 * on SIGTERM.
 */
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "raw_kafka.h"

enum { COMMIT_EVERY_US = 50000, MAX_PARTITIONS = 1024 };

static volatile sig_atomic_t stopping;
static const char payload[64 * 1024];
static int64_t next_commit[MAX_PARTITIONS]; /* offset to commit; 0: nothing new */

static void on_signal(int number)
{
	(void)number;
	stopping = 1;
}

static void add(rd_kafka_headers_t *headers, const char *name, const char *value)
{
	rd_kafka_header_add(headers, name, -1, value, -1);
}

static const char *header(const rd_kafka_message_t *message, const char *name)
{
	rd_kafka_headers_t *headers;
	const void *value = NULL;
	size_t len;
	if (rd_kafka_message_headers(message, &headers) ||
	    rd_kafka_header_get_last(headers, name, &value, &len))
		return "";
	return value;
}

static rd_kafka_headers_t *common_headers(const char *id, const char *type)
{
	rd_kafka_headers_t *headers = rd_kafka_headers_new(10);
	add(headers, "ce_specversion", "1.0");
	add(headers, "ce_id", id);
	add(headers, "ce_type", type);
	add(headers, "ce_source", "gpubus/scheduler");
	add(headers, "ce_time", "2026-01-01T00:00:00.000000Z");
	add(headers, "content-type", "application/avro");
	return headers;
}

static void decide(rd_kafka_t *producer, const rd_kafka_message_t *message, size_t assigned_bytes,
		   size_t released_bytes)
{
	const char *asked_id = header(message, "ce_id");
	const char *sequence = strrchr(asked_id, '/');
	bool release = strstr(header(message, "ce_type"), "Released");
	char id[128], applied[64];

	snprintf(id, sizeof(id), "1/%s%s/1%s", release ? "GpuReleased" : "GpuAssigned",
		 sequence ? sequence : "", release ? "" : "/ASSIGNED");
	snprintf(applied, sizeof(applied), "requests=%lld,attachments=-1",
		 (long long)message->offset);
	rd_kafka_headers_t *headers =
		common_headers(id, release ? "gpubus.GpuReleased" : "gpubus.GpuAssigned");
	add(headers, "ce_epoch", "123456");
	add(headers, "ce_applied", applied);
	raw_produce(producer, "echo.decisions", message->partition, "1", payload,
		    release ? released_bytes : assigned_bytes, headers);
}

static void answer(rd_kafka_t *producer, const rd_kafka_message_t *message)
{
	char revision[32];
	snprintf(revision, sizeof(revision), "%lld", (long long)message->offset);
	rd_kafka_headers_t *headers =
		common_headers(header(message, "ce_id"), header(message, "ce_type"));
	add(headers, "ce_revision", revision);
	raw_produce(producer, "echo.answers", message->partition, "1", message->payload,
		    message->len, headers);

	const char *applied = header(message, "ce_applied");
	next_commit[message->partition] = strtoll(applied + strlen("requests="), NULL, 10) + 1;
}

static void commit(rd_kafka_t *consumer, int partitions)
{
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(partitions);
	for (int p = 0; p < partitions; p++) {
		if (next_commit[p])
			rd_kafka_topic_partition_list_add(list, "echo.requests", p)->offset =
				next_commit[p];
		next_commit[p] = 0;
	}
	if (list->cnt)
		rd_kafka_commit(consumer, list, 1);
	rd_kafka_topic_partition_list_destroy(list);
}

/* Takes what is there, without waiting. */
static int drain(rd_kafka_queue_t *queue, rd_kafka_message_t **messages, size_t size)
{
	ssize_t n = rd_kafka_consume_batch_queue(queue, 0, messages, size);
	return n < 0 ? 0 : (int)n;
}

int main(int argc, char **argv)
{
	if (argc != 5)
		raw_die("usage: %s BOOTSTRAP PARTITIONS ASSIGNED_BYTES RELEASED_BYTES", argv[0]);
	const char *bootstrap = argv[1];
	int partitions = atoi(argv[2]);
	size_t assigned_bytes = (size_t)atoi(argv[3]), released_bytes = (size_t)atoi(argv[4]);
	static rd_kafka_message_t *messages[1000];

	if (partitions < 1 || partitions > MAX_PARTITIONS)
		raw_die("PARTITIONS is not in 1..%d", MAX_PARTITIONS);
	signal(SIGTERM, on_signal);

	rd_kafka_t *producer = raw_producer(bootstrap);
	rd_kafka_t *requests = raw_consumer(bootstrap, "echo");
	rd_kafka_t *decisions = raw_consumer(bootstrap, "echo-reader");
	raw_subscribe(requests, "echo.requests");
	raw_assign(decisions, "echo.decisions", partitions, RD_KAFKA_OFFSET_END);

	/* Both consumers into one queue, so that waiting wakes up for either. */
	rd_kafka_queue_t *queue = rd_kafka_queue_new(requests);
	rd_kafka_queue_t *from_requests = rd_kafka_queue_get_consumer(requests);
	rd_kafka_queue_t *from_decisions = rd_kafka_queue_get_consumer(decisions);
	rd_kafka_queue_forward(from_requests, queue);
	rd_kafka_queue_forward(from_decisions, queue);

	bool ready = false;
	int64_t commit_at = 0;
	while (!stopping) {
		int n = drain(queue, messages, 1000);
		if (n == 0) {
			/* Wait for one message, then take the rest as a batch. */
			ssize_t one = rd_kafka_consume_batch_queue(queue, 1, messages, 1);
			n = one > 0 ? 1 : 0;
		}
		for (int i = 0; i < n; i++) {
			rd_kafka_message_t *message = messages[i];
			if (!message->err && message->rkt) {
				if (strcmp(rd_kafka_topic_name(message->rkt), "echo.requests") == 0)
					decide(producer, message, assigned_bytes, released_bytes);
				else
					answer(producer, message);
			}
			rd_kafka_message_destroy(message);
		}
		rd_kafka_poll(producer, 0);
		int64_t now = raw_now_us();
		if (now >= commit_at) {
			commit(requests, partitions);
			commit_at = now + COMMIT_EVERY_US;
		}
		if (!ready) {
			rd_kafka_topic_partition_list_t *list = NULL;
			ready = !rd_kafka_assignment(requests, &list) && list->cnt == partitions;
			rd_kafka_topic_partition_list_destroy(list);
			if (ready) {
				puts("ready");
				fflush(stdout);
			}
		}
	}
	rd_kafka_queue_destroy(from_requests);
	rd_kafka_queue_destroy(from_decisions);
	rd_kafka_queue_destroy(queue);
	rd_kafka_consumer_close(requests);
	rd_kafka_destroy(requests);
	rd_kafka_destroy(decisions);
	rd_kafka_destroy(producer);
	return 0;
}
