/*
 * What folding and settling do to the ledger, rule by rule: what shows, what is forgotten, what never moves back.
 */
#include "world.h"

#include <stdio.h>
#include <string.h>

static void malformed_functions_of_an_assignment_are_left_out(void **state)
{
	struct world *w = *state;
	world_pool(w, "external", "pack");
	world_host(w, "h1 P4*1");
	world_ask(w, "r1 vm1 P4*1");
	world_release(w, "x1 vm1");
	const char *functions[] = { "0000:01:00.0", "nonsense" };
	struct record record = w->log[0].record;
	struct assigned_gpu gpu = record.gpu_assigned.gpus[0];
	gpu.functions = functions;
	record.gpu_assigned.gpus = &gpu;
	const struct logged *logged = world_log(w, &record);
	shard_settle(w->state, world_fold(w->state, logged), world_offset(w, logged), NULL, NULL);
	assert_string_equal(world_release(w, "x2 vm1"), "released vm1: h1 01");
	assert_int_equal(w->log[w->n_log - 1].record.gpu_released.gpus[0].n_functions, 1);
	/* The texts that other entries share are still theirs. */
	assert_string_equal(world_ask(w, "r2 vm2 P4*1"), "vm2: h1 01");
}

static void only_settled_rows_show(void **state)
{
	struct world *w = *state;
	world_host(w, "h1 P4*1");
	world_ask(w, "r1 vm1 P4*1");
	uint64_t digest = shard_digest(w->state);
	struct record event = { .type = RECORD_VM_RELEASED };
	event.vm_released = (struct vm_released){ .request_id = "x1",
						  .vm_id = "vm1",
						  .pool_id = "1",
						  .force = 1,
						  .reason = "test",
						  .actor = "tester" };
	decide(w->state, &event, w->now, true, &w->deciding, &w->decision);
	struct logged *logged = world_log(w, &w->decision.record);
	struct change *change = world_fold(w->state, logged);
	assert_int_equal(shard_digest(w->state), digest);
	const struct answer *answer = shard_find_answer(w->state, "1", RECORD_VM_RELEASED, "x1");
	assert_int_equal(answer->revision, -1);
	assert_int_equal(shard_counts(w->state).gpus_assigned, 0);
	shard_settle(w->state, change, 9, NULL, NULL);
	assert_int_equal(answer->revision, 9);
	assert_true(shard_digest(w->state) != digest);
}

static void answers_are_forgotten_but_not_those_of_living_vms(void **state)
{
	struct world *w = *state;
	world_host(w, "h1 P4*2");
	world_pool(w, "external", "pack");
	world_ask(w, "r1 vm1 P4*1");
	world_release(w, "x0 vm0");
	world_ask(w, "r2 vm2 P4*1");
	world_release(w, "x2 vm2");
	assert_int_equal(shard_counts(w->state).answers, 4);
	w->now += 24 * 3600 * (int64_t)SECOND;
	world_heartbeat(w, "h1");
	assert_non_null(strstr(world_release(w, "x3 vm0"), "NOTHING_HELD"));
	assert_int_equal(shard_counts(w->state).answers, 5);
	w->now += 1;
	assert_non_null(strstr(world_release(w, "x4 vm0"), "NOTHING_HELD"));
	assert_int_equal(shard_counts(w->state).answers, 3); /* r1, x3, x4 */
	assert_string_equal(world_ask(w, "r1 vm1 P4*1"), "again vm1: h1 01");
	assert_string_equal(world_ask(w, "r2 vm2 P4*1"), "vm2: h1 02"); /* asked anew */
}

static void a_clock_that_is_behind_does_not_age_answers(void **state)
{
	struct world *w = *state;
	world_release(w, "x1 vm1");
	w->now -= 100 * SECOND;
	world_release(w, "x2 vm1");
	assert_int_equal(w->log[1].record.request_completed.decided_at, 900 * (int64_t)SECOND);
	const struct answer *answer = shard_find_answer(w->state, "1", RECORD_VM_RELEASED, "x2");
	assert_int_equal(answer->decided_at, 1000 * (int64_t)SECOND);
}

