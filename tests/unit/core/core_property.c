/*
 * Thousands of random operations against a model so simple that it is obviously right: a list of GPUs
 * and a search over all of them. No GPU is ever given twice or from quarantine, assignments are all or
 * nothing on one host and meet their asks, and a request is granted, and a failed assignment moved,
 * exactly when the search finds a host for it.
 */
#include "world.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { HOSTS = 6, BUSES = 9, MODELS = 5, VMS = 14, STEPS = 6000, SLOTS = 12 };

struct naive_gpu {
	bool inventoried;
	bool available;
	int model;
	int held_model;	    /* of an entry that only its VM knows */
	int assigned_model; /* when its VM got it */
	bool quarantined;
	int owner; /* VM, -1 */
};

struct naive_host {
	bool seen;
	bool preflight;
	bool cordoned;
	int64_t seen_at;
	int64_t cpu;
	int64_t cpu_used;
	struct naive_gpu gpus[BUSES];
};

struct naive_vm {
	int host; /* -1: holds nothing */
	int64_t cpu;
	bool pinned;
	unsigned failed; /* hosts, bits */
	char request[16];
	int attempt;
};

struct naive {
	struct naive_host hosts[HOSTS];
	struct naive_vm vms[VMS];
};

struct naive_ask {
	const char *name;
	unsigned models; /* bits */
	int count;
};

/* What the names in requests stand for; models are numbered as in world_models. */
static const struct naive_ask names[] = {
	{ "GP104GL [Tesla P4]", 7, 0 },	 { "gp104gl [TESLA p4]", 7, 0 },
	{ "10de:1bb3", 3, 0 },		 { "10de:1bb3:1028:beef", 2, 0 },
	{ "10DE:1bb9", 4, 0 },		 { "TU104GL [Tesla T4]", 8, 0 },
	{ "10de:1eb8:10de:12a2", 8, 0 }, { "10de:15f8", 16, 0 },
};
enum { NAMES = sizeof(names) / sizeof(*names) };

static uint64_t seed;

static unsigned random_below(unsigned n)
{
	seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (unsigned)(seed >> 33) % n;
}

/* ---- the naive search ---- */

static bool can_give(const struct naive_host *host, int bus, int64_t now)
{
	const struct naive_gpu *gpu = &host->gpus[bus];
	return host->seen && host->preflight && host->seen_at >= now - 45 * (int64_t)SECOND &&
	       gpu->inventoried && gpu->available && gpu->owner < 0 && !gpu->quarantined &&
	       !host->cordoned;
}

/* Tries every way to meet the wanted models one by one. */
static bool meets(const bool *free, const int *models, const unsigned *wanted, int n)
{
	if (n == 0)
		return true;
	bool rest[BUSES];
	memcpy(rest, free, sizeof(rest));
	for (int bus = 0; bus < BUSES; bus++) {
		if (!free[bus] || !(wanted[0] >> models[bus] & 1))
			continue;
		rest[bus] = false;
		if (meets(rest, models, wanted + 1, n - 1))
			return true;
		rest[bus] = true;
	}
	return false;
}

static int expand(const struct naive_ask *asks, int n, unsigned *wanted)
{
	int slots = 0;
	for (int a = 0; a < n; a++)
		for (int i = 0; i < asks[a].count; i++)
			wanted[slots++] = asks[a].models;
	return slots;
}

static bool fits(const struct naive_host *host, const struct naive_ask *asks, int n, int64_t cpu,
		 int64_t now)
{
	unsigned wanted[SLOTS];
	bool free[BUSES];
	int models[BUSES], n_free = 0, slots = expand(asks, n, wanted);
	for (int bus = 0; bus < BUSES; bus++) {
		free[bus] = can_give(host, bus, now);
		models[bus] = host->gpus[bus].model;
		n_free += free[bus];
	}
	if (cpu > 0 && host->cpu > 0 && host->cpu - host->cpu_used < cpu)
		return false;
	return n_free >= slots && meets(free, models, wanted, slots);
}

