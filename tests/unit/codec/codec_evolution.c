/*
 * Schemas change: what older and newer writers wrote is read with their schema, by name, and the defaults
 * of the newest version stand in for what they did not know. The versions are in tests/data/schemas.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdbool.h>
#include <string.h>

#include "base/limits.h"
#include "base/memory.h"
#include "codec/codec_schemas.h"
#include "raw_avro.h"
#include "sample_records.h"

extern const struct schema_set schemas_evolved;
extern const struct schema_set schemas_unreadable;
extern const struct schema_set schemas_unwritable;

struct fixture {
	struct codec *codec;
	struct arena arena;
	struct buf bytes;
};

static int setup(void **state)
{
	struct fixture *fixture = memory_zeroed(1, sizeof(*fixture));
	*state = fixture;
	return codec_new_with_schemas(&schemas_evolved, &fixture->codec);
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;
	codec_free(fixture->codec);
	arena_deinit(&fixture->arena);
	buf_deinit(&fixture->bytes);
	free(fixture);
	return 0;
}

static void begin(struct buf *out, const char *record, int version)
{
	buf_clear(out);
	for (size_t i = 0; i < schemas_evolved.n_versions; i++) {
		const struct schema_version *schema = &schemas_evolved.versions[i];
		if (schema->version == version && strcmp(schema->record, record) == 0) {
			raw_frame(out, schema->fingerprint);
			return;
		}
	}
	fail_msg("no %s@%d", record, version);
}

static struct record decoded(struct fixture *fixture)
{
	struct record record;
	int r = codec_decode(fixture->codec, fixture->bytes.data, fixture->bytes.len,
			     &fixture->arena, &record);
	if (r)
		fail_msg("%d: %s", r, codec_error(fixture->codec));
	return record;
}

static void what_an_old_writer_lacks_has_its_default(void **state)
{
	struct fixture *fixture = *state;
	begin(&fixture->bytes, "VmPoolDefined", 2);
	raw_text(&fixture->bytes, "pool-1");

	struct record record = decoded(fixture);
	assert_int_equal(record.type, RECORD_VM_POOL_DEFINED);
	assert_string_equal(record.vm_pool_defined.pool_id, "pool-1");
	assert_string_equal(record.vm_pool_defined.name, "");
	assert_string_equal(record.vm_pool_defined.attach, "agent");
	assert_string_equal(record.vm_pool_defined.policy, "pack");
	assert_string_equal(record.vm_pool_defined.on_attach_failure, "reschedule");
	assert_int_equal(record.vm_pool_defined.attach_attempts, 3);
	assert_string_equal(record.vm_pool_defined.after_release, "keep-vfio");
}

/* Not every addition has a default: text is then empty and never NULL, numbers are 0. */
static void what_is_required_and_missing_is_empty(void **state)
{
	struct fixture *fixture = *state;
	begin(&fixture->bytes, "HostSeen", 1);
	raw_text(&fixture->bytes, "h1");
	buf_putc(&fixture->bytes, 1);

	struct record record = decoded(fixture);
	assert_string_equal(record.host_seen.host, "h1");
	assert_string_equal(record.host_seen.pool_id, "");
	assert_string_equal(record.host_seen.boot_id, "");
	assert_int_equal(record.host_seen.cpu_cores, 0);
	assert_int_equal(record.host_seen.observed_at, 0);
	assert_int_equal(record.host_seen.iommu, 1);
	assert_int_equal(record.host_seen.vfio, ABSENT);
}

static void put_old_request(struct buf *out, bool has_request_id)
{
	begin(out, "VmRequested", 1);
	raw_long(out, 7); /* priority */
	raw_long(out, 1);
	raw_long(out, INT32_MAX); /* count */
	raw_text(out, "discrete");
	raw_text(out, "GP104GL [Tesla P4]");
	raw_long(out, 0);
	raw_text(out, "pool-1");
	raw_text(out, "vm-1");
	raw_long(out, 0); /* vm_type_id: text is the first branch here */
	raw_text(out, "large");
	raw_long(out, has_request_id);
	if (has_request_id)
		raw_text(out, "r-1");
}

