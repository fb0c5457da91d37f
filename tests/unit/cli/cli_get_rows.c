/*
 * What `get` makes of rows: rows are written by the core's own folds, as a scheduler writes them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "cli/get_columns.h"
#include "cli/get_rows.h"
#include "core/shard_state.h"

struct fixture {
	struct get_rows rows;
	struct catalog *catalog;
	struct shard_state *state;
	json_t *tables[STORE_TABLES];
};

static int setup(void **state)
{
	static struct fixture fixture;
	const struct shard_options options = SHARD_OPTIONS_DEFAULT;
	assert_int_equal(codec_new(&fixture.rows.codec), 0);
	arena_init(&fixture.rows.arena);
	fixture.catalog = catalog_new();
	fixture.state = shard_state_new(&options, fixture.catalog);
	for (int i = 0; i < STORE_TABLES; i++)
		fixture.tables[i] = json_array();
	*state = &fixture;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;
	shard_state_free(fixture->state);
	catalog_free(fixture->catalog);
	codec_free(fixture->rows.codec);
	arena_deinit(&fixture->rows.arena);
	for (int i = 0; i < STORE_TABLES; i++)
		json_decref(fixture->tables[i]);
	return 0;
}

/* ---- from the core to rows -------------------------------------------------------------------------- */

static void take_row(struct fixture *fixture, enum store_table table, const void *field,
		     size_t field_len, const void *value, size_t value_len)
{
	const struct store_row row = { .table = table,
				       .field = field,
				       .field_len = field_len,
				       .value = value,
				       .value_len = value_len };
	if (value)
		assert_int_equal(get_row_add(&fixture->rows, &row, fixture->tables[table]), 0);
}

static void on_fleet_row(void *context, const char *table, const void *field, size_t field_len,
			 const void *value, size_t value_len)
{
	take_row(context, strcmp(table, "gpus") == 0 ? STORE_GPUS : STORE_HOSTS, field, field_len,
		 value, value_len);
}

static void on_ledger_row(void *context, enum ledger_table table, const void *field,
			  size_t field_len, const void *value, size_t value_len)
{
	take_row(context, table == LEDGER_VMS ? STORE_VMS : STORE_REQUESTS, field, field_len, value,
		 value_len);
}

static void discover(struct fixture *fixture, const char *pci_address, const char *state,
		     const char *reason)
{
	char companion[32], gpu_id[64];
	snprintf(companion, sizeof(companion), "%.*s1", (int)strlen(pci_address) - 1, pci_address);
	snprintf(gpu_id, sizeof(gpu_id), "h1/%s", pci_address);
	const char *functions[] = { pci_address, companion, "0000:ff:00.0" };
	const struct gpu_discovered gpu = {
		.gpu_id = gpu_id,
		.host = "h1",
		.pool_id = "p",
		.pci_address = pci_address,
		.model = "GP104GL [Tesla P4]",
		.vendor = "NVIDIA Corporation",
		.vendor_id = "10de",
		.device_id = "1bb3",
		.subsystem_vendor_id = "10de",
		.subsystem_device_id = "11d8",
		.class_id = "030200",
		.driver = "vfio-pci",
		.iommu_group = 12,
		.numa_node = ABSENT,
		.functions = functions,
		.n_functions = 3,
		.group_members = functions,
		.n_group_members = 3,
		.state = state,
		.reason = reason,
		.boot_id = "boot",
		.observed_at = 1,
	};
	const char *error = NULL;
	if (shard_fold_gpu(fixture->state, &gpu, &error))
		fail_msg("%s", error);
}

static void see_host(struct fixture *fixture)
{
	const struct host_seen host = { .host = "h1",
					.pool_id = "p",
					.boot_id = "boot",
					.cpu_cores = 64,
					.ram_gb = 512,
					.iommu = 1,
					.interrupt_remapping = 0,
					.vfio = ABSENT,
					.n_gpus = 2,
					.observed_at = 1 };
	const char *error = NULL;
	assert_int_equal(shard_fold_host(fixture->state, &host, 5000000, &error), 0);
}

static void decide(struct fixture *fixture, const struct record *record, int64_t revision)
{
	struct buf encoded = { 0 };
	struct change *change = NULL;
	assert_int_equal(codec_encode(fixture->rows.codec, record, &encoded), 0);
	assert_int_equal(shard_fold(fixture->state, record, encoded.data, encoded.len,
				    (struct input_positions){ 0, -1 }, &change),
			 0);
	shard_settle(fixture->state, change, revision, on_ledger_row, fixture);
	buf_deinit(&encoded);
}

