/*
 * The only clocks of the project. Everything that decides takes the time as an argument.
 */
#pragma once

#include <stdint.h>

/* Never goes back; for ages and deadlines within this process. */
int64_t clock_monotonic_us(void);
/* Microseconds since 1970 (UTC); for what is written into records. */
int64_t clock_wall_us(void);
