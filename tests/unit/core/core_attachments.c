/* What agents report: shown, moved to another host, ended, quarantined. */
#include "world.h"

#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "core/decide_internal.h"

static const struct record *last(const struct world *w)
{
	return &w->log[w->n_log - 1].record;
}

/* ---- how far it is ---- */

static void what_the_agent_has_reached_is_shown(void **state)
{
	struct world *w = *state;
	world_define_pool(w, "after=give-back");
	world_host(w, "h1 P4*2");
	world_ask(w, "r1 vm1 P4*2 instance=i1");
	assert_string_equal(last(w)->gpu_assigned.after_release, "give-back");
	assert_int_equal(last(w)->gpu_assigned.pinned, 0);
	assert_string_equal(world_report(w, "vm1 r1/1 BOUND code=VM_ABSENT reason=it_is_off"),
			    "vm1: h1 01 02, BOUND VM_ABSENT");
	const struct gpu_assigned *bound = &last(w)->gpu_assigned;
	assert_string_equal(bound->attach_reason, "it is off");
	assert_string_equal(bound->assignment_id, "r1/1");
	assert_string_equal(bound->vm_instance_id, "i1");
	assert_string_equal(bound->after_release, "give-back");
	assert_string_equal(bound->gpus[1].gpu_id, "h1/0000:02:00.0");
	/* The same again is no news, the answer is what stands now. */
	assert_string_equal(world_report(w, "vm1 r1/1 BOUND code=VM_ABSENT reason=it_is_off"),
			    "nothing");
	assert_string_equal(world_ask(w, "r1 vm1 P4*2"), "again vm1: h1 01 02, BOUND VM_ABSENT");
	assert_string_equal(world_report(w, "vm1 r1/1 BOUND code=VM_ABSENT reason=still"),
			    "vm1: h1 01 02, BOUND VM_ABSENT");
	assert_string_equal(world_report(w, "vm1 r1/1 ATTACHED code="), "vm1: h1 01 02, ATTACHED");
	assert_string_equal(world_report(w, "vm1 r1/1 ATTACHED"), "nothing");
	assert_string_equal(world_report(w, "vm1 r1/1 BOUND"), "vm1: h1 01 02, BOUND");
}

static void a_report_of_another_assignment_changes_nothing(void **state)
{
	struct world *w = *state;
	static const char *const states[] = { "BOUND", "ATTACHED", "FAILED", "DETACHED" };
	char text[64];
	world_host(w, "h1 P4*1");
	world_host(w, "h2 P4*1");
	world_ask(w, "r1 vm1 P4*1 host=h1");
	for (size_t i = 0; i < 4; i++) {
		snprintf(text, sizeof(text), "vm1 r1/2 %s 01=CLEAN", states[i]);
		assert_string_equal(world_report(w, text), "nothing");
		snprintf(text, sizeof(text), "vm1 r0/1 %s", states[i]);
		assert_string_equal(world_report(w, text), "nothing");
		snprintf(text, sizeof(text), "vm9 r1/1 %s", states[i]);
		assert_string_equal(world_report(w, text), "nothing");
		snprintf(text, sizeof(text), "vm1 r1/1 %s host=h2", states[i]);
		assert_string_equal(world_report(w, text), "nothing");
	}
	/* Without a release a detach frees nothing. */
	assert_string_equal(world_report(w, "vm1 r1/1 DETACHED clean=1"), "nothing");
	assert_int_equal(shard_counts(w->state).gpus_assigned, 1);
}

static void a_release_under_way_stays_one(void **state)
{
	struct world *w = *state;
	world_host(w, "h1 P4*1");
	world_ask(w, "r1 vm1 P4*1");
	world_report(w, "vm1 r1/1 ATTACHED");
	assert_string_equal(last(w)->gpu_assigned.after_release, "keep-vfio");
	world_define_pool(w, "after=give-back"); /* what holds when the release is decided */
	assert_string_equal(world_release(w, "x1 vm1"), "releasing vm1: h1 01, ATTACHED");
	assert_string_equal(last(w)->gpu_assigned.after_release, "give-back");
	assert_string_equal(world_report(w, "vm1 r1/1 ATTACHED code=UNPLUG_PENDING"),
			    "releasing vm1: h1 01, ATTACHED UNPLUG_PENDING");
	assert_string_equal(last(w)->gpu_assigned.release_request_id, "x1");
	assert_string_equal(world_release(w, "x1 vm1"),
			    "again releasing vm1: h1 01, ATTACHED UNPLUG_PENDING");
	assert_string_equal(world_report(w, "vm1 r1/1 DETACHED clean=1"), "released vm1: h1 01");
	assert_string_equal(last(w)->gpu_released.code, "RELEASED");
}

