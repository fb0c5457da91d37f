#include "owner.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/index.h"
#include "base/memory.h"
#include "loop/clock.h"
#include "loop/loop.h"
#include "store/read.h"

enum { TEXT_MAX = 1024, CHANGES_MAX = 4096 };

static const enum store_table tables[OWNER_TABLES] = { STORE_GPUS, STORE_VMS, STORE_REQUESTS };

static enum store_table table_of(size_t i)
{
	return tables[i % OWNER_TABLES];
}

/* Deterministic, so that reading back needs no copy of the values. */
static size_t field_text(size_t i, char *text)
{
	return (size_t)snprintf(text, TEXT_MAX, "row-%zu", i);
}

static size_t value_text(const struct owner *owner, size_t i, char *text)
{
	int len = snprintf(text, TEXT_MAX, "%" PRIu64 "/%zu/", owner->versions[i], i);
	size_t n = (size_t)len;
	for (; n < owner->value_len; n++)
		text[n] = (char)('a' + (i + n) % 26);
	text[n] = '\0';
	return n;
}

static size_t number_of(const struct owner *owner, const struct store_row *row)
{
	char field[TEXT_MAX];
	snprintf(field, sizeof(field), "%.*s", (int)row->field_len, (const char *)row->field);
	size_t i = (size_t)atoll(field + 4);
	assert_true(i < owner->n_rows);
	assert_int_equal(row->table, table_of(i));
	return i;
}

/* ---- the state ------------------------------------------------------------------------------ */

static uint64_t next_random(struct owner *owner)
{
	owner->seed = owner->seed * 6364136223846793005u + 1442695040888963407u;
	return owner->seed >> 33;
}

static void advance(struct owner *owner)
{
	owner->meta.offset++;
	owner->meta.sequence++;
	owner->meta.digest = index_hash(&owner->meta.sequence, sizeof(owner->meta.sequence), 7);
	owner->meta.applied.requests++;
}

void owner_change(struct owner *owner, size_t n)
{
	static char fields[CHANGES_MAX][32], values[CHANGES_MAX][TEXT_MAX];
	static struct store_row rows[CHANGES_MAX];
	assert_true(n <= CHANGES_MAX);
	advance(owner);
	for (size_t j = 0; j < n; j++) {
		size_t i = (size_t)next_random(owner) % owner->n_rows;
		bool deleted = next_random(owner) % 8 == 0;
		owner->versions[i] = deleted ? 0 : owner->meta.sequence;
		rows[j] = (struct store_row){ .table = table_of(i), .field = fields[j] };
		rows[j].field_len = field_text(i, fields[j]);
		if (!deleted) {
			rows[j].value = values[j];
			rows[j].value_len = value_text(owner, i, values[j]);
		}
	}
	const struct store_batch batch = {
		.rows = rows, .n_rows = n, .to = owner->meta, .n_records = 1
	};
	store_submit(owner->store, SHARD, &batch);
}

void owner_new_epoch(struct owner *owner, int64_t epoch)
{
	advance(owner);
	owner->meta.epoch = epoch;
	const struct store_batch batch = { .to = owner->meta, .n_records = 1 };
	store_submit(owner->store, SHARD, &batch);
}

/* ---- rewriting ------------------------------------------------------------------------------ */

static void feed(struct owner *owner)
{
	static char fields[CHANGES_MAX][32], values[CHANGES_MAX][TEXT_MAX];
	static struct store_row rows[CHANGES_MAX];
	size_t n = 0;
	assert_true(owner->chunk <= CHANGES_MAX);

	for (; owner->cursor < owner->n_rows && n < owner->chunk; owner->cursor++) {
		size_t i = owner->cursor;
		if (!owner->versions[i])
			continue;
		rows[n] = (struct store_row){ .table = table_of(i),
					      .field = fields[n],
					      .value = values[n] };
		rows[n].field_len = field_text(i, fields[n]);
		rows[n].value_len = value_text(owner, i, values[n]);
		n++;
	}
	int r = store_rewrite_rows(owner->store, SHARD, rows, n);
	if (r == STORE_FULL) {
		owner->paused = true;
		owner->n_full++;
	}
	if (r == STORE_OVER)
		owner->feeding = false;
	else if (owner->cursor == owner->n_rows) {
		owner->feeding = false;
		assert_int_equal(store_rewrite_end(owner->store, SHARD), 0);
	}
}