static bool is_registered(const struct naive *naive, unsigned models)
{
	for (int h = 0; h < HOSTS; h++) {
		for (int bus = 0; bus < BUSES; bus++) {
			const struct naive_gpu *gpu = &naive->hosts[h].gpus[bus];
			int model = gpu->inventoried ? gpu->model : gpu->held_model;
			if ((gpu->inventoried || gpu->owner >= 0) && (models >> model & 1))
				return true;
		}
	}
	return false;
}

/* ---- operations on both ---- */

static void change_inventory(struct world *w, struct naive *naive)
{
	int h = (int)random_below(HOSTS), bus = (int)random_below(BUSES);
	struct naive_gpu *gpu = &naive->hosts[h].gpus[bus];
	char text[64];
	if (random_below(4) == 0) {
		snprintf(text, sizeof(text), "h%d/0000:%02x:00.0", h, bus);
		world_remove_gpu(w, text);
		if (gpu->inventoried)
			gpu->held_model = gpu->model;
		gpu->inventoried = false;
		return;
	}
	/* A card in its slot mostly stays what it is. */
	if (!gpu->inventoried || random_below(10) == 0)
		gpu->model = (int)random_below(MODELS);
	gpu->inventoried = true;
	gpu->available = random_below(5) != 0;
	snprintf(text, sizeof(text), "h%d %s@%02x/n%u/s%u%s", h, world_models[gpu->model].nick, bus,
		 random_below(2), random_below(4), gpu->available ? "" : "/IN_USE_BY_HOST");
	world_gpus(w, text);
}

static void change_host(struct world *w, struct naive *naive)
{
	int h = (int)random_below(HOSTS);
	struct naive_host *host = &naive->hosts[h];
	char text[64];
	if (random_below(12) == 0) {
		snprintf(text, sizeof(text), "h%d", h);
		shard_remove_host(w->state, text);
		host->seen = false;
		return;
	}
	unsigned trouble = random_below(15);
	host->seen = true;
	host->seen_at = w->now;
	host->preflight = trouble > 2;
	host->cpu = random_below(4) == 0 ? 0 : 8 + random_below(8);
	snprintf(text, sizeof(text), "h%d cpu=%" PRId64 " iommu=%d vfio=%d ir=%d", h, host->cpu,
		 trouble != 0, trouble != 1, trouble != 2);
	world_heartbeat(w, text);
}

static void let_go(struct naive *naive, int vm)
{
	struct naive_host *host = &naive->hosts[naive->vms[vm].host];
	host->cpu_used -= naive->vms[vm].cpu;
	for (int bus = 0; bus < BUSES; bus++)
		if (host->gpus[bus].owner == vm)
			host->gpus[bus].owner = -1;
	naive->vms[vm].host = -1;
}

static void release(struct world *w, struct naive *naive, int step)
{
	int vm = (int)random_below(VMS);
	char text[64];
	snprintf(text, sizeof(text), "x%d vm%d", step, vm);
	const char *line = world_release(w, text);
	if (naive->vms[vm].host < 0) {
		assert_non_null(strstr(line, "NOTHING_HELD"));
		return;
	}
	assert_int_equal(strncmp(line, "released ", 9), 0);
	let_go(naive, vm);
}

