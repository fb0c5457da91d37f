#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "attach/step/step_json.h"
#include "base/utf8.h"

static const struct pci_address gpu = { .bus = 1 }, audio = { .bus = 1, .function = 1 };

static struct step sample(enum step_verb verb)
{
	struct step step = { .verb = verb, .unit = { .functions = { gpu, audio }, .n = 2 } };
	if (verb == STEP_PLUG || verb == STEP_UNPLUG || verb == STEP_LOOK)
		step.vm_id = "vm \"1\" \xc3\xa9";
	if (verb == STEP_GIVE_BACK) {
		snprintf(step.drivers[0], UNIT_DRIVER_BYTES, "nouveau");
		snprintf(step.drivers[1], UNIT_DRIVER_BYTES, "?");
	}
	return step;
}

static void test_steps_round_trip(void **state)
{
	(void)state;
	for (int verb = 0; verb < STEP_VERBS; verb++) {
		cleanup(buf_deinit) struct buf text = { 0 }, error = { 0 };
		cleanup(arena_deinit) struct arena arena;
		arena_init(&arena);
		struct step step = sample((enum step_verb)verb), read;
		step_to_json(&step, &text);
		assert_ptr_equal(strchr(text.data, '\n'), text.data + text.len - 1);
		assert_int_equal(step_from_json(text.data, text.len, &arena, &read, &error), 0);
		assert_int_equal(read.verb, verb);
		assert_int_equal(read.unit.n, 2);
		assert_int_equal(pci_address_compare(read.unit.functions[1], audio), 0);
		assert_true(step.vm_id ? strcmp(step.vm_id, read.vm_id) == 0 : !read.vm_id);
		assert_memory_equal(read.drivers, step.drivers, sizeof(step.drivers));
	}
}

static void test_a_step_as_a_person_writes_it(void **state)
{
	(void)state;
	static const char text[] =
		"{\"step\": \"give-back\",\n \"functions\": [\"0000:01:00.0\"],\n "
		"\"drivers\": [\"\"]}";
	cleanup(buf_deinit) struct buf error = { 0 };
	cleanup(arena_deinit) struct arena arena;
	arena_init(&arena);
	struct step step;
	assert_int_equal(step_from_json(text, strlen(text), &arena, &step, &error), 0);
	assert_int_equal(step.verb, STEP_GIVE_BACK);
	assert_string_equal(step.drivers[0], "");
	assert_null(step.vm_id);
}

#define F "\"functions\": [\"0000:01:00.0\"]"

static void test_steps_that_are_none(void **state)
{
	(void)state;
	static const struct {
		const char *text, *error;
	} cases[] = {
		{ "", "it is no JSON" },
		{ "{\"step\": \"look\", " F "} x", "it is no JSON" },
		{ "[]", "it is no JSON object" },
		{ "{\"step\": \"look\", \"step\": \"bind\", " F "}", "it is no JSON: duplicate" },
		{ "{" F "}", "\"step\" is missing" },
		{ "{\"step\": 1, " F "}", "\"step\" is no text" },
		{ "{\"step\": \"Bind\", " F "}",
		  "there is no step \"Bind\": it is look, bind, plug, unplug, clean or give-back" },
		{ "{\"step\": \"give-back-and-more\", " F "}", "\"step\" has more than 15 bytes" },
		{ "{\"step\": \"look\"}", "\"functions\" is missing" },
		{ "{\"step\": \"look\", \"functions\": \"0000:01:00.0\"}",
		  "\"functions\" is no list" },
		{ "{\"step\": \"look\", \"functions\": []}",
		  "\"functions\" has 0 items; 1 to 64 are possible" },
		{ "{\"step\": \"look\", \"functions\": [\"../../../etc\"]}",
		  "\"functions\": \"../../../etc\" is no PCI address like 0000:01:00.0" },
		{ "{\"step\": \"look\", \"functions\": [7]}",
		  "\"functions\": an item is no PCI address" },
		{ "{\"step\": \"look\", \"fuctions\": [\"0000:01:00.0\"]}",
		  "\"fuctions\" is no part of a step" },
		{ "{\"step\": \"plug\", " F "}", "\"vm\" is missing" },
		{ "{\"step\": \"unplug\", " F ", \"vm\": \"\"}", "\"vm\" is empty" },
		{ "{\"step\": \"plug\", " F ", \"vm\": \"a\\u0000b\"}", "it is no JSON" },
		{ "{\"step\": \"give-back\", " F "}", "\"drivers\" is missing" },
		{ "{\"step\": \"give-back\", " F ", \"drivers\": [\"a\", \"b\"]}",
		  "\"drivers\" has 2 items; 1 to 1 are possible" },
		{ "{\"step\": \"give-back\", " F ", \"drivers\": [\"../vfio-pci\"]}",
		  "\"drivers\": an item is no driver's name" },
		{ "{\"step\": \"give-back\", " F ", \"drivers\": [null]}",
		  "\"drivers\": an item is no driver's name" },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		cleanup(buf_deinit) struct buf error = { 0 };
		cleanup(arena_deinit) struct arena arena;
		arena_init(&arena);
		struct step step = { .verb = STEP_VERBS };
		int r = step_from_json(cases[i].text, strlen(cases[i].text), &arena, &step, &error);
		if (r <= 0 || !error.data ||
		    strncmp(error.data, cases[i].error, strlen(cases[i].error)))
			fail_msg("%s: %d %s", cases[i].text, r, error.data ? error.data : "-");
		assert_int_equal(step.verb, STEP_VERBS); /* untouched */
	}
}