static void fields_are_found_by_name_whatever_their_order_and_width(void **state)
{
	struct fixture *fixture = *state;
	put_old_request(&fixture->bytes, true);

	struct record record = decoded(fixture);
	const struct vm_requested *request = &record.vm_requested;
	assert_string_equal(request->request_id, "r-1");
	assert_string_equal(request->vm_id, "vm-1");
	assert_string_equal(request->pool_id, "pool-1");
	assert_string_equal(request->vm_type_id, "large");
	assert_int_equal(request->n_gpus, 1);
	assert_string_equal(request->gpus[0].name, "GP104GL [Tesla P4]");
	assert_int_equal(request->gpus[0].count, INT32_MAX);
	assert_null(request->vm_instance_id);
	assert_null(request->host);
	assert_null(request->policy);
	assert_int_equal(request->requested_at, ABSENT);
}

/* The old version allowed null where the newest requires text. */
static void null_in_a_required_field_is_its_default(void **state)
{
	struct fixture *fixture = *state;
	put_old_request(&fixture->bytes, false);
	assert_string_equal(decoded(fixture).vm_requested.request_id, "");
}

/* An int has 32 bits, whatever a varint can hold. */
static void a_narrow_number_stays_narrow(void **state)
{
	struct fixture *fixture = *state;
	struct record record;
	begin(&fixture->bytes, "VmRequested", 1);
	raw_long(&fixture->bytes, (int64_t)INT32_MAX + 1);
	assert_int_equal(codec_decode(fixture->codec, fixture->bytes.data, fixture->bytes.len,
				      &fixture->arena, &record),
			 CODEC_MALFORMED);
	assert_non_null(strstr(codec_error(fixture->codec), "more than 32 bits"));
}

static void put_new_request(struct buf *out, int chain)
{
	begin(out, "VmRequested", 2);
	raw_long(out, 3); /* tags */
	raw_text(out, "a");
	raw_long(out, 0);
	raw_text(out, "b");
	raw_long(out, 1);
	raw_text(out, "value");
	raw_text(out, "c");
	raw_long(out, 2);
	raw_long(out, 2);
	raw_long(out, 5);
	raw_long(out, INT64_MIN);
	raw_long(out, 0);
	raw_long(out, 0);
	raw_text(out, "r-2");
	raw_long(out, 1); /* urgency */
	buf_append(out, "\0\1\2\3", 4);
	raw_text(out, "vm-2");
	raw_text(out, "pool-2");
	buf_append(out, "\0\0\x80?", 4); /* weight */
	raw_long(out, 1);		 /* gpus: a list */
	raw_long(out, 1);
	raw_text(out, "10de:1bb3");
	raw_long(out, 3); /* slices: three nulls, no bytes */
	raw_long(out, 0);
	raw_long(out, 2);
	raw_long(out, 0);
	raw_long(out, 1); /* spare_gpus */
	raw_text(out, "spare");
	raw_long(out, 0);
	raw_long(out, 9);
	raw_long(out, 0);
	buf_append(out, "\0\0\0\0\0\0\xf0?", 8); /* share */
	raw_long(out, 0);			 /* host */
	raw_long(out, 1000);
	for (int i = 0; i < chain; i++) {
		raw_long(out, 1);
		raw_text(out, "x");
	}
	raw_long(out, 0);
	raw_long(out, 3); /* blob: bytes need not be text */
	buf_append(out, "\xff\0\xff", 3);
}

static void what_a_new_writer_adds_is_passed_over(void **state)
{
	struct fixture *fixture = *state;
	put_new_request(&fixture->bytes, 2);

	struct record record = decoded(fixture);
	const struct vm_requested *request = &record.vm_requested;
	assert_string_equal(request->request_id, "r-2");
	assert_string_equal(request->vm_id, "vm-2");
	assert_string_equal(request->pool_id, "pool-2");
	assert_int_equal(request->n_gpus, 1);
	assert_string_equal(request->gpus[0].name, "10de:1bb3");
	assert_int_equal(request->gpus[0].count, 2);
	assert_null(request->host);
	assert_null(request->vm_type_id);
	assert_int_equal(request->requested_at, 1000);
}

/* Every type that the newest schemas do not use is checked as well as those they do. */
static void a_truncated_value_of_a_new_writer_is_malformed(void **state)
{
	struct fixture *fixture = *state;
	put_new_request(&fixture->bytes, 2);
	for (size_t len = 10; len < fixture->bytes.len; len++) {
		struct record record;
		void *copy = memory_alloc(len);
		memcpy(copy, fixture->bytes.data, len);
		assert_int_equal(codec_decode(fixture->codec, copy, len, &fixture->arena, &record),
				 CODEC_MALFORMED);
		free(copy);
	}
}