static void positions_never_move_back(void **state)
{
	struct world *w = *state;
	struct record record = { .type = RECORD_REQUEST_COMPLETED };
	record.request_completed = (struct request_completed){
		.request_id = "x", .request_type = "VmReleased", .pool_id = "1", .code = "C"
	};
	struct change *change;
	assert_int_equal(
		shard_fold(w->state, &record, "v", 1, (struct input_positions){ 7, 3 }, &change),
		0);
	change_free(change);
	assert_int_equal(
		shard_fold(w->state, &record, "v", 1, (struct input_positions){ 6, 4 }, &change),
		0);
	change_free(change);
	assert_int_equal(shard_applied(w->state).requests, 7);
	assert_int_equal(shard_applied(w->state).attachments, 4);
}

/* ---- marks ---- */

struct mark_rows {
	size_t n;
	char text[512]; /* "FIELD=VALUE;" each, tabs as blanks */
};

static void on_row(void *context, enum ledger_table table, const void *field, size_t field_len,
		   const void *value, size_t value_len)
{
	struct mark_rows *rows = context;
	size_t len = strlen(rows->text);
	if (table != LEDGER_MARKS)
		return;
	rows->n++;
	snprintf(rows->text + len, sizeof(rows->text) - len, "%.*s=%.*s;", (int)field_len,
		 (const char *)field, (int)(value ? value_len : 4),
		 value ? (const char *)value : "GONE");
	for (char *c = rows->text; *c; c++)
		*c = *c == '\t' ? ' ' : *c;
}

static struct mark_rows marks_of(const struct shard_state *state)
{
	struct mark_rows rows = { 0 };
	uint64_t cursor = 0;
	while (shard_each_ledger_row(state, &cursor, 1, on_row, &rows))
		;
	return rows;
}

/* The record that made the mark, under the pool that it names; no row without a mark. */
static void rows_of_marks_are_as_documented(void **state)
{
	struct world *w = *state;
	world_host(w, "h1 P4*2");
	world_host(w, "h2 P4*2");
	world_ask(w, "r1 vm1 P4*2");				/* record 0 */
	world_command(w, "c1 CORDON_HOST h1");			/* record 1 */
	world_report(w, "vm1 r1/1 FAILED 01=STUCK 02=CLEAN");	/* record 2: moved */
	world_release(w, "x1 vm1");				/* record 3 */
	world_report(w, "vm1 r1/2 DETACHED 01=CLEAN 02=DIRTY"); /* record 4 */
	world_command(w, "c2 QUARANTINE_GPU h2/01");		/* record 5 */
	struct mark_rows rows = marks_of(w->state);
	assert_string_equal(rows.text, "1 host h1=2 1000000000:record 1;"
				       "1 gpu h1/0000:01:00.0=3 1000000000:record 2;"
				       "1 gpu h2/0000:02:00.0=5 1000000000:record 4;"
				       "1 gpu h2/0000:01:00.0=6 1000000000:record 5;");

	/* What settling tells. */
	struct record event = { .type = RECORD_OPERATOR_COMMAND };
	event.operator_command = (struct operator_command){ .request_id = "c3",
							    .pool_id = "1",
							    .command = "RETURN_GPU",
							    .gpu_id = "h2/0000:01:00.0",
							    .actor = "tester" };
	arena_reset(&w->deciding);
	decide(w->state, &event, w->now, true, &w->deciding, &w->decision);
	const struct logged *logged = world_log(w, &w->decision.record);
	struct mark_rows told = { 0 };
	shard_settle(w->state, world_fold(w->state, logged), world_offset(w, logged), on_row,
		     &told);
	assert_string_equal(told.text, "1 gpu h2/0000:01:00.0=GONE;");
	assert_int_equal(marks_of(w->state).n, 3);
}

