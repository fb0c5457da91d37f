#include "inventory/host.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/memory.h"
#include "codec/event_id.h"
#include "inventory/gpu_book.h"
#include "inventory/gpu_book_file.h"
#include "loop/clock.h"
#include "model/partition.h"
#include "pci/preflight.h"
#include "pci/scan.h"

/* What a scan in the thread pool works on; nobody else touches it meanwhile. */
struct scan_job {
	struct arena arena; /* everything below lives here */
	const struct host_place *place;
	const char *const *reader_args;
	int64_t now_us;
	int result; /* of pci_scan */
	struct pci_scan scan;
	const char *error;
	struct host_seen seen;
};

/*
 * A host that was moved from another pool (its remembered GPUs say so) first takes its GPUs back there,
 * with tombstones, and is scanned only when these are in the log: no GPU may be offered by two pools.
 */
struct host {
	const struct host_place *place;	    /* borrowed */
	const struct host_context *context; /* borrowed */
	char *book_path;		    /* owned */
	struct gpu_book book;
	struct announcement **farewells; /* owned, also each: to the pool that the host has left */
	size_t n_farewells;
	struct loop_timer *farewell_timer; /* owned */
	struct loop_timer *scan_retry;	   /* owned */
	struct announcement heartbeat;
	struct arena seen_arena;
	struct host_seen seen; /* as of the last scan, in seen_arena */
	enum host_health health;
	bool scanning;
	bool scan_again;
	bool told;    /* a scan was announced */
	bool changed; /* the book, since it was saved */
	bool dying;   /* host_free() was called during a scan, whose end frees it */
	struct scan_job job;
};

/* A scan that failed is not left at that until the next regular one: nobody knows what the host has. */
enum { FAREWELL_POLL_MS = 50, SCAN_RETRY_MS = 2000 };

/* ---- heartbeat ----------------------------------------------------------------------------- */

void host_beat(struct host *host)
{
	if (!host->told || host->heartbeat.in_flight)
		return;
	struct record record = { .type = RECORD_HOST_SEEN, .host_seen = host->seen };
	record.host_seen.n_gpus = (int64_t)host->book.n;
	record.host_seen.observed_at = clock_wall_us();

	struct announcement *heartbeat = &host->heartbeat;
	buf_clear(&heartbeat->value);
	if (codec_encode(host->context->codec, &record, &heartbeat->value)) {
		log_error("the heartbeat of %s cannot be sent: %s", host->place->name,
			  codec_error(host->context->codec));
		return;
	}
	cleanup(arena_deinit) struct arena arena;
	arena_init(&arena);
	free(heartbeat->event_id);
	heartbeat->event_id = memory_strdup(record_event_id(&record, &arena));
	heartbeat->time_us = record.host_seen.observed_at;
	publisher_announce(host->context->publisher, heartbeat);
}

/* ---- scan ---------------------------------------------------------------------------------- */

static const char *boot_id_of(struct scan_job *job)
{
	const struct host_place *place = job->place;
	return place->boot_id ? place->boot_id : preflight_boot_id(place->proc_dir, &job->arena);
}

/* Everything but n_gpus and observed_at, which each heartbeat adds. */
static void see_host(struct scan_job *job)
{
	const struct host_place *place = job->place;
	struct preflight found;
	preflight_read(place->sysfs_dir, place->proc_dir, &job->scan, &job->arena, &found);
	job->seen = (struct host_seen){
		.host = place->name,
		.pool_id = place->pool_id,
		.boot_id = place->boot_id ? place->boot_id : found.boot_id,
		.cpu_cores = place->cpu_cores ? place->cpu_cores : found.cpu_cores,
		.ram_gb = place->ram_gb ? place->ram_gb : found.ram_gb,
		.iommu = found.iommu,
		.interrupt_remapping = found.interrupt_remapping,
		.vfio = found.vfio,
	};
}

