/*
 * gpubus-bench-load: asks for and releases GPUs, at a rate or flat out, and says how long each took to
 * stand in the log and to be answered. The same program loads the scheduler and the echo.
 *
 *   gpubus-bench-load BOOTSTRAP PREFIX PARTITIONS POOLS OPERATIONS RATE WINDOW MODEL [keep]
 * PREFIX gpubus or echo; POOLS pools are named 1..POOLS (or BENCH_POOL in the environment is
 * the only one); RATE operations per second (0: as fast as
 * WINDOW VMs, each with one operation in flight, allow). With `keep` what was assigned is not released
 * at the end. Prints one JSON object; exits 1 when an answer is not the one that must come.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "codec/codec.h"
#include "codec/envelope_headers.h"
#include "codec/event_id.h"
#include "model/partition.h"
#include "raw_kafka.h"

struct vm {
	bool holds;	  /* GPUs */
	bool busy;	  /* an operation is in flight */
	int64_t asked_us; /* when GPUs were last asked for */
};

struct load {
	rd_kafka_t *producer, *consumer;
	struct codec *codec;
	struct buf value;
	struct arena arena;
	char requests[64], decisions[64], answers[64];
	int partitions, pools;
	const char *model;
	const char *only_pool; /* instead of 1..pools; from BENCH_POOL */
	char run[32];	       /* makes ids of this run unlike those of others */
	struct vm *vms;
	size_t window;
	size_t next_vm; /* whose turn it is */
	size_t sent, answered;
	double *logged_us, *answered_us; /* latencies of VmRequested */
	size_t n_logged, n_answered;
};

static int by_value(const void *a, const void *b)
{
	double left = *(const double *)a, right = *(const double *)b;
	return (left > right) - (left < right);
}

static double percentile(double *values, size_t n, double p)
{
	if (n == 0)
		return 0;
	qsort(values, n, sizeof(*values), by_value);
	return values[(size_t)((double)(n - 1) * p)];
}

static void send_operation(struct load *load, size_t i)
{
	struct vm *vm = &load->vms[i];
	char pool[24], vm_id[64], request_id[64];
	struct gpu_ask ask = { .name = load->model, .count = 1 };
	struct record record;

	if (load->only_pool)
		snprintf(pool, sizeof(pool), "%s", load->only_pool);
	else
		snprintf(pool, sizeof(pool), "%zu", i % (size_t)load->pools + 1);
	snprintf(vm_id, sizeof(vm_id), "%s-%zu", load->run, i);
	/* The VM's number is the last thing in the id: that is how the answer is matched. */
	snprintf(request_id, sizeof(request_id), "%s-%zu-%c%zu", load->run, load->sent,
		 vm->holds ? 'r' : 'a', i);
	if (vm->holds)
		record = (struct record){ .type = RECORD_VM_RELEASED,
					  .vm_released = { .request_id = request_id,
							   .vm_id = vm_id,
							   .pool_id = pool,
							   .force = ABSENT,
							   .requested_at = ABSENT } };
	else
		record = (struct record){ .type = RECORD_VM_REQUESTED,
					  .vm_requested = { .request_id = request_id,
							    .vm_id = vm_id,
							    .pool_id = pool,
							    .gpus = &ask,
							    .n_gpus = 1,
							    .requested_at = ABSENT } };
	arena_reset(&load->arena);
	buf_clear(&load->value);
	if (codec_encode(load->codec, &record, &load->value) != 0)
		raw_die("encode: %s", codec_error(load->codec));

	struct envelope envelope = ENVELOPE_EMPTY;
	envelope.id = record_event_id(&record, &load->arena);
	envelope.type = record_event_type(record.type);
	envelope.source = "bench";
	struct header headers[ENVELOPE_HEADERS_MAX];
	size_t n = envelope_to_headers(&envelope, &load->arena, headers);
	rd_kafka_headers_t *list = rd_kafka_headers_new(n);
	for (size_t h = 0; h < n; h++)
		rd_kafka_header_add(list, headers[h].name, -1, headers[h].value,
				    (ssize_t)headers[h].len);

	vm->busy = true;
	if (!vm->holds)
		vm->asked_us = raw_now_us();
	load->sent++;
	raw_produce(load->producer, load->requests, partition_of_pool(pool, load->partitions), pool,
		    load->value.data, load->value.len, list);
}

/* "1/GpuAssigned/RUN-17-a4/1/ASSIGNED" or the echo's likewise: the VM's number follows -a or -r. */
static struct vm *vm_of(struct load *load, const rd_kafka_message_t *message, bool *ret_granted)
{
	rd_kafka_headers_t *headers;
	const void *id, *type;
	size_t id_len, type_len;
	char text[192];

	if (rd_kafka_message_headers(message, &headers) ||
	    rd_kafka_header_get_last(headers, "ce_id", &id, &id_len) ||
	    rd_kafka_header_get_last(headers, "ce_type", &type, &type_len) ||
	    id_len >= sizeof(text))
		return NULL;
	memcpy(text, id, id_len);
	text[id_len] = '\0';
	const char *run = strstr(text, load->run);
	if (!run)
		return NULL; /* of another run, or an EpochStarted */
	const char *number = strpbrk(run + strlen(load->run) + 1, "ar");
	size_t i = number ? strtoul(number + 1, NULL, 10) : load->window;
	if (i >= load->window)
		raw_die("an answer to nothing: %s", text);
	bool assigned = type_len == strlen("gpubus.GpuAssigned") &&
			memcmp(type, "gpubus.GpuAssigned", type_len) == 0;
	bool released = type_len == strlen("gpubus.GpuReleased") &&
			memcmp(type, "gpubus.GpuReleased", type_len) == 0;
	if (!assigned && !released)
		raw_die("not granted: %.*s %s", (int)type_len, (const char *)type, text);
	*ret_granted = assigned;
	return &load->vms[i];
}