static void on_tick(void *context)
{
	struct owner *owner = context;
	if (owner->asked && owner->rewrites) {
		owner->asked = false;
		if (store_rewrite_begin(owner->store, SHARD, &owner->meta) == 0) {
			owner->feeding = true;
			owner->paused = false;
			owner->cursor = 0;
		}
	}
	if (owner->feeding && !owner->paused)
		feed(owner);
	if (owner->on_tick)
		owner->on_tick(owner);
	struct store_progress progress = owner_progress(owner);
	if (progress.state == STORE_STATE_REWRITING)
		for (size_t i = 0; i < owner->changes_per_tick; i++)
			owner_change(owner, 5);
	if (owner->until && owner->until(owner)) {
		owner->reached = true;
		loop_stop(owner->loop);
	} else if (clock_monotonic_us() > owner->deadline_us) {
		loop_stop(owner->loop);
	}
}

/* ---- what the store says -------------------------------------------------------------------- */

static void on_rewrite_needed(void *context, int32_t shard, const char *reason)
{
	struct owner *owner = context;
	assert_int_equal(shard, SHARD);
	owner->asked = true;
	owner->feeding = false;
	owner->n_needed++;
	snprintf(owner->reason, sizeof(owner->reason), "%s", reason);
}

static void on_rewrite_more(void *context, int32_t shard)
{
	struct owner *owner = context;
	(void)shard;
	assert_true(owner->paused);
	owner->paused = false;
	owner->n_more++;
}

static void on_deposed(void *context, int32_t shard, int64_t epoch)
{
	struct owner *owner = context;
	(void)shard;
	owner->n_deposed++;
	owner->deposed_epoch = epoch;
}

static void on_stored(void *context, int32_t shard, const struct store_meta *meta)
{
	struct owner *owner = context;
	(void)shard;
	owner->n_stored++;
	owner->last_stored = *meta;
}

/* ---- loading -------------------------------------------------------------------------------- */

static void on_load_begin(void *context, const struct store_meta *meta)
{
	struct owner *owner = context;
	(void)meta;
	owner->n_begins++;
	owner->n_loaded_rows = 0;
	memset(owner->versions, 0, owner->n_rows * sizeof(*owner->versions));
}

static int on_load_row(void *context, const struct store_row *row)
{
	struct owner *owner = context;
	size_t i = number_of(owner, row);
	owner->versions[i] = (uint64_t)atoll(row->value);
	owner->n_loaded_rows++;
	if (owner->on_loaded_row)
		owner->on_loaded_row(owner);
	return 0;
}

static void on_load_done(void *context, enum store_load_status status,
			 const struct store_meta *meta)
{
	struct owner *owner = context;
	owner->loaded = true;
	owner->load_status = status;
	if (meta)
		owner->meta = owner->load_meta = *meta;
}

void owner_load(struct owner *owner, uint32_t deadline_ms)
{
	const struct store_load_request request = { .tables = tables,
						    .n_tables = OWNER_TABLES,
						    .deadline_ms = deadline_ms,
						    .context = owner,
						    .on_begin = on_load_begin,
						    .on_row = on_load_row,
						    .on_done = on_load_done };
	owner->loaded = false;
	owner->n_begins = 0;
	store_open_shard(owner->store, SHARD);
	store_load(owner->store, SHARD, &request);
}

/* ---- life ----------------------------------------------------------------------------------- */

void owner_init(struct owner *owner, struct redis_server *server, const char *url,
		const struct store_config *config, size_t n_rows)
{
	struct store_config used = config ? *config : (struct store_config){ 0 };
	const struct store_callbacks callbacks = { owner, on_rewrite_needed, on_rewrite_more,
						   on_deposed, on_stored };
	*owner = (struct owner){ .server = server,
				 .n_rows = n_rows,
				 .value_len = 40,
				 .chunk = 100,
				 .rewrites = true,
				 .seed = 42,
				 .meta = { .epoch = 0, .offset = 1, .applied = { -1, -1 } } };
	owner->versions = memory_zeroed(n_rows, sizeof(*owner->versions));
	for (size_t i = 0; i < n_rows; i++)
		owner->versions[i] = 1;
	used.url = url ? url : redis_server_url(server);
	if (!used.format)
		used.format = "1";
	if (!used.check_interval_ms)
		used.check_interval_ms = 20;
	if (!used.backoff_max_ms)
		used.backoff_max_ms = 64;
	owner->loop = loop_new();
	char *error = NULL;
	assert_int_equal(store_new(owner->loop, &used, &callbacks, &owner->store, &error), 0);
	owner->tick = loop_timer_new(owner->loop, on_tick, owner);
	loop_timer_start(owner->tick, 1, 1);
}

