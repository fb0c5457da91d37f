/*
 * The protocol of the log (HACKING.md), the inputs: "not found" only when it is known, wrong partitions, bad input,
 * back-pressure. Each test is a story about one rule; without the rule it ends otherwise:
 *
 *   a_type_is_unknown_only_when...          "unknown" is said at once; the catalog need not be read
 *   a_model_is_unknown_only_when...         "unknown" is said at once; inventory need not be read
 *   a_host_is_unknown_only_when...          "unknown" is said at once; hosts need not be read
 *   a_pool_is_unknown_only_when...          "unknown" is said at once; hosts need not be read
 *   what_is_really_not_there_is_refused     what is held back is overtaken
 *   a_takeover_reads_catalog_inventory_...  hosts need not be read; failed asking is not repeated
 *   a_takeover_needs_no_last_message        where a followed topic ends is not listened to
 *   a_request_in_the_wrong_partition...     it is decided; it is committed before it is delivered
 *   bad_input_goes_to_dead_letters...       it is dropped; it stops the shard; any type is decided
 *   bad_inventory_and_hosts...              they are dropped; another pool's are folded
 *   a_message_with_a_huge_key...            it is forwarded, for which no producer has room
 *   what_is_removed_is_not_given            tombstones are passed over
 *   too_much_in_flight_pauses_the_inputs    no window; never resumed
 *   too_much_held_back_pauses_the_inputs    no limit on what is held back
 *   without_room_it_is_tried_again          the marker, an answer, a decision is forgotten
 */
#include "fixture.h"

#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "model/gpu_state.h"

/* ---- "not found" only when it is known -------------------------------------------------------------------- */

/* Something was published before the request, and the scheduler reads it after the request. */
static void not_found_waits_for(struct world *w, enum step late, const char *pool, const char *type,
				const char *model, const char *host)
{
	struct scheduler *a = w->schedulers[0];

	request_of(w, 0, "r1", "vm1", pool, type, model, host);
	request(w, 0, "r2", "vm2", 1); /* and what comes behind it waits too */
	a->held[late] = true;
	world_run(w);
	assert_int_equal(find_decisions(w, 0, "r1").n, 0);
	assert_int_equal(find_decisions(w, 0, "r2").n, 0);
	a->held[late] = false;
	world_run(w);
	assert_answered(w, "r1", "GpuAssigned");
	assert_answered(w, "r2", "GpuAssigned");
	assert_int_equal(committed(w, 0), 2);
}

static void a_type_is_unknown_only_when_the_catalog_is_read(void **state)
{
	struct world *w = *state;
	start_owner(w, "a", 2);
	publish_type(w, 0, "t1", MODEL);
	not_found_waits_for(w, STEP_CATALOG, w->pools[0], "t1", NULL, NULL);
}

static void a_model_is_unknown_only_when_the_inventory_is_read(void **state)
{
	struct world *w = *state;
	start_owner(w, "a", 2);
	publish_gpu(w, 0, "h1", 5, OTHER_MODEL, GPU_STATE_AVAILABLE);
	not_found_waits_for(w, STEP_INVENTORY, w->pools[0], NULL, OTHER_MODEL, NULL);
}

static void a_host_is_unknown_only_when_hosts_and_inventory_are_read(void **state)
{
	struct world *w = *state;
	struct scheduler *a = start_owner(w, "a", 2);

	publish_host(w, 0, "h2");
	a->held[STEP_HOSTS] = true;
	request_of(w, 0, "r1", "vm1", w->pools[0], NULL, MODEL, "h2");
	world_run(w);
	assert_int_equal(find_decisions(w, 0, "r1").n, 0);
	a->held[STEP_HOSTS] = false;
	world_run(w);
	assert_answered(w, "r1", "RequestRejected/NO_CAPACITY"); /* known, and without GPUs */
}

static void a_pool_is_unknown_only_when_everything_is_read(void **state)
{
	struct world *w = *state;
	struct scheduler *a = world_start(w, "a");

	world_give(w, a, 0);
	world_run(w);
	publish_fleet(w, 0, 2);
	a->held[STEP_HOSTS] = a->held[STEP_INVENTORY] = true;
	request(w, 0, "r1", "vm1", 1);
	a->held[STEP_CATALOG] = true;
	world_run(w);
	assert_int_equal(find_decisions(w, 0, "r1").n, 0);
	a->held[STEP_CATALOG] = false; /* the pool is known, its GPUs are not */
	world_run(w);
	assert_int_equal(find_decisions(w, 0, "r1").n, 0);
	a->held[STEP_HOSTS] = a->held[STEP_INVENTORY] = false;
	world_run(w);
	assert_answered(w, "r1", "GpuAssigned");
}