/* The assignment is free GPUs of one host that meet the asks, no more and no less. */
static void take(struct naive *naive, const struct gpu_assigned *assigned, int vm,
		 const struct naive_ask *asks, int n_asks, int pinned, int64_t cpu, int64_t now)
{
	int h = assigned->host[1] - '0';
	struct naive_host *host = &naive->hosts[h];
	unsigned wanted[SLOTS];
	bool given[BUSES] = { false };
	int models[BUSES], slots = expand(asks, n_asks, wanted);

	assert_true(pinned < 0 || pinned == h);
	assert_true(fits(host, asks, n_asks, cpu, now));
	assert_int_equal(assigned->n_gpus, slots);
	for (size_t i = 0; i < assigned->n_gpus; i++) {
		const char *id = assigned->gpus[i].gpu_id;
		int bus = id[9] - '0'; /* h0/0000:0B:00.0 */
		assert_int_equal(id[1] - '0', h);
		assert_false(given[bus]);
		assert_true(can_give(host, bus, now));
		given[bus] = true;
		host->gpus[bus].owner = vm;
		host->gpus[bus].held_model = host->gpus[bus].assigned_model = host->gpus[bus].model;
	}
	for (int bus = 0; bus < BUSES; bus++)
		models[bus] = host->gpus[bus].model;
	assert_true(meets(given, models, wanted, slots));
	naive->vms[vm].host = h;
	naive->vms[vm].cpu = cpu;
	host->cpu_used += cpu;
}

static void ask(struct world *w, struct naive *naive, int step)
{
	struct gpu_ask gpus[3];
	struct naive_ask asks[3];
	int n = 1 + (int)(random_below(3) == 0) + (int)(random_below(4) == 0);
	int vm = (int)random_below(VMS), pinned = -1;
	int64_t cpu = 0;
	char id[16], vm_id[16], host[8];

	for (int a = 0; a < n; a++) {
		asks[a] = names[random_below(NAMES)];
		asks[a].count = 1 + (int)random_below(random_below(3) == 0 ? 4 : 2);
		gpus[a] = (struct gpu_ask){ asks[a].name, asks[a].count };
	}
	snprintf(id, sizeof(id), "r%d", step);
	snprintf(vm_id, sizeof(vm_id), "vm%d", vm);
	struct record event = { .type = RECORD_VM_REQUESTED };
	event.vm_requested = (struct vm_requested){
		.request_id = id,
		.vm_id = vm_id,
		.pool_id = "1",
		.gpus = gpus,
		.n_gpus = (size_t)n,
		.policy = random_below(2) ? "pack" : "spread",
		.requested_at = ABSENT,
	};
	if (random_below(5) == 0) {
		pinned = (int)random_below(HOSTS);
		snprintf(host, sizeof(host), "h%d", pinned);
		event.vm_requested.host = host;
	}
	const struct vm_type_defined type = { .vm_type_id = "t",
					      .pool_id = "1",
					      .name = "t",
					      .cpu_cores = 1 + random_below(5),
					      .gpus = gpus,
					      .n_gpus = (size_t)n };
	if (random_below(3) == 0) {
		const char *error;
		assert_int_equal(catalog_fold_type(w->catalog, &type, &error), 0);
		event.vm_requested.vm_type_id = "t";
		event.vm_requested.n_gpus = 0;
		cpu = type.cpu_cores;
	}
	const char *line = world_decide(w, &event);
	const struct record *record = &w->log[w->n_log - 1].record;

	bool known = true, possible = false;
	for (int a = 0; a < n; a++)
		known &= is_registered(naive, asks[a].models);
	for (int h = 0; h < HOSTS; h++)
		possible |=
			(pinned < 0 || h == pinned) && fits(&naive->hosts[h], asks, n, cpu, w->now);

	if (naive->vms[vm].host >= 0)
		assert_non_null(strstr(line, "VM_HAS_GPUS"));
	else if (record->type == RECORD_GPU_ASSIGNED) {
		take(naive, &record->gpu_assigned, vm, asks, n, pinned, cpu, w->now);
		naive->vms[vm].pinned = pinned >= 0;
		naive->vms[vm].failed = 0;
		naive->vms[vm].attempt = 1;
		strcpy(naive->vms[vm].request, id);
	} else if (strstr(line, "HOST_UNKNOWN") || strstr(line, "POOL_UNKNOWN"))
		assert_false(possible);
	else if (strstr(line, "MODEL_UNKNOWN"))
		assert_false(known);
	else if (!strstr(line, "NO_CAPACITY") || possible || !known)
		fail_msg("step %d: %s", step, line);
}