static void malformed_reports_are_unusable(void **state)
{
	struct world *w = *state;
	char text[2000], code[80] = "", reason[1100] = "";
	world_host(w, "h1 P4*2");
	world_ask(w, "r1 vm1 P4*2");
	assert_string_equal(world_report(w, "vm1 r1/1 EXPLODED"),
			    "unusable: state is none of BOUND, ATTACHED, FAILED and DETACHED");
	assert_string_equal(
		world_report(w, "vm1 r1/1 DETACHED 01=CLEAN 02=SHINY"),
		"unusable: gpus: a state is none of BOUND, ATTACHED, CLEAN, DIRTY and STUCK");
	assert_non_null(
		strstr(world_report(w, "vm\x01 r1/1 BOUND"), "unusable: vm_id has control"));
	assert_string_equal(world_report(w, "vm1 r1/1 BOUND host="), "unusable: host is empty");
	memset(code, 'C', 65);
	snprintf(text, sizeof(text), "vm1 r1/1 BOUND code=%s", code);
	assert_string_equal(world_report(w, text), "unusable: a code is longer than 64 bytes");
	memset(reason, 'r', 1025);
	snprintf(text, sizeof(text), "vm1 r1/1 BOUND reason=%s", reason);
	assert_string_equal(world_report(w, text), "unusable: reason is longer than 1024 bytes");
	snprintf(text, sizeof(text), "vm1 r1/1 BOUND 01=DIRTY/X/%s", reason);
	assert_string_equal(world_report(w, text),
			    "unusable: gpus: a reason is longer than 1024 bytes");
	snprintf(text, sizeof(text), "vm1 %.259s/1 BOUND", reason);
	assert_string_equal(world_report(w, text),
			    "unusable: assignment_id is longer than 258 bytes");

	struct attached_gpu gpus[65];
	for (size_t i = 0; i < 65; i++)
		gpus[i] = (struct attached_gpu){ .gpu_id = "h1/0000:01:00.0", .state = "CLEAN" };
	struct record event = { .type = RECORD_GPU_ATTACHMENT };
	event.gpu_attachment = (struct gpu_attachment){ .assignment_id = "r1/1",
							.vm_id = "vm1",
							.pool_id = "1",
							.host = "h1",
							.state = "DETACHED",
							.gpus = gpus,
							.n_gpus = 65 };
	assert_non_null(strstr(world_decide(w, &event), "unusable: gpus lists more than 64 GPUs"));
	event.gpu_attachment.n_gpus = 1;
	static const char *const ids[] = { "", "h1", "h1/01:00.0", "/0000:01:00.0" };
	for (size_t i = 0; i < 4; i++) {
		gpus[0].gpu_id = ids[i];
		assert_non_null(strstr(world_decide(w, &event), "is not HOST/PCI-ADDRESS"));
	}
	assert_int_equal(w->n_log, 1);
}

/* ---- another host ---- */

