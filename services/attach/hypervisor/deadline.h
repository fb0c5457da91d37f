/*
 * Deadlines of calls that block. A clock of its own, because shared/loop's comes with libuv, and the step
 * process is to be light.
 */
#pragma once

#include <limits.h>
#include <stdint.h>
#include <time.h>

static inline int64_t deadline_now_us(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static inline int64_t deadline_in_ms(int64_t ms)
{
	return deadline_now_us() + ms * 1000;
}

static inline int64_t deadline_earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* For poll(): what is left, rounded up so that nobody spins in the last millisecond; 0: it has passed. */
static inline int deadline_left_ms(int64_t deadline_us)
{
	int64_t left = deadline_us - deadline_now_us();
	if (left <= 0)
		return 0;
	return left / 1000 >= INT_MAX ? INT_MAX : (int)((left + 999) / 1000);
}