static void what_is_really_not_there_is_refused(void **state)
{
	struct world *w = *state;
	struct scheduler *a = start_owner(w, "a", 2);

	a->ends_fail = 3; /* it is asked again and again */
	request_of(w, 0, "r1", "vm1", w->pools[0], "t1", NULL, NULL);
	request_of(w, 0, "r2", "vm2", w->pools[0], NULL, "Voodoo2", NULL);
	request_of(w, 0, "r3", "vm3", w->pools[0], NULL, MODEL, "nohost");
	world_run(w);
	assert_answered(w, "r1", "RequestRejected/VM_TYPE_UNKNOWN");
	assert_answered(w, "r2", "RequestRejected/MODEL_UNKNOWN");
	assert_answered(w, "r3", "RequestRejected/HOST_UNKNOWN");
	assert_int_equal(committed(w, 0), 3);
}

/* Nothing is decided before everything that stood in the topics at the start is read. */
static void a_takeover_reads_catalog_inventory_and_hosts_to_their_ends(void **state)
{
	static const enum step late[] = { STEP_CATALOG, STEP_INVENTORY, STEP_HOSTS };
	struct world *w = *state;

	publish_fleet(w, 0, 1);
	request(w, 0, "r1", "vm1", 1);
	struct scheduler *a = world_start(w, "a");
	a->ends_fail = 3; /* where the ends are is asked again */
	for (size_t i = 0; i < 3; i++)
		a->held[late[i]] = true;
	world_give(w, a, 0);
	for (size_t i = 0; i < 3; i++) {
		world_run(w);
		assert_phase(a, SHARD_CATCHING_UP);
		assert_int_equal(find_decisions(w, 0, "r1").n, 0);
		a->held[late[i]] = false;
	}
	world_run(w);
	assert_answered(w, "r1", "GpuAssigned");
}

/* What compaction took away at the end of a topic is not waited for. */
static void a_takeover_needs_no_last_message(void **state)
{
	struct world *w = *state;

	publish_host(w, 0, "h2");
	publish_gpu(w, 0, "h2", 0, MODEL, GPU_STATE_AVAILABLE);
	broker_lose(&w->broker, TOPIC_HOSTS, 0, 0);
	broker_lose(&w->broker, TOPIC_INVENTORY, 0, 0);
	struct scheduler *a = world_start(w, "a");
	world_give(w, a, 0);
	world_run(w);
	assert_phase(a, SHARD_OWNING);
}

/* ---- wrong partition, bad input ------------------------------------------------------------------------------ */

static void a_request_in_the_wrong_partition_is_forwarded(void **state)
{
	struct world *w = *state;
	struct scheduler *a = start_owner(w, "a", 1);

	publish_fleet(w, 1, 1);
	a->producer.cut[TOPIC_REQUESTS] = true;
	request_of(w, 0, "r1", "vm1", w->pools[1], NULL, MODEL, NULL);
	world_run(w);
	assert_int_equal(committed(w, 0), 0); /* not before it is there */
	a->producer.cut[TOPIC_REQUESTS] = false;
	world_run(w);
	assert_int_equal(committed(w, 0), 1);
	assert_int_equal(broker_end(&w->broker, TOPIC_REQUESTS, 1), 1);
	assert_int_equal(find_decisions(w, 0, "r1").n, 0);

	const struct message *from = broker_at(&w->broker, TOPIC_REQUESTS, 0, 0);
	const struct message *to = broker_at(&w->broker, TOPIC_REQUESTS, 1, 0);
	assert_int_equal(from->value_len, to->value_len);
	assert_memory_equal(from->value, to->value, from->value_len);
	assert_string_equal(header_text(w, from, "ce_id"), header_text(w, to, "ce_id"));

	struct scheduler *b = world_start(w, "b");
	world_give(w, b, 1);
	world_run(w);
	assert_true(answered(w, 1, "r1", "GpuAssigned"));
}