/* ---- operators ---- */

static bool is_host_known(const struct naive_host *host)
{
	bool known = host->seen;
	for (int bus = 0; bus < BUSES; bus++)
		known |= host->gpus[bus].inventoried || host->gpus[bus].owner >= 0;
	return known;
}

static void command_host(struct world *w, struct naive *naive, int step)
{
	int h = (int)random_below(HOSTS);
	struct naive_host *host = &naive->hosts[h];
	bool cordon = random_below(4) == 0;
	char text[64];
	snprintf(text, sizeof(text), "c%d %s h%d", step, cordon ? "CORDON_HOST" : "UNCORDON_HOST",
		 h);
	const char *line = world_command(w, text);
	if (!host->cordoned && !is_host_known(host))
		assert_non_null(strstr(line, "HOST_UNKNOWN"));
	else if (host->cordoned == cordon)
		assert_non_null(strstr(line, "NOTHING_CHANGED"));
	else
		assert_non_null(strstr(line, cordon ? " CORDONED" : " OPEN"));
	if (host->cordoned || is_host_known(host))
		host->cordoned = cordon;
}

static void command_gpu(struct world *w, struct naive *naive, int step)
{
	int h = (int)random_below(HOSTS), bus = (int)random_below(BUSES);
	struct naive_gpu *gpu = &naive->hosts[h].gpus[bus];
	bool known = gpu->quarantined || gpu->inventoried || gpu->owner >= 0;
	bool quarantine = random_below(6) == 0;
	char text[64];
	snprintf(text, sizeof(text), "c%d %s h%d/%02x", step,
		 quarantine ? "QUARANTINE_GPU" : "RETURN_GPU", h, bus);
	const char *line = world_command(w, text);
	if (!known)
		assert_non_null(strstr(line, "GPU_UNKNOWN"));
	else if (gpu->quarantined == quarantine)
		assert_non_null(strstr(line, "NOTHING_CHANGED"));
	else
		assert_non_null(strstr(line, quarantine ? " QUARANTINED" : " RETURNED"));
	if (known)
		gpu->quarantined = quarantine;
}

/* ---- agents ---- */

/* What the VM has, as asks for the same devices: P4 and P4b are of one id. */
static int ask_for_the_same(const struct naive *naive, int vm, struct naive_ask asks[MODELS])
{
	static const unsigned same_device[MODELS] = { 3, 3, 4, 8, 16 };
	const struct naive_host *host = &naive->hosts[naive->vms[vm].host];
	int n = 0;
	for (int bus = 0; bus < BUSES; bus++) {
		if (host->gpus[bus].owner != vm)
			continue;
		unsigned models = same_device[host->gpus[bus].assigned_model];
		int a = 0;
		while (a < n && asks[a].models != models)
			a++;
		if (a == n)
			asks[n++] = (struct naive_ask){ "", models, 0 };
		asks[a].count++;
	}
	return n;
}

