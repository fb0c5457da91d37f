/*
 * Log lines in logfmt on stderr: `time=... level=info service=scheduler msg="..." key=value`.
 * Messages are formatted text; values that matter for searching go into the text as key=value.
 * Secrets are never logged. Thread-safe (one write per line).
 */
#pragma once

#include "base/error.h"

enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARNING, LOG_LEVEL_ERROR };

/* Who is speaking, in every line; `service` must stay valid. Called once, first thing in main(). */
void log_init(const char *service, enum log_level threshold);
/* Positive: not a level's name ("debug", "info", "warning", "error"). */
int log_parse_level(const char *text, enum log_level *ret_level) MUST_CHECK;
void log_write(enum log_level level, const char *format, ...) PRINTF_LIKE(2, 3);

#define log_debug(...)	 log_write(LOG_LEVEL_DEBUG, __VA_ARGS__)
#define log_info(...)	 log_write(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_warning(...) log_write(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_error(...)	 log_write(LOG_LEVEL_ERROR, __VA_ARGS__)
