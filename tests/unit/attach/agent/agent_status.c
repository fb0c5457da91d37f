/* What is true of an assignment, as a report: the table of agent/status.h. */
#include "attach/agent/status.h"

#include "claims.h"

#include "attach/agent/overlap.h"

/* `first`, `second`: its units; `before`: an older claim on the first one's functions. `report`: state and
 * code, then those of the units; "": nothing to say. */
struct row {
	const char *assignment, *first, *second, *before, *report;
};

static void put(char *text, size_t size, const char *word, const char *code)
{
	size_t len = strlen(text);
	snprintf(text + len, size - len, "%s%s%s%s", len ? " " : "", word, code ? "/" : "",
		 code ? code : "");
}

static void check(const struct row *row)
{
	struct book book = { 0 };
	struct arena arena;
	char text[256] = "";
	arena_init(&arena);
	if (row->before)
		make_claim(&make_assignment(&book, row->before, 1)->claims[0], 0, row->before + 1);
	struct assignment *assignment = make_assignment(&book, row->assignment, 2);
	make_claim(&assignment->claims[0], 0, row->first);
	make_claim(&assignment->claims[1], 1, row->second);
	overlap_link(&book);
	struct gpu_attachment report;
	if (status_of(assignment, &arena, &report) == 0) {
		put(text, sizeof(text), report.state, report.code);
		assert_int_equal(report.n_gpus, 2);
		for (size_t i = 0; i < report.n_gpus; i++) {
			put(text, sizeof(text), report.gpus[i].state, report.gpus[i].code);
			assert_true(!report.gpus[i].code == !report.gpus[i].reason);
			assert_string_equal(report.gpus[i].gpu_id, assignment->claims[i].gpu_id);
		}
		assert_string_equal(report.assignment_id, "r-1/1");
		assert_string_equal(report.vm_id, "vm1");
		assert_true(!report.code == !report.reason);
	}
	if (strcmp(text, row->report) != 0)
		fail_msg("%s %s and %s behind %s: \"%s\", not \"%s\"", row->assignment, row->first,
			 row->second, row->before ? row->before : "-", text, row->report);
	arena_deinit(&arena);
	book_deinit(&book);
}

#define CHECK_ALL(rows)                                                                            \
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)                                \
	check(&rows[i])

static void what_is_wanted(void **state)
{
	(void)state;
	static const struct row rows[] = {
		{ "W", "", "", NULL, "" },
		{ "W", "ftlv", "", NULL, "" },
		{ "W", "ftlv", "ft", NULL, "" },
		{ "W", "ftv", "ftv", NULL, "" }, /* the memory does not have it yet */
		{ "W", "ftlv", "ftlv", NULL, "BOUND BOUND BOUND" },
		{ "W", "tlv", "tlv", NULL, "BOUND BOUND BOUND" }, /* looked at again */
		{ "W", "ftlvA", "ftlv", NULL, "BOUND/VM_ABSENT BOUND BOUND" },
		{ "W", "ftlvp", "ftlv", NULL, "BOUND ATTACHED BOUND" },
		{ "W", "ftlvp", "ftlvp", NULL, "ATTACHED ATTACHED ATTACHED" },
		{ "W", "ftlvA", "ftlvw", NULL, "BOUND/UNPLUG_PENDING BOUND BOUND" },
		{ "W", "ftlvu", "ftlv", NULL, "" },
		{ "W", "ftlvs", "ftlv", NULL, "" },
		/* Another one's guest does not let go of the first. */
		{ "W", "", "ftvA", "Etlw", "BOUND/UNPLUG_PENDING BOUND BOUND" },
		{ "W", "", "ftv", "Etl", "" },
		{ "W", "", "ft", "Etlw", "" },
	};
	CHECK_ALL(rows);
}

static void what_is_undone(void **state)
{
	(void)state;
	static const struct row rows[] = {
		{ "R", "tlvp", "tlvp", NULL, "" },
		{ "R", "tlvpw", "tlvp", NULL, "ATTACHED/UNPLUG_PENDING ATTACHED ATTACHED" },
		{ "R", "tlvpw", "", NULL, "ATTACHED/UNPLUG_PENDING ATTACHED CLEAN" },
		{ "R", "tlvw", "tlgD", NULL,
		  "ATTACHED/UNPLUG_PENDING ATTACHED DIRTY/RESET_FAILED" },
		{ "R", "", "r", NULL, "" },
		{ "R", "", "", NULL, "DETACHED CLEAN CLEAN" },
		{ "R", "D", "S", NULL, "DETACHED DIRTY/RESET_FAILED STUCK/STUCK" },
		{ "R", "", "tlgcD", NULL, "DETACHED CLEAN DIRTY/RESET_FAILED" },
		{ "R", "", "", "Etlg", "" },
		{ "R", "", "", "Etlw", "BOUND/UNPLUG_PENDING BOUND CLEAN" },
		{ "R", "", "", "EtlS", "DETACHED STUCK/STUCK CLEAN" },
		{ "E", "", "", NULL, "" },
		{ "E", "tlvw", "", NULL, "" },
	};
	CHECK_ALL(rows);
}

static void what_has_failed(void **state)
{
	(void)state;
	static const struct row rows[] = {
		{ "F", "", "t", NULL, "" },
		{ "F", "tlvpw", "", NULL, "ATTACHED/UNPLUG_PENDING ATTACHED CLEAN" },
		{ "F", "", "", NULL, "FAILED/IN_USE CLEAN CLEAN" },
		{ "F", "S", "", NULL, "FAILED/IN_USE STUCK/STUCK CLEAN" },
		{ "F", "", "", "EtD", "FAILED/IN_USE DIRTY/RESET_FAILED CLEAN" },
		{ "F", "", "", "Wtlvp", "FAILED/IN_USE DIRTY/INVALID_ASSIGNMENT CLEAN" },
	};
	CHECK_ALL(rows);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_wanted),
		cmocka_unit_test(what_is_undone),
		cmocka_unit_test(what_has_failed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
