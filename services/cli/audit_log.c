#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "cli/audit_internal.h"
#include "model/partition.h"

struct audit_log *audit_log_new(const struct audit_options *options, struct codec *codec)
{
	const struct shard_options state_options = { .remember_us = options->remember_us };
	struct audit_log *log = memory_zeroed(1, sizeof(*log));

	log->options = *options;
	log->codec = codec;
	log->catalog = catalog_new();
	arena_init(&log->texts);
	arena_init(&log->scratch);
	log->shards = memory_zeroed((size_t)options->n_partitions, sizeof(*log->shards));
	for (int32_t i = 0; i < options->n_partitions; i++) {
		struct audit_shard_log *shard = &log->shards[i];
		shard->state = shard_state_new(&state_options, log->catalog);
		shard->applied = (struct input_positions){ -1, -1 };
		shard->newest = INT64_MIN;
		shard->expect = shard->committed = -1;
		follow_init(&shard->follow, 0, -1);
	}
	log->violations = memory_zeroed(VIOLATIONS_KEPT, sizeof(*log->violations));
	return log;
}

static void table_deinit(struct audit_table *table)
{
	index_deinit(&table->index);
	free(table->items);
}

void audit_log_free(struct audit_log *log)
{
	if (!log)
		return;
	for (int32_t i = 0; i < log->options.n_partitions; i++) {
		shard_state_free(log->shards[i].state);
		free(log->shards[i].voids);
		free(log->shards[i].told);
	}
	free(log->shards);
	table_deinit(&log->requests);
	table_deinit(&log->assignments);
	table_deinit(&log->gpus);
	table_deinit(&log->marks);
	free(log->strays);
	free(log->violations);
	catalog_free(log->catalog);
	arena_deinit(&log->texts);
	arena_deinit(&log->scratch);
	free(log);
}

/* ---- tables -------------------------------------------------------------------------------------- */

struct lookup {
	const struct audit_table *table;
	size_t item_size;
};

/* Every item begins with its key. */
static bool has_key(const void *context, uint32_t slot, const void *key)
{
	const struct lookup *lookup = context;
	const char *const *item =
		(const void *)((const char *)lookup->table->items + slot * lookup->item_size);
	return strcmp(*item, key) == 0;
}

static uint32_t need(struct audit_log *log, struct audit_table *table, size_t item_size,
		     const char *key, bool *ret_new)
{
	const struct lookup lookup = { table, item_size };
	uint64_t hash = index_hash(key, strlen(key), 0);
	uint32_t slot = index_find(&table->index, hash, has_key, &lookup, key);

	*ret_new = slot == INDEX_NONE;
	if (slot != INDEX_NONE)
		return slot;
	if (table->n == table->size) {
		table->size = table->size ? 2 * table->size : 256;
		table->items = memory_resize(table->items, table->size, item_size);
	}
	char *item = (char *)table->items + table->n * item_size;
	memset(item, 0, item_size);
	*(const char **)(void *)item = arena_strdup(&log->texts, key);
	index_add(&table->index, hash, (uint32_t)table->n);
	return (uint32_t)table->n++;
}

uint32_t audit_need_request(struct audit_log *log, const char *pool_id, const char *type,
			    const char *request_id)
{
	bool is_new;
	const char *key = arena_printf(&log->scratch, "%s\t%s\t%s", pool_id, type, request_id);
	uint32_t slot = need(log, &log->requests, sizeof(struct audit_request), key, &is_new);
	if (is_new) {
		struct audit_request *request = audit_request_at(log, slot);
		request->shard = partition_of_pool(pool_id, log->options.n_partitions);
		request->outcome_at = request->first_seen = -1;
	}
	return slot;
}

uint32_t audit_need_gpu(struct audit_log *log, const char *gpu_id)
{
	bool is_new;
	uint32_t slot = need(log, &log->gpus, sizeof(struct audit_gpu), gpu_id, &is_new);
	if (is_new)
		audit_gpu_at(log, slot)->holder = AUDIT_NONE;
	return slot;
}

uint32_t audit_need_assignment(struct audit_log *log, const char *pool_id,
			       const char *assignment_id, bool *ret_new)
{
	const char *key = arena_printf(&log->scratch, "%s\t%s", pool_id, assignment_id);
	return need(log, &log->assignments, sizeof(struct audit_assignment), key, ret_new);
}

uint32_t audit_need_mark(struct audit_log *log, const char *pool_id, const char *kind,
			 const char *id)
{
	bool is_new;
	const char *key = arena_printf(&log->scratch, "%s\t%s\t%s", pool_id, kind, id);
	return need(log, &log->marks, sizeof(struct audit_mark), key, &is_new);
}

/* ---- violations ----------------------------------------------------------------------------------- */

void audit_violate(struct audit_log *log, const char *rule, enum topic topic, int32_t partition,
		   int64_t offset, const char *format, ...)
{
	size_t i = log->n_violations++;
	if (i >= VIOLATIONS_KEPT)
		return;
	cleanup(freep) char *text = NULL;
	va_list args;
	va_start(args, format);
	if (vasprintf(&text, format, args) < 0)
		memory_exhausted();
	va_end(args);
	log->violations[i] = (struct audit_violation){ .rule = rule,
						       .topic = topic,
						       .partition = partition,
						       .offset = offset,
						       .text = arena_strdup(&log->texts, text) };
}

const struct audit_violation *audit_violations(const struct audit_log *log, size_t *ret_kept,
					       size_t *ret_all)
{
	*ret_all = log->n_violations;
	*ret_kept = log->n_violations < VIOLATIONS_KEPT ? log->n_violations : VIOLATIONS_KEPT;
	return log->violations;
}

/* ---- results -------------------------------------------------------------------------------------- */

struct audit_shard audit_shard(const struct audit_log *log, int32_t partition)
{
	const struct audit_shard_log *shard = &log->shards[partition];
	return (struct audit_shard){
		.next = shard->follow.next,
		.epoch = shard->follow.epoch,
		.epochs = shard->epochs,
		.records = shard->records,
		.void_records = shard->void_records,
		.voids = shard->voids,
		.n_voids = shard->n_voids,
		.digest = shard_digest(shard->state),
		.reached = shard->reached,
		.expected_digest = shard->expected_digest,
		.applied = shard->applied.requests,
	};
}

struct audit_requests audit_requests(const struct audit_log *log)
{
	return log->counts;
}

uint64_t audit_assigned_gpus(const struct audit_log *log)
{
	uint64_t n = 0;
	const struct audit_gpu *gpus = log->gpus.items;
	for (size_t i = 0; i < log->gpus.n; i++)
		n += gpus[i].holder != AUDIT_NONE;
	return n;
}

uint64_t audit_marks(const struct audit_log *log, const char *kind)
{
	uint64_t n = 0;
	const struct audit_mark *marks = log->marks.items;
	for (size_t i = 0; i < log->marks.n; i++) {
		const char *of = strchr(marks[i].key, '\t') + 1;
		n += marks[i].set && strncmp(of, kind, strlen(kind)) == 0;
	}
	return n;
}
