/*
 * The ledger's rows and digest: whatever way a state came about (folded from the log, loaded from rows
 * and folded on, folded ahead of what is settled), equal logs give equal rows, digests and answers.
 * Histories are random, short of memory (answers are forgotten) and have clocks that go back.
 */
#include "random_events.h"
#include "world.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS_MAX = 4000, HISTORY = 1500 };

/* ---- rows as Redis would have them ---- */

struct row {
	enum ledger_table table;
	char field[64];
	char value[80];
	size_t value_len;
};

struct rows {
	struct row *row;
	size_t n;
};

static int compare_rows(const void *left, const void *right)
{
	const struct row *a = left, *b = right;
	return a->table != b->table ? (int)a->table - (int)b->table : strcmp(a->field, b->field);
}

static void put_row(void *context, enum ledger_table table, const void *field, size_t field_len,
		    const void *value, size_t value_len)
{
	struct rows *rows = context;
	size_t i = 0;
	while (i < rows->n &&
	       (rows->row[i].table != table || strlen(rows->row[i].field) != field_len ||
		memcmp(rows->row[i].field, field, field_len) != 0))
		i++;
	if (!value) {
		if (i < rows->n)
			rows->row[i] = rows->row[--rows->n];
		else
			fail_msg("a row goes that never was: %.*s", (int)field_len,
				 (const char *)field);
		return;
	}
	assert_true(i < ROWS_MAX && field_len < 64 && value_len <= 80);
	struct row *row = &rows->row[i];
	if (i == rows->n)
		rows->n++;
	*row = (struct row){ .table = table, .value_len = value_len };
	memcpy(row->field, field, field_len);
	memcpy(row->value, value, value_len);
}

/* A checkpoint's rows may already have gone when later changes are applied to them. */
static void apply_row(void *context, enum ledger_table table, const void *field, size_t field_len,
		      const void *value, size_t value_len)
{
	struct rows *rows = context;
	for (size_t i = 0; !value && i < rows->n; i++)
		if (rows->row[i].table == table && strlen(rows->row[i].field) == field_len &&
		    memcmp(rows->row[i].field, field, field_len) == 0)
			rows->row[i--] = rows->row[--rows->n];
	if (value)
		put_row(rows, table, field, field_len, value, value_len);
}

static struct rows rows_new(void)
{
	return (struct rows){ calloc(ROWS_MAX, sizeof(struct row)), 0 };
}

static struct rows rows_of(const struct shard_state *state)
{
	struct rows rows = rows_new();
	uint64_t cursor = 0;
	while (shard_each_ledger_row(state, &cursor, 7, put_row, &rows))
		;
	return rows;
}

static void assert_same_rows(struct rows *a, struct rows *b)
{
	assert_int_equal(a->n, b->n);
	qsort(a->row, a->n, sizeof(*a->row), compare_rows);
	qsort(b->row, b->n, sizeof(*b->row), compare_rows);
	for (size_t i = 0; i < a->n; i++) {
		assert_string_equal(a->row[i].field, b->row[i].field);
		assert_int_equal(a->row[i].value_len, b->row[i].value_len);
		assert_memory_equal(a->row[i].value, b->row[i].value, a->row[i].value_len);
	}
}

static int load_row(struct world *w, struct shard_state *state, const struct row *row)
{
	size_t len;
	const void *framed = ledger_row_record(row->value, row->value_len, &len);
	const struct record *record = framed ? &world_find_logged(w, framed, len)->record : NULL;
	return shard_load_row(state, row->table, row->field, strlen(row->field), row->value,
			      row->value_len, record);
}

static struct shard_state *load(struct world *w, const struct rows *rows)
{
	struct shard_state *state = world_empty_state(w);
	for (size_t i = 0; i < rows->n; i++)
		assert_int_equal(load_row(w, state, &rows->row[i]), 0);
	assert_int_equal(shard_load_done(state, (struct input_positions){ 5, 6 }), 0);
	return state;
}

/* ---- comparing states ---- */

