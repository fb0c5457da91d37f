/* What the agent remembers, loses, saves and says again. Stories as in agent_stories.c, and the text itself. */
#include "story.h"

#include <stdio.h>

#include "attach/agent/memory.h"
#include "base/buf.h"

/* ---- the disk ---- */

static void nothing_is_touched_while_the_disk_is_full(void **state)
{
	struct agent_world *w = *state;
	w->save_fails = true;
	w->host.vms[1].running = true;
	assign(w, 1, 0, 1);
	assert_int_equal(world_touches(w, 0, STEP_LOOK), 1);
	assert_int_equal(world_touches(w, 0, STEP_BIND), 0);
	assert_false(agent_is_settled(w->agent));
	cleanup(buf_deinit) struct buf text = { 0 };
	agent_describe(w->agent, &text);
	assert_non_null(strstr(text.data, "cannot be saved: Input/output error"));
	w->save_fails = false;
	world_pass(w, 2 * 1000 * 1000);
	assert_string_equal(world_word(w, 1), "ATTACHED");
}

static void nothing_is_told_while_the_disk_is_full(void **state)
{
	struct agent_world *w = *state;
	int number = assign_to_running(w, 1, 0, 1);
	fake_release(&w->scheduler, number);
	run_until(w, STEP_CLEAN);
	w->save_fails = true;
	size_t said = w->n_reports;
	world_run(w);
	assert_int_equal(w->n_reports, said);
	w->save_fails = false;
	world_pass(w, 2 * 1000 * 1000);
	assert_string_equal(world_word(w, 1), "DETACHED");
}

static void the_position_is_saved_now_and_then(void **state)
{
	struct agent_world *w = *state;
	agent_go_on(w->agent, w->now_us);
	int saves = w->n_saves;
	agent_on_decision(w->agent, NULL, 41, 7);
	world_run(w);
	assert_int_equal(w->n_saves, saves);
	w->now_us += 31 * 1000 * 1000;
	assert_true(agent_wake_at(w->agent) <= w->now_us);
	world_run(w);
	assert_int_equal(w->n_saves, saves + 1);
	for (int i = 0; i < 500; i++)
		agent_on_decision(w->agent, NULL, 42 + i, 7);
	agent_go_on(w->agent, w->now_us);
	assert_int_equal(w->n_saves, saves + 2);

	world_kill(w, false);
	w->scheduler.n_log = 0;
	world_start(w);
	int64_t next, epoch;
	agent_position(w->agent, &next, &epoch);
	assert_int_equal(next, 541);
	assert_int_equal(epoch, 7);
}

/* ---- what is said ---- */

static void what_the_log_has_is_no_news(void **state)
{
	struct agent_world *w = *state;
	assign_to_running(w, 1, 0, 1);
	assign(w, 2, 1, 1);
	size_t said = w->n_reports;
	world_restart(w);
	world_pass(w, 3 * WORLD_LOOK_US);
	assert_int_equal(w->n_reports, said);
}

static void what_the_log_does_not_have_is_said_again(void **state)
{
	struct agent_world *w = *state;
	w->deaf = true;
	assign(w, 1, 0, 1);
	size_t said = w->n_reports;
	world_restart(w);
	world_run(w);
	assert_int_equal(w->n_reports, said + 1);
	assert_string_equal(world_word(w, 1), "BOUND VM_ABSENT");
}

static void the_last_word_is_said_again_after_a_restart(void **state)
{
	struct agent_world *w = *state;
	let_fail(w, 0, STEP_BIND, ATTACH_IN_USE);
	w->deaf = true;
	assign(w, 1, 0, 1);
	int number = assign(w, 2, 1, 1);
	release(w, number);
	for (int i = 0; i < 2; i++) {
		size_t said = w->n_reports;
		world_pass(w, 3 * WORLD_LOOK_US);
		assert_int_equal(w->n_reports, said);
		world_restart(w);
		world_run(w);
		assert_int_equal(w->n_reports, said + 2);
		assert_string_equal(world_word(w, 1), "FAILED IN_USE");
		assert_string_equal(world_word(w, 2), "DETACHED");
	}
}

