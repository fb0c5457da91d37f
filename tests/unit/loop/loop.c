/*
 * The loop: order of deferred calls, timers, work in the pool, shutdown, and handles that go away inside
 * their own callbacks.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

#include "base/memory.h"
#include "loop/clock.h"
#include "loop/loop.h"

struct notes {
	struct loop *loop;
	struct loop_timer *timer;
	char text[32]; /* what happened, a letter each */
	size_t n;
	pthread_t thread;
};

static void note(struct notes *notes, char letter)
{
	if (notes->n + 1 < sizeof(notes->text))
		notes->text[notes->n++] = letter;
}

static void note_a(void *context)
{
	note(context, 'a');
}

static void note_b(void *context)
{
	note(context, 'b');
}

static void note_and_stop(void *context)
{
	struct notes *notes = context;

	note(notes, 's');
	loop_stop(notes->loop);
}

static int setup(void **state)
{
	struct notes *notes = memory_zeroed(1, sizeof(*notes));

	notes->loop = loop_new();
	*state = notes;
	return 0;
}

static int teardown(void **state)
{
	struct notes *notes = *state;

	loop_free(notes->loop);
	free(notes);
	return 0;
}

static void test_deferred_calls_come_in_order_and_later(void **state)
{
	struct notes *notes = *state;

	loop_defer(notes->loop, note_a, notes);
	loop_defer(notes->loop, note_b, notes);
	loop_defer(notes->loop, note_a, notes);
	loop_defer(notes->loop, note_and_stop, notes);
	assert_string_equal(notes->text, "");
	assert_int_equal(loop_run(notes->loop), 0);
	assert_string_equal(notes->text, "abas");
}

static void defer_again(void *context)
{
	struct notes *notes = context;

	loop_defer(notes->loop, note_and_stop, notes);
	note(notes, 'd');
}

static void test_deferred_from_inside_waits_for_the_next_turn(void **state)
{
	struct notes *notes = *state;

	loop_defer(notes->loop, defer_again, notes);
	loop_defer(notes->loop, note_b, notes);
	assert_int_equal(loop_run(notes->loop), 0);
	assert_string_equal(notes->text, "dbs");
}

static void *defer_from_thread(void *context)
{
	struct notes *notes = context;

	for (int i = 0; i < 10; i++)
		loop_defer(notes->loop, note_a, notes);
	loop_defer(notes->loop, note_and_stop, notes);
	return NULL;
}

static void test_deferred_from_another_thread(void **state)
{
	struct notes *notes = *state;

	pthread_create(&notes->thread, NULL, defer_from_thread, notes);
	assert_int_equal(loop_run(notes->loop), 0);
	pthread_join(notes->thread, NULL);
	assert_string_equal(notes->text, "aaaaaaaaaas");
}

static void third_time_free(void *context)
{
	struct notes *notes = context;

	note(notes, 't');
	if (notes->n < 3)
		return;
	loop_timer_free(notes->timer);
	loop_defer(notes->loop, note_and_stop, notes);
}

static void test_periodic_timer_is_freed_inside(void **state)
{
	struct notes *notes = *state;

	notes->timer = loop_timer_new(notes->loop, third_time_free, notes);
	assert_false(loop_timer_is_active(notes->timer));
	loop_timer_start(notes->timer, 1, 1);
	assert_true(loop_timer_is_active(notes->timer));
	assert_int_equal(loop_run(notes->loop), 0);
	assert_string_equal(notes->text, "ttts");
}

static void test_one_shot_timer_waits_its_time(void **state)
{
	struct notes *notes = *state;
	cleanup(loop_timer_freep) struct loop_timer *timer =
		loop_timer_new(notes->loop, note_and_stop, notes);
	int64_t begin_us = clock_monotonic_us();

	loop_timer_start(timer, 30, 0);
	assert_int_equal(loop_run(notes->loop), 0);
	assert_true(clock_monotonic_us() - begin_us >= 29000);
	assert_false(loop_timer_is_active(timer));
}

static void free_around(void *context)
{
	struct notes *notes = context;

	loop_timer_free_then(notes->timer, note_and_stop, notes);
	note(notes, 'f'); /* still on the stack */
}

static void test_free_then_comes_after_the_callback(void **state)
{
	struct notes *notes = *state;

	notes->timer = loop_timer_new(notes->loop, free_around, notes);
	loop_timer_start(notes->timer, 0, 0);
	assert_int_equal(loop_run(notes->loop), 0);
	assert_string_equal(notes->text, "fs");
}

static void work(void *context)
{
	struct notes *notes = context;

	notes->thread = pthread_self();
	note(notes, 'w');
}

static void test_work_runs_elsewhere_and_ends_here(void **state)
{
	struct notes *notes = *state;

	loop_work(notes->loop, work, note_and_stop, notes);
	assert_int_equal(loop_run(notes->loop), 0);
	assert_string_equal(notes->text, "ws");
	assert_false(pthread_equal(notes->thread, pthread_self()));
}

static void raise_signal(void *context)
{
	(void)context;
	raise(SIGTERM);
}

static void test_signal_calls_shutdown_in_order_once(void **state)
{
	struct notes *notes = *state;

	loop_catch_signals(notes->loop, 60000);
	loop_on_shutdown(notes->loop, note_a, notes);
	loop_on_shutdown(notes->loop, note_b, notes);
	loop_on_shutdown(notes->loop, note_and_stop, notes);
	loop_defer(notes->loop, raise_signal, notes);
	assert_int_equal(loop_run(notes->loop), 0);
	assert_string_equal(notes->text, "abs");
	loop_shutdown(notes->loop);
	assert_string_equal(notes->text, "abs");
}

static void test_second_signal_stops_at_once(void **state)
{
	struct notes *notes = *state;

	loop_catch_signals(notes->loop, 60000);
	loop_on_shutdown(notes->loop, raise_signal, notes);
	loop_defer(notes->loop, raise_signal, notes);
	assert_int_equal(loop_run(notes->loop), LOOP_OVERDUE);
}

static void test_grace_period_ends_what_does_not_end(void **state)
{
	struct notes *notes = *state;

	loop_catch_signals(notes->loop, 20);
	loop_defer(notes->loop, raise_signal, notes);
	assert_int_equal(loop_run(notes->loop), LOOP_OVERDUE);
}

static void test_wall_clock_is_this_century(void **state)
{
	(void)state;
	assert_true(clock_wall_us() > INT64_C(1600000000000000));
	assert_true(clock_wall_us() < INT64_C(4102444800000000));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_deferred_calls_come_in_order_and_later),
		TEST(test_deferred_from_inside_waits_for_the_next_turn),
		TEST(test_deferred_from_another_thread),
		TEST(test_periodic_timer_is_freed_inside),
		TEST(test_one_shot_timer_waits_its_time),
		TEST(test_free_then_comes_after_the_callback),
		TEST(test_work_runs_elsewhere_and_ends_here),
		TEST(test_signal_calls_shutdown_in_order_once),
		TEST(test_second_signal_stops_at_once),
		TEST(test_grace_period_ends_what_does_not_end),
		TEST(test_wall_clock_is_this_century),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
