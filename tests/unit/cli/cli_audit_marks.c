/*
 * Audit of quarantine, cordons, forced releases and assignments that failed: the good stories are clean, each
 * planted mistake is found.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "audit_world.h"
#include "codec/envelope_headers.h"

#define GPU1 "h1/0000:01:00.0"
#define GPU2 "h2/0000:01:00.0"

static void ask_command(struct world *world, const char *request_id)
{
	const struct record record = { .type = RECORD_OPERATOR_COMMAND,
				       .operator_command = { .request_id = request_id,
							     .pool_id = "1",
							     .command = "CORDON_HOST",
							     .host = "h1",
							     .actor = "ann",
							     .requested_at = ABSENT } };
	struct envelope envelope = ENVELOPE_EMPTY;
	struct message message = world_message(world, TOPIC_REQUESTS, 0, &record, &envelope);
	audit_request(world->log, &message);
}

static void mark_host(struct world *world, const char *request_id, const char *host,
		      const char *mark)
{
	const struct record record = { .type = RECORD_HOST_MARKED,
				       .host_marked = { .request_id = request_id,
							.pool_id = "1",
							.host = host,
							.mark = mark,
							.actor = "ann",
							.decided_at = world->now++ } };
	world_decide(world, &record);
}

static void mark_gpu(struct world *world, const char *request_id, const char *gpu_id,
		     const char *mark)
{
	const struct record record = { .type = RECORD_GPU_MARKED,
				       .gpu_marked = { .request_id = request_id,
						       .pool_id = "1",
						       .host = "h1",
						       .gpu_id = gpu_id,
						       .mark = mark,
						       .actor = "ann",
						       .decided_at = world->now++ } };
	world_decide(world, &record);
}

static struct quarantined_gpu dirty = { GPU1, "RESET_FAILED", "no reset method" };

/* vm1 gives its GPU back, and it is not clean. */
static void release_dirty(struct world *world, const char *request_id)
{
	struct record record = world_released(world, request_id, "r1", "vm1", GPU1);
	record.gpu_released.quarantined = &dirty;
	record.gpu_released.n_quarantined = 1;
	world_decide(world, &record);
}

/* r1/1 on h1 has failed: r1/2 on h2. */
static struct record replacement(struct world *world)
{
	static const char *failed[] = { "h1" };
	struct record record = world_assigned(world, "r1", "vm1", GPU2);
	record.gpu_assigned.assignment_id = "r1/2";
	record.gpu_assigned.replaces = "r1/1";
	record.gpu_assigned.failed_hosts = failed;
	record.gpu_assigned.n_failed_hosts = 1;
	return record;
}

static struct world *start(void)
{
	static struct world world;
	world_start(&world, 1);
	world_marker(&world);
	world.applied = 100;
	return &world;
}

/* The violation stands at the last record. */
static void expect(struct world *world, const char *rule)
{
	size_t kept, all;
	const struct audit_violation *violations = audit_violations(world->log, &kept, &all);
	if (all != 1 || strcmp(violations[0].rule, rule) != 0)
		fail_msg("%zu violations, the first %s: %s; expected %s", all,
			 all ? violations[0].rule : "-", all ? violations[0].text : "-", rule);
	assert_int_equal(violations[0].offset, world->next[TOPIC_DECISIONS][0] - 1);
	world_stop(world);
}

