/*
 * The protocol of the log (HACKING.md), the checkpoint: only what was read back reaches it, it is rewritten whenever it does
 * not stand where it should, it is believed only when it is whole, and nothing waits for it. Each test is
 * a story about one rule; without the rule it ends otherwise:
 *
 *   only_what_was_read_back_reaches...       a row is written when it is decided; never rewritten
 *   the_positions_of_a_checkpoint_...        its positions are those of what is decided
 *   a_wiped_checkpoint_is_written_anew...    never rewritten; catalog or fleet not in the rewrite
 *   a_checkpoint_that_was_rolled_back...     never rewritten
 *   a_checkpoint_whose_fleet_was_rolled...   the sequence does not grow
 *   a_checkpoint_that_a_zombie_wrote...      never rewritten
 *   a_store_that_is_wiped_in_the_middle...   never rewritten
 *   a_rewrite_catches_what_changes...        more room for rows is not listened to
 *   a_store_that_is_down_stops_nothing       never rewritten
 *   what_is_removed_is_not_shown             removed definitions, or hosts that went, stay
 *   what_is_not_read_yet_is_still_shown      the catalog is shown while it is being read
 *   a_checkpoint_that_contradicts_itself...  the digest, the epoch is not compared; the store is not told
 *   a_good_checkpoint_spares_reading...      a checkpoint is never used
 *   a_checkpoint_of_any_moment_leads...      what a takeover reads is not written
 */
#include "fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/gpu_state.h"

static void requests(struct world *w, const char *prefix, int n)
{
	for (int i = 0; i < n; i++) {
		char id[32], vm[32];
		snprintf(id, sizeof(id), "%s%d", prefix, i);
		snprintf(vm, sizeof(vm), "vm-%s%d", prefix, i);
		request(w, 0, id, vm, 1);
	}
}

static struct store_shard *stored(struct world *w)
{
	return &w->store.shards[0];
}

static bool has_row(struct world *w, const char *request_id)
{
	for (size_t i = 0; i < stored(w)->rows.n; i++) {
		const struct stored_row *row = &stored(w)->rows.rows[i];
		if (row->table == STORE_REQUESTS && row->field_len > strlen(request_id) &&
		    strcmp(row->field + row->field_len - strlen(request_id), request_id) == 0)
			return true;
	}
	return false;
}

static void only_what_was_read_back_reaches_the_checkpoint(void **state)
{
	struct world *w = *state;
	struct scheduler *a = start_owner(w, "a", 2);

	request(w, 0, "r1", "vm1", 1);
	world_run(w);
	assert_true(has_row(w, "r1"));
	a->held[STEP_DECISIONS] = true;
	request(w, 0, "r2", "vm2", 1);
	publish_gpu(w, 0, "h1", 7, MODEL, GPU_STATE_AVAILABLE); /* rows of the fleet go on */
	world_run(w);
	assert_false(has_row(w, "r2"));
	store_server_wipe(&w->store, 0); /* nor does it in a rewrite */
	world_run(w);
	assert_false(has_row(w, "r2"));

	a->held[STEP_DECISIONS] = false;
	world_run(w);
	assert_true(has_row(w, "r2"));
	assert_checkpoint_good(w);
}

/* Nor are inputs said to be reflected before their records are: they would never be decided. */
static void the_positions_of_a_checkpoint_are_those_of_what_was_read_back(void **state)
{
	struct world *w = *state;
	struct scheduler *a = start_owner(w, "a", 2);

	a->producer.cut[TOPIC_DECISIONS] = true;
	request(w, 0, "r1", "vm1", 1);
	world_run(w);
	publish_gpu(w, 0, "h1", 7, MODEL, GPU_STATE_AVAILABLE);
	world_run(w);
	world_kill(w, a);
	broker_drop_ghost(&w->broker, 0);

	a = world_start(w, "a");
	world_give(w, a, 0);
	world_run(w);
	assert_answered(w, "r1", "GpuAssigned");
}

static void a_wiped_checkpoint_is_written_anew_while_decisions_go_on(void **state)
{
	struct world *w = *state;
	struct scheduler *a = start_owner(w, "a", 20);

	requests(w, "r", 10);
	world_run(w);
	store_server_wipe(&w->store, 0);
	a->held[STEP_STORE] = true;
	requests(w, "s", 20);
	world_run(w);
	assert_int_equal(committed(w, 0), 30);
	a->held[STEP_STORE] = false;
	requests(w, "t", 20);
	world_run(w);
	assert_int_equal(committed(w, 0), 50);
	assert_int_equal(w->store.switches, 2); /* the first one, of an empty Redis, too */
	assert_checkpoint_good(w);
}