static void rows_of_marks_that_make_no_sense_are_not_loaded(void **state)
{
	struct world *w = *state;
	world_host(w, "h1 P4*2");
	world_command(w, "c1 CORDON_HOST h1");
	world_command(w, "c2 QUARANTINE_GPU h1/01");
	world_command(w, "c3 RETURN_GPU h1/01");
	world_ask(w, "r1 vm1 P4*1 host=h1");
	const struct {
		const char *field;
		const struct record *record;
	} bad[] = {
		{ "1\thost\th2", &w->log[0].record },		  /* another host */
		{ "2\thost\th1", &w->log[0].record },		  /* another pool */
		{ "1\thost\th1", &w->log[1].record },		  /* a GPU's record */
		{ "1\tgpu\th1/0000:02:00.0", &w->log[1].record }, /* another GPU */
		{ "1\tgpu\th1/0000:01:00.0", &w->log[2].record }, /* it takes the mark back */
		{ "1\tgpu\th1/0000:01:00.0", &w->log[3].record }, /* it marks nothing */
		{ "1\tgpu\th1/0000:01:00.0", NULL },
	};
	struct shard_state *loaded = world_empty_state(w);
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_int_equal(shard_load_row(loaded, LEDGER_MARKS, bad[i].field,
						strlen(bad[i].field), "9 1:x", 5, bad[i].record),
				 1);
	assert_int_equal(
		shard_load_row(loaded, LEDGER_MARKS, "1\thost\th1", 9, "x", 1, &w->log[0].record),
		1);
	assert_int_equal(shard_digest(loaded), 0);
	assert_int_equal(shard_load_row(loaded, LEDGER_MARKS, "1\thost\th1", 9, "2 1:x", 5,
					&w->log[0].record),
			 0);
	assert_int_equal(shard_load_row(loaded, LEDGER_MARKS, "1\thost\th1", 9, "2 1:x", 5,
					&w->log[0].record),
			 1); /* twice */
	assert_int_equal(shard_counts(loaded).hosts_cordoned, 1);
	shard_state_free(loaded);
}

static void assert_conflict(struct world *w, const struct record *record)
{
	uint64_t digest = shard_digest(w->state);
	struct shard_counts before = shard_counts(w->state);
	struct change *change;
	assert_int_equal(
		shard_fold(w->state, record, "v", 1, (struct input_positions){ 9, 9 }, &change),
		FOLD_CONFLICT);
	struct shard_counts after = shard_counts(w->state);
	assert_memory_equal(&before, &after, sizeof(before));
	assert_int_equal(shard_digest(w->state), digest);
	assert_int_equal(shard_applied(w->state).requests, -1);
}

static void marks_that_make_no_sense_are_conflicts(void **state)
{
	struct world *w = *state;
	world_host(w, "h1 P4*2");
	struct record record = { .type = RECORD_GPU_MARKED };
	record.gpu_marked = (struct gpu_marked){ .request_id = "c1",
						 .pool_id = "1",
						 .host = "h1",
						 .gpu_id = "h1/0000:01:00.0",
						 .mark = "RETURNED",
						 .actor = "a" };
	assert_conflict(w, &record); /* it is not in quarantine */
	record.gpu_marked.mark = "PAINTED";
	assert_conflict(w, &record);
	record.gpu_marked.mark = "QUARANTINED";
	record.gpu_marked.gpu_id = "h1";
	assert_conflict(w, &record);
	record.type = RECORD_HOST_MARKED;
	record.host_marked = (struct host_marked){
		.request_id = "c1", .pool_id = "1", .host = "h1", .mark = "OPEN", .actor = "a"
	};
	assert_conflict(w, &record); /* it is not cordoned */
	record.host_marked.mark = "PAINTED";
	assert_conflict(w, &record);

	/* Under the pool that the record names. */
	world_command(w, "c2 QUARANTINE_GPU h1/01");
	record = w->log[0].record;
	record.gpu_marked.request_id = "c3";
	record.gpu_marked.mark = "RETURNED";
	record.gpu_marked.pool_id = "2";
	assert_conflict(w, &record);

	/* A quarantined GPU is not given. */
	world_ask(w, "r1 vm1 P4*1");
	struct assigned_gpu gpu = w->log[1].record.gpu_assigned.gpus[0];
	gpu.pci_address = "0000:01:00.0";
	gpu.gpu_id = "h1/0000:01:00.0";
	record = w->log[1].record;
	record.gpu_assigned.vm_id = "vm2";
	record.gpu_assigned.request_id = "r2";
	record.gpu_assigned.assignment_id = "r2/1";
	record.gpu_assigned.gpus = &gpu;
	assert_conflict(w, &record);
}

