/*
 * Marks: cordoned hosts and GPUs in quarantine, and what they do to the totals of pools.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "cli/get_columns.h"
#include "cli/get_marks.h"

struct fixture {
	struct get_rows rows;
	json_t *marks;
};

static int setup(void **state)
{
	static struct fixture fixture;
	assert_int_equal(codec_new(&fixture.rows.codec), 0);
	arena_init(&fixture.rows.arena);
	fixture.marks = json_array();
	*state = &fixture;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;
	codec_free(fixture->rows.codec);
	arena_deinit(&fixture->rows.arena);
	json_decref(fixture->marks);
	return 0;
}

static int add_row(struct fixture *fixture, const char *field, const struct record *record)
{
	struct buf value = { 0 };
	buf_puts(&value, "17 9000000:");
	assert_int_equal(codec_encode(fixture->rows.codec, record, &value), 0);
	const struct store_row row = { .table = STORE_MARKS,
				       .field = field,
				       .field_len = strlen(field),
				       .value = value.data,
				       .value_len = value.len };
	int r = get_row_add(&fixture->rows, &row, fixture->marks);
	buf_deinit(&value);
	return r;
}

static void cordon(struct fixture *fixture, const char *host)
{
	const struct record record = { .type = RECORD_HOST_MARKED,
				       .host_marked = { .request_id = "o1",
							.pool_id = "p",
							.host = host,
							.mark = "CORDONED",
							.reason = "a new fan",
							.actor = "ann",
							.decided_at = 9000000 } };
	char field[64];
	snprintf(field, sizeof(field), "p\thost\t%s", host);
	assert_int_equal(add_row(fixture, field, &record), 0);
}

static struct record released(struct quarantined_gpu *gpus, size_t n)
{
	return (struct record){ .type = RECORD_GPU_RELEASED,
				.gpu_released = { .assignment_id = "r1/1",
						  .request_id = "d1",
						  .vm_id = "vm1",
						  .pool_id = "p",
						  .host = "h1",
						  .code = "RELEASED",
						  .quarantined = gpus,
						  .n_quarantined = n,
						  .decided_at = 9000000 } };
}

static const char *text(const json_t *object, const char *name)
{
	const char *value = json_string_value(json_object_get(object, name));
	return value ? value : "(none)";
}

static void a_mark_says_since_when_why_and_who(void **state)
{
	struct fixture *fixture = *state;
	cordon(fixture, "h1");
	json_t *mark = json_array_get(fixture->marks, 0);
	assert_string_equal(text(mark, "kind"), "host");
	assert_string_equal(text(mark, "id"), "h1");
	assert_string_equal(text(mark, "pool_id"), "p");
	assert_string_equal(text(mark, "code"), "CORDONED");
	assert_string_equal(text(mark, "reason"), "a new fan");
	assert_string_equal(text(mark, "actor"), "ann");
	assert_string_equal(text(mark, "event"), "HostMarked");
	assert_int_equal(json_integer_value(json_object_get(mark, "since")), 9000000);
	assert_int_equal(json_integer_value(json_object_get(mark, "revision")), 17);
}

static void a_release_marks_each_gpu_with_its_own_reason(void **state)
{
	struct fixture *fixture = *state;
	struct quarantined_gpu gpus[] = { { "h1/0000:01:00.0", "STUCK", "the unbind hangs" },
					  { "h1/0000:02:00.0", "RESET_FAILED", "" } };
	const struct record record = released(gpus, 2);
	assert_int_equal(add_row(fixture, "p\tgpu\th1/0000:02:00.0", &record), 0);
	json_t *mark = json_array_get(fixture->marks, 0);
	assert_string_equal(text(mark, "id"), "h1/0000:02:00.0");
	assert_string_equal(text(mark, "code"), "RESET_FAILED");
	assert_true(json_is_null(json_object_get(mark, "reason")));
	assert_string_equal(text(mark, "vm_id"), "vm1");
	/* A row under the name of a GPU that the record does not speak of. */
	assert_int_equal(add_row(fixture, "p\tgpu\th1/0000:03:00.0", &record), 1);
}

static void a_failed_assignment_marks_through_the_one_that_replaces_it(void **state)
{
	struct fixture *fixture = *state;
	struct quarantined_gpu gpu = { "h1/0000:01:00.0", "STUCK", "the unbind hangs" };
	const struct record record = { .type = RECORD_GPU_ASSIGNED,
				       .gpu_assigned = { .assignment_id = "r1/2",
							 .request_id = "r1",
							 .vm_id = "vm1",
							 .pool_id = "p",
							 .host = "h2",
							 .state = "ASSIGNED",
							 .after_release = "keep-vfio",
							 .replaces = "r1/1",
							 .quarantined = &gpu,
							 .n_quarantined = 1,
							 .decided_at = 9000000 } };
	assert_int_equal(add_row(fixture, "p\tgpu\th1/0000:01:00.0", &record), 0);
	assert_string_equal(text(json_array_get(fixture->marks, 0), "code"), "STUCK");
}