static void a_failed_assignment_moves_to_another_host(void **state)
{
	struct world *w = *state;
	world_type(w, "two cpu=8 ram=16 P4*2");
	world_host(w, "h1 cpu=8 ram=16 P4*2");
	world_host(w, "h2 cpu=4 ram=16 P4*2"); /* too small */
	world_host(w, "h3 cpu=8 ram=16 T4*2"); /* other models */
	world_host(w, "h4 cpu=8 ram=16 P4b*2");
	assert_string_equal(world_ask(w, "r1 vm1 type=two instance=i1"), "vm1: h1 01 02");
	world_report(w, "vm1 r1/1 BOUND code=VM_ABSENT");
	assert_string_equal(
		world_report(w, "vm1 r1/1 FAILED code=NO_FREE_PORT clean=1 reason=full"),
		"vm1: h4 01 02, not r1/1");
	const struct gpu_assigned *moved = &last(w)->gpu_assigned;
	assert_string_equal(moved->assignment_id, "r1/2");
	assert_string_equal(moved->request_id, "r1");
	assert_string_equal(moved->vm_type_id, "two");
	assert_string_equal(moved->vm_instance_id, "i1");
	assert_int_equal(moved->cpu_cores, 8);
	assert_int_equal(moved->ram_gb, 16);
	assert_int_equal(moved->n_failed_hosts, 1);
	assert_string_equal(moved->failed_hosts[0], "h1");
	assert_string_equal(moved->after_release, "keep-vfio");
	assert_null(moved->attach_state);

	/* In one step: the old GPUs are free, the new ones held; the request says where it is now. */
	assert_int_equal(shard_counts(w->state).gpus_assigned, 2);
	assert_string_equal(world_ask(w, "r1 vm1 type=two"), "again vm1: h4 01 02, not r1/1");
	assert_string_equal(world_ask(w, "r2 vm2 type=two"), "vm2: h1 01 02");
	/* The late word about the old one, and the report once more. */
	assert_string_equal(world_report(w, "vm1 r1/1 ATTACHED"), "nothing");
	assert_string_equal(world_report(w, "vm1 r1/1 FAILED clean=1"), "nothing");
	/* What replaced is told once; the failed hosts stay known. */
	assert_string_equal(world_report(w, "vm1 r1/2 ATTACHED"), "vm1: h4 01 02, ATTACHED");
	assert_null(last(w)->gpu_assigned.replaces);
	assert_string_equal(last(w)->gpu_assigned.failed_hosts[0], "h1");
	assert_string_equal(world_release(w, "x1 vm1"), "releasing vm1: h4 01 02, ATTACHED");
	assert_string_equal(world_report(w, "vm1 r1/2 DETACHED clean=1"), "released vm1: h4 01 02");
	assert_string_equal(world_ask(w, "r1 vm1 type=two"), "again released vm1: h4 01 02");
}

static void hosts_are_tried_once_and_not_for_ever(void **state)
{
	struct world *w = *state;
	world_host(w, "h1 P4*1");
	world_host(w, "h2 P4*1");
	world_host(w, "h3 P4*1");
	world_host(w, "h4 P4*1");
	world_ask(w, "r1 vm1 P4*1");
	assert_string_equal(world_report(w, "vm1 r1/1 FAILED clean=1"), "vm1: h2 01, not r1/1");
	assert_string_equal(world_report(w, "vm1 r1/2 FAILED clean=1"), "vm1: h3 01, not r1/2");
	assert_string_equal(last(w)->gpu_assigned.failed_hosts[1], "h2");
	assert_string_equal(
		world_report(w, "vm1 r1/3 FAILED clean=1 code=IN_USE"),
		"failed vm1: h3 01 (host h3: IN_USE; it was tried on 3 hosts, as many as "
		"its pool wants)");
	const struct gpu_released *ended = &last(w)->gpu_released;
	assert_string_equal(ended->assignment_id, "r1/3");
	assert_string_equal(ended->request_id, "");
	assert_null(ended->actor);
	assert_int_equal(shard_counts(w->state).answers, 1); /* r1; no release asked for it */
	assert_null(shard_find_answer(w->state, "1", RECORD_VM_RELEASED, ""));
	assert_int_equal(shard_counts(w->state).gpus_assigned, 0);
	assert_non_null(strstr(world_ask(w, "r1 vm1 P4*1"), "again failed vm1: h3 01"));
	assert_string_equal(world_ask(w, "r2 vm1 P4*1"),
			    "vm1: h1 01"); /* a new request, a new try */
}