static void assign(struct fixture *fixture)
{
	static struct assigned_gpu gpu = { .gpu_id = "h1/0000:01:00.0",
					   .name = "GP104GL [Tesla P4]",
					   .vendor = "NVIDIA Corporation",
					   .device = "10de:1bb3",
					   .pci_address = "0000:01:00.0",
					   .iommu_group = ABSENT,
					   .numa_node = ABSENT };
	const struct record record = { .type = RECORD_GPU_ASSIGNED,
				       .gpu_assigned = { .assignment_id = "r1/1",
							 .request_id = "r1",
							 .vm_id = "vm1",
							 .pool_id = "p",
							 .host = "h1",
							 .state = "ASSIGNED",
							 .attach_state = "BOUND",
							 .attach_code = "VM_ABSENT",
							 .attach_reason = "vm1 does not run",
							 .after_release = "keep-vfio",
							 .gpus = &gpu,
							 .n_gpus = 1,
							 .decided_at = 9000000 } };
	decide(fixture, &record, 17);
}

static void reject(struct fixture *fixture)
{
	const struct record record = { .type = RECORD_REQUEST_REJECTED,
				       .request_rejected = { .request_id = "r2",
							     .request_type = "VmRequested",
							     .vm_id = "vm2",
							     .pool_id = "p",
							     .code = "NO_CAPACITY",
							     .message = "none is free",
							     .decided_at = 9000001 } };
	decide(fixture, &record, 18);
}

static void fill(struct fixture *fixture)
{
	discover(fixture, "0000:01:00.0", "AVAILABLE", NULL);
	discover(fixture, "10000:02:00.0", "IN_USE_BY_HOST", "driver nouveau holds it");
	see_host(fixture);
	assign(fixture);
	reject(fixture);
	while (shard_take_dirty_hosts(fixture->state, 100, on_fleet_row, fixture) > 0)
		;
}

static const char *text(const json_t *object, const char *name)
{
	const char *value = json_string_value(json_object_get(object, name));
	return value ? value : "(none)";
}

/* ---- the tests --------------------------------------------------------------------------------------- */

static void gpus_have_their_full_names(void **state)
{
	struct fixture *fixture = *state;
	fill(fixture);
	assert_int_equal(json_array_size(fixture->tables[STORE_GPUS]), 2);
	json_t *gpu = json_array_get(fixture->tables[STORE_GPUS], 0);

	assert_string_equal(text(gpu, "gpu_id"), "h1/0000:01:00.0");
	assert_string_equal(text(gpu, "pool_id"), "p");
	assert_string_equal(text(gpu, "model"), "GP104GL [Tesla P4]");
	assert_string_equal(text(gpu, "vendor_id"), "10de");
	assert_string_equal(text(gpu, "device_id"), "1bb3");
	assert_string_equal(text(gpu, "subsystem_device_id"), "11d8");
	assert_string_equal(text(gpu, "class"), "030200");
	assert_string_equal(text(gpu, "driver"), "vfio-pci");
	assert_string_equal(text(gpu, "state"), "AVAILABLE");
	assert_int_equal(json_integer_value(json_object_get(gpu, "iommu_group")), 12);
	assert_true(json_is_null(json_object_get(gpu, "numa_node")));
	assert_true(json_is_null(json_object_get(gpu, "reason")));
	json_t *functions = json_object_get(gpu, "functions");
	assert_int_equal(json_array_size(functions), 3);
	assert_string_equal(json_string_value(json_array_get(functions, 0)), "0000:01:00.0");
	assert_string_equal(json_string_value(json_array_get(functions, 1)), "0000:01:00.1");
	assert_string_equal(json_string_value(json_array_get(functions, 2)), "0000:ff:00.0");

	gpu = json_array_get(fixture->tables[STORE_GPUS], 1);
	assert_string_equal(text(gpu, "pci_address"), "10000:02:00.0");
	assert_string_equal(text(gpu, "state"), "IN_USE_BY_HOST");
	assert_string_equal(text(gpu, "reason"), "driver nouveau holds it");
}

static void gpus_know_their_owners(void **state)
{
	struct fixture *fixture = *state;
	fill(fixture);
	json_t *owners = get_owners(fixture->tables[STORE_VMS]);
	for (size_t i = 0; i < 2; i++)
		get_set_owner(json_array_get(fixture->tables[STORE_GPUS], i), owners);
	json_decref(owners);
	json_t *held = json_array_get(fixture->tables[STORE_GPUS], 0);
	json_t *idle = json_array_get(fixture->tables[STORE_GPUS], 1);
	assert_string_equal(text(held, "vm_id"), "vm1");
	assert_string_equal(text(held, "assignment_id"), "r1/1");
	assert_string_equal(text(held, "assignment_state"), "ASSIGNED");
	assert_string_equal(text(held, "attach_state"), "BOUND");
	assert_string_equal(text(held, "attach_code"), "VM_ABSENT");
	assert_true(json_is_null(json_object_get(idle, "attach_state")));
	assert_true(json_is_null(json_object_get(idle, "vm_id")));
}

static void hosts_say_what_they_know(void **state)
{
	struct fixture *fixture = *state;
	fill(fixture);
	json_t *host = json_array_get(fixture->tables[STORE_HOSTS], 0);
	assert_string_equal(text(host, "host"), "h1");
	assert_int_equal(json_integer_value(json_object_get(host, "cpu_cores")), 64);
	assert_int_equal(json_integer_value(json_object_get(host, "seen_at")), 5000000);
	assert_true(json_is_true(json_object_get(host, "iommu")));
	assert_true(json_is_false(json_object_get(host, "interrupt_remapping")));
	assert_true(json_is_null(json_object_get(host, "vfio")));
	assert_string_equal(text(host, "boot_id"), "boot");
}