/* A report of failure, some GPUs not clean: they stay out of use, the others are free. */
static void report_failure(struct world *w, struct naive *naive)
{
	int vm = (int)random_below(VMS), n_failed = 1;
	struct naive_vm *its = &naive->vms[vm];
	struct naive_ask asks[MODELS];
	char text[160];
	unsigned unclean = 0;
	if (its->host < 0)
		return;
	int h = its->host, n_asks = ask_for_the_same(naive, vm, asks);
	struct naive_host *host = &naive->hosts[h];
	int len = snprintf(text, sizeof(text), "vm%d %s/%d FAILED", vm, its->request, its->attempt);
	for (int bus = 0; bus < BUSES; bus++) {
		if (host->gpus[bus].owner != vm)
			continue;
		if (random_below(8) == 0)
			unclean |= 1u << bus;
		else
			len += snprintf(text + len, sizeof(text) - (size_t)len, " %02x=CLEAN", bus);
	}

	bool possible = false, known = true;
	for (int other = 0; other < HOSTS; other++) {
		bool tried = other == h || (its->failed >> other & 1);
		n_failed += (its->failed >> other & 1) != 0;
		possible |= !tried && fits(&naive->hosts[other], asks, n_asks, its->cpu, w->now);
	}
	for (int a = 0; a < n_asks; a++)
		known &= is_registered(naive, asks[a].models);
	bool moves = possible && known && !its->pinned && n_failed < 3;

	world_report(w, text);
	const struct record *record = &w->log[w->n_log - 1].record;
	assert_int_equal(record->type, moves ? RECORD_GPU_ASSIGNED : RECORD_GPU_RELEASED);
	size_t quarantined =
		moves ? record->gpu_assigned.n_quarantined : record->gpu_released.n_quarantined;
	assert_int_equal(quarantined, __builtin_popcount(unclean));
	int64_t cpu = its->cpu;
	let_go(naive, vm);
	for (int bus = 0; bus < BUSES; bus++)
		host->gpus[bus].quarantined |= unclean >> bus & 1;
	if (!moves)
		return;
	its->failed |= 1u << h;
	its->attempt++;
	assert_false(its->failed >> (record->gpu_assigned.host[1] - '0') & 1);
	assert_int_equal(record->gpu_assigned.n_failed_hosts, n_failed);
	take(naive, &record->gpu_assigned, vm, asks, n_asks, -1, cpu, w->now);
}

static void run(struct world *w, uint64_t with_seed)
{
	struct naive naive = { 0 };
	seed = with_seed;
	for (int h = 0; h < HOSTS; h++)
		for (int bus = 0; bus < BUSES; bus++)
			naive.hosts[h].gpus[bus].owner = -1;
	for (int vm = 0; vm < VMS; vm++)
		naive.vms[vm].host = -1;

	size_t granted = 0, moved = 0;
	for (int step = 0; step < STEPS; step++) {
		w->now += random_below(2 * SECOND);
		unsigned what = random_below(24);
		if (what < 3)
			change_inventory(w, &naive);
		else if (what < 7)
			change_host(w, &naive);
		else if (what < 12)
			release(w, &naive, step);
		else if (what < 20)
			ask(w, &naive, step);
		else if (what < 21)
			command_host(w, &naive, step);
		else if (what < 23)
			command_gpu(w, &naive, step);
		else
			report_failure(w, &naive);
		const struct record *newest = w->n_log ? &w->log[w->n_log - 1].record : NULL;
		granted += newest && newest->type == RECORD_GPU_ASSIGNED;
		moved += newest && newest->type == RECORD_GPU_ASSIGNED &&
			 newest->gpu_assigned.replaces && what == 23;

		size_t held = 0, gpus = 0, quarantined = 0, cordoned = 0;
		for (int h = 0; h < HOSTS; h++) {
			cordoned += naive.hosts[h].cordoned;
			for (int bus = 0; bus < BUSES; bus++) {
				quarantined += naive.hosts[h].gpus[bus].quarantined;
				held += naive.hosts[h].gpus[bus].owner >= 0;
				gpus += naive.hosts[h].gpus[bus].inventoried;
			}
		}
		assert_int_equal(shard_counts(w->state).gpus_assigned, held);
		assert_int_equal(shard_counts(w->state).gpus, gpus);
		assert_int_equal(shard_counts(w->state).gpus_quarantined, quarantined);
		assert_int_equal(shard_counts(w->state).hosts_cordoned, cordoned);
	}
	assert_true(granted > STEPS / 20 && moved > 10);
}

static void decisions_agree_with_a_naive_search(void **state)
{
	(void)state;
	for (uint64_t i = 1; i <= 8; i++) {
		struct world *w = world_new();
		print_message("seed %" PRIu64 "\n", i);
		world_pool(w, "external", "pack");
		run(w, i);
		world_free(w);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(decisions_agree_with_a_naive_search),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