/* A recursive schema could otherwise nest as deep as the stack goes. */
static void nesting_is_bounded(void **state)
{
	struct fixture *fixture = *state;
	struct record record;
	/* The request, then a union and a record per link of the chain, then the union that ends it. */
	int deepest = (LIMIT_NESTING - 2) / 2;
	put_new_request(&fixture->bytes, deepest);
	decoded(fixture);

	put_new_request(&fixture->bytes, deepest + 1);
	assert_int_equal(codec_decode(fixture->codec, fixture->bytes.data, fixture->bytes.len,
				      &fixture->arena, &record),
			 CODEC_MALFORMED);
	assert_non_null(strstr(codec_error(fixture->codec), "nested too deeply"));
}

/* Lists of nulls cost no bytes an item: a value must not hold more of them than it has bytes. */
static void items_of_nothing_are_bounded(void **state)
{
	struct fixture *fixture = *state;
	struct record record;
	begin(&fixture->bytes, "VmRequested", 2);
	raw_long(&fixture->bytes, 0);
	raw_text(&fixture->bytes, "r");
	raw_long(&fixture->bytes, 0);
	buf_append(&fixture->bytes, "\0\0\0\0", 4);
	raw_text(&fixture->bytes, "v");
	raw_text(&fixture->bytes, "p");
	buf_append(&fixture->bytes, "\0\0\0\0", 4);
	raw_long(&fixture->bytes, 1);
	raw_long(&fixture->bytes, 100);
	for (int i = 0; i < 100; i++) {
		raw_text(&fixture->bytes, "");
		raw_long(&fixture->bytes, LIMIT_LIST_ITEMS);
		raw_long(&fixture->bytes, 0);
		raw_long(&fixture->bytes, 1);
	}
	raw_long(&fixture->bytes, 0);
	assert_int_equal(codec_decode(fixture->codec, fixture->bytes.data, fixture->bytes.len,
				      &fixture->arena, &record),
			 CODEC_MALFORMED);
	assert_non_null(strstr(codec_error(fixture->codec), "too many items"));
}

static void the_newest_version_is_written(void **state)
{
	struct fixture *fixture = *state;
	struct record record = sample_record(RECORD_VM_REQUESTED, SAMPLE_LARGE, &fixture->arena);
	assert_int_equal(codec_encode(fixture->codec, &record, &fixture->bytes), 0);

	struct buf expected = { 0 };
	raw_frame(&expected, codec_schema_fingerprint(RECORD_VM_REQUESTED));
	assert_memory_equal(fixture->bytes.data, expected.data, 10);
	buf_deinit(&expected);
	struct record back = decoded(fixture);
	assert_true(records_equal(&record, &back));
}

/* What the versions here show is not in schemas/: a codec without them says that it does not know. */
static void an_unknown_version_is_said_to_be_unknown(void **state)
{
	struct fixture *fixture = *state;
	struct codec *codec;
	struct record record;
	put_new_request(&fixture->bytes, 0);
	assert_int_equal(codec_new(&codec), 0);
	assert_int_equal(codec_decode(codec, fixture->bytes.data, fixture->bytes.len,
				      &fixture->arena, &record),
			 CODEC_UNKNOWN_SCHEMA);
	codec_free(codec);
}

static void a_schema_that_cannot_be_used_is_no_codec(void **state)
{
	(void)state;
	struct codec *codec = NULL;
	assert_true(codec_new_with_schemas(&schemas_unreadable, &codec) < 0);
	assert_true(codec_new_with_schemas(&schemas_unwritable, &codec) < 0);

	struct schema_set none = { 0 };
	assert_true(codec_new_with_schemas(&none, &codec) < 0);
	assert_null(codec);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		TEST(what_an_old_writer_lacks_has_its_default),
		TEST(what_is_required_and_missing_is_empty),
		TEST(fields_are_found_by_name_whatever_their_order_and_width),
		TEST(null_in_a_required_field_is_its_default),
		TEST(a_narrow_number_stays_narrow),
		TEST(what_a_new_writer_adds_is_passed_over),
		TEST(a_truncated_value_of_a_new_writer_is_malformed),
		TEST(nesting_is_bounded),
		TEST(items_of_nothing_are_bounded),
		TEST(the_newest_version_is_written),
		TEST(an_unknown_version_is_said_to_be_unknown),
		cmocka_unit_test(a_schema_that_cannot_be_used_is_no_codec),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
