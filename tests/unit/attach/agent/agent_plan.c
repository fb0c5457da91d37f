/* The rules of agent/plan.h, one by one. */
#include "attach/agent/plan.h"

#include "claims.h"

#include "attach/agent/overlap.h"

static const char *word(const struct plan *plan)
{
	static const char *const verbs[] = { "look", "bind", "plug", "unplug", "clean", "give" };
	static const char *const acts[] = {
		[PLAN_REST] = "-",	    [PLAN_TAKE] = "take", [PLAN_LEND] = "lend",
		[PLAN_HAND_ON] = "hand on", [PLAN_FREE] = "free", [PLAN_FAIL] = "fail"
	};
	return plan->act == PLAN_STEP ? verbs[plan->verb] : acts[plan->act];
}

/* `before`: an older claim on the same functions, after the letter of its assignment; NULL: none. `beside`:
 * another unit of the same assignment. */
struct row {
	const char *assignment, *claim, *before, *beside, *plan;
};

static void check(const struct row *row, bool has_hypervisor)
{
	struct book book = { 0 };
	if (row->before) {
		struct assignment *older = make_assignment(&book, row->before, 1);
		make_claim(&older->claims[0], 0, row->before + 1);
	}
	struct assignment *assignment =
		make_assignment(&book, row->assignment, row->beside ? 2 : 1);
	make_claim(&assignment->claims[0], 0, row->claim);
	if (row->beside)
		make_claim(&assignment->claims[1], 1, row->beside);
	overlap_link(&book);
	struct plan plan;
	plan_claim(&assignment->claims[0], has_hypervisor, &plan);
	if (strcmp(word(&plan), row->plan) != 0)
		fail_msg("%s %s behind %s beside %s: %s, not %s", row->assignment, row->claim,
			 row->before ? row->before : "-", row->beside ? row->beside : "-",
			 word(&plan), row->plan);
	book_deinit(&book);
}

#define CHECK_ALL(rows, has_hypervisor)                                                            \
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)                                \
	check(&rows[i], has_hypervisor)

static void what_is_wanted(void **state)
{
	(void)state;
	static const struct row rows[] = {
		{ "W", "", NULL, NULL, "look" },
		{ "W", "r", NULL, NULL, "-" },
		{ "W", "f", NULL, NULL, "take" },
		{ "W", "fv", NULL, NULL, "take" },
		{ "W", "fvp", NULL, NULL, "take" },
		{ "W", "ft", NULL, NULL, "bind" },
		{ "W", "ftR", NULL, NULL, "bind" },
		{ "W", "fth", NULL, NULL, "bind" },
		{ "W", "ftvR", NULL, NULL, "lend" },
		{ "W", "ftlv", NULL, NULL, "-" },
		{ "W", "ftlvR", NULL, NULL, "plug" },
		{ "W", "ftlvhR", NULL, NULL, "plug" },
		{ "W", "ftlvpR", NULL, NULL, "-" },
		{ "W", "tlvp", NULL, NULL, "look" },
		/* All or none. */
		{ "W", "ftvR", NULL, "ft", "-" },
		{ "W", "ftlvR", NULL, "ft", "-" },
		{ "W", "ftlvR", NULL, "", "-" },
		{ "W", "ftlvR", NULL, "ftv", "plug" },
		/* What the older left. */
		{ "W", "ftvuR", NULL, NULL, "clean" },
		{ "W", "ftuR", NULL, NULL, "clean" },
		{ "W", "ftlvR", NULL, "ftvu", "-" },
		/* Not known what was done. */
		{ "W", "tls", NULL, NULL, "look" },
		{ "W", "ftlsvR", NULL, NULL, "look" },
	};
	CHECK_ALL(rows, true);
}

static void without_a_hypervisor(void **state)
{
	(void)state;
	static const struct row rows[] = {
		{ "W", "ft", NULL, NULL, "bind" },
		{ "W", "ftvR", NULL, NULL, "lend" },
		{ "W", "ftlvR", NULL, NULL, "-" },
		{ "R", "tlv", NULL, NULL, "unplug" },
	};
	CHECK_ALL(rows, false);
}