static void assert_same_state(struct world *w, struct shard_state *a, struct shard_state *b)
{
	struct rows left = rows_of(a), right = rows_of(b);
	assert_same_rows(&left, &right);
	assert_int_equal(shard_digest(a), shard_digest(b));
	assert_int_equal(shard_counts(a).vms, shard_counts(b).vms);
	assert_int_equal(shard_counts(a).gpus_assigned, shard_counts(b).gpus_assigned);
	assert_int_equal(shard_counts(a).answers, shard_counts(b).answers);
	assert_int_equal(shard_counts(a).gpus_quarantined, shard_counts(b).gpus_quarantined);
	assert_int_equal(shard_counts(a).hosts_cordoned, shard_counts(b).hosts_cordoned);
	for (size_t i = 0; i < w->n_log; i++) {
		const struct record *record = &w->log[i].record;
		const char *id = record_request_id(record);
		static const enum record_type types[] = { RECORD_VM_REQUESTED, RECORD_VM_RELEASED,
							  RECORD_MIGRATION_CHECK,
							  RECORD_OPERATOR_COMMAND };
		for (size_t t = 0; t < 4; t++) {
			const struct answer *x = shard_find_answer(a, "1", types[t], id);
			const struct answer *y = shard_find_answer(b, "1", types[t], id);
			assert_int_equal(x != NULL, y != NULL);
			if (!x)
				continue;
			assert_int_equal(x->revision, y->revision);
			assert_int_equal(x->decided_at, y->decided_at);
			assert_int_equal(x->len, y->len);
			assert_memory_equal(x->value, y->value, x->len);
		}
	}
	free(left.row);
	free(right.row);
}

static void fold_and_settle(struct world *w, struct shard_state *state, size_t from, size_t to)
{
	for (size_t i = from; i < to; i++)
		shard_settle(state, world_fold(state, &w->log[i]), world_offset(w, &w->log[i]),
			     NULL, NULL);
}

/* ---- random histories ---- */

static void start(struct world *w, uint64_t with_seed)
{
	random_seed(with_seed);
	w->n_log = 0;
	/* Every other history forgets even what is not settled yet. */
	w->options.remember_us = (with_seed % 2 ? 60 : 2) * (int64_t)SECOND;
	w->options.host_timeout_us = INT64_C(1) << 50;
	shard_state_free(w->state);
	w->state = world_empty_state(w);
	world_host(w, "h1 P4*8");
	world_host(w, "h2 P4*8");
	world_host(w, "h3 P4*8");
}

static void random_history(struct world *w, uint64_t with_seed)
{
	start(w, with_seed);
	struct rows mirror = rows_new(), checkpoint = rows_new();
	struct change *in_flight[8];
	size_t n_in_flight = 0, settled = 0, checkpoint_at = 0, rejected = 0, forgotten = 0;
	size_t moved = 0, marked = 0, marks = 0;

	while (w->n_log < HISTORY) {
		struct logged *logged = random_decision(w);
		if (logged) {
			in_flight[n_in_flight++] = world_fold(w->state, logged);
			rejected += logged->record.type == RECORD_REQUEST_REJECTED;
			moved += logged->record.type == RECORD_GPU_ASSIGNED &&
				 logged->record.gpu_assigned.replaces;
			marked += logged->record.type == RECORD_GPU_MARKED ||
				  logged->record.type == RECORD_HOST_MARKED;
			marks += shard_counts(w->state).gpus_quarantined;
			forgotten += w->n_log > 10 && shard_counts(w->state).answers < w->n_log / 3;
		}
		while (n_in_flight > 0 && (n_in_flight == 8 || random_below(3) == 0)) {
			shard_settle(w->state, in_flight[0], world_offset(w, &w->log[settled++]),
				     put_row, &mirror);
			memmove(in_flight, in_flight + 1, --n_in_flight * sizeof(*in_flight));
		}
		if (random_below(150) != 0)
			continue;

		/* Settled rows are those of the settled part of the log, whatever is in flight. */
		struct shard_state *from_log = world_empty_state(w);
		fold_and_settle(w, from_log, 0, settled);
		struct rows expected = rows_of(from_log), actual = rows_of(w->state);
		assert_same_rows(&expected, &mirror);
		assert_same_rows(&actual, &mirror);
		assert_int_equal(shard_digest(from_log), shard_digest(w->state));

		/* An older checkpoint and the rest of the log give the same state. */
		struct shard_state *loaded = load(w, &checkpoint);
		fold_and_settle(w, loaded, checkpoint_at, settled);
		assert_same_state(w, loaded, from_log);
		assert_int_equal(shard_applied(loaded).requests, 5);

		free(checkpoint.row);
		checkpoint = actual;
		checkpoint_at = settled;
		free(expected.row);
		shard_state_free(from_log);
		shard_state_free(loaded);
	}
	/* The history was worth it. */
	assert_true(rejected > 200 && forgotten > 300 && moved > 5 && marked > 50);
	assert_true(marks > w->n_log);
	for (size_t i = 0; i < n_in_flight; i++)
		change_free(in_flight[i]);
	free(mirror.row);
	free(checkpoint.row);
}