/* In a thread of the pool. */
static void run_scan(void *context)
{
	struct scan_job *job = &((struct host *)context)->job;
	const struct host_place *place = job->place;
	const struct pci_scan_options options = {
		.sysfs_dir = place->sysfs_dir,
		.pci_ids_path = place->pci_ids_path,
		.host = place->name,
		.pool_id = place->pool_id,
		.boot_id = boot_id_of(job),
		.now_us = job->now_us,
		.passthrough_drivers = place->passthrough_drivers,
		.reader_args = job->reader_args,
	};
	job->result = pci_scan(&options, &job->arena, &job->scan, &job->error);
	if (job->result == 0)
		see_host(job);
}

static void announce(void *context, struct gpu_entry *entry)
{
	struct host *host = context;
	host->changed = true;
	publisher_announce(host->context->publisher, &entry->announcement);
}

static void keep_seen(struct host *host, const struct host_seen *seen)
{
	arena_reset(&host->seen_arena);
	host->seen = *seen;
	host->seen.boot_id = arena_strdup(&host->seen_arena, seen->boot_id);
}

static void log_gpus(const struct host *host, const struct pci_scan *scan)
{
	for (size_t i = 0; i < scan->n_warnings; i++)
		log_warning("host=%s %s", host->place->name, scan->warnings[i]);
	for (size_t i = 0; i < scan->n_gpus && !host->told; i++) {
		const struct gpu_discovered *gpu = &scan->gpus[i];
		log_info("found gpu=%s model=\"%s\" state=%s%s%s", gpu->gpu_id, gpu->model,
			 gpu->state, gpu->reason ? ": " : "", gpu->reason ? gpu->reason : "");
	}
}

static void save_book(struct host *host)
{
	int r = gpu_book_save(&host->book, host->book_path);
	host->changed = r < 0;
	if (r < 0)
		log_warning("%s cannot be written, a GPU that disappears may not be missed: %s",
			    host->book_path, strerror(-r));
}

static void take_scan(struct host *host)
{
	struct scan_job *job = &host->job;
	const struct pci_scan *scan = &job->scan;
	log_gpus(host, scan);
	const struct gpu_book_scan book_scan = { .gpus = scan->gpus,
						 .n = scan->n_gpus,
						 .complete = scan->complete,
						 .tell_all = !host->told,
						 .now_us = job->now_us };
	gpu_book_update(&host->book, &book_scan, announce, host);
	host->health = scan->complete ? HOST_SCANNED : HOST_UNREADABLE;
	keep_seen(host, &job->seen);

	/* A host that has moved here: its strays in the file are told by now, and forgotten. */
	if (host->changed || host->n_farewells)
		save_book(host);
	if (!host->told) {
		host->told = true;
		host_beat(host);
	}
}

static void start_scan(struct host *host);
static void destroy(struct host *host);

static void on_scan_done(void *context)
{
	struct host *host = context;
	struct scan_job *job = &host->job;
	host->scanning = false;
	if (host->dying) {
		arena_deinit(&job->arena);
		destroy(host);
		return;
	}
	if (job->result == 0) {
		take_scan(host);
	} else {
		host->health = HOST_UNREADABLE;
		log_error("host %s cannot be scanned: %s", host->place->name,
			  job->error ? job->error : strerror(-job->result));
		loop_timer_start(host->scan_retry, SCAN_RETRY_MS, 0);
	}
	arena_deinit(&job->arena);
	if (host->scan_again)
		start_scan(host);
	host->context->on_scanned(host->context->context);
}

static void start_scan(struct host *host)
{
	host->scanning = true;
	host->scan_again = false;
	host->job = (struct scan_job){ .place = host->place,
				       .reader_args = host->context->reader_args,
				       .now_us = clock_wall_us() };
	arena_init(&host->job.arena);
	loop_work(host->context->loop, run_scan, on_scan_done, host);
}