static void when_it_ends_it_says_why(void **state)
{
	struct world *w = *state;
	world_host(w, "h1 P4*1");
	world_host(w, "h2 P4*1");
	world_ask(w, "r1 vm1 P4*1 host=h1");
	assert_int_equal(last(w)->gpu_assigned.pinned, 1);
	world_report(w, "vm1 r1/1 BOUND"); /* pinned all along */
	assert_string_equal(
		world_report(w, "vm1 r1/1 FAILED clean=1 reason=no_luck code=BIND_FAILED"),
		"failed vm1: h1 01 (host h1: BIND_FAILED: no luck; the request named this "
		"host)");
	world_define_pool(w, "failure=end");
	world_ask(w, "r2 vm1 P4*1");
	assert_string_equal(
		world_report(w, "vm1 r2/1 FAILED clean=1"),
		"failed vm1: h1 01 (host h1: no reason given; its pool does not try other "
		"hosts)");
	world_define_pool(w, "attempts=1");
	world_ask(w, "r3 vm1 P4*1");
	assert_non_null(strstr(world_report(w, "vm1 r3/1 FAILED clean=1"),
			       "it was tried on 1 host, as many as its pool wants"));
	world_define_pool(w, "attempts=16");
	world_ask(w, "r4 vm1 P4*1");
	world_ask(w, "r5 vm2 P4*1");
	assert_string_equal(
		world_report(w, "vm1 r4/1 FAILED clean=1"),
		"failed vm1: h1 01 (host h1: no reason given; no other host can take it: "
		"pool 1 has 2 × GP104GL [Tesla P4]: 2 assigned; tried before: h1)");
}

static void an_end_waits_until_it_is_known(void **state)
{
	struct world *w = *state;
	world_host(w, "h1 P4*1");
	world_ask(w, "r1 vm1 P4*1");
	w->unknown = true;
	assert_string_equal(world_report(w, "vm1 r1/1 FAILED clean=1"), "unknown");
	world_define_pool(w, "attempts=2");
	assert_string_equal(world_report(w, "vm1 r1/1 FAILED clean=1"), "unknown");
	world_host(w, "h2 P4*1");
	assert_string_equal(world_report(w, "vm1 r1/1 FAILED clean=1"), "vm1: h2 01, not r1/1");
	assert_non_null(strstr(world_report(w, "vm1 r1/2 FAILED clean=1"), "failed vm1: h2 01"));
}

/* ---- quarantine ---- */

static void what_is_not_clean_goes_into_quarantine(void **state)
{
	struct world *w = *state;
	world_host(w, "h1 P4*6");
	world_ask(w, "r1 vm1 P4*5");
	world_release(w, "x1 vm1");
	assert_string_equal(
		world_report(w,
			     "vm1 r1/1 DETACHED 01=CLEAN 02=DIRTY/RESET_FAILED/it_hangs 03=STUCK "
			     "04=ATTACHED 01=CLEAN 02=CLEAN"),
		"released vm1: h1 01 02 03 04 05, quarantined 02 RESET_FAILED, 03 STUCK, 04 "
		"UNCONFIRMED, 05 UNCONFIRMED");
	const struct gpu_released *released = &last(w)->gpu_released;
	assert_string_equal(released->quarantined[0].gpu_id, "h1/0000:02:00.0");
	assert_string_equal(released->quarantined[0].reason, "it hangs");
	assert_string_equal(released->quarantined[2].reason, "its agent calls it ATTACHED");
	assert_string_equal(released->quarantined[3].reason, "its agent did not name it");
	assert_int_equal(shard_counts(w->state).gpus_quarantined, 4);
	assert_string_equal(
		world_ask(w, "r2 vm2 P4*3"),
		"NO_CAPACITY: pool 1 has 6 × GP104GL [Tesla P4]: 2 free, 4 in quarantine");
	assert_string_equal(world_reasons(w), "h1 GPUS_UNAVAILABLE");
	assert_string_equal(world_ask(w, "r3 vm2 P4*2"), "vm2: h1 01 06");
}

static void failed_while_releasing_is_detached(void **state)
{
	struct world *w = *state;
	world_host(w, "h1 P4*2");
	world_host(w, "h2 P4*2");
	world_ask(w, "r1 vm1 P4*2");
	world_release(w, "x1 vm1");
	assert_string_equal(world_report(w, "vm1 r1/1 FAILED code=STUCK 01=CLEAN 02=STUCK"),
			    "released vm1: h1 01 02, quarantined 02 STUCK");
	assert_string_equal(last(w)->gpu_released.code, "RELEASED");
	assert_string_equal(last(w)->gpu_released.request_id, "x1");
}