static void test_limits_of_a_step(void **state)
{
	(void)state;
	for (int n = LIMIT_FUNCTIONS_PER_UNIT; n <= LIMIT_FUNCTIONS_PER_UNIT + 1; n++) {
		cleanup(buf_deinit) struct buf text = { 0 }, error = { 0 };
		cleanup(arena_deinit) struct arena arena;
		arena_init(&arena);
		buf_puts(&text, "{\"step\": \"look\", \"vm\": \"");
		for (int i = 0; i < LIMIT_ID_BYTES; i++)
			buf_putc(&text, 'v');
		buf_puts(&text, "\", \"functions\": [");
		for (int i = 0; i < n; i++)
			buf_printf(&text, "%s\"0000:01:%02x.%d\"", i ? "," : "", i / 8, i % 8);
		buf_puts(&text, "]}");
		struct step step;
		int r = step_from_json(text.data, text.len, &arena, &step, &error);
		assert_int_equal(r > 0, n > LIMIT_FUNCTIONS_PER_UNIT);
	}
}

/* ---- results ------------------------------------------------------------------------------- */

static void round_trip(enum step_verb verb, const struct step_result *result,
		       struct step_result *ret_result)
{
	cleanup(buf_deinit) struct buf text = { 0 }, error = { 0 };
	step_result_to_json(result, &text);
	assert_ptr_equal(strchr(text.data, '\n'), text.data + text.len - 1);
	if (step_result_from_json(text.data, text.len, verb, ret_result, &error))
		fail_msg("%s: %s", text.data, error.data);
}

static void test_results_round_trip(void **state)
{
	(void)state;
	struct step_result read, failed = { .outcome = STEP_FAILED,
					    .code = ATTACH_IN_USE,
					    .reason = "0000:01:00.0 is open in \"X\\org\"",
					    .not_put_back = true };
	round_trip(STEP_BIND, &failed, &read);
	assert_memory_equal(&read, &failed, sizeof(read));

	struct step_result waits = { .outcome = STEP_WAIT,
				     .code = ATTACH_VM_ABSENT,
				     .reason = "no VM" };
	round_trip(STEP_PLUG, &waits, &read);
	assert_memory_equal(&read, &waits, sizeof(read));

	struct step_result looked = { .outcome = STEP_DONE,
				      .facts = { .n = 2, .vm = VM_RUNNING, .n_plugged = 1 } };
	looked.facts.functions[0].present = true;
	snprintf(looked.facts.functions[0].driver, UNIT_DRIVER_BYTES, "vfio-pci");
	snprintf(looked.facts.vm_reason, UNIT_REASON_BYTES, "because");
	round_trip(STEP_LOOK, &looked, &read);
	assert_memory_equal(&read, &looked, sizeof(read));
}

