/*
 * The shard's side of its checkpoint in Redis: rows that were settled are collected and submitted once
 * a turn; when the store asks for all of it, the state is walked in chunks while decisions go on (the
 * contract is in store/store.h). Nothing in the pipeline waits for any of this.
 */
#include <string.h>

#include "base/memory.h"
#include "model/partition.h"
#include "scheduler/shard_internal.h"
#include "store/store.h"

enum { REWRITE_CHUNK_ROWS = 1000, FLEET_HOSTS_PER_TURN = 500 };

void row_batch_clear(struct row_batch *batch)
{
	buf_clear(&batch->bytes);
	batch->count = 0;
	batch->records = 0;
}

void row_batch_deinit(struct row_batch *batch)
{
	buf_deinit(&batch->bytes);
	free(batch->places);
	free(batch->rows);
	*batch = (struct row_batch){ 0 };
}

static void add_row(struct row_batch *batch, enum store_table table, const void *field,
		    size_t field_len, const void *value, size_t value_len)
{
	if (batch->count == batch->size) {
		batch->size = batch->size ? batch->size * 2 : 64;
		batch->places = memory_resize(batch->places, batch->size, sizeof(*batch->places));
		batch->rows = memory_resize(batch->rows, batch->size, sizeof(*batch->rows));
	}
	struct row_place *place = &batch->places[batch->count++];
	*place = (struct row_place){ .table = table,
				     .deleted = !value,
				     .field = batch->bytes.len,
				     .field_len = field_len,
				     .value = batch->bytes.len + field_len,
				     .value_len = value_len };
	buf_append(&batch->bytes, field, field_len);
	if (value)
		buf_append(&batch->bytes, value, value_len);
}

/* The bytes do not move any more: rows may point into them. */
static const struct store_row *finished_rows(struct row_batch *batch)
{
	for (size_t i = 0; i < batch->count; i++) {
		const struct row_place *place = &batch->places[i];
		batch->rows[i] = (struct store_row){
			.table = place->table,
			.field = batch->bytes.data + place->field,
			.field_len = place->field_len,
			.value = place->deleted ? NULL : batch->bytes.data + place->value,
			.value_len = place->value_len,
		};
	}
	return batch->rows;
}

static const enum store_table ledger_tables[] = {
	[LEDGER_VMS] = STORE_VMS, [LEDGER_REQUESTS] = STORE_REQUESTS, [LEDGER_MARKS] = STORE_MARKS
};

/* False: a table of the fleet or of the catalog. */
static bool is_ledger_table(enum store_table table, enum ledger_table *ret_table)
{
	for (enum ledger_table t = LEDGER_VMS; t <= LEDGER_MARKS; t++)
		if (ledger_tables[t] == table) {
			*ret_table = t;
			return true;
		}
	return false;
}

static void collect_row(void *context, enum ledger_table table, const void *field, size_t field_len,
			const void *value, size_t value_len)
{
	struct shard *shard = context;
	add_row(&shard->rows, ledger_tables[table], field, field_len, value, value_len);
}

ledger_row_fn shard_row_collector(const struct shard *shard)
{
	return shard->from_scratch ? NULL : collect_row;
}

static void collect_fleet_row(void *context, const char *table, const void *field, size_t field_len,
			      const void *value, size_t value_len)
{
	struct shard *shard = context;
	add_row(&shard->rows, strcmp(table, "gpus") == 0 ? STORE_GPUS : STORE_HOSTS, field,
		field_len, value, value_len);
}

static bool is_steady(const struct shard *shard)
{
	return shard->phase == SHARD_OWNING || shard->phase == SHARD_DRAINING ||
	       shard->phase == SHARD_RESTING;
}

static bool is_mine(const struct shard *shard, const char *pool_id)
{
	return partition_of_pool(pool_id, shard->config.n_partitions) == shard->config.partition;
}

