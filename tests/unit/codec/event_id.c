/* Event ids: the same for the same event, different for different ones, whatever the ids in them. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

#include "codec/event_id.h"
#include "sample_records.h"

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

static void assert_id(struct arena *arena, struct record record, const char *id)
{
	assert_string_equal(record_event_id(&record, arena), id);
}

static void ids_are_made_of_what_caused_the_event(void **state)
{
	assert_id(*state,
		  (struct record){ RECORD_VM_REQUESTED,
				   .vm_requested = { .request_id = "r-1", .pool_id = "p" } },
		  "p/VmRequested/r-1");
	assert_id(*state,
		  (struct record){ RECORD_GPU_ASSIGNED, .gpu_assigned = { .assignment_id = "r-1/1",
									  .pool_id = "p",
									  .state = "RELEASING" } },
		  "p/GpuAssigned/r-1/1/RELEASING");
	assert_id(*state,
		  (struct record){ RECORD_GPU_RELEASED,
				   .gpu_released = { .assignment_id = "r-1/1", .pool_id = "p" } },
		  "p/GpuReleased/r-1/1");
	assert_id(*state,
		  (struct record){ RECORD_REQUEST_REJECTED,
				   .request_rejected = { .request_id = "r-1",
							 .request_type = "VmRequested",
							 .pool_id = "p" } },
		  "p/RequestRejected/VmRequested/r-1");
	assert_id(*state,
		  (struct record){ RECORD_EPOCH_STARTED,
				   .epoch_started = { .shard = 7, .nonce = "abc" } },
		  "7/EpochStarted/abc");
	assert_id(*state,
		  (struct record){ RECORD_GPU_DISCOVERED,
				   .gpu_discovered = { .gpu_id = "h1/0000:01:00.0",
						       .pool_id = "p",
						       .observed_at = 17 } },
		  "p/GpuDiscovered/h1/0000:01:00.0@17");
	assert_id(
		*state,
		(struct record){ RECORD_HOST_SEEN,
				 .host_seen = { .host = "h1", .pool_id = "p", .observed_at = 18 } },
		"p/HostSeen/h1@18");
	assert_id(*state,
		  (struct record){ RECORD_GPU_ATTACHMENT,
				   .gpu_attachment = { .assignment_id = "r-1/1",
						       .pool_id = "p",
						       .state = "BOUND",
						       .observed_at = 19 } },
		  "p/GpuAttachment/r-1/1/BOUND@19");
}

/* Told again, a decision may have another time and other words: it is the same decision. */
static void times_and_messages_do_not_change_a_decision_s_id(void **state)
{
	struct record a = { RECORD_REQUEST_COMPLETED,
			    .request_completed = { .request_id = "r",
						   .request_type = "VmReleased",
						   .pool_id = "p",
						   .message = "one",
						   .decided_at = 1 } };
	struct record b = a;
	b.request_completed.message = "two";
	b.request_completed.decided_at = 2;
	assert_string_equal(record_event_id(&a, *state), record_event_id(&b, *state));
}

static void a_definition_s_id_is_its_content(void **state)
{
	struct record a = sample_record(RECORD_VM_TYPE_DEFINED, SAMPLE_LARGE, *state);
	struct record same = sample_record(RECORD_VM_TYPE_DEFINED, SAMPLE_LARGE, *state);
	const char *id = record_event_id(&a, *state);
	assert_string_equal(id, record_event_id(&same, *state));

	same.vm_type_defined.gpus[2].count ^= 1;
	assert_string_not_equal(id, record_event_id(&same, *state));
	same = sample_record(RECORD_VM_TYPE_DEFINED, SAMPLE_LARGE, *state);
	same.vm_type_defined.ram_gb ^= 1;
	assert_string_not_equal(id, record_event_id(&same, *state));

	/* Text that moves over a field's border is other content. */
	struct record left = { RECORD_VM_POOL_DEFINED, .vm_pool_defined = { "p", "ab", "c", "d" } };
	struct record right = { RECORD_VM_POOL_DEFINED,
				.vm_pool_defined = { "p", "a", "bc", "d" } };
	assert_string_not_equal(record_event_id(&left, *state), record_event_id(&right, *state));
}

/* A pool whose id looks like part of an event id. */
static void no_pool_id_can_pose_as_another_event(void **state)
{
	struct record honest = { RECORD_VM_REQUESTED,
				 .vm_requested = { .pool_id = "p",
						   .request_id = "VmRequested/r" } };
	struct record forged = { RECORD_VM_REQUESTED, .vm_requested = { .pool_id = "p/VmRequested",
									.request_id = "r" } };
	assert_string_not_equal(record_event_id(&honest, *state), record_event_id(&forged, *state));
	assert_string_equal(record_event_id(&forged, *state), "p%2fVmRequested/VmRequested/r");

	struct record encoded = { RECORD_VM_REQUESTED,
				  .vm_requested = { .pool_id = "p%2fVmRequested",
						    .request_id = "r" } };
	assert_string_not_equal(record_event_id(&encoded, *state),
				record_event_id(&forged, *state));
}

static void every_record_has_a_type_and_an_id(void **state)
{
	for (int type = 0; type < RECORD_TYPES; type++) {
		struct record record = sample_record((enum record_type)type, SAMPLE_SMALL, *state);
		const char *name = record_info(record.type)->name;
		assert_string_equal(record_event_type(record.type),
				    arena_printf(*state, "gpubus.%s", name));
		const char *id = record_event_id(&record, *state);
		assert_non_null(strstr(id, name));
		for (int other = 0; other < type; other++) {
			struct record before =
				sample_record((enum record_type)other, SAMPLE_SMALL, *state);
			assert_string_not_equal(id, record_event_id(&before, *state));
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		TEST(ids_are_made_of_what_caused_the_event),
		TEST(times_and_messages_do_not_change_a_decision_s_id),
		TEST(a_definition_s_id_is_its_content),
		TEST(no_pool_id_can_pose_as_another_event),
		TEST(every_record_has_a_type_and_an_id),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
