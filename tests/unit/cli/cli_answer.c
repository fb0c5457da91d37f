/*
 * Whose answer is it, and what does it mean? And: what is said to people.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "cli/answer.h"

static struct record request(enum record_type type, const char *id)
{
	struct record record = { .type = type };
	if (type == RECORD_VM_REQUESTED)
		record.vm_requested = (struct vm_requested){ .request_id = id, .pool_id = "1" };
	else if (type == RECORD_VM_RELEASED)
		record.vm_released = (struct vm_released){ .request_id = id, .pool_id = "1" };
	else if (type == RECORD_OPERATOR_COMMAND)
		record.operator_command = (struct operator_command){
			.request_id = id, .pool_id = "1", .command = "CORDON_HOST", .host = "h1"
		};
	else
		record.migration_check =
			(struct migration_check){ .request_id = id, .pool_id = "1" };
	return record;
}

static struct record assigned(const char *request_id, const char *state, const char *release_id)
{
	return (struct record){ .type = RECORD_GPU_ASSIGNED,
				.gpu_assigned = { .assignment_id = "x/1",
						  .request_id = request_id,
						  .vm_id = "vm",
						  .pool_id = "1",
						  .host = "h1",
						  .state = state,
						  .release_request_id = release_id } };
}

static struct record released(const char *assignment_id, const char *request_id)
{
	return (struct record){ .type = RECORD_GPU_RELEASED,
				.gpu_released = { .assignment_id = assignment_id,
						  .request_id = request_id,
						  .vm_id = "vm",
						  .pool_id = "1",
						  .host = "h1" } };
}

static struct record rejected(const char *request_id, const char *type)
{
	return (struct record){ .type = RECORD_REQUEST_REJECTED,
				.request_rejected = { .request_id = request_id,
						      .request_type = type,
						      .pool_id = "1",
						      .code = "NO_CAPACITY",
						      .message = "none is free" } };
}

static void expect(enum record_type type, struct record answer, enum answer_kind kind)
{
	struct record asked = request(type, "r1");
	assert_int_equal(answer_kind(&asked, &answer), kind);
}

static void a_request_is_granted_or_refused(void **state)
{
	(void)state;
	expect(RECORD_VM_REQUESTED, assigned("r1", "ASSIGNED", NULL), ANSWER_GRANTED);
	expect(RECORD_VM_REQUESTED, assigned("r1", "RELEASING", "d1"), ANSWER_GRANTED);
	expect(RECORD_VM_REQUESTED, rejected("r1", "VmRequested"), ANSWER_REFUSED);
	expect(RECORD_VM_REQUESTED, assigned("r2", "ASSIGNED", NULL), ANSWER_OTHER);
	expect(RECORD_VM_REQUESTED, rejected("r2", "VmRequested"), ANSWER_OTHER);
	/* One id for two kinds of requests: two requests. */
	expect(RECORD_VM_REQUESTED, rejected("r1", "VmReleased"), ANSWER_OTHER);
}

static void what_was_granted_may_be_released_when_it_is_told_again(void **state)
{
	(void)state;
	expect(RECORD_VM_REQUESTED, released("r1/1", "d1"), ANSWER_GRANTED_RELEASED);
	expect(RECORD_VM_REQUESTED, released("r1/12", "d1"), ANSWER_GRANTED_RELEASED);
	expect(RECORD_VM_REQUESTED, released("r1", "d1"), ANSWER_OTHER);
	expect(RECORD_VM_REQUESTED, released("r1/", "d1"), ANSWER_OTHER);
	expect(RECORD_VM_REQUESTED, released("r1-5", "d1"), ANSWER_OTHER);
	expect(RECORD_VM_REQUESTED, released("r10/1", "d1"), ANSWER_OTHER);
	/* An id of its own that begins like ours. */
	expect(RECORD_VM_REQUESTED, released("r1/x/1", "d1"), ANSWER_OTHER);
}

static void a_release_is_done_when_the_gpus_are_free(void **state)
{
	(void)state;
	expect(RECORD_VM_RELEASED, assigned("r0", "RELEASING", "r1"), ANSWER_RELEASING);
	expect(RECORD_VM_RELEASED, assigned("r0", "RELEASING", "r2"), ANSWER_OTHER);
	expect(RECORD_VM_RELEASED, assigned("r1", "ASSIGNED", NULL), ANSWER_OTHER);
	expect(RECORD_VM_RELEASED, released("r0/1", "r1"), ANSWER_DONE);
	expect(RECORD_VM_RELEASED, released("r1/1", "r2"), ANSWER_OTHER);
	expect(RECORD_VM_RELEASED, rejected("r1", "VmReleased"), ANSWER_REFUSED);

	struct record completed = { .type = RECORD_REQUEST_COMPLETED,
				    .request_completed = { .request_id = "r1",
							   .request_type = "VmReleased",
							   .pool_id = "1" } };
	expect(RECORD_VM_RELEASED, completed, ANSWER_DONE);
	expect(RECORD_VM_REQUESTED, completed, ANSWER_OTHER);
}

