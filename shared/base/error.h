/*
 * The error rule of this code base.
 *
 *   0         success
 *   negative  a fatal error, -errno: the caller propagates it and does nothing else with it
 *   positive  an outcome that the direct caller must handle (each function lists its own)
 *
 * Malformed input from outside is always a positive outcome, never a negative one, and a rejection
 * ("no GPU is free") is a decision, not an error at all. Every int-returning function that may fail
 * is MUST_CHECK. `ret_` out-parameters are untouched unless the function returned 0.
 */
#pragma once

#define MUST_CHECK	       __attribute__((warn_unused_result))
#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))