static void a_checkpoint_that_was_rolled_back_is_written_anew(void **state)
{
	struct world *w = *state;
	struct store_shard copy = { 0 };

	start_owner(w, "a", 20);
	requests(w, "r", 5);
	world_run(w);
	store_shard_copy(&copy, stored(w));
	requests(w, "s", 5);
	world_run(w);
	store_shard_copy(stored(w), &copy);
	world_run(w); /* noticed though nothing flows */
	assert_checkpoint_good(w);

	store_shard_copy(stored(w), &copy);
	requests(w, "t", 5);
	world_run(w);
	assert_checkpoint_good(w);
	store_shard_deinit(&copy);
}

/* Rows change without the log, too: of the fleet. */
static void a_checkpoint_whose_fleet_was_rolled_back_is_written_anew(void **state)
{
	struct world *w = *state;
	struct store_shard copy = { 0 };

	start_owner(w, "a", 2);
	store_shard_copy(&copy, stored(w));
	publish_gpu(w, 0, "h1", 7, MODEL, GPU_STATE_AVAILABLE);
	world_run(w);
	assert_checkpoint_good(w);
	store_shard_copy(stored(w), &copy);
	store_shard_deinit(&copy);
	world_run(w);
	assert_checkpoint_good(w);
}

/* A zombie has submitted rows, true ones, after its successor loaded the checkpoint. */
static void a_checkpoint_that_a_zombie_wrote_is_written_anew(void **state)
{
	struct world *w = *state;
	struct scheduler *a = start_owner(w, "a", 20);

	requests(w, "r", 5);
	world_run(w);
	a->held[STEP_STORE] = true;
	requests(w, "s", 5);
	world_run(w);
	a->frozen = true;

	struct scheduler *b = world_start(w, "b");
	world_give(w, b, 0);
	b->held[STEP_STORE] = true;
	requests(w, "t", 5);
	world_run(w);
	a->held[STEP_STORE] = false;
	while (scheduler_step(a, STEP_STORE, 0))
		;
	b->held[STEP_STORE] = false;
	world_run(w);
	assert_checkpoint_good(w);
	/* Afterwards the zombie is refused: it stands at a lower epoch. */
	a->frozen = false;
	requests(w, "u", 5);
	world_run(w);
	assert_checkpoint_good(w);
	assert_int_equal(committed(w, 0), 20);
}

static void a_store_that_is_wiped_in_the_middle_of_a_rewrite_is_written_anew(void **state)
{
	struct world *w = *state;
	struct scheduler *a = start_owner(w, "a", 20);

	for (int at = 0; at < 12; at++) {
		char prefix[16];
		snprintf(prefix, sizeof(prefix), "r%d-", at);
		store_server_wipe(&w->store, 0);
		for (int i = 0; i < at; i++) {
			scheduler_step(a, STEP_STORE, 0);
			scheduler_flush(a, 0);
		}
		store_server_wipe(&w->store, 0);
		requests(w, prefix, 2);
		world_run(w);
		assert_checkpoint_good(w);
	}
}

/* More rows than one chunk, and decisions between all steps of the walk. */
static void a_rewrite_catches_what_changes_while_it_goes_on(void **state)
{
	struct world *w = *state;
	struct scheduler *a = start_owner(w, "a", 2);
	int n = 0;

	requests(w, "r", 2500);
	world_run(w);
	store_server_wipe(&w->store, 0);
	uint64_t before = w->store.switches;
	while (w->store.switches == before) {
		char id[32];
		snprintf(id, sizeof(id), "s%d", n);
		if (n % 2)
			release(w, 0, id, "vm-r0");
		else
			request(w, 0, id, "vm-r0", 1);
		n++;
		/* One step of everything, so that the next decision is in flight at any time. */
		for (enum step step = 0; step < STEPS; step++)
			scheduler_step(a, step, 0);
		scheduler_step(a, STEP_REPORT, 0);
		scheduler_step(a, STEP_STORE, 0);
		scheduler_flush(a, 0);
		assert_true(n < 1000);
	}
	world_run(w);
	assert_int_equal(w->store.switches, before + 1);
	assert_true(n > 3);
	assert_checkpoint_good(w);
}