static void on_message(struct load *load, const rd_kafka_message_t *message)
{
	bool granted;
	struct vm *vm = vm_of(load, message, &granted);
	if (!vm)
		return;
	double age_us = (double)(raw_now_us() - vm->asked_us);
	if (strcmp(rd_kafka_topic_name(message->rkt), load->decisions) == 0) {
		if (granted)
			load->logged_us[load->n_logged++] = age_us;
		return;
	}
	if (!vm->busy || granted == vm->holds)
		return; /* told again: delivery is at least once */
	if (granted)
		load->answered_us[load->n_answered++] = age_us;
	vm->busy = false;
	vm->holds = granted;
	load->answered++;
}

static void poll_messages(struct load *load, int timeout_ms)
{
	rd_kafka_message_t *message;
	while ((message = rd_kafka_consumer_poll(load->consumer, timeout_ms))) {
		if (!message->err)
			on_message(load, message);
		rd_kafka_message_destroy(message);
		timeout_ms = 0;
	}
	rd_kafka_poll(load->producer, 0);
}

/* The consumer must stand at the ends before the first request is sent. */
static void wait_for_ends(struct load *load)
{
	int left = 2 * load->partitions;
	while (left > 0) {
		rd_kafka_message_t *message = rd_kafka_consumer_poll(load->consumer, 1000);
		if (!message)
			continue;
		if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF)
			left--;
		rd_kafka_message_destroy(message);
	}
}

/* Runs until `operations` more are answered; returns the seconds it took. */
static double run(struct load *load, size_t operations, double rate)
{
	int64_t start_us = raw_now_us();
	size_t first = load->sent, last = first + operations;

	load->n_logged = load->n_answered = 0;
	while (load->answered < last) {
		size_t due = last;
		if (rate > 0) {
			due = first + (size_t)((double)(raw_now_us() - start_us) * rate / 1e6);
			if (due > last)
				due = last;
		}
		for (size_t looked = 0; load->sent < due && looked < load->window; looked++) {
			size_t i = load->next_vm++ % load->window;
			if (!load->vms[i].busy)
				send_operation(load, i);
		}
		poll_messages(load, 1);
		if (raw_now_us() - start_us > INT64_C(120000000))
			raw_die("%zu of %zu answers came in 120 s", load->answered, last);
	}
	return (double)(raw_now_us() - start_us) / 1e6;
}

static void report(struct load *load, size_t operations, double seconds)
{
	printf("{\"operations\": %zu, \"seconds\": %.3f, \"rate\": %.0f, "
	       "\"logged_p50_us\": %.0f, \"logged_p99_us\": %.0f, "
	       "\"answered_p50_us\": %.0f, \"answered_p99_us\": %.0f}\n",
	       operations, seconds, (double)operations / seconds,
	       percentile(load->logged_us, load->n_logged, 0.5),
	       percentile(load->logged_us, load->n_logged, 0.99),
	       percentile(load->answered_us, load->n_answered, 0.5),
	       percentile(load->answered_us, load->n_answered, 0.99));
}

/* What the run has taken is given back, so that the next one finds the pool as this one did. */
static void release_all(struct load *load)
{
	for (size_t i = 0; i < load->window; i++)
		if (load->vms[i].holds)
			send_operation(load, i);
	while (load->answered < load->sent)
		poll_messages(load, 1);
}

int main(int argc, char **argv)
{
	if (argc != 9 && argc != 10)
		raw_die("usage: %s BOOTSTRAP PREFIX PARTITIONS POOLS OPERATIONS RATE WINDOW MODEL "
			"[keep]",
			argv[0]);
	struct load load = { .partitions = atoi(argv[3]),
			     .pools = atoi(argv[4]),
			     .window = strtoul(argv[7], NULL, 10),
			     .model = argv[8],
			     .only_pool = getenv("BENCH_POOL") };
	size_t operations = strtoul(argv[5], NULL, 10);
	bool echo = strcmp(argv[2], "echo") == 0;
	const char *suffix = echo ? "" : ".v1";

	snprintf(load.requests, sizeof(load.requests), "%s.requests%s", argv[2], suffix);
	snprintf(load.decisions, sizeof(load.decisions), "%s.decisions%s", argv[2], suffix);
	snprintf(load.answers, sizeof(load.answers), "%s.answers%s", argv[2], suffix);
	snprintf(load.run, sizeof(load.run), "b%d", (int)getpid());
	load.vms = calloc(load.window, sizeof(*load.vms));
	load.logged_us = calloc(2 * operations + load.window, sizeof(double));
	load.answered_us = calloc(2 * operations + load.window, sizeof(double));
	if (!load.vms || !load.logged_us || !load.answered_us || codec_new(&load.codec) != 0)
		raw_die("out of memory");
	arena_init(&load.arena);

	load.producer = raw_producer(argv[1]);
	load.consumer = raw_consumer(argv[1], "bench-load");
	raw_assign(load.consumer, load.decisions, load.partitions, RD_KAFKA_OFFSET_END);
	raw_assign(load.consumer, load.answers, load.partitions, RD_KAFKA_OFFSET_END);
	wait_for_ends(&load);
	/* A new producer's first record waits for its id, for up to a second: not what is measured. */
	run(&load, operations / 10 + 1, 0);
	double seconds = run(&load, operations, strtod(argv[6], NULL));
	report(&load, operations, seconds);
	if (argc == 9)
		release_all(&load);

	rd_kafka_flush(load.producer, 5000);
	rd_kafka_consumer_close(load.consumer);
	rd_kafka_destroy(load.consumer);
	rd_kafka_destroy(load.producer);
	return 0;
}