static void what_is_to_be_undone(void **state)
{
	(void)state;
	static const struct row rows[] = {
		{ "R", "", NULL, NULL, "-" },	      { "E", "", NULL, NULL, "-" },
		{ "F", "", NULL, NULL, "-" },	      { "R", "tlvp", NULL, NULL, "unplug" },
		{ "R", "tlvpr", NULL, NULL, "-" },    { "R", "tlv", NULL, NULL, "unplug" },
		{ "R", "tlg", NULL, NULL, "clean" },  { "R", "tlgc", NULL, NULL, "free" },
		{ "RG", "tlgc", NULL, NULL, "give" }, { "R", "t", NULL, NULL, "free" },
		{ "RG", "t", NULL, NULL, "give" },    { "R", "tu", NULL, NULL, "clean" },
		{ "R", "tls", NULL, NULL, "look" },   { "E", "tlvp", NULL, NULL, "unplug" },
		{ "E", "tlg", NULL, NULL, "clean" },  { "E", "tlgc", NULL, NULL, "free" },
		{ "EG", "tlgc", NULL, NULL, "give" }, { "F", "tlvp", NULL, NULL, "unplug" },
		{ "F", "tlg", NULL, NULL, "clean" },  { "F", "tlgc", NULL, NULL, "give" },
		{ "F", "t", NULL, NULL, "give" },
	};
	CHECK_ALL(rows, true);
}

static void who_comes_after_another(void **state)
{
	(void)state;
	static const struct row rows[] = {
		/* Waits until it is undone. */
		{ "W", "", "Etlvp", NULL, "-" },
		{ "W", "", "Et", NULL, "-" },
		{ "W", "", "Er", NULL, "-" },
		{ "W", "ftvR", "Etlw", NULL, "-" },
		{ "R", "tlv", "Etl", NULL, "-" },
		{ "W", "", "E", NULL, "look" },
		/* Fails with it. */
		{ "W", "", "EtlD", NULL, "fail" },
		{ "W", "", "ES", NULL, "fail" },
		{ "F", "", "ES", NULL, "-" },
		{ "R", "", "ES", NULL, "-" },
		/* The log must not give one to two. */
		{ "W", "", "Wtlvp", NULL, "fail" },
		{ "W", "", "W", NULL, "fail" },
		{ "W", "", "Rtl", NULL, "fail" },
		{ "W", "", "F", NULL, "fail" },
	};
	CHECK_ALL(rows, true);
}

static void what_is_marked_is_not_touched(void **state)
{
	(void)state;
	static const struct row rows[] = {
		{ "W", "D", NULL, NULL, "fail" },  { "W", "ftvRS", NULL, NULL, "fail" },
		{ "F", "tlvpS", NULL, NULL, "-" }, { "F", "tlD", NULL, NULL, "-" },
		{ "RG", "tlgS", NULL, NULL, "-" }, { "E", "tlvD", NULL, NULL, "-" },
		{ "E", "tlsS", NULL, NULL, "-" },
	};
	CHECK_ALL(rows, true);
}

static void the_newer_cleans_what_two_may_have_had(void **state)
{
	(void)state;
	struct book book = { 0 };
	struct plan plan;
	make_claim(&make_assignment(&book, "E", 1)->claims[0], 0, "tl");
	make_claim(&make_assignment(&book, "W", 1)->claims[0], 0, "tls");
	struct claim *older = &book.assignments[0]->claims[0];
	overlap_link(&book);
	plan_claim(older, true, &plan);
	assert_string_equal(word(&plan), "unplug");
	older->let_go = true;
	plan_claim(older, true, &plan);
	assert_string_equal(word(&plan), "hand on");
	book_deinit(&book);
}

/* The first is marked, the second waits behind it, and so does the third: it must not wait for ever. */
static void a_mark_is_seen_from_every_claim_behind_it(void **state)
{
	(void)state;
	struct book book = { 0 };
	struct plan plan;
	make_claim(&make_assignment(&book, "E", 1)->claims[0], 0, "tlS");
	make_claim(&make_assignment(&book, "E", 1)->claims[0], 0, "tls");
	make_claim(&make_assignment(&book, "W", 1)->claims[0], 0, "");
	overlap_link(&book);
	plan_claim(&book.assignments[2]->claims[0], true, &plan);
	assert_string_equal(word(&plan), "fail");
	assert_int_equal(plan.why.code, ATTACH_STUCK);
	book_deinit(&book);
}

/* On one function only. */
static void units_overlap_by_functions_not_by_names(void **state)
{
	(void)state;
	struct book book = { 0 };
	struct plan plan;
	make_claim(&make_assignment(&book, "E", 1)->claims[0], 0, "tl");
	struct claim *claim = &make_assignment(&book, "W", 1)->claims[0];
	make_claim(claim, 1, "");
	claim->unit.functions[1] = fake_unit(0).functions[1];
	overlap_link(&book);
	plan_claim(claim, true, &plan);
	assert_string_equal(word(&plan), "-");
	book_deinit(&book);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_wanted),
		cmocka_unit_test(without_a_hypervisor),
		cmocka_unit_test(what_is_to_be_undone),
		cmocka_unit_test(who_comes_after_another),
		cmocka_unit_test(what_is_marked_is_not_touched),
		cmocka_unit_test(the_newer_cleans_what_two_may_have_had),
		cmocka_unit_test(a_mark_is_seen_from_every_claim_behind_it),
		cmocka_unit_test(units_overlap_by_functions_not_by_names),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