static void a_store_that_is_down_stops_nothing(void **state)
{
	struct world *w = *state;

	w->store.down = true;
	struct scheduler *a = start_owner(w, "a", 20);
	assert_phase(a, SHARD_OWNING);
	requests(w, "r", 5);
	world_run(w);
	assert_int_equal(committed(w, 0), 5);
	assert_false(stored(w)->exists);
	w->store.down = false;
	world_run(w);
	assert_checkpoint_good(w);

	/* Down for longer than the queue holds. */
	w->store.down = true;
	for (int i = 0; i < 2 * CLIENT_QUEUE_MAX; i++) {
		char prefix[16];
		snprintf(prefix, sizeof(prefix), "s%d-", i);
		requests(w, prefix, 1);
		world_run(w);
	}
	assert_int_equal(committed(w, 0), 5 + 2 * CLIENT_QUEUE_MAX);
	w->store.down = false;
	world_run(w);
	assert_checkpoint_good(w);

	/* And while it is taken over. */
	w->store.down = true;
	world_kill(w, a);
	struct scheduler *b = world_start(w, "b");
	world_give(w, b, 0);
	requests(w, "t", 1);
	world_run(w);
	assert_phase(b, SHARD_OWNING);
	assert_int_equal(find_answers(w, 0, "t0").n, 1);
	w->store.down = false;
	world_run(w);
	assert_checkpoint_good(w);
}

/* The read model: what is removed from the catalog or the fleet is not shown any longer. */
static void what_is_removed_is_not_shown(void **state)
{
	struct world *w = *state;
	struct scheduler *a = start_owner(w, "a", 2);

	publish_type(w, 0, "t1", MODEL);
	publish_type(w, 0, "t2", MODEL);
	world_run(w);
	assert_checkpoint_good(w);
	publish_tombstone(w, TOPIC_CATALOG, 0, "type/t1");
	publish_tombstone(w, TOPIC_INVENTORY, 0, "h1/0000:01:00.0");
	world_run(w);
	assert_checkpoint_good(w);

	/* Nor when it is removed while nobody owns the shard. */
	world_kill(w, a);
	publish_tombstone(w, TOPIC_CATALOG, 0, "type/t2");
	publish_tombstone(w, TOPIC_INVENTORY, 0, "h1/0000:02:00.0");
	publish_tombstone(w, TOPIC_HOSTS, 0, "h1");
	a = world_start(w, "a");
	world_give(w, a, 0);
	world_run(w);
	assert_checkpoint_good(w);
}

/* And what a new process has not read yet is not taken for removed. */
static void what_is_not_read_yet_is_still_shown(void **state)
{
	struct world *w = *state;
	struct scheduler *a = start_owner(w, "a", 2);

	publish_type(w, 0, "t1", MODEL);
	world_run(w);
	world_kill(w, a);
	a = world_start(w, "a");
	world_give(w, a, 0);
	assert_true(scheduler_step(a, STEP_LOAD, 0));
	assert_true(scheduler_step(a, STEP_CATALOG, 0));
	a->held[STEP_CATALOG] = a->held[STEP_INVENTORY] = true;
	world_run(w);
	assert_non_null(row_set_find(&stored(w)->rows, STORE_TYPES, "t1", 2));
	assert_int_equal(w->store.switches, 1);
	a->held[STEP_CATALOG] = a->held[STEP_INVENTORY] = false;
	world_run(w);
	assert_checkpoint_good(w);
}

/* ---- a checkpoint that is not whole ----------------------------------------------------------------------- */

enum damage { ROW_GARBLED, ROW_MISSING, ROW_STRANGE, EPOCH_ABOVE_OFFSET, DIGEST_WRONG, DAMAGES };