static void other_words_for_the_same_are_told_once_a_minute(void **state)
{
	struct agent_world *w = *state;
	w->deaf = true;
	assign_to_running(w, 1, 0, 1);
	struct step_result wait = { .outcome = STEP_WAIT, .code = ATTACH_UNPLUG_PENDING };
	const int64_t second = 1000 * 1000;
	fake_release(&w->scheduler, 0);
	size_t said = w->n_reports;
	for (int i = 0; i < 30; i++) { /* five minutes */
		run_until(w, STEP_UNPLUG);
		snprintf(wait.reason, sizeof(wait.reason), "asked %d times", i);
		uint64_t token = w->steps[0].token;
		w->n_steps = 0;
		agent_on_step_done(w->agent, token, &wait, w->now_us);
		agent_go_on(w->agent, w->now_us);
		w->now_us += 10 * second;
		agent_go_on(w->agent, w->now_us);
	}
	assert_in_range(w->n_reports - said, 5, 6);
	assert_string_equal(world_word(w, 1), "ATTACHED UNPLUG_PENDING");
}

/* ---- the memory is lost ---- */

static void lose_memory(struct agent_world *w)
{
	world_kill(w, false);
	world_lose_memory(w);
	world_start(w);
	world_run(w);
}

static void without_memory_what_is_attached_is_adopted(void **state)
{
	struct agent_world *w = *state;
	assign_to_running(w, 1, 0, 2);
	size_t said = w->n_reports;
	lose_memory(w);
	assert_int_equal(w->n_reports, said);
	for (int verb = STEP_BIND; verb < STEP_VERBS; verb++)
		assert_int_equal(world_touches(w, 0, (enum step_verb)verb),
				 verb == STEP_BIND || verb == STEP_PLUG);
	/* And is undone in the end, with drivers that the kernel chooses. */
	w->scheduler.assignments[0].gives_back = true;
	release(w, 0);
	assert_string_equal(world_word(w, 1), "DETACHED");
	assert_true(fake_gpu_is_clean(&w->host, 0) && fake_gpu_is_native(&w->host, 0));
}

static void without_memory_a_release_is_cleaned_again(void **state)
{
	struct agent_world *w = *state;
	int number = assign_to_running(w, 1, 0, 1);
	w->deaf = true;
	release(w, number);
	lose_memory(w);
	assert_string_equal(world_word(w, 1), "DETACHED");
	assert_int_equal(world_touches(w, 0, STEP_CLEAN), 2);
}

static void without_memory_who_was_forced_out_is_undone_all_the_same(void **state)
{
	struct agent_world *w = *state;
	int number = assign_to_running(w, 1, 0, 1);
	w->host.vms[1].clings = true;
	w->host.vms[2].running = true;
	force(w, number);
	assign(w, 2, 0, 1);
	lose_memory(w);
	assert_int_equal(world_touches(w, 0, STEP_PLUG), 1);
	w->host.vms[1].clings = false;
	world_pass(w, 2 * WORLD_LOOK_US);
	assert_string_equal(world_word(w, 2), "ATTACHED");
	assert_int_equal(world_touches(w, 0, STEP_CLEAN), 1);
}

/* BOUND, with the code of what the one before it is waited for: that does not show that it has it all. */
static void without_memory_who_waits_for_another_has_nothing(void **state)
{
	struct agent_world *w = *state;
	const int gpus[] = { 0 };
	struct step_result wait = { .outcome = STEP_WAIT, .code = ATTACH_STEP_PENDING };
	force(w, assign_to_running(w, 1, 0, 1));
	int number = assign_to_running(w, 2, 0, 1);
	w->host.vms[3].running = true;
	fake_force(&w->scheduler, number);
	fake_assign(&w->scheduler, 3, gpus, 1, false);
	run_until(w, STEP_UNPLUG);
	while (world_deliver(w))
		;
	uint64_t token = w->steps[0].token;
	w->n_steps = 0;
	agent_on_step_done(w->agent, token, &wait, w->now_us);
	agent_go_on(w->agent, w->now_us);
	assert_string_equal(world_word(w, 3), "BOUND STEP_PENDING");
	while (world_heed(w))
		;
	int cleans = world_touches(w, 0, STEP_CLEAN);
	lose_memory(w); /* the world notices when it is plugged as it is */
	assert_string_equal(world_word(w, 3), "ATTACHED");
	assert_int_equal(world_touches(w, 0, STEP_CLEAN), cleans + 1);
}

