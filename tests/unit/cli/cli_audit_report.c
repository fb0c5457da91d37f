/*
 * What audit says: how Redis compares with the log, and the report.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "audit_world.h"
#include "cli/audit_report.h"

/* Two assignments; Redis stands behind the first (offset 2), the log ends at 3. */
static uint64_t fill(struct world *world)
{
	world_start(world, 1);
	audit_expect(world->log, 0, 2);
	world_marker(world);
	world->applied = 1;
	world_assign(world, "r1", "vm1", "h1/0000:01:00.0");
	uint64_t digest = audit_shard(world->log, 0).digest;
	world_assign(world, "r2", "vm2", "h1/0000:02:00.0");
	world_ask(world, "r1");
	world_ask(world, "r2");
	audit_finish(world->log);
	return digest;
}

static struct audit_comparison compare(struct world *world, struct audit_stored stored)
{
	struct audit_comparison comparison = { .stored = stored };
	audit_compare(world->log, 0, 3, &comparison);
	return comparison;
}

static size_t violations(const struct world *world)
{
	size_t kept, all;
	audit_violations(world->log, &kept, &all);
	return all;
}

static struct audit_stored stored_at(int64_t offset, uint64_t digest)
{
	return (struct audit_stored){ .status = STORED_THERE,
				      .meta = { .offset = offset, .digest = digest },
				      .rows_digest = digest };
}

static void behind_is_no_difference(void **state)
{
	struct world world;
	(void)state;

	uint64_t digest = fill(&world);
	struct audit_comparison comparison = compare(&world, stored_at(2, digest));
	assert_int_equal(comparison.standing, STANDING_BEHIND);
	assert_int_equal(comparison.behind, 1);
	assert_int_equal(violations(&world), 0);
	world_stop(&world);
}

static void in_step_is_at_the_end(void **state)
{
	struct world world;
	(void)state;

	world_start(&world, 1);
	audit_expect(world.log, 0, 1);
	world_marker(&world);
	struct audit_comparison comparison = { .stored = stored_at(1, 0) };
	audit_compare(world.log, 0, 1, &comparison);
	assert_int_equal(comparison.standing, STANDING_IN_STEP);
	world_stop(&world);
}

static void every_difference_is_a_violation(void **state)
{
	struct world world;
	(void)state;

	uint64_t digest = fill(&world);
	struct audit_stored stored = stored_at(2, digest + 1);
	assert_int_equal(compare(&world, stored).standing, STANDING_DIFFERENT);
	assert_int_equal(violations(&world), 1);

	stored = stored_at(2, digest);
	stored.rows_digest++; /* a row was changed behind the scheduler's back */
	assert_int_equal(compare(&world, stored).standing, STANDING_DIFFERENT);
	assert_int_equal(violations(&world), 2);

	stored = stored_at(4, digest); /* ahead of the log */
	assert_int_equal(compare(&world, stored).standing, STANDING_DIFFERENT);
	assert_int_equal(violations(&world), 3);

	stored = stored_at(2, digest);
	stored.status = STORED_UNREADABLE;
	assert_int_equal(compare(&world, stored).standing, STANDING_DIFFERENT);
	assert_int_equal(violations(&world), 4);
	world_stop(&world);
}

static void an_empty_or_moving_redis_is_no_violation(void **state)
{
	struct world world;
	(void)state;

	uint64_t digest = fill(&world);
	struct audit_stored stored = { .status = STORED_EMPTY };
	assert_int_equal(compare(&world, stored).standing, STANDING_EMPTY);
	stored = stored_at(2, digest);
	stored.status = STORED_MOVING;
	stored.rows_digest = 0; /* was never added up */
	assert_int_equal(compare(&world, stored).standing, STANDING_MOVING);
	stored.status = STORED_NOT_ASKED;
	assert_int_equal(compare(&world, stored).standing, STANDING_NOT_ASKED);
	assert_int_equal(violations(&world), 0);
	world_stop(&world);
}

static void the_report_has_all_of_it(void **state)
{
	struct world world;
	struct buf out = { 0 };
	(void)state;

	uint64_t digest = fill(&world);
	struct audit_comparison comparison = compare(&world, stored_at(2, digest));
	struct audit_report report = { world.log, &comparison, 1 };

	assert_true(audit_is_clean(&report));
	audit_report_text(&report, &out);
	assert_non_null(strstr(out.data, "BEHIND by 1"));
	assert_non_null(strstr(out.data, "2 requests: 2 granted, 0 rejected"));
	assert_non_null(strstr(out.data, "2 GPUs are assigned\nclean\n"));

	json_t *json = audit_report_json(&report);
	assert_true(json_is_true(json_object_get(json, "clean")));
	assert_int_equal(json_integer_value(json_object_get(json, "assigned_gpus")), 2);
	json_t *shard = json_array_get(json_object_get(json, "shards"), 0);
	assert_int_equal(json_integer_value(json_object_get(shard, "records")), 2);
	assert_string_equal(
		json_string_value(json_object_get(json_object_get(shard, "redis"), "standing")),
		"BEHIND");
	json_decref(json);

	audit_violate(world.log, "SOME_RULE", TOPIC_DECISIONS, 0, 7, "it is %s", "wrong");
	assert_false(audit_is_clean(&report));
	buf_clear(&out);
	audit_report_text(&report, &out);
	assert_non_null(strstr(out.data, "NOT CLEAN: 1 violations\n"
					 "  SOME_RULE  decisions[0]@7  it is wrong\n"));
	buf_deinit(&out);
	world_stop(&world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(behind_is_no_difference),
		cmocka_unit_test(in_step_is_at_the_end),
		cmocka_unit_test(every_difference_is_a_violation),
		cmocka_unit_test(an_empty_or_moving_redis_is_no_violation),
		cmocka_unit_test(the_report_has_all_of_it),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