/* A process can have any bytes for its name. */
static void test_text_that_is_no_utf8(void **state)
{
	(void)state;
	struct step_result read, result = { .outcome = STEP_FAILED, .code = ATTACH_IN_USE };
	memset(result.reason, 0xff, sizeof(result.reason) - 1);
	round_trip(STEP_BIND, &result, &read);
	assert_true(utf8_is_text(read.reason, strlen(read.reason)));
	assert_int_equal(strlen(read.reason), UNIT_REASON_BYTES - 1);
}

static void test_results_that_are_none(void **state)
{
	(void)state;
	static const struct {
		enum step_verb verb;
		const char *text, *error;
	} cases[] = {
		{ STEP_BIND, "", "it is no JSON" },
		{ STEP_BIND, "{}", "\"outcome\" is missing" },
		{ STEP_BIND, "{\"outcome\": \"fine\"}", "there is no outcome \"fine\"" },
		/* Whoever can still speak is not stuck. */
		{ STEP_BIND, "{\"outcome\": \"stuck\", \"code\": \"STUCK\", \"reason\": \"\"}",
		  "there is no outcome \"stuck\"" },
		{ STEP_BIND, "{\"outcome\": \"failed\", \"reason\": \"x\"}",
		  "\"code\" is missing" },
		{ STEP_BIND, "{\"outcome\": \"failed\", \"code\": \"IN_USE\"}",
		  "\"reason\" is missing" },
		{ STEP_BIND, "{\"outcome\": \"failed\", \"code\": \"NO\", \"reason\": \"x\"}",
		  "there is no code \"NO\"" },
		{ STEP_BIND, "{\"outcome\": \"done\", \"not_put_back\": 1}",
		  "\"not_put_back\" is neither true nor false" },
		{ STEP_LOOK, "{\"outcome\": \"done\"}", "\"facts\" are missing" },
		{ STEP_LOOK,
		  "{\"outcome\": \"done\", \"facts\": {\"functions\": [], \"vm\": \"absent\"}}",
		  "\"functions\" has 0 items" },
		{ STEP_LOOK,
		  "{\"outcome\": \"done\", \"facts\": {\"functions\": [{\"driver\": \"\"}], "
		  "\"vm\": \"absent\"}}",
		  "\"present\" is missing" },
		{ STEP_LOOK,
		  "{\"outcome\": \"done\", \"facts\": {\"functions\": [{\"present\": true, "
		  "\"driver\": \"\"}], \"vm\": \"gone\"}}",
		  "\"vm\" is not unknown, absent or running" },
		{ STEP_LOOK,
		  "{\"outcome\": \"done\", \"facts\": {\"functions\": [{\"present\": true, "
		  "\"driver\": \"\"}], \"vm\": \"running\", \"plugged\": 2}}",
		  "\"plugged\" is more than the unit has" },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		cleanup(buf_deinit) struct buf error = { 0 };
		struct step_result result = { .outcome = STEP_STUCK };
		int r = step_result_from_json(cases[i].text, strlen(cases[i].text), cases[i].verb,
					      &result, &error);
		if (r <= 0 || !error.data ||
		    strncmp(error.data, cases[i].error, strlen(cases[i].error)))
			fail_msg("%s: %d %s", cases[i].text, r, error.data ? error.data : "-");
		assert_int_equal(result.outcome, STEP_STUCK); /* untouched */
	}
}

/* The other program may be newer. */
static void test_unknown_names_in_a_result(void **state)
{
	(void)state;
	static const char text[] = "{\"outcome\": \"done\", \"seconds\": 3}";
	cleanup(buf_deinit) struct buf error = { 0 };
	struct step_result result;
	assert_int_equal(step_result_from_json(text, strlen(text), STEP_BIND, &result, &error), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_steps_round_trip),
		cmocka_unit_test(test_a_step_as_a_person_writes_it),
		cmocka_unit_test(test_steps_that_are_none),
		cmocka_unit_test(test_limits_of_a_step),
		cmocka_unit_test(test_results_round_trip),
		cmocka_unit_test(test_text_that_is_no_utf8),
		cmocka_unit_test(test_results_that_are_none),
		cmocka_unit_test(test_unknown_names_in_a_result),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