/* The reports in the log show that the one before was undone: nothing is reset under the one that has it. */
static void without_memory_history_is_not_undone_again(void **state)
{
	struct agent_world *w = *state;
	force(w, assign_to_running(w, 1, 0, 1));
	assign_to_running(w, 2, 0, 1);
	int cleans = world_touches(w, 0, STEP_CLEAN), unplugs = world_touches(w, 0, STEP_UNPLUG);
	lose_memory(w);
	assert_int_equal(world_touches(w, 0, STEP_CLEAN), cleans);
	assert_int_equal(world_touches(w, 0, STEP_UNPLUG), unplugs);
	assert_true(fake_gpu_is_plugged(&w->host, 0, 2));
}

/* As above, but the log has no report yet. */
static void without_memory_the_one_that_has_it_keeps_it(void **state)
{
	struct agent_world *w = *state;
	force(w, assign_to_running(w, 1, 0, 1));
	w->deaf = true;
	assign_to_running(w, 2, 0, 1);
	int cleans = world_touches(w, 0, STEP_CLEAN);
	size_t said = w->n_reports;
	lose_memory(w);
	assert_int_equal(w->n_reports, said + 1);
	assert_string_equal(world_word(w, 2), "ATTACHED");
	assert_int_equal(world_touches(w, 0, STEP_CLEAN), cleans);
	assert_true(fake_gpu_is_plugged(&w->host, 0, 2));
}

static void without_memory_a_clean_release_ends_what_was_before(void **state)
{
	struct agent_world *w = *state;
	force(w, assign_to_running(w, 1, 0, 1));
	const int gpus[] = { 0 };
	fake_release(&w->scheduler, fake_assign(&w->scheduler, 2, gpus, 1, false));
	world_deliver(w);
	world_deliver(w); /* nothing was reported of it but DETACHED */
	world_run(w);
	assert_int_equal(w->scheduler.gpus[0], GPU_FREE);
	int looks = world_touches(w, 0, STEP_LOOK);
	lose_memory(w);
	assert_int_equal(world_touches(w, 0, STEP_LOOK), looks);
}

/* Killed when the one who was forced out has let go and is forgotten, and the other is to be cleaned. */
static void what_is_still_to_be_cleaned_is_remembered(void **state)
{
	struct agent_world *w = *state;
	int number = assign_to_running(w, 1, 0, 1);
	w->host.vms[1].clings = true;
	w->host.vms[2].running = true;
	force(w, number);
	assign(w, 2, 0, 1);
	w->host.vms[1].clings = false;
	world_kill(w, false);
	world_lose_memory(w);
	world_start(w);
	run_until(w, STEP_CLEAN);
	assert_null(strstr(w->saved, "\"vm1\""));
	world_restart(w);
	world_run(w); /* the world notices when it is plugged as it is */
	assert_int_equal(world_touches(w, 0, STEP_CLEAN), 2);
	assert_true(fake_gpu_is_plugged(&w->host, 0, 2));
}

static void without_memory_the_log_knows_what_is_in_quarantine(void **state)
{
	struct agent_world *w = *state;
	int number = assign_to_running(w, 1, 0, 1);
	fault(w, 0, STEP_CLEAN)->sticks = true;
	release(w, number);
	int looks = world_touches(w, 0, STEP_LOOK);
	lose_memory(w);
	world_pass(w, 3 * WORLD_LOOK_US);
	assert_int_equal(world_touches(w, 0, STEP_LOOK), looks);
	fault(w, 0, STEP_CLEAN)->sticks = false;
	fake_return(&w->scheduler, 0);
	world_run(w);
	assert_true(fake_gpu_is_clean(&w->host, 0));
}

/* Nobody knows whether it was ever touched, but what the host uses is not to be reset. */
static void without_memory_what_is_not_on_vfio_is_as_it_was(void **state)
{
	struct agent_world *w = *state;
	const int gpus[] = { 0 };
	int number = fake_assign(&w->scheduler, 1, gpus, 1, false);
	fake_release(&w->scheduler, number);
	lose_memory(w);
	assert_string_equal(world_word(w, 1), "DETACHED");
	assert_int_equal(world_touches(w, 0, STEP_CLEAN), 0);
}