static void operators_marks_are_clean(void **state)
{
	struct world *world = start();
	(void)state;
	mark_host(world, "o1", "h1", "CORDONED");
	world_assign(world, "r1", "vm1", GPU2);
	mark_host(world, "o2", "h1", "OPEN");
	world_assign(world, "r2", "vm2", GPU1);
	mark_gpu(world, "o3", GPU1, "QUARANTINED"); /* the VM that has it keeps it */
	world_release(world, "d2", "r2", "vm2", GPU1);
	assert_int_equal(audit_marks(world->log, "gpu"), 1);
	mark_gpu(world, "o4", GPU1, "RETURNED");
	world_assign(world, "r3", "vm3", GPU1);
	for (int i = 1; i <= 4; i++)
		ask_command(world, (const char *[]){ "o1", "o2", "o3", "o4" }[i - 1]);
	world_ask(world, "r1");
	world_ask(world, "r2");
	world_ask(world, "r3");
	world_ask_release(world, "d2");
	world_expect_clean(world);
	assert_int_equal(audit_requests(world->log).marked, 4);
	assert_int_equal(audit_requests(world->log).pending, 0);
	assert_int_equal(audit_marks(world->log, "gpu"), 0);
	assert_int_equal(audit_marks(world->log, "host"), 0);
	world_stop(world);
}

static void dirty_gpu_waits_for_an_operator(void **state)
{
	struct world *world = start();
	(void)state;
	world_assign(world, "r1", "vm1", GPU1);
	release_dirty(world, "d1");
	assert_int_equal(audit_assigned_gpus(world->log), 0);
	assert_int_equal(audit_marks(world->log, "gpu"), 1);
	mark_gpu(world, "o1", GPU1, "RETURNED");
	world_assign(world, "r2", "vm2", GPU1);
	world_ask(world, "r1");
	world_ask(world, "r2");
	world_ask_release(world, "d1");
	ask_command(world, "o1");
	world_expect_clean(world);
	world_stop(world);
}

static void failed_assignment_is_replaced(void **state)
{
	struct world *world = start();
	(void)state;
	world_assign(world, "r1", "vm1", GPU1);
	struct record record = replacement(world);
	record.gpu_assigned.quarantined = &dirty;
	record.gpu_assigned.n_quarantined = 1;
	world_decide(world, &record);
	assert_int_equal(audit_assigned_gpus(world->log), 1);
	assert_int_equal(audit_marks(world->log, "gpu"), 1);
	world_ask(world, "r1");
	world_expect_clean(world);
	assert_int_equal(audit_requests(world->log).granted, 1);
	world_stop(world);
}

static void failed_assignment_ends_unasked(void **state)
{
	struct world *world = start();
	(void)state;
	world_assign(world, "r1", "vm1", GPU1);
	struct record record = world_released(world, "", "r1", "vm1", GPU1);
	record.gpu_released.code = "ATTACH_FAILED";
	record.gpu_released.reason = "host h1: NO_IOMMU";
	world_decide(world, &record);
	world_assign(world, "r2", "vm1", GPU1);
	world_ask(world, "r1");
	world_ask(world, "r2");
	world_expect_clean(world);
	assert_int_equal(audit_requests(world->log).released, 0);
	world_stop(world);
}

/* ---- planted mistakes ------------------------------------------------------------------------------ */

static void gpu_in_quarantine_is_given(void **state)
{
	struct world *world = start();
	(void)state;
	world_assign(world, "r1", "vm1", GPU1);
	release_dirty(world, "d1");
	world_assign(world, "r2", "vm2", GPU1);
	expect(world, "GPU_IN_QUARANTINE");
}

static void cordoned_host_gets_a_vm(void **state)
{
	struct world *world = start();
	(void)state;
	mark_host(world, "o1", "h1", "CORDONED");
	world_assign(world, "r1", "vm1", GPU1);
	expect(world, "HOST_CORDONED");
}

static void mark_that_changes_nothing(void **state)
{
	struct world *world = start();
	(void)state;
	mark_gpu(world, "o1", GPU1, "RETURNED");
	expect(world, "MARK_CHANGES_NOTHING");
}

static void command_is_answered_twice(void **state)
{
	struct world *world = start();
	(void)state;
	mark_host(world, "o1", "h1", "CORDONED");
	mark_host(world, "o1", "h2", "CORDONED");
	expect(world, "SECOND_OUTCOME");
}