void owner_deinit(struct owner *owner)
{
	store_free(owner->store);
	loop_timer_free(owner->tick);
	loop_free(owner->loop);
	free(owner->versions);
}

void owner_run(struct owner *owner, bool (*until)(struct owner *owner))
{
	owner->until = until;
	owner->reached = false;
	owner->deadline_us = clock_monotonic_us() + OWNER_DEADLINE_MS * 1000;
	assert_int_equal(loop_run(owner->loop), 0);
}

void owner_run_ms(struct owner *owner, int64_t ms)
{
	owner->until = NULL;
	owner->deadline_us = clock_monotonic_us() + ms * 1000;
	assert_int_equal(loop_run(owner->loop), 0);
}

void owner_print(struct owner *owner)
{
	struct store_progress progress = owner_progress(owner);
	struct store_counts counts = owner_counts(owner);
	print_error("state %s, submitted %" PRId64 ", stored %" PRId64 ", behind %" PRIu64
		    " records, rewrites %" PRIu64 ", applies %" PRIu64 ", needed %" PRIu64
		    " (%s), cursor %zu of %zu, %s\n",
		    store_state_name(progress.state), progress.submitted.offset,
		    progress.stored.offset, progress.behind_records, counts.rewrites,
		    counts.applies, owner->n_needed, owner->reason, owner->cursor, owner->n_rows,
		    store_status(owner->store));
}

struct store_progress owner_progress(struct owner *owner)
{
	struct store_progress progress;
	store_progress(owner->store, SHARD, &progress);
	return progress;
}

struct store_counts owner_counts(struct owner *owner)
{
	struct store_counts counts;
	store_counts(owner->store, &counts);
	return counts;
}

bool owner_is_loaded(struct owner *owner)
{
	return owner->loaded;
}

bool owner_in_step(struct owner *owner)
{
	struct store_progress progress = owner_progress(owner);
	return progress.state == STORE_STATE_FOLLOWING && progress.has_stored &&
	       store_meta_same(&progress.stored, &owner->meta);
}

bool owner_is_rewritten(struct owner *owner)
{
	return owner_counts(owner).rewrites == 2 && owner_in_step(owner);
}

bool owner_was_asked_again(struct owner *owner)
{
	return owner->n_needed == 2;
}

void owner_start(struct owner *owner)
{
	owner_load(owner, 5000);
	owner_run_until(owner, owner_is_loaded);
	owner_run_until(owner, owner_in_step);
}

/* ---- checking ------------------------------------------------------------------------------- */

struct reading {
	const struct owner *owner;
	size_t n;
};

static int check_row(void *context, const struct store_row *row)
{
	struct reading *reading = context;
	char text[TEXT_MAX];
	size_t i = number_of(reading->owner, row);
	assert_int_not_equal(reading->owner->versions[i], 0);
	size_t len = value_text(reading->owner, i, text);
	assert_int_equal(row->value_len, len);
	assert_memory_equal(row->value, text, len);
	reading->n++;
	return 0;
}

void owner_check(struct owner *owner)
{
	struct store_reader *reader = NULL;
	struct reading reading = { .owner = owner };
	struct store_meta meta;
	size_t n_expected = 0, n_keys = 1;
	bool used[STORE_TABLES] = { false };

	assert_int_equal(store_reader_new(redis_server_url(owner->server), 5000, &reader, NULL), 0);
	assert_int_equal(store_read_meta(reader, SHARD, &meta, NULL), 0);
	assert_true(store_meta_same(&meta, &owner->meta));
	assert_int_equal(meta.applied.requests, owner->meta.applied.requests);
	for (enum store_table table = 0; table < STORE_TABLES; table++)
		assert_int_equal(store_read_table(reader, SHARD, table, check_row, &reading), 0);
	for (size_t i = 0; i < owner->n_rows; i++)
		if (owner->versions[i]) {
			n_expected++;
			n_keys += !used[table_of(i)];
			used[table_of(i)] = true;
		}
	assert_int_equal(reading.n, n_expected);
	assert_int_equal(redis_server_number(owner->server, "DBSIZE"), n_keys);
	store_reader_free(reader);
}