/* Somebody chose it for this kind of device: it is as good as vfio-pci, and nobody may take the GPU for the
 * host's because of its name. */
static void without_memory_a_driver_of_the_vfio_pci_family_shows_that_it_is_given_away(void **state)
{
	struct agent_world *w = *state;
	for (int k = 0; k < FAKE_FUNCTIONS; k++)
		w->host.gpus[0].functions[k].native = "nvgrace-gpu-vfio-pci";
	fake_host_reboot(&w->host);
	int number = assign_to_running(w, 1, 0, 1);
	assert_int_equal(world_touches(w, 0, STEP_BIND), 0);
	w->host.silent = true;
	lose_memory(w);
	release(w, number);
	world_pass(w, 3 * WORLD_LOOK_US);
	assert_string_equal(world_word(w, 1), "ATTACHED HYPERVISOR_SILENT");
	w->host.silent = false;
	world_pass(w, 3 * WORLD_LOOK_US);
	assert_string_equal(world_word(w, 1), "DETACHED");
	assert_true(fake_gpu_is_clean(&w->host, 0));
	assert_int_equal(world_touches(w, 0, STEP_GIVE_BACK), 0);
}

/* ---- the text ---- */

static int load(const char *text, struct buf *error)
{
	struct agent_options options = {
		.host = FAKE_HOST, .pool_id = FAKE_POOL, .boot_id = "boot-0", .max_steps = 1
	};
	struct agent_io io = { 0 };
	cleanup(agent_freep) struct agent *agent = agent_new(&options, &io);
	buf_clear(error);
	int r = agent_load(agent, text, strlen(text), error);
	int64_t next, epoch;
	agent_position(agent, &next, &epoch);
	if (r > 0)
		assert_true(next == 0 && epoch == -1); /* as if it had never lived */
	return r;
}

/* A memory with one of everything. */
static void remember_much(struct agent_world *w)
{
	int number = assign_to_running(w, 1, 0, 2);
	let_fail(w, 0, STEP_CLEAN, ATTACH_RESET_FAILED);
	w->deaf = true;
	release(w, number);
	assign(w, 2, 2, 1);
	let_fail(w, 3, STEP_BIND, ATTACH_IN_USE);
	assign(w, 3, 3, 1);
	agent_on_decision(w->agent, NULL, 100, 7);
	world_pass(w, 31 * 1000 * 1000);
}

static void what_is_loaded_is_saved_the_same(void **state)
{
	struct agent_world *w = *state;
	remember_much(w);
	struct memory_place place = { .host = FAKE_HOST,
				      .pool_id = FAKE_POOL,
				      .boot_id = "boot-0" };
	struct memory_loaded loaded;
	struct book book = { 0 };
	cleanup(buf_deinit) struct buf text = { 0 }, error = { 0 };
	assert_int_equal(memory_load(&book, &place, w->saved, strlen(w->saved), &loaded, &error),
			 0);
	assert_true(loaded.same_boot);
	assert_int_equal(loaded.next, 100);
	place.next = loaded.next;
	place.epoch = loaded.epoch;
	memory_save(&book, &place, &text);
	book_deinit(&book);
	assert_string_equal(text.data, w->saved);
}

static void what_is_damaged_is_refused_and_never_crashes(void **state)
{
	struct agent_world *w = *state;
	remember_much(w);
	size_t len = strlen(w->saved);
	cleanup(buf_deinit) struct buf error = { 0 };
	cleanup(freep) char *text = memory_strdup(w->saved);
	assert_int_equal(load(text, &error), 0);
	for (size_t i = 0; i < len; i += 7) {
		text[i] = '\0'; /* cut off */
		assert_int_equal(load(text, &error), 1);
		assert_true(error.len > 0);
		text[i] = (char)(w->saved[i] ^ 0x15); /* another character */
		if (load(text, &error) > 0)
			assert_true(error.len > 0);
		text[i] = w->saved[i];
	}
}

