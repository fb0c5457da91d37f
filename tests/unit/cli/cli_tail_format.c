/*
 * One message as a line and as JSON.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "cli/tail_format.h"
#include "codec/envelope_headers.h"

struct fixture {
	struct codec *codec;
	struct arena arena;
	struct buf encoded;
	struct buf line;
	struct header headers[ENVELOPE_HEADERS_MAX];
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
	buf_deinit(&fixture->encoded);
	buf_deinit(&fixture->line);
	return 0;
}

static struct message message_of(struct fixture *fixture, const struct record *record,
				 enum topic topic, int64_t epoch, int64_t revision)
{
	struct envelope envelope = ENVELOPE_EMPTY;
	envelope.epoch = epoch;
	envelope.revision = revision;
	buf_clear(&fixture->encoded);
	assert_int_equal(codec_encode(fixture->codec, record, &fixture->encoded), 0);
	return (struct message){
		.topic = topic,
		.partition = 2,
		.offset = 7,
		.timestamp_us = 1000000,
		.key = "1",
		.key_len = 1,
		.value = fixture->encoded.data,
		.value_len = fixture->encoded.len,
		.headers = fixture->headers,
		.n_headers = envelope_to_headers(&envelope, &fixture->arena, fixture->headers),
	};
}

static struct message rejected(struct fixture *fixture, enum topic topic, int64_t epoch,
			       int64_t revision)
{
	const struct record record = { .type = RECORD_REQUEST_REJECTED,
				       .request_rejected = { .request_id = "r1",
							     .request_type = "VmRequested",
							     .pool_id = "1",
							     .code = "NO_CAPACITY",
							     .message = "none is free",
							     .decided_at = 5 } };
	return message_of(fixture, &record, topic, epoch, revision);
}

static const char *line(struct fixture *fixture, const struct message *message,
			struct tail_verdict verdict)
{
	buf_clear(&fixture->line);
	tail_line(message, &verdict, fixture->codec, &fixture->arena, &fixture->line);
	return fixture->line.data;
}

static void an_answer_shows_its_fields_and_revision(void **state)
{
	struct message message = rejected(*state, TOPIC_ANSWERS, -1, 33);
	assert_string_equal(line(*state, &message, (struct tail_verdict){ 0 }),
			    "answers[2]@7 1970-01-01T00:00:01.000000Z RequestRejected "
			    "request_id=r1 request_type=VmRequested pool_id=1 code=NO_CAPACITY "
			    "message=none is free revision=33\n");
}

static void a_report_shows_each_gpu(void **state)
{
	struct attached_gpu gpus[] = {
		{ .gpu_id = "h1/0000:01:00.0", .state = "CLEAN" },
		{ .gpu_id = "h1/0000:02:00.0", .state = "DIRTY", .code = "RESET_FAILED" },
	};
	const struct record record = { .type = RECORD_GPU_ATTACHMENT,
				       .gpu_attachment = { .assignment_id = "r1/1",
							   .vm_id = "vm",
							   .pool_id = "1",
							   .host = "h1",
							   .state = "DETACHED",
							   .gpus = gpus,
							   .n_gpus = 2,
							   .observed_at = 5 } };
	struct message message = message_of(*state, &record, TOPIC_ATTACHMENTS, -1, -1);
	assert_string_equal(line(*state, &message, (struct tail_verdict){ 0 }),
			    "attachments[2]@7 1970-01-01T00:00:01.000000Z GpuAttachment "
			    "assignment_id=r1/1 vm_id=vm pool_id=1 host=h1 state=DETACHED "
			    "gpus=h1/0000:01:00.0:CLEAN,h1/0000:02:00.0:DIRTY:RESET_FAILED\n");
}

static void a_release_shows_what_is_in_quarantine(void **state)
{
	struct quarantined_gpu gpus[] = { { "h1/0000:02:00.0", "RESET_FAILED", "why" } };
	struct assigned_gpu assigned[] = { { .gpu_id = "h1/0000:02:00.0",
					     .name = "n",
					     .vendor = "v",
					     .device = "d",
					     .pci_address = "0000:02:00.0",
					     .iommu_group = ABSENT,
					     .numa_node = ABSENT } };
	const struct record record = { .type = RECORD_GPU_RELEASED,
				       .gpu_released = { .assignment_id = "r1/1",
							 .request_id = "d1",
							 .vm_id = "vm",
							 .pool_id = "1",
							 .host = "h1",
							 .code = "RELEASED",
							 .gpus = assigned,
							 .n_gpus = 1,
							 .quarantined = gpus,
							 .n_quarantined = 1,
							 .decided_at = 5 } };
	struct message message = message_of(*state, &record, TOPIC_ANSWERS, -1, 3);
	assert_non_null(strstr(line(*state, &message, (struct tail_verdict){ 0 }),
			       " gpus=0000:02:00.0 code=RELEASED "
			       "quarantined=h1/0000:02:00.0:RESET_FAILED revision=3\n"));
}

static void a_command_and_its_mark_say_who_and_why(void **state)
{
	const struct record command = { .type = RECORD_OPERATOR_COMMAND,
					.operator_command = { .request_id = "o1",
							      .pool_id = "1",
							      .command = "CORDON_HOST",
							      .host = "h1",
							      .reason = "a fan",
							      .actor = "ann",
							      .requested_at = ABSENT } };
	struct message message = message_of(*state, &command, TOPIC_REQUESTS, -1, -1);
	assert_non_null(strstr(line(*state, &message, (struct tail_verdict){ 0 }),
			       " OperatorCommand request_id=o1 pool_id=1 command=CORDON_HOST "
			       "host=h1 reason=a fan actor=ann\n"));
	const struct record mark = { .type = RECORD_HOST_MARKED,
				     .host_marked = { .request_id = "o1",
						      .pool_id = "1",
						      .host = "h1",
						      .mark = "CORDONED",
						      .reason = "a fan",
						      .actor = "ann",
						      .decided_at = 5 } };
	message = message_of(*state, &mark, TOPIC_ANSWERS, -1, 4);
	assert_non_null(strstr(line(*state, &message, (struct tail_verdict){ 0 }),
			       " HostMarked request_id=o1 pool_id=1 host=h1 mark=CORDONED "
			       "reason=a fan actor=ann revision=4\n"));
}

static void a_void_decision_says_so(void **state)
{
	struct fixture *fixture = *state;
	struct message message = rejected(fixture, TOPIC_DECISIONS, 3, -1);
	struct tail_verdict verdict = { .is_decision = true, .kind = FOLLOW_VOID, .epoch = 5 };
	assert_non_null(strstr(line(fixture, &message, verdict),
			       " VOID (epoch 3, the log is in 5) RequestRejected"));
	json_t *json = tail_json(&message, &verdict, fixture->codec, &fixture->arena);
	assert_true(json_is_true(json_object_get(json, "void")));
	assert_int_equal(json_integer_value(json_object_get(json, "epoch")), 5);
	json_decref(json);

	verdict.kind = FOLLOW_RECORD;
	assert_null(strstr(line(fixture, &message, verdict), "VOID"));
	json = tail_json(&message, &verdict, fixture->codec, &fixture->arena);
	assert_true(json_is_false(json_object_get(json, "void")));
	json_decref(json);

	message.n_headers = 0;
	verdict.kind = FOLLOW_VOID;
	assert_non_null(strstr(line(fixture, &message, verdict), " VOID (no epoch)"));
}

static void a_marker_is_marked(void **state)
{
	struct message message = rejected(*state, TOPIC_DECISIONS, -1, -1);
	struct tail_verdict verdict = { .is_decision = true, .kind = FOLLOW_MARKER, .epoch = 7 };
	assert_non_null(strstr(line(*state, &message, verdict), " EPOCH 7 "));
}

static void garbage_is_shown_with_the_reason(void **state)
{
	struct fixture *fixture = *state;
	const struct message message = { .topic = TOPIC_REQUESTS,
					 .partition = 1,
					 .offset = 4,
					 .key = "\033k",
					 .key_len = 2,
					 .value = "garbage",
					 .value_len = 7 };
	const struct tail_verdict verdict = { 0 };
	assert_non_null(strstr(line(fixture, &message, verdict), "undecodable (7 bytes): "));
	json_t *json = tail_json(&message, &verdict, fixture->codec, &fixture->arena);
	assert_true(json_is_null(json_object_get(json, "record")));
	assert_true(json_is_string(json_object_get(json, "error")));
	json_decref(json);
}

static void a_dead_letter_says_where_it_was(void **state)
{
	struct fixture *fixture = *state;
	struct message message = rejected(fixture, TOPIC_DEAD_LETTERS, -1, -1);
	const struct header headers[] = { { "dl_topic", "gpubus.requests.v1", 18 },
					  { "dl_offset", "12", 2 },
					  { "dl_error", "bad\nbytes", 9 } };
	message.headers = headers;
	message.n_headers = 3;
	assert_non_null(strstr(line(fixture, &message, (struct tail_verdict){ 0 }),
			       " dl_topic=gpubus.requests.v1 dl_offset=12 dl_error=bad?bytes "));
}

static void a_tombstone_has_only_a_key(void **state)
{
	struct fixture *fixture = *state;
	const struct message message = { .topic = TOPIC_CATALOG,
					 .key = "type/small",
					 .key_len = 10 };
	assert_non_null(strstr(line(fixture, &message, (struct tail_verdict){ 0 }),
			       " tombstone key=type/small\n"));
}

/* Keys and headers are bytes: what is not text is shown in hex, never lost. */
static void bytes_that_are_no_text_become_hex(void **state)
{
	struct fixture *fixture = *state;
	const struct message message = { .topic = TOPIC_CATALOG, .key = "\xff\x00", .key_len = 2 };
	const struct tail_verdict verdict = { 0 };
	json_t *json = tail_json(&message, &verdict, fixture->codec, &fixture->arena);
	assert_string_equal(json_string_value(json_object_get(json, "key")), "hex:ff00");
	json_decref(json);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_answer_shows_its_fields_and_revision),
		cmocka_unit_test(a_report_shows_each_gpu),
		cmocka_unit_test(a_release_shows_what_is_in_quarantine),
		cmocka_unit_test(a_command_and_its_mark_say_who_and_why),
		cmocka_unit_test(a_void_decision_says_so),
		cmocka_unit_test(a_marker_is_marked),
		cmocka_unit_test(garbage_is_shown_with_the_reason),
		cmocka_unit_test(a_dead_letter_says_where_it_was),
		cmocka_unit_test(a_tombstone_has_only_a_key),
		cmocka_unit_test(bytes_that_are_no_text_become_hex),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