static bool is_defined(const struct shard *shard, enum store_table table, const char *id)
{
	const struct catalog *catalog = shard->world.catalog;
	const struct vm_type_defined *type;

	if (table == STORE_POOLS)
		return is_mine(shard, id) && catalog_pool(catalog, id);
	for (size_t i = 0; (type = catalog_type_at(catalog, i)); i++)
		if (strcmp(type->vm_type_id, id) == 0 && is_mine(shard, type->pool_id))
			return true;
	return false;
}

/* A definition that was removed, or has moved to a pool of another shard, is not shown any longer. */
static void drop_undefined(struct shard *shard, enum store_table table, struct buf *shown)
{
	for (size_t at = 0; at < shown->len;) {
		const char *id = shown->data + at;
		size_t len = strlen(id);
		if (!is_defined(shard, table, id))
			add_row(&shard->rows, table, id, len, NULL, 0);
		at += len + 1;
	}
	buf_clear(shown);
}

/* Hosts of the checkpoint that went while nobody owned the shard. */
static void drop_gone_hosts(struct shard *shard)
{
	struct buf *shown = &shard->shown_hosts;
	for (size_t at = 0; at < shown->len;) {
		const char *field = shown->data + at;
		size_t len = strlen(field);
		if (!shard_has_host(shard->state, field)) {
			add_row(&shard->rows, STORE_HOSTS, field, len, NULL, 0);
			add_row(&shard->rows, STORE_GPUS, field, len, NULL, 0);
		}
		at += len + 1;
	}
	buf_clear(shown);
}

static void show_definition(struct shard *shard, enum store_table table, struct buf *shown,
			    const char *id, const struct record *record)
{
	buf_clear(&shard->encoded);
	if (codec_encode(shard->world.codec, record, &shard->encoded) != 0)
		return;
	add_row(&shard->rows, table, id, strlen(id), shard->encoded.data, shard->encoded.len);
	buf_append(shown, id, strlen(id) + 1);
}

/* The definitions of this shard's pools; few, so all of them are written when any has changed. Not
 * while the catalog is still being read: what is not there yet would be taken for removed. */
static void collect_catalog(struct shard *shard)
{
	const struct catalog *catalog = shard->world.catalog;
	if (!is_steady(shard) || shard->catalog_written == catalog_version(catalog))
		return;
	shard->catalog_written = catalog_version(catalog);
	drop_undefined(shard, STORE_POOLS, &shard->shown_pools);
	drop_undefined(shard, STORE_TYPES, &shard->shown_types);

	struct record record = { .type = RECORD_VM_POOL_DEFINED };
	const struct vm_pool_defined *pool;
	for (size_t i = 0; (pool = catalog_pool_at(catalog, i)); i++) {
		record.vm_pool_defined = *pool;
		if (is_mine(shard, pool->pool_id))
			show_definition(shard, STORE_POOLS, &shard->shown_pools, pool->pool_id,
					&record);
	}
	record.type = RECORD_VM_TYPE_DEFINED;
	const struct vm_type_defined *type;
	for (size_t i = 0; (type = catalog_type_at(catalog, i)); i++) {
		record.vm_type_defined = *type;
		if (is_mine(shard, type->pool_id))
			show_definition(shard, STORE_TYPES, &shard->shown_types, type->vm_type_id,
					&record);
	}
}

static struct store_meta present_meta(const struct shard *shard)
{
	return (struct store_meta){
		.epoch = shard->log.epoch,
		.offset = shard->log.next,
		.sequence = shard->sequence,
		.digest = shard_digest(shard->state),
		.applied = shard->settled,
	};
}

