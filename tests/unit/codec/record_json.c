/* JSON that people and scripts write: what may be left out, what is refused, and how that is said. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

#include "base/buf.h"
#include "base/limits.h"
#include "codec/json.h"

static int setup(void **state)
{
	static struct arena arena;
	arena_init(&arena);
	*state = &arena;
	return 0;
}

static int teardown(void **state)
{
	arena_deinit(*state);
	return 0;
}

static json_t *parsed(const char *text)
{
	json_t *json = json_loads(text, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
	assert_non_null(json);
	return json;
}

static struct record read_record(struct arena *arena, enum record_type type, const char *text)
{
	struct record record;
	char *error = NULL;
	json_t *json = parsed(text);
	if (record_from_json(json, type, arena, &record, &error))
		fail_msg("%s", error);
	json_decref(json);
	return record;
}

static void assert_refused(struct arena *arena, enum record_type type, const char *text,
			   const char *expected)
{
	struct record record;
	char *error = NULL;
	json_t *json = parsed(text);
	assert_int_equal(record_from_json(json, type, arena, &record, &error), 1);
	assert_string_equal(error, expected);
	free(error);
	json_decref(json);
}

static void what_has_a_default_may_be_left_out(void **state)
{
	struct record record = read_record(*state, RECORD_VM_POOL_DEFINED, "{\"pool_id\": \"p\"}");
	assert_string_equal(record.vm_pool_defined.pool_id, "p");
	assert_string_equal(record.vm_pool_defined.name, "");
	assert_string_equal(record.vm_pool_defined.attach, "agent");
	assert_string_equal(record.vm_pool_defined.policy, "pack");

	record = read_record(
		*state, RECORD_VM_REQUESTED,
		"{\"request_id\": \"r\", \"vm_id\": \"v\", \"pool_id\": \"p\", \"host\": null}");
	assert_null(record.vm_requested.host);
	assert_null(record.vm_requested.vm_type_id);
	assert_int_equal(record.vm_requested.n_gpus, 0);
	assert_int_equal(record.vm_requested.requested_at, ABSENT);

	record = read_record(*state, RECORD_VM_TYPE_DEFINED,
			     "{\"vm_type_id\": \"t\", \"pool_id\": \"p\"}");
	assert_int_equal(record.vm_type_defined.cpu_cores, 0);
}

static void what_is_required_is_missed_by_name(void **state)
{
	assert_refused(*state, RECORD_VM_REQUESTED, "{\"request_id\": \"r\", \"vm_id\": \"v\"}",
		       "pool_id: missing");
	assert_refused(*state, RECORD_VM_REQUESTED,
		       "{\"request_id\": \"r\", \"vm_id\": \"v\", \"pool_id\": \"p\","
		       " \"gpus\": [{\"name\": \"a\", \"count\": 1}, {\"name\": \"b\"}]}",
		       "gpus[1].count: missing");
	assert_refused(*state, RECORD_VM_REQUESTED, "{\"request_id\": null}",
		       "request_id: expected text, got null");
}

static void what_is_unknown_is_refused_with_what_there_is(void **state)
{
	assert_refused(
		*state, RECORD_VM_POOL_DEFINED, "{\"pool_id\": \"p\", \"polcy\": \"spread\"}",
		"polcy: VmPoolDefined has no such field; its fields are pool_id, name, attach, "
		"policy, on_attach_failure, "
		"attach_attempts, after_release");
	assert_refused(*state, RECORD_VM_REQUESTED,
		       "{\"request_id\": \"r\", \"vm_id\": \"v\", \"pool_id\": \"p\","
		       " \"gpus\": [{\"name\": \"a\", \"number\": 1}]}",
		       "gpus[0].number: GpuAsk has no such field; its fields are name, count");
}

static void what_has_another_type_is_refused(void **state)
{
	assert_refused(*state, RECORD_VM_POOL_DEFINED, "[]", "expected an object, got a list");
	assert_refused(*state, RECORD_VM_POOL_DEFINED, "{\"pool_id\": 1}",
		       "pool_id: expected text, got an integer");
	assert_refused(*state, RECORD_VM_POOL_DEFINED, "{\"pool_id\": \"a\\u0000b\"}",
		       "pool_id: a NUL in the text");
	assert_refused(*state, RECORD_VM_REQUESTED,
		       "{\"request_id\": \"r\", \"vm_id\": \"v\","
		       " \"pool_id\": \"p\", \"gpus\": {}}",
		       "gpus: expected a list, got an object");
	assert_refused(*state, RECORD_VM_REQUESTED,
		       "{\"request_id\": \"r\", \"vm_id\": \"v\","
		       " \"pool_id\": \"p\", \"gpus\": [{\"name\": \"a\", \"count\": 1.5}]}",
		       "gpus[0].count: expected an integer, got a number with a fraction");
	assert_refused(*state, RECORD_VM_REQUESTED,
		       "{\"request_id\": \"r\", \"vm_id\": \"v\","
		       " \"pool_id\": \"p\", \"gpus\": [\"a\"]}",
		       "gpus[0]: expected an object, got text");
	assert_refused(*state, RECORD_VM_RELEASED,
		       "{\"request_id\": \"r\", \"vm_id\": \"v\","
		       " \"pool_id\": \"p\", \"force\": 1}",
		       "force: expected true or false, got an integer");
}

static void a_list_has_a_limit(void **state)
{
	struct buf text = { 0 };
	buf_puts(&text,
		 "{\"assignment_id\": \"a\", \"vm_id\": \"v\", \"pool_id\": \"p\", \"host\": "
		 "\"h\", \"state\": \"BOUND\", \"observed_at\": 1, \"gpus\": [\"\"");
	for (int i = 0; i < LIMIT_LIST_ITEMS; i++)
		buf_puts(&text, ",\"\"");
	buf_puts(&text, "]}");
	assert_refused(*state, RECORD_GPU_ATTACHMENT, text.data,
		       "gpus: 1025 items, more than 1024");
	buf_deinit(&text);
}

static void times_are_numbers_or_text(void **state)
{
	static const char *const spellings[] = { "1764000000123456",
						 "\"2025-11-24T16:00:00.123456Z\"",
						 "\"2025-11-24T17:00:00.123456+01:00\"" };
	for (size_t i = 0; i < sizeof(spellings) / sizeof(*spellings); i++) {
		const char *text = arena_printf(
			*state,
			"{\"shard\": 1, \"owner\": \"o\", \"nonce\": \"n\", \"started_at\": %s}",
			spellings[i]);
		struct record record = read_record(*state, RECORD_EPOCH_STARTED, text);
		assert_int_equal(record.epoch_started.started_at, 1764000000123456);

		json_t *json = record_to_json(&record);
		assert_int_equal(json_integer_value(json_object_get(json, "started_at")),
				 1764000000123456);
		json_decref(json);
	}
	assert_refused(
		*state, RECORD_EPOCH_STARTED,
		"{\"shard\": 1, \"owner\": \"o\", \"nonce\": \"n\", \"started_at\": \"noon\"}",
		"started_at: \"noon\" is not a time like 2026-11-22T16:50:28Z");
	assert_refused(
		*state, RECORD_EPOCH_STARTED,
		"{\"shard\": 1, \"owner\": \"o\", \"nonce\": \"n\", \"started_at\": true}",
		"started_at: expected a time (microseconds since 1970, or RFC 3339 text), got "
		"true or false");
}

static void absent_fields_are_printed_as_null(void **state)
{
	(void)state;
	struct record record = {
		.type = RECORD_VM_RELEASED,
		.vm_released = { .request_id = "r",
				 .vm_id = "v",
				 .pool_id = "p",
				 .force = 0,
				 .requested_at = ABSENT },
	};
	json_t *json = record_to_json(&record);
	char *text = json_dumps(json, JSON_COMPACT);
	assert_string_equal(
		text, "{\"request_id\":\"r\",\"vm_id\":\"v\",\"pool_id\":\"p\","
		      "\"force\":false,\"reason\":null,\"actor\":null,\"requested_at\":null}");
	free(text);
	json_decref(json);
}

/* What a PCI id list or a driver calls itself need not be UTF-8. */
static void bytes_that_are_no_text_are_printed_as_question_marks(void **state)
{
	(void)state;
	struct record record = { .type = RECORD_VM_POOL_DEFINED,
				 .vm_pool_defined = { "p", "a\xff\xfe", NULL, "" } };
	json_t *json = record_to_json(&record);
	assert_string_equal(json_string_value(json_object_get(json, "name")), "a??");
	assert_string_equal(json_string_value(json_object_get(json, "attach")), "");
	json_decref(json);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		TEST(what_has_a_default_may_be_left_out),
		TEST(what_is_required_is_missed_by_name),
		TEST(what_is_unknown_is_refused_with_what_there_is),
		TEST(what_has_another_type_is_refused),
		TEST(a_list_has_a_limit),
		TEST(times_are_numbers_or_text),
		TEST(absent_fields_are_printed_as_null),
		TEST(bytes_that_are_no_text_are_printed_as_question_marks),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