static void what_is_no_memory_of_this_host_is_refused(void **state)
{
	static const struct {
		const char *from, *to, *error;
	} cases[] = {
		{ "\"version\": 1", "\"version\": 2", "version" },
		{ "\"host\": \"h1\"", "\"host\": \"h2\"", "another host" },
		{ "\"pool\": \"7\"", "\"pool\": \"8\"", "another host or pool" },
		{ "\"boot\": \"boot-0\"", "\"boot\": 0", "missing" },
		{ "\"epoch\": 7", "\"epoch\": 700", "position" },
		{ "\"next\": 100", "\"next\": -1", "position" },
		{ "\"RELEASING\"", "\"ELSEWHERE\"", "state" },
		{ "\"assignments\"", "\"others\"", "assignments" },
		{ "\"gpus\"", "\"others\"", "list of GPUs" },
		{ "\"gpu\"", "\"other\"", "no id" },
		{ "\"0000:01:00.0\"", "\"0000:01:00.9\"", "PCI addresses" },
		{ "\"drivers\"", "\"others\"", "drivers" },
		{ "\"DIRTY\"", "\"DUSTY\"", "marked" },
		{ "\"RESET_FAILED\"", "\"RESET_LATER\"", "marked" },
		{ "\"IN_USE\"", "\"IN_BED\"", "failed" },
		{ "\"first_drivers\"", "\"others\"", "first drivers" },
		{ "\"touched\": true", "\"touched\": false", "not touched" },
	};
	struct agent_world *w = *state;
	remember_much(w);
	cleanup(buf_deinit) struct buf error = { 0 };
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *at = strstr(w->saved, cases[i].from);
		assert_non_null(at);
		cleanup(buf_deinit) struct buf text = { 0 };
		buf_append(&text, w->saved, (size_t)(at - w->saved));
		buf_printf(&text, "%s%s", cases[i].to, at + strlen(cases[i].from));
		assert_int_equal(load(text.data, &error), 1);
		if (!strstr(error.data, cases[i].error))
			fail_msg("%s: %s", cases[i].to, error.data);
	}
	assert_int_equal(load("[]", &error), 1);
	assert_int_equal(load("", &error), 1);
}

static void reasons_are_cut_at_a_character_and_made_text(void **state)
{
	(void)state;
	struct trouble trouble;
	char text[UNIT_REASON_BYTES + 2];
	memset(text, 'x', sizeof(text));
	memcpy(text + UNIT_REASON_BYTES - 2, "\xc3\xa4", 3); /* two bytes, room for one */
	trouble_set(&trouble, ATTACH_IN_USE, text);
	assert_int_equal(strlen(trouble.reason), UNIT_REASON_BYTES - 2);
	trouble_set(&trouble, ATTACH_IN_USE, "a\xff\xc3");
	assert_string_equal(trouble.reason, "a??");
	trouble_set(&trouble, ATTACH_IN_USE, "");
	assert_string_equal(trouble.reason, attach_code_meaning(ATTACH_IN_USE));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		STORY(nothing_is_touched_while_the_disk_is_full),
		STORY(nothing_is_told_while_the_disk_is_full),
		STORY(the_position_is_saved_now_and_then),
		STORY(what_the_log_has_is_no_news),
		STORY(what_the_log_does_not_have_is_said_again),
		STORY(the_last_word_is_said_again_after_a_restart),
		STORY(other_words_for_the_same_are_told_once_a_minute),
		STORY(without_memory_what_is_attached_is_adopted),
		STORY(without_memory_a_release_is_cleaned_again),
		STORY(without_memory_who_was_forced_out_is_undone_all_the_same),
		STORY(without_memory_who_waits_for_another_has_nothing),
		STORY(without_memory_history_is_not_undone_again),
		STORY(without_memory_the_one_that_has_it_keeps_it),
		STORY(without_memory_a_clean_release_ends_what_was_before),
		STORY(what_is_still_to_be_cleaned_is_remembered),
		STORY(without_memory_the_log_knows_what_is_in_quarantine),
		STORY(without_memory_what_is_not_on_vfio_is_as_it_was),
		STORY(without_memory_a_driver_of_the_vfio_pci_family_shows_that_it_is_given_away),
		STORY(what_is_loaded_is_saved_the_same),
		STORY(what_is_damaged_is_refused_and_never_crashes),
		STORY(what_is_no_memory_of_this_host_is_refused),
		cmocka_unit_test(reasons_are_cut_at_a_character_and_made_text),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