static void a_verdict_allows_or_not(void **state)
{
	struct record verdict = { .type = RECORD_MIGRATION_VERDICT,
				  .migration_verdict = {
					  .request_id = "r1", .pool_id = "1", .allowed = 1 } };
	(void)state;
	expect(RECORD_MIGRATION_CHECK, verdict, ANSWER_DONE);
	expect(RECORD_VM_REQUESTED, verdict, ANSWER_OTHER);
	verdict.migration_verdict.allowed = 0;
	expect(RECORD_MIGRATION_CHECK, verdict, ANSWER_REFUSED);
	expect(RECORD_MIGRATION_CHECK, rejected("r1", "MigrationCheck"), ANSWER_REFUSED);
}

static void what_could_not_be_handed_over_has_failed(void **state)
{
	(void)state;
	struct record failed = released("r1/2", "");
	failed.gpu_released.code = "ATTACH_FAILED";
	expect(RECORD_VM_REQUESTED, failed, ANSWER_ATTACH_FAILED);
	expect(RECORD_VM_RELEASED, failed, ANSWER_OTHER);
}

static struct record marked(const char *request_id, const char *host, const char *mark)
{
	return (struct record){ .type = RECORD_HOST_MARKED,
				.host_marked = { .request_id = request_id,
						 .pool_id = "1",
						 .host = host,
						 .mark = mark,
						 .reason = "a new fan",
						 .actor = "ann" } };
}

static void a_command_is_answered_with_a_mark(void **state)
{
	(void)state;
	expect(RECORD_OPERATOR_COMMAND, marked("r1", "h1", "CORDONED"), ANSWER_DONE);
	expect(RECORD_OPERATOR_COMMAND, marked("r2", "h1", "CORDONED"), ANSWER_OTHER);
	expect(RECORD_VM_REQUESTED, marked("r1", "h1", "CORDONED"), ANSWER_OTHER);
	expect(RECORD_OPERATOR_COMMAND, rejected("r1", "OperatorCommand"), ANSWER_REFUSED);
	struct record gpu = { .type = RECORD_GPU_MARKED,
			      .gpu_marked = { .request_id = "r1", .pool_id = "1" } };
	expect(RECORD_OPERATOR_COMMAND, gpu, ANSWER_DONE);
}

static void an_id_that_was_used_for_something_else_is_noticed(void **state)
{
	struct arena arena;
	(void)state;
	arena_init(&arena);
	struct record asked = request(RECORD_OPERATOR_COMMAND, "r1");
	struct record answer = marked("r1", "h1", "CORDONED");
	assert_null(answer_to_another(&asked, &answer, &arena));
	answer = marked("r1", "h2", "CORDONED");
	assert_string_equal(answer_to_another(&asked, &answer, &arena), "host h2, CORDONED");
	answer = marked("r1", "h1", "OPEN");
	assert_string_equal(answer_to_another(&asked, &answer, &arena), "host h1, OPEN");

	asked.operator_command =
		(struct operator_command){ .command = "RETURN_GPU", .gpu_id = "h1/0000:01:00.0" };
	answer = (struct record){ .type = RECORD_GPU_MARKED,
				  .gpu_marked = { .gpu_id = "h1/0000:01:00.0",
						  .mark = "RETURNED" } };
	assert_null(answer_to_another(&asked, &answer, &arena));
	answer.gpu_marked.mark = "QUARANTINED";
	assert_non_null(answer_to_another(&asked, &answer, &arena));

	asked = request(RECORD_VM_REQUESTED, "r1");
	asked.vm_requested.vm_id = "vm";
	answer = assigned("r1", "ASSIGNED", NULL);
	assert_null(answer_to_another(&asked, &answer, &arena));
	asked.vm_requested.vm_id = "vm2";
	assert_string_equal(answer_to_another(&asked, &answer, &arena), "VM vm");
	arena_deinit(&arena);
}

static void assert_said(struct record answer, enum answer_kind kind, const char *expected)
{
	struct buf out = { 0 };
	answer_describe(&answer, kind, &out);
	assert_string_equal(out.data, expected);
	buf_deinit(&out);
}