static void bad_input_goes_to_dead_letters_and_what_follows_is_served(void **state)
{
	struct world *w = *state;
	struct scheduler *a = start_owner(w, "a", 2);
	struct record stray = { .type = RECORD_EPOCH_STARTED,
				.epoch_started = { .owner = "x", .nonce = "x" } };

	publish_bytes(w, TOPIC_REQUESTS, 0, "garbage", 7);
	publish_bytes(w, TOPIC_REQUESTS, 0, "\0\0\0\0\1confluent", 14);
	publish_bytes(w, TOPIC_REQUESTS, 0, "\xc3\1ABCDEFGH", 10);
	publish_tombstone(w, TOPIC_REQUESTS, 0, "pool-1");
	publish(w, TOPIC_REQUESTS, 0, "", &stray);
	request_of(w, 0, "", "vm1", w->pools[0], NULL, MODEL, NULL); /* nobody to answer */
	request(w, 0, "r1", "vm1", 1);
	a->producer.cut[TOPIC_DEAD_LETTERS] = true;
	world_run(w);
	assert_int_equal(committed(w, 0), 0);
	a->producer.cut[TOPIC_DEAD_LETTERS] = false;
	world_run(w);
	assert_answered(w, "r1", "GpuAssigned");
	assert_int_equal(committed(w, 0), 7);

	static const char *const codes[] = { "NO_FRAME",  "NO_SCHEMA_REGISTRY", "UNKNOWN_SCHEMA",
					     "TOMBSTONE", "WRONG_TOPIC",	"UNUSABLE" };
	assert_int_equal(broker_end(&w->broker, TOPIC_DEAD_LETTERS, 0), 6);
	for (int64_t i = 0; i < 6; i++) {
		const struct message *letter = broker_at(&w->broker, TOPIC_DEAD_LETTERS, 0, i);
		char offset[24];
		snprintf(offset, sizeof(offset), "%lld", (long long)i);
		assert_string_equal(header_text(w, letter, "dl_code"), codes[i]);
		assert_string_equal(header_text(w, letter, "dl_offset"), offset);
		assert_string_equal(header_text(w, letter, "dl_topic"), "gpubus.requests.v1");
		assert_non_null(header_text(w, letter, "dl_error"));
	}
}

/* Forwarded it would be too large for the producer, again and again. */
static void a_message_with_a_huge_key_goes_to_dead_letters(void **state)
{
	struct world *w = *state;
	static char key[LIMIT_META_BYTES + 1];

	start_owner(w, "a", 2);
	broker_append(&w->broker, &(struct outgoing){ .topic = TOPIC_REQUESTS,
						      .key = key,
						      .key_len = sizeof(key),
						      .value = "x",
						      .value_len = 1 });
	request(w, 0, "r1", "vm1", 1);
	world_run(w);
	assert_answered(w, "r1", "GpuAssigned");
	assert_int_equal(committed(w, 0), 2);
	const struct message *letter = broker_at(&w->broker, TOPIC_DEAD_LETTERS, 0, 0);
	assert_string_equal(header_text(w, letter, "dl_code"), "TOO_LARGE");
	assert_string_equal(header_text(w, letter, "dl_cut"), "meta");
}

static void bad_inventory_and_hosts_go_to_dead_letters(void **state)
{
	struct world *w = *state;

	publish_bytes(w, TOPIC_INVENTORY, 0, "garbage", 7);
	publish_bytes(w, TOPIC_HOSTS, 0, "garbage", 7);
	struct record seen = { .type = RECORD_HOST_SEEN,
			       .host_seen = { .host = "h9",
					      .pool_id = w->pools[1],
					      .boot_id = "boot",
					      .iommu = 1,
					      .interrupt_remapping = 1,
					      .vfio = 1 } };
	publish(w, TOPIC_HOSTS, 0, "h9", &seen); /* of the other partition's pool */
	publish(w, TOPIC_INVENTORY, 0, "h9", &seen);
	publish_gpu(w, 0, "h1", 300, MODEL, GPU_STATE_AVAILABLE); /* no such PCI bus */
	start_owner(w, "a", 1);
	request(w, 0, "r1", "vm1", 1);
	world_run(w);
	assert_answered(w, "r1", "GpuAssigned");
	assert_int_equal(broker_end(&w->broker, TOPIC_DEAD_LETTERS, 0), 5);
}

/* Tombstones: an operator has removed a GPU, or a host. */
static void what_is_removed_is_not_given(void **state)
{
	struct world *w = *state;

	start_owner(w, "a", 2);
	publish_tombstone(w, TOPIC_INVENTORY, 0, "h1/0000:01:00.0");
	world_run(w);
	request(w, 0, "r1", "vm1", 2);
	request(w, 0, "r2", "vm2", 1);
	world_run(w);
	assert_answered(w, "r1", "RequestRejected/NO_CAPACITY");
	assert_answered(w, "r2", "GpuAssigned");
	assert_string_equal(find_answers(w, 0, "r2").record->gpu_assigned.gpus[0].gpu_id,
			    "h1/0000:02:00.0");
}

/* ---- back-pressure --------------------------------------------------------------------------------------------- */

