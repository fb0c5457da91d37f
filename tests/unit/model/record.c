/* The tables that describe the records fit the structs, whose fields they name. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

#include "model/record.h"

static size_t size_of(const struct field *field)
{
	switch (field->type) {
	case FIELD_STRING:
	case FIELD_STRINGS:
	case FIELD_RECORDS:
		return sizeof(void *);
	case FIELD_LONG:
	case FIELD_TIME:
	case FIELD_BOOLEAN:
		return sizeof(int64_t);
	}
	return 0;
}

/* Every byte of the struct belongs to exactly one row: no member was forgotten, none is described twice. */
static void assert_table(const struct record_info *info)
{
	unsigned char covered[sizeof(struct record)] = { 0 };
	assert_true(info->size <= sizeof(covered));
	for (size_t i = 0; i < info->n_fields; i++) {
		const struct field *field = &info->fields[i];
		bool is_list = field->type == FIELD_STRINGS || field->type == FIELD_RECORDS;
		for (size_t k = 0; k < size_of(field); k++)
			covered[field->offset + k]++;
		for (size_t k = 0; is_list && k < sizeof(size_t); k++)
			covered[field->count_offset + k]++;
		assert_int_equal(field->item != NULL, field->type == FIELD_RECORDS);
		assert_false(is_list && field->optional);
		for (size_t k = 0; k < i; k++)
			assert_string_not_equal(field->name, info->fields[k].name);
		if (field->item)
			assert_table(field->item);
	}
	for (size_t i = 0; i < info->size; i++)
		if (covered[i] != 1)
			fail_msg("%s: byte %zu is described %d times", info->name, i, covered[i]);
}

static void tables_cover_their_structs(void **state)
{
	(void)state;
	for (int type = 0; type < RECORD_TYPES; type++)
		assert_table(record_info((enum record_type)type));
}

static void records_are_known_by_name(void **state)
{
	(void)state;
	enum record_type found = RECORD_TYPES;
	for (int type = 0; type < RECORD_TYPES; type++) {
		assert_int_equal(
			record_type_by_name(record_info((enum record_type)type)->name, &found), 0);
		assert_int_equal(found, type);
	}
	assert_int_equal(record_type_by_name("gpubus.VmRequested", &found), 1);
	assert_int_equal(record_type_by_name("GpuAsk", &found), 1);
	assert_int_equal(found, RECORD_TYPES - 1);
}

static void the_body_is_the_member_of_its_type(void **state)
{
	(void)state;
	struct record record = { .type = RECORD_MIGRATION_VERDICT };
	assert_ptr_equal(record_body(&record), &record.migration_verdict);
	assert_ptr_equal(record_body_const(&record), &record.migration_verdict);
}

static void pool_and_request_are_found_in_any_record(void **state)
{
	(void)state;
	struct record asked = { .type = RECORD_VM_REQUESTED,
				.vm_requested = { .request_id = "r", .pool_id = "p" } };
	assert_string_equal(record_pool_id(&asked), "p");
	assert_string_equal(record_request_id(&asked), "r");

	struct record pool = { .type = RECORD_VM_POOL_DEFINED,
			       .vm_pool_defined = { .pool_id = "q" } };
	assert_string_equal(record_pool_id(&pool), "q");
	assert_string_equal(record_request_id(&pool), "");

	struct record epoch = { .type = RECORD_EPOCH_STARTED };
	assert_string_equal(record_pool_id(&epoch), "");

	struct record without = { .type = RECORD_VM_RELEASED };
	assert_string_equal(record_pool_id(&without), "");
	assert_string_equal(record_request_id(&without), "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tables_cover_their_structs),
		cmocka_unit_test(records_are_known_by_name),
		cmocka_unit_test(the_body_is_the_member_of_its_type),
		cmocka_unit_test(pool_and_request_are_found_in_any_record),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