static void people_see_what_became_of_gpus(void **state)
{
	struct quarantined_gpu dirty = { "h1/0000:01:00.0", "RESET_FAILED", "no reset method" };
	struct record answer = released("r1/1", "d1");
	(void)state;
	answer.gpu_released.code = "RELEASED";
	answer.gpu_released.quarantined = &dirty;
	answer.gpu_released.n_quarantined = 1;
	assert_said(answer, ANSWER_DONE,
		    "released  VM vm on host h1\n"
		    "in quarantine  h1/0000:01:00.0  RESET_FAILED  no reset method\n");
	answer.gpu_released.n_quarantined = 0;
	answer.gpu_released.code = "FORCED";
	answer.gpu_released.reason = "h1 burnt down";
	answer.gpu_released.actor = "ann";
	assert_said(answer, ANSWER_DONE,
		    "released by force  VM vm on host h1: h1 burnt down (ann)\n");
	answer.gpu_released.code = "ATTACH_FAILED";
	assert_said(answer, ANSWER_ATTACH_FAILED,
		    "failed  VM vm did not get its GPUs on host h1: h1 burnt down\n");
	assert_said(marked("r1", "h1", "CORDONED"), ANSWER_DONE,
		    "done  host h1 is cordoned: a new fan (ann)\n");
	struct record gpu = {
		.type = RECORD_GPU_MARKED,
		.gpu_marked = { .gpu_id = "h1/0000:01:00.0", .mark = "RETURNED", .actor = "ann" }
	};
	assert_said(gpu, ANSWER_DONE, "done  GPU h1/0000:01:00.0 is out of quarantine (ann)\n");
}

static void the_pool_is_part_of_the_request(void **state)
{
	struct record answer = assigned("r1", "ASSIGNED", NULL);
	(void)state;
	answer.gpu_assigned.pool_id = "2";
	expect(RECORD_VM_REQUESTED, answer, ANSWER_OTHER);
}

static void people_see_addresses_and_reasons(void **state)
{
	const char *functions[] = { "0000:01:00.0", "0000:01:00.1" };
	struct assigned_gpu gpu = { .gpu_id = "h1/0000:01:00.0",
				    .name = "GP104GL [Tesla P4]",
				    .vendor = "NVIDIA Corporation",
				    .pci_address = "0000:01:00.0",
				    .functions = functions,
				    .n_functions = 2,
				    .iommu_group = 7,
				    .numa_node = ABSENT };
	struct host_reason why = { "h2", "HOST_NO_IOMMU", "its IOMMU is off" };
	struct record granted = assigned("r1", "ASSIGNED", NULL);
	struct record refused = rejected("r1", "VmRequested");
	struct buf out = { 0 };
	(void)state;

	granted.gpu_assigned.gpus = &gpu;
	granted.gpu_assigned.n_gpus = 1;
	answer_describe(&granted, ANSWER_GRANTED, &out);
	assert_string_equal(
		out.data,
		"granted  VM vm on host h1\n"
		"  ADDRESS       MODEL               VENDOR              GROUP  NUMA  UNIT\n"
		"  0000:01:00.0  GP104GL [Tesla P4]  NVIDIA Corporation  7      -     "
		"0000:01:00.0 0000:01:00.1\n");

	buf_clear(&out);
	refused.request_rejected.hosts = &why;
	refused.request_rejected.n_hosts = 1;
	answer_describe(&refused, ANSWER_REFUSED, &out);
	assert_string_equal(out.data, "refused  NO_CAPACITY\n"
				      "none is free\n"
				      "  HOST  CODE           WHY\n"
				      "  h2    HOST_NO_IOMMU  its IOMMU is off\n");

	buf_clear(&out);
	struct record gone = released("r1/1", "d1");
	answer_describe(&gone, ANSWER_GRANTED_RELEASED, &out);
	assert_string_equal(out.data,
			    "granted  VM vm on host h1, and released since by request d1\n");
	buf_deinit(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_request_is_granted_or_refused),
		cmocka_unit_test(what_was_granted_may_be_released_when_it_is_told_again),
		cmocka_unit_test(a_release_is_done_when_the_gpus_are_free),
		cmocka_unit_test(a_verdict_allows_or_not),
		cmocka_unit_test(what_could_not_be_handed_over_has_failed),
		cmocka_unit_test(a_command_is_answered_with_a_mark),
		cmocka_unit_test(an_id_that_was_used_for_something_else_is_noticed),
		cmocka_unit_test(people_see_what_became_of_gpus),
		cmocka_unit_test(the_pool_is_part_of_the_request),
		cmocka_unit_test(people_see_addresses_and_reasons),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