static void too_much_in_flight_pauses_the_inputs(void **state)
{
	struct world *w = *state;
	char id[16], vm[16];

	w->config.window = 4;
	struct scheduler *a = start_owner(w, "a", 4);
	a->producer.cut[TOPIC_DECISIONS] = true;
	for (int i = 0; i < 20; i++) {
		snprintf(id, sizeof(id), "r%d", i);
		snprintf(vm, sizeof(vm), "vm%d", i);
		request(w, 0, id, vm, 1);
	}
	world_run(w);
	assert_true(a->seats[0].paused);
	assert_int_equal(shard_figures(shard_at(a, 0)).in_flight, 4);

	a->producer.cut[TOPIC_DECISIONS] = false;
	world_run(w);
	assert_false(a->seats[0].paused);
	assert_int_equal(committed(w, 0), 20);
	for (int i = 0; i < 20; i++) {
		snprintf(id, sizeof(id), "r%d", i);
		assert_int_equal(find_answers(w, 0, id).n, 1);
	}
}

static void too_much_held_back_pauses_the_inputs(void **state)
{
	struct world *w = *state;
	char id[16], vm[16];

	w->config.hold = 4;
	struct scheduler *a = start_owner(w, "a", 4);
	a->held[STEP_ENDS] = true;
	request_of(w, 0, "r", "vm", w->pools[0], "t1", NULL, NULL);
	for (int i = 0; i < 20; i++) {
		snprintf(id, sizeof(id), "r%d", i);
		snprintf(vm, sizeof(vm), "vm%d", i);
		request(w, 0, id, vm, 1);
	}
	world_run(w);
	assert_true(a->seats[0].paused);
	assert_int_equal(a->seats[0].input_next[0], 4);

	a->held[STEP_ENDS] = false;
	world_run(w);
	assert_false(a->seats[0].paused);
	assert_int_equal(committed(w, 0), 21);
	assert_answered(w, "r", "RequestRejected/VM_TYPE_UNKNOWN");
	for (int i = 0; i < 20; i++) {
		snprintf(id, sizeof(id), "r%d", i);
		assert_int_equal(find_answers(w, 0, id).n, 1);
	}
}

/* No room in the producer, at each of the places where something is sent. */
static void without_room_it_is_tried_again(void **state)
{
	static const enum topic full[] = { TOPIC_DECISIONS, TOPIC_ANSWERS, TOPIC_DEAD_LETTERS,
					   TOPIC_REQUESTS };
	struct world *w = *state;

	publish_fleet(w, 0, 2);
	struct scheduler *a = world_start(w, "a");
	a->producer.full[TOPIC_DECISIONS] = true; /* the marker */
	world_give(w, a, 0);
	world_run(w);
	assert_phase(a, SHARD_CATCHING_UP);
	a->producer.full[TOPIC_DECISIONS] = false;
	world_run(w);
	assert_phase(a, SHARD_OWNING);

	for (size_t i = 0; i < sizeof(full) / sizeof(*full); i++) {
		char id[16], again[16], vm[16];
		snprintf(id, sizeof(id), "r%zu", i);
		snprintf(again, sizeof(again), "s%zu", i);
		snprintf(vm, sizeof(vm), "vm%zu", i);
		int64_t before = committed(w, 0);
		a->producer.full[full[i]] = true;
		request(w, 0, id, vm, 1);
		request(w, 0, id, vm, 1); /* told again */
		publish_bytes(w, TOPIC_REQUESTS, 0, "garbage", 7);
		request_of(w, 0, again, "vm", w->pools[1], NULL, MODEL, NULL); /* forwarded */
		world_run(w);
		assert_true(committed(w, 0) < before + 4);
		a->producer.full[full[i]] = false;
		world_run(w);
		assert_int_equal(committed(w, 0), before + 4);
		assert_int_equal(find_answers(w, 0, id).n, 2);
		assert_int_equal(find_decisions(w, 0, id).n, 1);
		assert_int_equal(broker_end(&w->broker, TOPIC_DEAD_LETTERS, 0), (int64_t)i + 1);
		assert_int_equal(broker_end(&w->broker, TOPIC_REQUESTS, 1), (int64_t)i + 1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		rule(a_type_is_unknown_only_when_the_catalog_is_read),
		rule(a_model_is_unknown_only_when_the_inventory_is_read),
		rule(a_host_is_unknown_only_when_hosts_and_inventory_are_read),
		rule(a_pool_is_unknown_only_when_everything_is_read),
		rule(what_is_really_not_there_is_refused),
		rule(a_takeover_reads_catalog_inventory_and_hosts_to_their_ends),
		rule(a_takeover_needs_no_last_message),
		rule(a_request_in_the_wrong_partition_is_forwarded),
		rule(bad_input_goes_to_dead_letters_and_what_follows_is_served),
		rule(a_message_with_a_huge_key_goes_to_dead_letters),
		rule(bad_inventory_and_hosts_go_to_dead_letters),
		rule(what_is_removed_is_not_given),
		rule(too_much_in_flight_pauses_the_inputs),
		rule(too_much_held_back_pauses_the_inputs),
		rule(without_room_it_is_tried_again),
	};

	log_init("sim", LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
