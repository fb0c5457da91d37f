#include "cli/audit_redis.h"

#include <stdio.h>

#include "core/catalog.h"
#include "core/shard_state.h"

enum { ATTEMPTS = 20 };

struct loading {
	struct shard_state *state;
	struct codec *codec;
	struct arena arena;
	struct audit_stored *stored;
	enum ledger_table table; /* that is being read */
	bool malformed;
};

/* What the ledger consists of. */
static const enum store_table ledger_tables[] = {
	[LEDGER_VMS] = STORE_VMS,
	[LEDGER_REQUESTS] = STORE_REQUESTS,
	[LEDGER_MARKS] = STORE_MARKS,
};

/* As a scheduler does it when it takes over (its shard_on_checkpoint_row). */
static int on_row(void *context, const struct store_row *row)
{
	struct loading *loading = context;
	struct record record;
	size_t len;
	const void *value = ledger_row_record(row->value, row->value_len, &len);

	arena_reset(&loading->arena);
	if ((value && codec_decode(loading->codec, value, len, &loading->arena, &record)) ||
	    shard_load_row(loading->state, loading->table, row->field, row->field_len, row->value,
			   row->value_len, value ? &record : NULL)) {
		loading->malformed = true;
		return 1;
	}
	loading->stored->vms += loading->table == LEDGER_VMS;
	loading->stored->requests += loading->table == LEDGER_REQUESTS;
	return 0;
}

static int fail(struct audit_stored *stored, struct store_reader *reader, int r)
{
	stored->status = r == STORE_READ_EMPTY	    ? STORED_EMPTY
			 : r == STORE_READ_UNSTABLE ? STORED_MOVING
						    : STORED_FAILED;
	if (r < 0)
		snprintf(stored->why, sizeof(stored->why), "%s", store_reader_error(reader));
	return r;
}

static int read_rows(struct store_reader *reader, int32_t shard, struct loading *loading)
{
	for (size_t i = 0; i < sizeof(ledger_tables) / sizeof(*ledger_tables); i++) {
		loading->table = (enum ledger_table)i;
		int r = store_read_table(reader, shard, ledger_tables[i], on_row, loading);
		if (loading->malformed) {
			snprintf(loading->stored->why, sizeof(loading->stored->why),
				 "a row of %s is malformed", store_table_name(ledger_tables[i]));
			loading->stored->status = STORED_UNREADABLE;
			return 1;
		}
		if (r && r != STORE_READ_EMPTY)
			return fail(loading->stored, reader, r);
	}
	return 0;
}

/* Schedulers put into the format of their checkpoints what shapes the rows: "VERSION/SECONDSs". */
static int64_t remembered(const char *format)
{
	long long seconds;
	char unit;
	return sscanf(format, "%*d/%lld%c", &seconds, &unit) == 2 && unit == 's' && seconds >= 0
		       ? seconds * 1000000
		       : -1;
}

/* Rows and meta belong together when meta is the same before and after. */
static bool read_once(struct store_reader *reader, int32_t shard, struct loading *loading)
{
	struct audit_stored *stored = loading->stored;
	struct store_meta after;

	const char *format;

	*stored = (struct audit_stored){ .status = STORED_MOVING, .remember_us = -1 };
	loading->malformed = false;
	int r = store_read_meta(reader, shard, &stored->meta, &format);
	if (r) {
		fail(stored, reader, r);
		return true;
	}
	stored->remember_us = remembered(format);
	r = read_rows(reader, shard, loading);
	bool failed = stored->status == STORED_FAILED;
	int again = failed ? 0 : store_read_meta(reader, shard, &after, NULL);
	if (failed || again < 0) {
		if (again < 0)
			fail(stored, reader, again);
		return true;
	}
	if (again || !store_meta_same(&stored->meta, &after)) {
		stored->status = STORED_MOVING;
		return false;
	}
	if (r)
		return stored->status == STORED_UNREADABLE;
	stored->status = STORED_THERE;
	if (shard_load_done(loading->state, stored->meta.applied)) {
		stored->status = STORED_UNREADABLE;
		snprintf(stored->why, sizeof(stored->why), "its rows contradict each other");
	}
	stored->rows_digest = shard_digest(loading->state);
	return true;
}

void audit_redis_read(struct store_reader *reader, int32_t shard, struct codec *codec,
		      struct audit_stored *ret_stored)
{
	cleanup(catalog_freep) struct catalog *catalog = catalog_new();
	/* Loading forgets nothing, so that it does not matter here how long answers are remembered. */
	const struct shard_options options = SHARD_OPTIONS_DEFAULT;
	struct loading loading = { .codec = codec, .stored = ret_stored };
	bool done = false;

	arena_init(&loading.arena);
	for (int i = 0; i < ATTEMPTS && !done; i++) {
		loading.state = shard_state_new(&options, catalog);
		done = read_once(reader, shard, &loading);
		shard_state_free(loading.state);
	}
	arena_deinit(&loading.arena);
}