static void requests_show_their_answers(void **state)
{
	struct fixture *fixture = *state;
	fill(fixture);
	json_t *requests =
		get_columns_sort(STORE_REQUESTS, json_incref(fixture->tables[STORE_REQUESTS]));
	get_resolve_answers(requests, fixture->tables[STORE_VMS]);
	assert_int_equal(json_array_size(requests), 2);

	json_t *granted = json_array_get(requests, 0);
	assert_string_equal(text(granted, "request_id"), "r1");
	assert_string_equal(text(granted, "request_type"), "VmRequested");
	assert_string_equal(text(granted, "answer_event"), "GpuAssigned");
	assert_int_equal(json_integer_value(json_object_get(granted, "revision")), 17);
	assert_string_equal(text(json_object_get(granted, "answer"), "host"), "h1");

	json_t *refused = json_array_get(requests, 1);
	assert_string_equal(text(refused, "answer_event"), "RequestRejected");
	assert_string_equal(text(refused, "vm_id"), "vm2");
	assert_int_equal(json_integer_value(json_object_get(refused, "revision")), 18);
	assert_string_equal(text(json_object_get(refused, "answer"), "code"), "NO_CAPACITY");
	json_decref(requests);
}

static void pools_that_only_hosts_name_are_there(void **state)
{
	struct fixture *fixture = *state;
	fill(fixture);
	json_t *owners = get_owners(fixture->tables[STORE_VMS]), *pools, *pool;
	for (size_t i = 0; i < 2; i++)
		get_set_owner(json_array_get(fixture->tables[STORE_GPUS], i), owners);
	json_decref(owners);
	pools = get_pools(fixture->tables[STORE_POOLS], fixture->tables[STORE_HOSTS],
			  fixture->tables[STORE_GPUS]);
	assert_int_equal(json_array_size(pools), 1);
	pool = json_array_get(pools, 0);
	assert_string_equal(text(pool, "pool_id"), "p");
	assert_true(json_is_false(json_object_get(pool, "defined")));
	assert_int_equal(json_integer_value(json_object_get(pool, "hosts")), 1);
	assert_int_equal(json_integer_value(json_object_get(pool, "gpus")), 2);
	assert_int_equal(json_integer_value(json_object_get(pool, "gpus_assigned")), 1);
	assert_int_equal(json_integer_value(json_object_get(pool, "gpus_free")), 0);
	assert_string_equal(text(pool, "on_attach_failure"), "reschedule");
	assert_string_equal(text(pool, "after_release"), "keep-vfio");
	json_decref(pools);
}

static void rows_that_are_none_are_refused(void **state)
{
	static const struct store_row wrong[] = {
		{ STORE_GPUS, "p\th", 3, "{\"gpus\":[[1]]}", 14 },
		{ STORE_GPUS, "p", 1, "{}", 2 },
		{ STORE_HOSTS, "p\th", 3, "[]", 2 },
		{ STORE_HOSTS, "p\th", 3, "x", 1 },
		{ STORE_VMS, "p\tv", 3, "1 2:x", 5 },
		{ STORE_VMS, "p\tv", 3, "", 0 },
		{ STORE_REQUESTS, "p\tv", 3, ">v", 2 },
		{ STORE_POOLS, "p", 1, "x", 1 },
		{ STORE_MARKS, "p\tgpu", 5, "1 2:x", 5 },
		{ STORE_MARKS, "p\tgpu\tg", 7, "1 2:x", 5 },
	};
	struct fixture *fixture = *state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
		assert_int_equal(get_row_add(&fixture->rows, &wrong[i], fixture->tables[0]), 1);
	assert_int_equal(json_array_size(fixture->tables[0]), 0);
}

/* Host 10 comes after host 9. */
static void lists_are_sorted_as_people_count(void **state)
{
	(void)state;
	json_t *list = json_pack("[{s:s,s:s},{s:s,s:s},{s:s,s:s}]", "pool_id", "1", "host", "h10",
				 "pool_id", "1", "host", "h9", "pool_id", "0", "host", "h11");
	list = get_columns_sort(STORE_HOSTS, list);
	assert_string_equal(text(json_array_get(list, 0), "host"), "h11");
	assert_string_equal(text(json_array_get(list, 1), "host"), "h9");
	assert_string_equal(text(json_array_get(list, 2), "host"), "h10");
	json_decref(list);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		TEST(gpus_have_their_full_names),
		TEST(gpus_know_their_owners),
		TEST(hosts_say_what_they_know),
		TEST(requests_show_their_answers),
		TEST(pools_that_only_hosts_name_are_there),
		TEST(rows_that_are_none_are_refused),
		TEST(lists_are_sorted_as_people_count),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