static void records_that_make_no_mark_are_refused(void **state)
{
	const struct record record = { .type = RECORD_REQUEST_COMPLETED,
				       .request_completed = { .request_id = "r1",
							      .request_type = "VmReleased",
							      .pool_id = "p",
							      .code = "NOTHING_HELD",
							      .message = "m",
							      .decided_at = 1 } };
	assert_int_equal(add_row(*state, "p\thost\th1", &record), 1);
	assert_int_equal(json_array_size(((struct fixture *)*state)->marks), 0);
}

/* ---- totals ------------------------------------------------------------------------------------ */

enum { NOW = 100000000, TIMEOUT = 45000000 };

static json_t *host(const char *name, json_int_t seen_at)
{
	return json_pack("{s:s, s:s, s:I, s:b, s:n, s:n}", "pool_id", "p", "host", name, "seen_at",
			 seen_at, "iommu", 1, "vfio", "interrupt_remapping");
}

static json_t *gpu(const char *host_name, const char *address, const char *state)
{
	char gpu_id[64];
	snprintf(gpu_id, sizeof(gpu_id), "%s/%s", host_name, address);
	return json_pack("{s:s, s:s, s:s, s:s}", "pool_id", "p", "host", host_name, "gpu_id",
			 gpu_id, "state", state);
}

static void a_host_has_a_state(void **state)
{
	struct fixture *fixture = *state;
	cordon(fixture, "h1");
	json_t *marks = get_index_marks(fixture->marks);
	json_t *hosts = json_pack("[o, o, o, o]", host("h1", NOW), host("h2", NOW - TIMEOUT - 1),
				  host("h3", NOW - TIMEOUT), host("h4", NOW));
	json_object_set_new(json_array_get(hosts, 3), "vfio", json_false());
	static const char *const states[] = { "CORDONED", "SILENT", "READY", "NO_VFIO" };
	for (size_t i = 0; i < 4; i++) {
		json_t *one = json_array_get(hosts, i);
		get_set_mark(one, "cordon", "host", "host", marks);
		get_set_host_state(one, NOW, TIMEOUT);
		assert_string_equal(text(one, "state"), states[i]);
	}
	json_decref(hosts);
	json_decref(marks);
}

/* A GPU is free only if a VM could have it now. */
static void what_is_not_to_be_had_is_not_free(void **state)
{
	struct fixture *fixture = *state;
	struct quarantined_gpu dirty = { "h3/0000:01:00.0", "STUCK", "" };
	const struct record record = released(&dirty, 1);
	size_t i;
	json_t *one;
	cordon(fixture, "h1");
	assert_int_equal(add_row(fixture, "p\tgpu\th3/0000:01:00.0", &record), 0);

	json_t *marks = get_index_marks(fixture->marks);
	json_t *hosts = json_pack("[o, o, o]", host("h1", NOW), host("h2", 0), host("h3", NOW));
	json_t *gpus = json_pack(
		"[o, o, o, o, o, o]", gpu("h1", "0000:01:00.0", "AVAILABLE"),
		gpu("h2", "0000:01:00.0", "AVAILABLE"), gpu("h3", "0000:01:00.0", "AVAILABLE"),
		gpu("h3", "0000:02:00.0", "AVAILABLE"), gpu("h3", "0000:03:00.0", "IN_USE_BY_HOST"),
		gpu("h9", "0000:01:00.0", "AVAILABLE"));
	json_array_foreach(hosts, i, one)
	{
		get_set_mark(one, "cordon", "host", "host", marks);
		get_set_host_state(one, NOW, TIMEOUT);
	}
	json_array_foreach(gpus, i, one) get_set_mark(one, "quarantine", "gpu", "gpu_id", marks);

	json_t *definitions = json_array(), *pools = get_pools(definitions, hosts, gpus);
	json_t *pool = json_array_get(pools, 0);
	assert_int_equal(json_integer_value(json_object_get(pool, "gpus")), 6);
	assert_int_equal(json_integer_value(json_object_get(pool, "gpus_quarantined")), 1);
	assert_int_equal(json_integer_value(json_object_get(pool, "gpus_free")), 1);
	json_decref(pools);
	json_decref(definitions);

	/* And people see why. */
	struct buf out = { 0 };
	get_columns_print(STORE_GPUS, gpus, &out);
	assert_non_null(strstr(out.data, "QUARANTINED"));
	assert_non_null(strstr(out.data, "STUCK"));
	buf_clear(&out);
	get_columns_print(STORE_HOSTS, hosts, &out);
	assert_non_null(strstr(out.data, "CORDONED: a new fan (ann)"));
	buf_clear(&out);
	get_columns_print(STORE_MARKS, fixture->marks, &out);
	assert_string_equal(
		out.data,
		"KIND  ID               POOL  CODE      SINCE                 BY   REASON\n"
		"host  h1               p     CORDONED  1970-01-01T00:00:09Z  ann  a new fan\n"
		"gpu   h3/0000:01:00.0  p     STUCK     1970-01-01T00:00:09Z  -    -\n");
	buf_deinit(&out);
	json_decref(gpus);
	json_decref(hosts);
	json_decref(marks);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		TEST(a_mark_says_since_when_why_and_who),
		TEST(a_release_marks_each_gpu_with_its_own_reason),
		TEST(a_failed_assignment_marks_through_the_one_that_replaces_it),
		TEST(records_that_make_no_mark_are_refused),
		TEST(a_host_has_a_state),
		TEST(what_is_not_to_be_had_is_not_free),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