static void damage_checkpoint(struct store_shard *shard, enum damage damage)
{
	size_t i = 0;
	while (shard->rows.rows[i].table != STORE_VMS)
		i++;
	struct stored_row *row = &shard->rows.rows[i];

	switch (damage) {
	case ROW_GARBLED:
		row->value[row->value_len - 1] ^= 1;
		break;
	case ROW_MISSING:
		free(row->field);
		free(row->value);
		*row = shard->rows.rows[--shard->rows.n];
		break;
	case ROW_STRANGE:
		memset(row->value, 'x', row->value_len);
		break;
	case EPOCH_ABOVE_OFFSET:
		shard->meta.epoch = shard->meta.offset;
		break;
	case DIGEST_WRONG:
		shard->meta.digest++;
		break;
	case DAMAGES:
		break;
	}
}

static void a_checkpoint_that_contradicts_itself_is_not_believed(void **state)
{
	struct world *w = *state;
	struct scheduler *a = start_owner(w, "a", 20);

	requests(w, "r", 3);
	world_run(w);
	for (enum damage damage = 0; damage < DAMAGES; damage++) {
		char id[16], vm[16];
		snprintf(id, sizeof(id), "s%d", damage);
		snprintf(vm, sizeof(vm), "vm%d", damage);
		world_kill(w, a);
		damage_checkpoint(stored(w), damage);
		a = world_start(w, "a");
		a->held[STEP_STORE] = true;
		world_give(w, a, 0);
		assert_true(scheduler_step(a, STEP_LOAD, 0));
		assert_int_equal(a->seats[0].follow_next[0], 0);
		request(w, 0, id, vm, 1);
		request(w, 0, "r0", "vm-r0", 1);
		world_run(w);
		assert_answered(w, id, "GpuAssigned");
		assert_int_equal(find_decisions(w, 0, "r0").n, 1);
		a->held[STEP_STORE] = false;
		world_run(w);
		assert_checkpoint_good(w);
	}
}

static void a_good_checkpoint_spares_reading_the_log_from_its_beginning(void **state)
{
	struct world *w = *state;
	struct scheduler *a = start_owner(w, "a", 20);

	requests(w, "r", 3);
	world_run(w);
	world_kill(w, a);
	a = world_start(w, "a");
	world_give(w, a, 0);
	assert_true(scheduler_step(a, STEP_LOAD, 0));
	assert_int_equal(a->seats[0].follow_next[0], broker_end(&w->broker, TOPIC_DECISIONS, 0));
	world_run(w);
	assert_int_equal(w->store.switches, 1);
	assert_checkpoint_good(w);
}

/* Every prefix of a log, loaded from its checkpoint and folded on, comes to the same digest. */
static void a_checkpoint_of_any_moment_leads_to_the_same_state(void **state)
{
	struct world *w = *state;
	struct store_shard copies[12] = { 0 };
	struct scheduler *a = start_owner(w, "a", 3);

	for (int i = 0; i < 12; i++) {
		char id[16], vm[16];
		snprintf(id, sizeof(id), "r%d", i);
		snprintf(vm, sizeof(vm), "vm%d", i / 3);
		if (i % 3 == 2)
			release(w, 0, id, vm);
		else
			request(w, 0, id, vm, 1);
		world_run(w);
		store_shard_copy(&copies[i], stored(w));
	}
	for (int i = 0; i < 12; i++) {
		world_kill(w, a);
		store_shard_copy(stored(w), &copies[i]);
		a = world_start(w, "a");
		world_give(w, a, 0);
		world_run(w);
		assert_checkpoint_good(w);
		store_shard_deinit(&copies[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		rule(only_what_was_read_back_reaches_the_checkpoint),
		rule(the_positions_of_a_checkpoint_are_those_of_what_was_read_back),
		rule(a_wiped_checkpoint_is_written_anew_while_decisions_go_on),
		rule(a_checkpoint_that_was_rolled_back_is_written_anew),
		rule(a_checkpoint_whose_fleet_was_rolled_back_is_written_anew),
		rule(a_checkpoint_that_a_zombie_wrote_is_written_anew),
		rule(a_store_that_is_wiped_in_the_middle_of_a_rewrite_is_written_anew),
		rule(a_rewrite_catches_what_changes_while_it_goes_on),
		rule(a_store_that_is_down_stops_nothing),
		rule(what_is_removed_is_not_shown),
		rule(what_is_not_read_yet_is_still_shown),
		rule(a_checkpoint_that_contradicts_itself_is_not_believed),
		rule(a_good_checkpoint_spares_reading_the_log_from_its_beginning),
		rule(a_checkpoint_of_any_moment_leads_to_the_same_state),
	};

	log_init("sim", LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