static bool has_said_farewell(const struct host *host)
{
	for (size_t i = 0; i < host->n_farewells; i++)
		if (!announcement_is_quiet(host->farewells[i]))
			return false;
	return true;
}

static void on_farewell_timer(void *context)
{
	struct host *host = context;
	if (!has_said_farewell(host))
		return;
	loop_timer_stop(host->farewell_timer);
	host_scan(host);
}

void host_scan(struct host *host)
{
	if (host->scanning || !has_said_farewell(host))
		host->scan_again = true;
	else
		start_scan(host);
}

static void on_scan_retry(void *context)
{
	host_scan(context);
}

enum host_health host_health(const struct host *host)
{
	return host->scanning ? HOST_NOT_SCANNED : host->health;
}

/* ---- life ---------------------------------------------------------------------------------- */

/* The pool that the host has left must not go on offering its GPU. */
static void say_farewell(void *context, const struct gpu_discovered *gpu)
{
	struct host *host = context;
	struct announcement *farewell = memory_zeroed(1, sizeof(*farewell));
	cleanup(arena_deinit) struct arena arena;
	arena_init(&arena);
	const struct record record = { .type = RECORD_GPU_DISCOVERED, .gpu_discovered = *gpu };
	farewell->topic = TOPIC_INVENTORY;
	farewell->partition = partition_of_pool(gpu->pool_id, host->context->n_partitions);
	farewell->key = memory_strdup(gpu->gpu_id);
	farewell->event_id = memory_strdup(record_event_id(&record, &arena));
	farewell->event_type = record_event_type(RECORD_GPU_DISCOVERED);
	farewell->host = host->place->name;
	farewell->time_us = clock_wall_us();

	host->farewells = memory_resize(host->farewells, host->n_farewells + 1,
					sizeof(struct announcement *));
	host->farewells[host->n_farewells++] = farewell;
	log_info("gpu=%s leaves pool %s", gpu->gpu_id, gpu->pool_id);
}

struct host *host_new(const struct host_place *place, const struct host_context *context)
{
	struct host *host = memory_zeroed(1, sizeof(*host));
	int32_t partition = partition_of_pool(place->pool_id, context->n_partitions);
	host->place = place;
	host->context = context;
	arena_init(&host->seen_arena);
	gpu_book_init(&host->book, context->codec, place->name, partition);
	host->heartbeat.topic = TOPIC_HOSTS;
	host->heartbeat.partition = partition;
	host->heartbeat.key = memory_strdup(place->name);
	host->heartbeat.event_type = record_event_type(RECORD_HOST_SEEN);
	host->heartbeat.host = place->name;

	cleanup(buf_deinit) struct buf path = { 0 };
	buf_printf(&path, "%s/gpus.json", place->state_dir);
	host->book_path = buf_steal(&path);
	host->farewell_timer = loop_timer_new(context->loop, on_farewell_timer, host);
	host->scan_retry = loop_timer_new(context->loop, on_scan_retry, host);
	gpu_book_load(&host->book, host->book_path, place->pool_id, say_farewell, host);
	for (size_t i = 0; i < host->n_farewells; i++)
		publisher_announce(context->publisher, host->farewells[i]);
	if (host->n_farewells)
		loop_timer_start(host->farewell_timer, FAREWELL_POLL_MS, FAREWELL_POLL_MS);
	return host;
}

static void destroy(struct host *host)
{
	for (size_t i = 0; i < host->n_farewells; i++) {
		announcement_deinit(host->farewells[i]);
		free(host->farewells[i]);
	}
	free(host->farewells);
	announcement_deinit(&host->heartbeat);
	gpu_book_deinit(&host->book);
	arena_deinit(&host->seen_arena);
	free(host->book_path);
	free(host);
}

void host_free(struct host *host)
{
	if (!host)
		return;
	loop_timer_free(host->farewell_timer);
	loop_timer_free(host->scan_retry);
	if (host->scanning)
		host->dying = true;
	else
		destroy(host);
}
