#include "fresh_fold.h"

#include <string.h>

#include "codec/envelope_headers.h"
#include "follow/follow.h"
#include "model/partition.h"
#include "story.h"

struct comparison {
	struct world *world;
	const struct store_shard *stored;
	size_t rows[STORE_TABLES];
	const char *problem;
};

static void compare_row(struct comparison *comparison, enum store_table table, const void *field,
			size_t field_len, const void *value, size_t value_len)
{
	const struct stored_row *row =
		row_set_find(&comparison->stored->rows, table, field, field_len);
	comparison->rows[table]++;
	if (comparison->problem)
		return;
	if (!row || row->value_len != value_len || memcmp(row->value, value, value_len) != 0)
		comparison->problem = arena_printf(
			&comparison->world->arena, "row %.*s of %s is %s", (int)field_len,
			(const char *)field, store_table_name(table), row ? "another" : "missing");
}

static void on_ledger_row(void *context, enum ledger_table table, const void *field,
			  size_t field_len, const void *value, size_t value_len)
{
	static const enum store_table tables[] = { [LEDGER_VMS] = STORE_VMS,
						   [LEDGER_REQUESTS] = STORE_REQUESTS,
						   [LEDGER_MARKS] = STORE_MARKS };
	compare_row(context, tables[table], field, field_len, value, value_len);
}

static void on_fleet_row(void *context, const char *table, const void *field, size_t field_len,
			 const void *value, size_t value_len)
{
	if (value)
		compare_row(context, strcmp(table, "gpus") == 0 ? STORE_GPUS : STORE_HOSTS, field,
			    field_len, value, value_len);
}

static void compare_definition(struct comparison *comparison, int32_t partition,
			       enum store_table table, const char *id, const char *pool_id,
			       const struct record *record)
{
	cleanup(buf_deinit) struct buf bytes = { 0 };
	if (partition_of_pool(pool_id, SIM_PARTITIONS) == partition &&
	    codec_encode(comparison->world->codec, record, &bytes) == 0)
		compare_row(comparison, table, id, strlen(id), bytes.data, bytes.len);
}

static void compare_catalog(struct comparison *comparison, int32_t partition,
			    const struct catalog *catalog)
{
	const struct vm_pool_defined *pool;
	const struct vm_type_defined *type;
	for (size_t i = 0; (pool = catalog_pool_at(catalog, i)); i++) {
		struct record record = { .type = RECORD_VM_POOL_DEFINED, .vm_pool_defined = *pool };
		compare_definition(comparison, partition, STORE_POOLS, pool->pool_id, pool->pool_id,
				   &record);
	}
	for (size_t i = 0; (type = catalog_type_at(catalog, i)); i++) {
		struct record record = { .type = RECORD_VM_TYPE_DEFINED, .vm_type_defined = *type };
		compare_definition(comparison, partition, STORE_TYPES, type->vm_type_id,
				   type->pool_id, &record);
	}
}

/* ---- folding ----------------------------------------------------------------------------------------- */

/* False: the log contradicts itself. */
static bool fold_decisions(struct world *world, int32_t partition, struct shard_state *state)
{
	const struct message *message;
	struct follow log;

	follow_init(&log, 0, -1);
	for (int64_t at = 0;
	     (message = broker_next(&world->broker, TOPIC_DECISIONS, partition, at));
	     at = message->offset + 1) {
		struct change *change = NULL;
		if (follow_step(&log, message) != FOLLOW_RECORD)
			continue;
		struct record *record = read_record(world, message);
		if (!record ||
		    shard_fold(state, record, message->value, message->value_len,
			       headers_applied(message->headers, message->n_headers), &change) != 0)
			return false;
		shard_settle(state, change, message->offset, NULL, NULL);
	}
	return true;
}

static void fold_fleet(struct world *world, enum topic topic, int32_t partition,
		       struct shard_state *state)
{
	const struct message *message;
	const char *error;

	for (int64_t at = 0; (message = broker_next(&world->broker, topic, partition, at));
	     at = message->offset + 1) {
		struct record *record = read_record(world, message);
		char *key = arena_strndup(&world->arena, message->key, message->key_len);
		int r = 0;
		if (!message->value && topic == TOPIC_INVENTORY)
			shard_remove_gpu(state, key);
		else if (!message->value)
			shard_remove_host(state, key);
		else if (record && record->type == RECORD_GPU_DISCOVERED)
			r = shard_fold_gpu(state, &record->gpu_discovered, &error);
		else if (record && record->type == RECORD_HOST_SEEN)
			r = shard_fold_host(state, &record->host_seen, message->timestamp_us,
					    &error);
		(void)r; /* what is refused changes nothing */
	}
}

const char *checkpoint_problem(struct world *world, int32_t partition)
{
	const struct store_shard *stored = &world->store.shards[partition];
	struct comparison comparison = { .world = world, .stored = stored };
	cleanup(catalog_freep) struct catalog *catalog = catalog_new();
	cleanup(shard_state_freep) struct shard_state *state =
		shard_state_new(&world->config.options, catalog);
	size_t rows[STORE_TABLES] = { 0 };
	uint64_t cursor = 0;

	if (!fold_decisions(world, partition, state))
		return "the log does not fold";
	if (!stored->exists)
		return "there is no checkpoint";
	if (stored->meta.offset != broker_end(&world->broker, TOPIC_DECISIONS, partition))
		return "the checkpoint does not stand at the log's end";
	if (stored->meta.digest != shard_digest(state))
		return "the digest is not that of the log";

	fold_fleet(world, TOPIC_INVENTORY, partition, state);
	fold_fleet(world, TOPIC_HOSTS, partition, state);
	world_fold_catalog(world, catalog);
	while (shard_each_ledger_row(state, &cursor, 100, on_ledger_row, &comparison))
		;
	while (shard_take_dirty_hosts(state, 100, on_fleet_row, &comparison) > 0)
		;
	compare_catalog(&comparison, partition, catalog);

	for (size_t i = 0; i < stored->rows.n; i++)
		rows[stored->rows.rows[i].table]++;
	for (enum store_table table = 0; table < STORE_TABLES && !comparison.problem; table++)
		if (rows[table] != comparison.rows[table])
			comparison.problem = arena_printf(
				&world->arena, "%s has %zu rows instead of %zu",
				store_table_name(table), rows[table], comparison.rows[table]);
	return comparison.problem;
}