static void a_move_leaves_the_unclean_behind(void **state)
{
	struct world *w = *state;
	world_host(w, "h1 P4*2");
	world_host(w, "h2 P4*2");
	world_ask(w, "r1 vm1 P4*2");
	assert_string_equal(world_report(w, "vm1 r1/1 FAILED 01=CLEAN 02=DIRTY/RESET_FAILED"),
			    "vm1: h2 01 02, not r1/1, quarantined 02 RESET_FAILED");
	assert_string_equal(world_report(w, "vm1 r1/2 ATTACHED"), "vm1: h2 01 02, ATTACHED");
	assert_string_equal(world_ask(w, "r2 vm2 P4*1"), "vm2: h1 01");
	assert_non_null(strstr(world_ask(w, "r3 vm3 P4*1"), "3 assigned, 1 in quarantine"));
}

/* Ids, names and reasons as long as they may be. */
static void the_record_of_a_quarantine_fits_into_its_limit(void **state)
{
	struct world *w = *state;
	char host[200], text[80 * 1100], reason[1025];
	memset(host, 'h', sizeof(host));
	host[sizeof(host) - 1] = '\0';
	memset(reason, 'r', sizeof(reason) - 1);
	reason[sizeof(reason) - 1] = '\0';
	memcpy(reason + 400, "\xe2\x82\xac\xe2\x82\xac", 6); /* wherever it is cut */
	snprintf(text, sizeof(text), "%s P4*64", host);
	world_host(w, text);
	assert_non_null(strstr(world_ask(w, "r1 vm1 P4*64"), "vm1: "));
	world_release(w, "x1 vm1");

	struct attached_gpu gpus[64];
	for (int i = 0; i < 64; i++)
		gpus[i] = (struct attached_gpu){
			.gpu_id = arena_printf(&w->arena, "%s/0000:%02x:00.0", host, i + 1),
			.state = "DIRTY",
			.code = "CONFIG_UNREADABLE",
			.reason = reason,
		};
	struct record event = { .type = RECORD_GPU_ATTACHMENT };
	event.gpu_attachment = (struct gpu_attachment){ .assignment_id = "r1/1",
							.vm_id = "vm1",
							.pool_id = "1",
							.host = host,
							.state = "DETACHED",
							.gpus = gpus,
							.n_gpus = 64 };
	assert_non_null(strstr(world_decide(w, &event), "released vm1: "));
	const struct gpu_released *released = &last(w)->gpu_released;
	size_t bytes = decide_record_bytes(released->gpus, released->n_gpus);
	assert_int_equal(released->n_quarantined, 64);
	for (size_t i = 0; i < 64; i++)
		bytes += strlen(released->quarantined[i].gpu_id) +
			 strlen(released->quarantined[i].code) +
			 strlen(released->quarantined[i].reason) + 12;
	assert_true(bytes <= LIMIT_VALUE_BYTES);
	assert_true(strlen(released->quarantined[0].reason) > 20);
	assert_int_equal(shard_counts(w->state).gpus_quarantined, 64);
}

int main(void)
{
#define STORY(f) cmocka_unit_test_setup_teardown(f, world_setup, world_teardown)
	const struct CMUnitTest tests[] = {
		STORY(what_the_agent_has_reached_is_shown),
		STORY(a_report_of_another_assignment_changes_nothing),
		STORY(a_release_under_way_stays_one),
		STORY(malformed_reports_are_unusable),
		STORY(a_failed_assignment_moves_to_another_host),
		STORY(hosts_are_tried_once_and_not_for_ever),
		STORY(when_it_ends_it_says_why),
		STORY(an_end_waits_until_it_is_known),
		STORY(what_is_not_clean_goes_into_quarantine),
		STORY(failed_while_releasing_is_detached),
		STORY(a_move_leaves_the_unclean_behind),
		STORY(the_record_of_a_quarantine_fits_into_its_limit),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