static void random_histories(void **state)
{
	for (uint64_t i = 1; i <= 6; i++) {
		print_message("seed %" PRIu64 "\n", i);
		random_history(*state, i);
	}
}

/* Chunks of a checkpoint, written while decisions go on, and the rows settled meanwhile. */
static void a_checkpoint_while_decisions_go_on(void **state)
{
	struct world *w = *state;
	start(w, 2);
	for (int round = 0; round < 30; round++) {
		struct rows copy = rows_new();
		uint64_t cursor = 0;
		int more = 1;
		while (more) {
			more = shard_each_ledger_row(w->state, &cursor, 3, apply_row, &copy);
			for (int i = 0; i < 6; i++) {
				struct logged *logged = random_decision(w);
				if (logged)
					shard_settle(w->state, world_fold(w->state, logged),
						     world_offset(w, logged), apply_row, &copy);
			}
		}
		struct rows expected = rows_of(w->state);
		assert_same_rows(&expected, &copy);
		free(expected.row);
		free(copy.row);
	}
	assert_true(w->n_log > 1000);
}

/* ---- single rules ---- */

static void rows_as_documented(void **state)
{
	struct world *w = *state;
	world_host(w, "h1 P4*1");
	world_ask(w, "r1 vm1 P4*1");
	world_release(w, "x1 vm1");
	world_ask(w, "r2 vm2 P4*1");
	struct rows rows = rows_of(w->state);
	qsort(rows.row, rows.n, sizeof(*rows.row), compare_rows);
	assert_int_equal(rows.n, 4);
	assert_string_equal(rows.row[0].field, "1\tvm1");
	assert_string_equal(rows.row[0].value, "2 1000000000:record 1");
	assert_string_equal(rows.row[1].field, "1\tVmReleased\tx1");
	assert_string_equal(rows.row[1].value, ">vm1");
	assert_string_equal(rows.row[2].field, "1\tVmRequested\tr1");
	assert_string_equal(rows.row[2].value, ">vm1");
	assert_string_equal(rows.row[3].field, "1\tVmRequested\tr2");
	assert_string_equal(rows.row[3].value, "3 1000000000:record 2");
	size_t len;
	assert_string_equal(ledger_row_record(rows.row[0].value, rows.row[0].value_len, &len),
			    "record 1");
	assert_int_equal(len, strlen("record 1"));
	assert_null(ledger_row_record(">vm1", 4, &len));
	assert_null(ledger_row_record("12 34", 5, &len));
	assert_null(ledger_row_record("12:x", 4, &len));
	assert_null(ledger_row_record("", 0, &len));
	free(rows.row);
}

static void rows_that_contradict_each_other_are_not_loaded(void **state)
{
	struct world *w = *state;
	world_host(w, "h1 P4*2");
	world_ask(w, "r1 vm1 P4*1");
	world_ask(w, "r2 vm2 P4*1");
	struct rows rows = rows_of(w->state);
	qsort(rows.row, rows.n, sizeof(*rows.row), compare_rows);
	assert_int_equal(rows.n, 4); /* vm1, vm2, r1, r2 */
	const struct input_positions none = { -1, -1 };

	for (size_t missing = 0; missing < 4; missing++) {
		struct shard_state *loaded = world_empty_state(w);
		for (size_t i = 4; i-- > 0;)
			if (i != missing)
				assert_int_equal(load_row(w, loaded, &rows.row[i]), 0);
		assert_int_equal(shard_load_done(loaded, none), 1);
		shard_state_free(loaded);
	}

	struct shard_state *loaded = world_empty_state(w);
	assert_int_equal(load_row(w, loaded, &rows.row[0]), 0);
	assert_int_equal(load_row(w, loaded, &rows.row[0]), 1); /* twice */
	struct row other = rows.row[0];
	strcpy(other.field, "1\tvm3"); /* the field is not the record's */
	assert_int_equal(load_row(w, loaded, &other), 1);
	/* Another VM with the same GPU. */
	struct record record = w->log[0].record;
	record.gpu_assigned.vm_id = "vm3";
	assert_int_equal(shard_load_row(loaded, LEDGER_VMS, "1\tvm3", 5, "9 1:x", 5, &record), 1);
	assert_int_equal(shard_load_row(loaded, LEDGER_REQUESTS, "1\tMigrationCheck\tm1", 19,
					">vm1", 4, NULL),
			 1);
	assert_int_equal(shard_load_row(loaded, LEDGER_REQUESTS, "1\tr1", 4, ">vm1", 4, NULL), 1);
	assert_int_equal(
		shard_load_row(loaded, LEDGER_REQUESTS, "1\tVmRequested\tr1", 16, "x", 1, NULL), 1);
	shard_state_free(loaded);
	free(rows.row);
}