static void gpu_of_another_is_quarantined(void **state)
{
	struct world *world = start();
	(void)state;
	world_assign(world, "r1", "vm1", GPU1);
	struct record record = world_released(world, "d1", "r1", "vm1", GPU1);
	struct quarantined_gpu other = { GPU2, "STUCK", "" };
	record.gpu_released.quarantined = &other;
	record.gpu_released.n_quarantined = 1;
	world_decide(world, &record);
	expect(world, "QUARANTINE_OF_ANOTHER");
}

static void forced_release_without_an_actor(void **state)
{
	struct world *world = start();
	(void)state;
	world_assign(world, "r1", "vm1", GPU1);
	struct record record = world_released(world, "d1", "r1", "vm1", GPU1);
	record.gpu_released.code = "FORCED";
	record.gpu_released.reason = "h1 burnt down";
	world_decide(world, &record);
	expect(world, "FORCED_BY_NOBODY");
}

static void release_that_nobody_asked_for(void **state)
{
	struct world *world = start();
	(void)state;
	world_assign(world, "r1", "vm1", GPU1);
	struct record record = world_released(world, "", "r1", "vm1", GPU1);
	world_decide(world, &record);
	expect(world, "RELEASE_NOT_ASKED");
}

static void failure_without_a_reason(void **state)
{
	struct world *world = start();
	(void)state;
	world_assign(world, "r1", "vm1", GPU1);
	struct record record = world_released(world, "", "r1", "vm1", GPU1);
	record.gpu_released.code = "ATTACH_FAILED";
	world_decide(world, &record);
	expect(world, "FAILED_WITHOUT_REASON");
}

static void replaces_what_nobody_holds(void **state)
{
	struct world *world = start();
	(void)state;
	struct record record = replacement(world);
	world_decide(world, &record);
	expect(world, "REPLACES_NOTHING");
}

static void replaces_what_is_another_vms(void **state)
{
	struct world *world = start();
	(void)state;
	world_assign(world, "r1", "vm9", GPU1);
	struct record record = replacement(world);
	world_decide(world, &record);
	expect(world, "REPLACES_ANOTHERS");
}

static void is_tried_on_a_host_that_failed(void **state)
{
	struct world *world = start();
	(void)state;
	world_assign(world, "r1", "vm1", "h1/0000:02:00.0");
	struct record record = replacement(world);
	static const char *failed[] = { "h2" };
	record.gpu_assigned.failed_hosts = failed;
	world_decide(world, &record);
	expect(world, "FAILED_HOST_AGAIN");
}

/* The first attempt lives on beside the second: its GPU cannot be given again. */
static void second_attempt_that_replaces_nothing(void **state)
{
	struct world *world = start();
	(void)state;
	world_assign(world, "r1", "vm1", GPU1);
	struct record record = replacement(world);
	record.gpu_assigned.replaces = NULL;
	world_decide(world, &record);
	expect(world, "SECOND_OUTCOME");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(operators_marks_are_clean),
		cmocka_unit_test(dirty_gpu_waits_for_an_operator),
		cmocka_unit_test(failed_assignment_is_replaced),
		cmocka_unit_test(failed_assignment_ends_unasked),
		cmocka_unit_test(gpu_in_quarantine_is_given),
		cmocka_unit_test(cordoned_host_gets_a_vm),
		cmocka_unit_test(mark_that_changes_nothing),
		cmocka_unit_test(command_is_answered_twice),
		cmocka_unit_test(gpu_of_another_is_quarantined),
		cmocka_unit_test(forced_release_without_an_actor),
		cmocka_unit_test(release_that_nobody_asked_for),
		cmocka_unit_test(failure_without_a_reason),
		cmocka_unit_test(replaces_what_nobody_holds),
		cmocka_unit_test(replaces_what_is_another_vms),
		cmocka_unit_test(is_tried_on_a_host_that_failed),
		cmocka_unit_test(second_attempt_that_replaces_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
