/*
 * What the core itself costs, without codec, Kafka and Redis: memory per GPU, folding inventory and
 * decisions, and grant, release and refusal in pools of 100 to 100,000 GPUs (ten a host). Each figure
 * is the median of interleaved rounds, in CPU time: what else runs on the machine does not count.
 * Prints a table.
 */
#include <inttypes.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/arena.h"
#include "base/memory.h"
#include "core/decide.h"

enum { GPUS_PER_HOST = 10, ROUNDS = 15, PAIRS = 2000, SIZES = 3 };

static const int sizes[SIZES] = { 10, 1000, 10000 }; /* hosts */

static double now_us(void)
{
	struct timespec t;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

struct bench {
	struct catalog *catalog;
	struct shard_state *state;
	int n_hosts;
	double bytes_per_gpu;
	double fold_gpu_us;
	uint64_t n;
	int64_t offset;
};

static void add_gpu(struct bench *b, int host, int gpu)
{
	char name[32], address[32], audio[32], above[32], id[64];
	const char *functions[] = { address, audio }, *error;
	snprintf(name, sizeof(name), "hypervisor-%05d", host);
	snprintf(address, sizeof(address), "0000:%02x:00.0", gpu * 4 + 1);
	snprintf(audio, sizeof(audio), "0000:%02x:00.1", gpu * 4 + 1);
	snprintf(above, sizeof(above), "0000:%02x:00.0", gpu / 2 * 16);
	snprintf(id, sizeof(id), "%s/%s", name, address);
	const struct gpu_discovered said = {
		.gpu_id = id,
		.host = name,
		.pool_id = "1",
		.pci_address = address,
		.model = gpu % 2 ? "GP104GL [Tesla P4]" : "TU104GL [Tesla T4]",
		.vendor = "NVIDIA Corporation",
		.vendor_id = "10de",
		.device_id = gpu % 2 ? "1bb3" : "1eb8",
		.class_id = "030200",
		.driver = "vfio-pci",
		.iommu_group = gpu + 20,
		.numa_node = gpu / 5,
		.pcie_switch = above,
		.functions = functions,
		.n_functions = 2,
		.state = "AVAILABLE",
		.boot_id = "0f9d4c3e-5a77-4b2e-9a55-0c1f2d3e4a5b",
	};
	if (shard_fold_gpu(b->state, &said, &error) != 0)
		abort();
}

static void add_host(struct bench *b, int host)
{
	char name[32], boot[64];
	const char *error;
	snprintf(name, sizeof(name), "hypervisor-%05d", host);
	snprintf(boot, sizeof(boot), "0f9d4c3e-5a77-4b2e-9a55-0c1f2d3e%04x", host);
	const struct host_seen seen = { .host = name,
					.pool_id = "1",
					.boot_id = boot,
					.cpu_cores = 128,
					.ram_gb = 1024,
					.iommu = 1,
					.interrupt_remapping = 1,
					.vfio = 1,
					.n_gpus = GPUS_PER_HOST };
	if (shard_fold_host(b->state, &seen, 1000000, &error) != 0)
		abort();
}

static void start(struct bench *b, int n_hosts)
{
	size_t before = mallinfo2().uordblks + mallinfo2().hblkhd;
	const struct shard_options options = SHARD_OPTIONS_DEFAULT;
	b->n_hosts = n_hosts;
	b->catalog = catalog_new();
	b->state = shard_state_new(&options, b->catalog);
	const struct vm_pool_defined pool = {
		.pool_id = "1", .name = "pool", .attach = "external", .attach_attempts = 1
	};
	const char *error;
	if (catalog_fold_pool(b->catalog, &pool, &error) != 0)
		abort();
	for (int h = 0; h < n_hosts; h++)
		add_host(b, h);
	double from = now_us();
	for (int h = 0; h < n_hosts; h++)
		for (int g = 0; g < GPUS_PER_HOST; g++)
			add_gpu(b, h, g);
	b->fold_gpu_us = (now_us() - from) / n_hosts / GPUS_PER_HOST;
	size_t after = mallinfo2().uordblks + mallinfo2().hblkhd;
	b->bytes_per_gpu = (double)(after - before) / n_hosts / GPUS_PER_HOST;
}

/* Decides, folds and settles, as an owner does; the value has the size of a framed record. */
static enum record_type step(struct bench *b, struct arena *arena, const struct record *event)
{
	static const char value[400];
	struct decision decision;
	struct change *change;
	arena_reset(arena);
	decide(b->state, event, 2000000, true, arena, &decision);
	if (decision.kind != DECISION_RECORD ||
	    shard_fold(b->state, &decision.record, value, sizeof(value),
		       (struct input_positions){ b->offset, -1 }, &change) != 0)
		abort();
	shard_settle(b->state, change, b->offset++, NULL, NULL);
	return decision.record.type;
}

static struct record request(const char *id, const char *vm, const struct gpu_ask *ask)
{
	struct record event = { .type = RECORD_VM_REQUESTED };
	event.vm_requested = (struct vm_requested){ .request_id = id,
						    .vm_id = vm,
						    .pool_id = "1",
						    .gpus = (struct gpu_ask *)ask,
						    .n_gpus = 1 };
	return event;
}

static void must_be(enum record_type actual, enum record_type expected)
{
	if (actual != expected)
		abort();
}

/* Ids are made outside of what is measured. */
static char (*make_ids(const char *prefix, uint64_t from))[32]
{
	char(*ids)[32] = memory_alloc(PAIRS * sizeof(*ids));
	for (int i = 0; i < PAIRS; i++)
		snprintf(ids[i], sizeof(ids[i]), "%s-%" PRIu64, prefix, from + (uint64_t)i);
	return ids;
}

/* `depth` VMs stand at a time, so that grants wander over the pool. Returns us per pair. */
static double grants_and_releases(struct bench *b, struct arena *arena, int depth, int count)
{
	char(*requests)[32] = make_ids("request", b->n), (*vms)[32] = make_ids("vm", b->n);
	char(*releases)[32] = make_ids("release", b->n);
	const struct gpu_ask ask = { "GP104GL [Tesla P4]", count };
	double from = now_us();
	for (int i = 0; i < PAIRS + depth; i++) {
		if (i < PAIRS) {
			struct record event = request(requests[i], vms[i], &ask);
			must_be(step(b, arena, &event), RECORD_GPU_ASSIGNED);
		}
		if (i >= depth) {
			struct record event = { .type = RECORD_VM_RELEASED };
			event.vm_released = (struct vm_released){ .request_id = releases[i - depth],
								  .vm_id = vms[i - depth],
								  .pool_id = "1" };
			must_be(step(b, arena, &event), RECORD_GPU_RELEASED);
		}
	}
	double took = (now_us() - from) / PAIRS;
	b->n += PAIRS;
	free(requests);
	free(vms);
	free(releases);
	return took;
}

static double refusals(struct bench *b, struct arena *arena)
{
	char(*ids)[32] = make_ids("refused", b->n);
	const struct gpu_ask ask = { "GP104GL [Tesla P4]", GPUS_PER_HOST };
	double from = now_us();
	for (int i = 0; i < PAIRS / 4; i++) {
		struct record event = request(ids[i], "vm", &ask);
		must_be(step(b, arena, &event), RECORD_REQUEST_REJECTED);
	}
	double took = (now_us() - from) / (PAIRS / 4);
	b->n += PAIRS;
	free(ids);
	return took;
}

struct rebuilt {
	double fold_us;
	double load_us;
	double bytes;
};

struct loading {
	struct shard_state *state;
	const struct record *records;
};

static void load_row(void *context, enum ledger_table table, const void *field, size_t field_len,
		     const void *value, size_t value_len)
{
	const struct loading *loading = context;
	size_t len;
	const char *framed = ledger_row_record(value, value_len, &len);
	uint32_t number = 0;
	if (framed)
		memcpy(&number, framed, sizeof(number));
	if (shard_load_row(loading->state, table, field, field_len, value, value_len,
			   framed ? &loading->records[number] : NULL) != 0)
		abort();
}

/* 50,000 assignments of one GPU each, from the log and from rows. */
static struct rebuilt rebuild(struct catalog *catalog, struct arena *arena)
{
	enum { ASSIGNMENTS = 50000 };
	const struct shard_options options = SHARD_OPTIONS_DEFAULT;
	struct record *records = memory_zeroed(ASSIGNMENTS, sizeof(*records));
	struct bench b = { .catalog = catalog, .state = shard_state_new(&options, catalog) };
	char value[300] = { 0 };
	struct change *change;

	for (int h = 0; h < ASSIGNMENTS / 5; h++)
		for (int g = 0; g < GPUS_PER_HOST; g++)
			add_gpu(&b, h, g);
	for (int i = 0; i < ASSIGNMENTS; i++) {
		struct assigned_gpu *gpu = arena_alloc(arena, sizeof(*gpu));
		const char **functions = arena_array(arena, 2, sizeof(*functions));
		const char *host = arena_printf(arena, "hypervisor-%05d", i / 5);
		functions[0] = arena_printf(arena, "0000:%02x:00.0", (i % 5 * 2 + 1) * 4 + 1);
		functions[1] = arena_printf(arena, "0000:%02x:00.1", (i % 5 * 2 + 1) * 4 + 1);
		*gpu = (struct assigned_gpu){
			.gpu_id = arena_printf(arena, "%s/%s", host, functions[0]),
			.name = "GP104GL [Tesla P4]",
			.vendor = "NVIDIA Corporation",
			.device = "10de:1bb3",
			.pci_address = functions[0],
			.functions = functions,
			.n_functions = 2,
			.iommu_group = 20,
			.numa_node = 0,
		};
		records[i].type = RECORD_GPU_ASSIGNED;
		records[i].gpu_assigned = (struct gpu_assigned){
			.assignment_id = arena_printf(arena, "request-%d/1", i),
			.request_id = arena_printf(arena, "request-%d", i),
			.vm_id = arena_printf(arena, "vm-%d", i),
			.pool_id = "1",
			.host = host,
			.state = "ASSIGNED",
			.gpus = gpu,
			.n_gpus = 1,
			.decided_at = 1000000 + i,
		};
	}

	size_t before = mallinfo2().uordblks + mallinfo2().hblkhd;
	double from = now_us();
	for (uint32_t i = 0; i < ASSIGNMENTS; i++) {
		memcpy(value, &i, sizeof(i));
		if (shard_fold(b.state, &records[i], value, sizeof(value),
			       (struct input_positions){ i, -1 }, &change) != 0)
			abort();
		shard_settle(b.state, change, i, NULL, NULL);
	}
	double folded = now_us() - from;
	size_t after = mallinfo2().uordblks + mallinfo2().hblkhd;

	struct loading loading = { shard_state_new(&options, catalog), records };
	uint64_t cursor = 0;
	from = now_us();
	while (shard_each_ledger_row(b.state, &cursor, 1000, load_row, &loading))
		;
	if (shard_load_done(loading.state, (struct input_positions){ -1, -1 }) != 0 ||
	    shard_digest(loading.state) != shard_digest(b.state))
		abort();
	double loaded = now_us() - from;
	shard_state_free(loading.state);
	shard_state_free(b.state);
	free(records);
	return (struct rebuilt){ folded / ASSIGNMENTS, loaded / ASSIGNMENTS / 2,
				 (double)(after - before) / ASSIGNMENTS };
}

static int compare(const void *a, const void *b)
{
	double x, y;
	memcpy(&x, a, sizeof(x));
	memcpy(&y, b, sizeof(y));
	return (x > y) - (x < y);
}

static double median(double *values)
{
	qsort(values, ROUNDS, sizeof(*values), compare);
	return values[ROUNDS / 2];
}

int main(void)
{
	static struct bench benches[SIZES];
	static double one[SIZES][ROUNDS], two[SIZES][ROUNDS], no[SIZES][ROUNDS];
	struct arena arena;
	arena_init(&arena);

	for (int s = 0; s < SIZES; s++)
		start(&benches[s], sizes[s]);
	for (int round = -1; round < ROUNDS; round++) {
		for (int s = 0; s < SIZES; s++) {
			int r = round < 0 ? 0 : round; /* the first one warms up */
			one[s][r] = grants_and_releases(&benches[s], &arena, 40, 1);
			two[s][r] = grants_and_releases(&benches[s], &arena, 15, 2);
			no[s][r] = refusals(&benches[s], &arena);
		}
	}
	fprintf(stderr, "%8s %12s %12s %18s %18s %12s\n", "GPUs", "bytes/GPU", "fold us/GPU",
		"1 GPU us/pair", "2 GPUs us/pair", "refusal us");
	double bytes_per_gpu = 0;
	for (int s = 0; s < SIZES; s++) {
		fprintf(stderr, "%8d %12.1f %12.3f %18.3f %18.3f %12.3f\n",
			sizes[s] * GPUS_PER_HOST, benches[s].bytes_per_gpu, benches[s].fold_gpu_us,
			median(one[s]), median(two[s]), median(no[s]));
		bytes_per_gpu = benches[s].bytes_per_gpu; /* of the largest pool */
		shard_state_free(benches[s].state);
		catalog_free(benches[s].catalog);
	}
	struct catalog *catalog = catalog_new();
	struct rebuilt rebuilt = rebuild(catalog, &arena);
	printf("{\"bytes_per_gpu\": %.1f, \"decision_us_by_gpus\": {", bytes_per_gpu);
	for (int s = 0; s < SIZES; s++)
		printf("%s\"%d\": %.3f", s ? ", " : "", sizes[s] * GPUS_PER_HOST, median(one[s]));
	printf("}, \"refusal_us_by_gpus\": {");
	for (int s = 0; s < SIZES; s++)
		printf("%s\"%d\": %.3f", s ? ", " : "", sizes[s] * GPUS_PER_HOST, median(no[s]));
	printf("}, \"assignment_fold_us\": %.3f, \"row_load_us\": %.3f, "
	       "\"bytes_per_assignment\": %.0f}\n",
	       rebuilt.fold_us, rebuilt.load_us, rebuilt.bytes);
	catalog_free(catalog);
	arena_deinit(&arena);
	return 0;
}
