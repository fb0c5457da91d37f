/*
 * What is published: topic, key, partition, headers; and what may be left out.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "cli/event.h"
#include "codec/envelope_headers.h"
#include "codec/json.h"
#include "model/partition.h"

struct fixture {
	struct codec *codec;
	struct arena arena;
};

static int setup(void **state)
{
	static struct fixture fixture;
	assert_int_equal(codec_new(&fixture.codec), 0);
	arena_init(&fixture.arena);
	*state = &fixture;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;
	codec_free(fixture->codec);
	arena_deinit(&fixture->arena);
	return 0;
}

static const struct event_origin origin = {
	.traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
	.now_us = 1700000000000000,
	.n_partitions = 12,
};

static struct message publish(struct fixture *fixture, enum record_type type, const char *text)
{
	struct message message;
	struct record record;
	char *error = NULL;
	json_t *json = json_loads(text, 0, NULL);
	assert_non_null(json);
	event_complete(json, type, "drawn-id", origin.now_us);
	if (record_from_json(json, type, &fixture->arena, &record, &error))
		fail_msg("%s", error);
	json_decref(json);
	assert_int_equal(event_message(&record, &origin, fixture->codec, &fixture->arena, &message),
			 0);
	return message;
}

static void expect_at(const struct message *message, enum topic topic, const char *key,
		      int32_t partition)
{
	assert_int_equal(message->topic, topic);
	assert_int_equal(message->key_len, strlen(key));
	assert_memory_equal(message->key, key, message->key_len);
	assert_int_equal(message->partition, partition);
}

static void every_event_has_its_place(void **state)
{
	int32_t shard = partition_of_pool("pool-7", 12);
	struct message message;

	message = publish(*state, RECORD_VM_POOL_DEFINED, "{\"pool_id\": \"pool-7\"}");
	expect_at(&message, TOPIC_CATALOG, "pool/pool-7", 0);
	message = publish(*state, RECORD_VM_TYPE_DEFINED,
			  "{\"vm_type_id\": \"small\", \"pool_id\": \"pool-7\", \"name\": \"s\"}");
	expect_at(&message, TOPIC_CATALOG, "type/small", 0);
	message =
		publish(*state, RECORD_VM_REQUESTED, "{\"vm_id\": \"v\", \"pool_id\": \"pool-7\"}");
	expect_at(&message, TOPIC_REQUESTS, "pool-7", shard);
	message =
		publish(*state, RECORD_VM_RELEASED, "{\"vm_id\": \"v\", \"pool_id\": \"pool-7\"}");
	expect_at(&message, TOPIC_REQUESTS, "pool-7", shard);
	message = publish(*state, RECORD_OPERATOR_COMMAND,
			  "{\"command\": \"CORDON_HOST\", \"host\": \"h1\", \"actor\": \"ann\","
			  " \"pool_id\": \"pool-7\"}");
	expect_at(&message, TOPIC_REQUESTS, "pool-7", shard);
	message = publish(*state, RECORD_HOST_SEEN,
			  "{\"host\": \"h1\", \"pool_id\": \"pool-7\", \"boot_id\": \"b\","
			  " \"cpu_cores\": 1, \"ram_gb\": 1, \"gpu_count\": 0}");
	expect_at(&message, TOPIC_HOSTS, "h1", shard);
	assert_int_not_equal(shard, 0); /* or the catalog's partition would be right by accident */
}

static void only_the_scheduler_decides(void **state)
{
	enum topic topic;
	(void)state;
	for (int type = RECORD_EPOCH_STARTED; type < RECORD_TYPES; type++)
		assert_int_equal(event_topic((enum record_type)type, &topic), 1);
}

static void id_times_and_headers_are_filled_in(void **state)
{
	struct fixture *fixture = *state;
	struct message message =
		publish(fixture, RECORD_VM_REQUESTED, "{\"vm_id\": \"v\", \"pool_id\": \"p\"}");
	struct record record;
	struct envelope envelope;

	assert_int_equal(codec_decode(fixture->codec, message.value, message.value_len,
				      &fixture->arena, &record),
			 0);
	assert_string_equal(record.vm_requested.request_id, "drawn-id");
	assert_int_equal(record.vm_requested.requested_at, origin.now_us);
	envelope_from_headers(message.headers, message.n_headers, &fixture->arena, &envelope);
	assert_string_equal(envelope.type, "gpubus.VmRequested");
	assert_string_equal(envelope.id, "p/VmRequested/drawn-id");
	assert_string_equal(envelope.traceparent, origin.traceparent);
	assert_int_equal(envelope.time_us, origin.now_us);
}

static void what_was_given_is_kept(void **state)
{
	struct fixture *fixture = *state;
	struct message message =
		publish(fixture, RECORD_VM_REQUESTED,
			"{\"request_id\": \"mine\", \"vm_id\": \"v\", \"pool_id\": \"p\","
			" \"requested_at\": 5}");
	struct record record;
	assert_int_equal(codec_decode(fixture->codec, message.value, message.value_len,
				      &fixture->arena, &record),
			 0);
	assert_string_equal(record.vm_requested.request_id, "mine");
	assert_int_equal(record.vm_requested.requested_at, 5);
}

static void tombstones_have_no_value(void **state)
{
	struct fixture *fixture = *state;
	struct message message;

	event_tombstone(RECORD_VM_TYPE_DEFINED, "small", "", &origin, &fixture->arena, &message);
	expect_at(&message, TOPIC_CATALOG, "type/small", 0);
	assert_null(message.value);
	event_tombstone(RECORD_GPU_DISCOVERED, "h1/0000:01:00.0", "pool-7", &origin,
			&fixture->arena, &message);
	expect_at(&message, TOPIC_INVENTORY, "h1/0000:01:00.0", partition_of_pool("pool-7", 12));
	assert_null(message.value);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_event_has_its_place),
		cmocka_unit_test(only_the_scheduler_decides),
		cmocka_unit_test(id_times_and_headers_are_filled_in),
		cmocka_unit_test(what_was_given_is_kept),
		cmocka_unit_test(tombstones_have_no_value),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
