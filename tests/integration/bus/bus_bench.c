/*
 * What the bus costs: throughput into the callback, and the time from bus_produce() to the message read
 * back, with idle partitions beside it. Prints figures; asserts nothing. Not a test.
 *
 *	bus-bench [READ-BACKS] [MESSAGES]
 *
 * Properties of the clients can be tried with GPUBUS_KAFKA_... in the environment.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "fixture.h"
#include "loop/clock.h"

struct bench {
	struct fixture *fixture;
	struct writer writer;
	struct bus_reader *reader;
	int64_t wanted;
	int64_t received;
	size_t header_bytes;
	int64_t *times_us;
	int64_t sent_us;
	bool ping;
	int64_t next;
	int64_t last_us;
	int64_t silent_us; /* in gaps of more than 20 ms between messages */
};

static const struct header headers[] = {
	{ "ce_id", "0123456789abcdef", 16 }, { "ce_type", "gpubus.GpuAssigned", 18 },
	{ "ce_source", "gpubus/x", 8 },	     { "ce_time", "2026-01-01T00:00:00Z", 20 },
	{ "ce_specversion", "1.0", 3 },	     { "ce_epoch", "123", 3 },
};
static char payload[100];

static int send_one(struct bench *bench)
{
	bench->sent_us = clock_monotonic_us();
	return bus_produce(bench->writer.producer,
			   &(struct message){ .topic = TOPIC_DECISIONS,
					      .key = "pool-1",
					      .key_len = 6,
					      .value = payload,
					      .value_len = sizeof(payload),
					      .headers = headers,
					      .n_headers = 6 },
			   NULL);
}

static void on_message(void *context, const struct message *message)
{
	struct bench *bench = context;

	for (size_t i = 0; i < message->n_headers; i++)
		bench->header_bytes += message->headers[i].len;
	if (bench->ping) {
		bench->times_us[bench->received] = clock_monotonic_us() - bench->sent_us;
		if (bench->received + 1 < bench->wanted && send_one(bench))
			abort();
	}
	if (bench->received % 64 == 0) {
		int64_t now_us = clock_monotonic_us();

		if (now_us - bench->last_us > 20000)
			bench->silent_us += now_us - bench->last_us;
		bench->last_us = now_us;
	}
	bench->received++;
	bench->next = message->offset + 1;
}

static void on_error(void *context, struct bus_partition partition, enum bus_reader_error kind,
		     const char *reason)
{
	(void)context;
	fprintf(stderr, "%s %d: error %d: %s\n", topic_name(partition.topic), partition.partition,
		(int)kind, reason);
	abort();
}

static bool all_received(void *context)
{
	struct bench *bench = context;

	return bench->received >= bench->wanted;
}

static int compare(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

static void measure_read_back(struct bench *bench, int64_t n, bool with_idle)
{
	bench->received = 0;
	bench->wanted = n;
	bench->ping = true;
	bench->times_us = memory_zeroed((size_t)n, sizeof(int64_t));
	if (with_idle)
		for (int32_t p = 1; p < TEST_PARTITIONS; p++) {
			bus_reader_start(bench->reader, TOPIC_DECISIONS, p, BUS_END);
			bus_reader_start(bench->reader, TOPIC_INVENTORY, p, BUS_END);
			bus_reader_start(bench->reader, TOPIC_HOSTS, p, BUS_END);
		}
	if (send_one(bench))
		abort();
	WAIT_UNTIL(bench->fixture->loop, all_received, bench);
	qsort(bench->times_us, (size_t)n, sizeof(int64_t), compare);
	printf("produce to read back, %s: p50 %lld us, p99 %lld us\n",
	       with_idle ? "9 idle partitions beside" : "alone", (long long)bench->times_us[n / 2],
	       (long long)bench->times_us[n * 99 / 100]);
	free(bench->times_us);
	bench->ping = false;
}

static void measure_throughput(struct bench *bench, int64_t n)
{
	int64_t begin_us = clock_monotonic_us(), start = bench->next;
	int64_t produced = 0;

	bus_reader_stop(bench->reader, TOPIC_DECISIONS, 0);
	while (produced < n || bus_producer_in_flight(bench->writer.producer)) {
		bench->wanted = 0;
		while (produced < n && !send_one(bench))
			produced++;
		WAIT_UNTIL(bench->fixture->loop, all_received, bench);
	}
	printf("produce: %.0f messages/s (%zu report batches)\n",
	       (double)n * 1e6 / (double)(clock_monotonic_us() - begin_us), bench->writer.batches);
	begin_us = clock_monotonic_us();
	bench->received = 0;
	bench->wanted = n;
	bench->silent_us = 0;
	bench->last_us = begin_us;
	bus_reader_start(bench->reader, TOPIC_DECISIONS, 0, start);
	WAIT_UNTIL(bench->fixture->loop, all_received, bench);
	printf("consume into the callback: %.0f messages/s (6 headers, 100 bytes), silent for %lld "
	       "ms "
	       "of %lld ms\n",
	       (double)n * 1e6 / (double)(clock_monotonic_us() - begin_us),
	       (long long)bench->silent_us / 1000,
	       (long long)(clock_monotonic_us() - begin_us) / 1000);
}

int main(int argc, char **argv)
{
	static const struct bus_reader_callbacks callbacks = { .on_message = on_message,
							       .on_error = on_error };
	int64_t read_backs = argc > 1 ? atoll(argv[1]) : 2000;
	int64_t messages = argc > 2 ? atoll(argv[2]) : 300000;
	struct bench bench = { 0 };
	cleanup(buf_deinit) struct buf error = { 0 };
	void *state;

	broker_start();
	fixture_setup(&state);
	bench.fixture = state;
	if (bus_config_read_environment(bench.fixture->config, environ, &error)) {
		fprintf(stderr, "%s\n", error.data);
		return 2;
	}
	writer_start(&bench.writer, bench.fixture, bench.fixture->config);
	if (bus_reader_new(bench.fixture->loop, bench.fixture->config, &callbacks, &bench,
			   &bench.reader))
		return 1;
	write_messages(&bench.writer, bench.fixture, TOPIC_DECISIONS, 0, "warm", 10);
	bus_reader_start(bench.reader, TOPIC_DECISIONS, 0, bench.writer.last_offset + 1);
	measure_read_back(&bench, read_backs, false);
	measure_read_back(&bench, read_backs, true);
	if (messages)
		measure_throughput(&bench, messages);
	bus_reader_free(bench.reader);
	bus_producer_purge_and_free(bench.writer.producer);
	fixture_teardown(&state);
	broker_stop();
	return 0;
}