void shard_submit_rows(struct shard *shard)
{
	/* Not while the fleet is still being read: most hosts would be written again and again. Nor while
	 * resting: the next owner may just have loaded the checkpoint. */
	if (is_steady(shard) && shard->phase != SHARD_RESTING) {
		drop_gone_hosts(shard);
		shard_take_dirty_hosts(shard->state, FLEET_HOSTS_PER_TURN, collect_fleet_row,
				       shard);
	}
	collect_catalog(shard);
	if (shard->rows.count == 0 && shard->rows.records == 0 &&
	    shard->log.next == shard->submitted_offset)
		return;

	shard->sequence++;
	shard->submitted_offset = shard->log.next;
	struct store_meta meta = present_meta(shard);
	shard->world.io.submit(shard->world.io.context, shard->config.partition, &meta,
			       finished_rows(&shard->rows), shard->rows.count, shard->rows.records);
	row_batch_clear(&shard->rows);
}

/* ---- rewrite ----------------------------------------------------------------------------------- */

void shard_on_rewrite_needed(struct shard *shard)
{
	shard->rewrite_needed = true;
	shard->rewriting = false;
}

void shard_on_rewrite_more(struct shard *shard)
{
	shard->rewrite_paused = false;
}

static bool begin_rewrite(struct shard *shard)
{
	shard->rewrite_needed = false;
	shard->from_scratch = false;
	shard_submit_rows(shard);
	struct store_meta meta = present_meta(shard);
	if (shard->world.io.rewrite_begin(shard->world.io.context, shard->config.partition,
					  &meta) != 0)
		return false;
	shard->rewriting = true;
	shard->rewrite_paused = false;
	shard->rewrite_rows_done = false;
	shard->rewrite_cursor = 0;
	shard_mark_fleet_dirty(shard->state); /* fleet rows come through shard_submit_rows() */
	shard->catalog_written = 0;
	buf_clear(&shard->shown_pools);
	buf_clear(&shard->shown_types);
	buf_clear(&shard->shown_hosts);
	return true;
}

/*
 * One chunk a turn. A row whose change is in flight is written as it was settled last; its own settling
 * submits what it becomes.
 */
void shard_rewrite_step(struct shard *shard)
{
	if (shard->rewrite_needed && is_steady(shard) && !begin_rewrite(shard))
		return;
	if (!shard->rewriting || shard->rewrite_paused)
		return;

	shard_submit_rows(shard);
	if (!shard->rewrite_rows_done) {
		int more = shard_each_ledger_row(shard->state, &shard->rewrite_cursor,
						 REWRITE_CHUNK_ROWS, collect_row, shard);
		int r = shard->world.io.rewrite_rows(
			shard->world.io.context, shard->config.partition,
			finished_rows(&shard->rows), shard->rows.count);
		row_batch_clear(&shard->rows);
		if (r == STORE_OVER)
			shard->rewriting = false;
		else if (r == STORE_FULL)
			shard->rewrite_paused = true;
		if (!more)
			shard->rewrite_rows_done = true;
		return;
	}
	if (shard_fleet_is_dirty(shard->state))
		return;
	shard->rewriting = false;
	/* STORE_OVER: the store will ask again. */
	if (shard->world.io.rewrite_end(shard->world.io.context, shard->config.partition) != 0)
		shard->rewrite_needed = true;
}

/* ---- load -------------------------------------------------------------------------------------- */

int shard_on_checkpoint_row(struct shard *shard, const struct store_row *row)
{
	if (shard->phase != SHARD_LOADING)
		return 0;
	enum ledger_table table;
	if (!is_ledger_table(row->table, &table)) {
		struct buf *shown = row->table == STORE_POOLS	? &shard->shown_pools
				    : row->table == STORE_TYPES ? &shard->shown_types
								: &shard->shown_hosts;
		buf_append(shown, row->field, row->field_len);
		buf_putc(shown, '\0');
		return 0;
	}
	struct record record;
	size_t len;
	const void *value = ledger_row_record(row->value, row->value_len, &len);

	arena_reset(&shard->arena);
	if (value && codec_decode(shard->world.codec, value, len, &shard->arena, &record) != 0)
		return 1;
	return shard_load_row(shard->state, table, row->field, row->field_len, row->value,
			      row->value_len, value ? &record : NULL);
}