static void a_broken_log_is_a_conflict_and_changes_nothing(void **state)
{
	struct world *w = *state;
	world_pool(w, "external", "pack");
	world_host(w, "h1 P4*2");
	world_ask(w, "r1 vm1 P4*1");
	uint64_t digest = shard_digest(w->state);
	const struct input_positions applied = { 77, 77 };
	struct change *change;

	struct record record = w->log[0].record;
	record.gpu_assigned.vm_id = "vm2"; /* the same GPU for another VM */
	record.gpu_assigned.request_id = "r2";
	record.gpu_assigned.assignment_id = "r2/1";
	assert_int_equal(shard_fold(w->state, &record, "v", 1, applied, &change), FOLD_CONFLICT);
	record.gpu_assigned.vm_id = "vm1"; /* another assignment for a VM that has one */
	assert_int_equal(shard_fold(w->state, &record, "v", 1, applied, &change), FOLD_CONFLICT);
	record.gpu_assigned.pool_id = "2"; /* the same GPU, named under another pool */
	assert_int_equal(shard_fold(w->state, &record, "v", 1, applied, &change), FOLD_CONFLICT);

	/* One GPU twice, in two spellings; no GPU at all; no address. */
	struct assigned_gpu twice[2] = { w->log[0].record.gpu_assigned.gpus[0] };
	record = w->log[0].record;
	record.gpu_assigned.vm_id = "vm3";
	record.gpu_assigned.host = "h7";
	record.gpu_assigned.gpus = twice;
	record.gpu_assigned.n_gpus = 2;
	twice[1] = twice[0];
	twice[1].pci_address = "00000:01:00.0";
	assert_int_equal(shard_fold(w->state, &record, "v", 1, applied, &change), FOLD_CONFLICT);
	twice[1].pci_address = "";
	assert_int_equal(shard_fold(w->state, &record, "v", 1, applied, &change), FOLD_CONFLICT);
	record.gpu_assigned.n_gpus = 0;
	assert_int_equal(shard_fold(w->state, &record, "v", 1, applied, &change), FOLD_CONFLICT);

	world_release(w, "x1 vm1");
	struct record released = w->log[1].record;
	assert_int_equal(shard_fold(w->state, &released, "v", 1, applied, &change), FOLD_CONFLICT);
	world_ask(w, "r3 vm1 P4*1");
	assert_int_equal(shard_fold(w->state, &released, "v", 1, applied, &change), FOLD_CONFLICT);
	world_release(w, "x3 vm1");

	struct record refused = { .type = RECORD_REQUEST_REJECTED };
	world_ask(w, "r4 vm4 P4*1");
	refused.request_rejected = (struct request_rejected){
		.request_id = "r4", .request_type = "VmRequested", .pool_id = "1", .code = "X"
	};
	assert_int_equal(shard_fold(w->state, &refused, "v", 1, applied, &change), FOLD_CONFLICT);

	struct record foreign = { .type = RECORD_HOST_SEEN };
	assert_int_equal(shard_fold(w->state, &foreign, "v", 1, applied, &change), FOLD_FOREIGN);
	foreign.type = RECORD_EPOCH_STARTED;
	assert_int_equal(shard_fold(w->state, &foreign, "v", 1, applied, &change), FOLD_FOREIGN);
	assert_int_equal(shard_applied(w->state).requests, -1);

	struct shard_state *again = world_empty_state(w);
	fold_and_settle(w, again, 0, w->n_log);
	assert_same_state(w, again, w->state);
	assert_true(shard_digest(w->state) != digest);
	shard_state_free(again);
}

int main(void)
{
#define STORY(f) cmocka_unit_test_setup_teardown(f, world_setup, world_teardown)
	const struct CMUnitTest tests[] = {
		STORY(random_histories),
		STORY(a_checkpoint_while_decisions_go_on),
		STORY(rows_as_documented),
		STORY(rows_that_contradict_each_other_are_not_loaded),
		STORY(a_broken_log_is_a_conflict_and_changes_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