static void replacements_that_make_no_sense_are_conflicts(void **state)
{
	struct world *w = *state;
	world_host(w, "h1 P4*2");
	world_host(w, "h2 P4*2");
	world_ask(w, "r1 vm1 P4*1");
	world_ask(w, "r2 vm2 P4*1 host=h2");
	world_command(w, "c1 QUARANTINE_GPU h2/02");
	const struct record *first = &w->log[0].record;
	struct assigned_gpu gpu = first->gpu_assigned.gpus[0];
	struct quarantined_gpu stuck = { "h1/0000:01:00.0", "STUCK", "it hangs" };
	struct record good = *first;
	good.gpu_assigned.assignment_id = "r1/2";
	good.gpu_assigned.host = "h3";
	good.gpu_assigned.replaces = "r1/1";
	good.gpu_assigned.quarantined = &stuck;
	good.gpu_assigned.n_quarantined = 1;
	good.gpu_assigned.gpus = &gpu;

	struct record record = good;
	record.gpu_assigned.replaces = "r1/0"; /* not what it has */
	assert_conflict(w, &record);
	record.gpu_assigned.replaces = NULL;
	assert_conflict(w, &record);
	record = good;
	record.gpu_assigned.vm_id = "vm3"; /* has nothing to be replaced */
	assert_conflict(w, &record);
	record = good;
	record.gpu_assigned.request_id = "r9";
	assert_conflict(w, &record);
	record = good;
	record.gpu_assigned.assignment_id = "r1/1";
	assert_conflict(w, &record);
	record = good;
	record.gpu_assigned.host = "h1"; /* where it failed */
	assert_conflict(w, &record);
	record = good;
	record.gpu_assigned.state = "RELEASING";
	record.gpu_assigned.release_request_id = "x1";
	assert_conflict(w, &record);
	record = good;
	record.gpu_assigned.host = "h2";
	assert_conflict(w, &record); /* vm2 has that one */
	gpu.pci_address = "0000:02:00.0";
	assert_conflict(w, &record); /* and this one is in quarantine */
	gpu.pci_address = "nonsense";
	assert_conflict(w, &good);
	gpu.pci_address = "0000:01:00.0";
	stuck.gpu_id = "h1/0000:02:00.0"; /* not one of its GPUs */
	assert_conflict(w, &good);
	struct record released = { .type = RECORD_GPU_RELEASED };
	released.gpu_released = (struct gpu_released){ .assignment_id = "r1/1",
						       .request_id = "",
						       .vm_id = "vm1",
						       .pool_id = "1",
						       .host = "h1",
						       .code = "ATTACH_FAILED",
						       .quarantined = &stuck,
						       .n_quarantined = 1 };
	assert_conflict(w, &released);
	stuck.gpu_id = "h1/0000:01:00.0";
	record = *first;
	record.gpu_assigned.quarantined = &stuck; /* without an end */
	record.gpu_assigned.n_quarantined = 1;
	assert_conflict(w, &record);

	const struct logged *logged = world_log(w, &good);
	shard_settle(w->state, world_fold(w->state, logged), world_offset(w, logged), NULL, NULL);
	assert_int_equal(shard_counts(w->state).gpus_assigned, 2);
	assert_conflict(w, &good); /* once is enough */

	/* A release under way is not replaced, and does not turn back. */
	world_release(w, "x2 vm2");
	record = w->log[1].record;
	assert_conflict(w, &record);
	record.gpu_assigned.assignment_id = "r2/2";
	record.gpu_assigned.host = "h4";
	record.gpu_assigned.replaces = "r2/1";
	assert_conflict(w, &record);
}

int main(void)
{
#define STORY(f) cmocka_unit_test_setup_teardown(f, world_setup, world_teardown)
	const struct CMUnitTest tests[] = {
		STORY(malformed_functions_of_an_assignment_are_left_out),
		STORY(only_settled_rows_show),
		STORY(answers_are_forgotten_but_not_those_of_living_vms),
		STORY(a_clock_that_is_behind_does_not_age_answers),
		STORY(positions_never_move_back),
		STORY(rows_of_marks_are_as_documented),
		STORY(rows_of_marks_that_make_no_sense_are_not_loaded),
		STORY(marks_that_make_no_sense_are_conflicts),
		STORY(replacements_that_make_no_sense_are_conflicts),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
