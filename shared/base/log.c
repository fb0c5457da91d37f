#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"

static const char *const level_names[] = { "debug", "info", "warning", "error" };
static const char *log_service = "gpubus";
static enum log_level log_threshold = LOG_LEVEL_INFO;

void log_init(const char *service, enum log_level threshold)
{
	log_service = service;
	log_threshold = threshold;
}

int log_parse_level(const char *text, enum log_level *ret_level)
{
	for (size_t i = 0; i < sizeof(level_names) / sizeof(*level_names); i++) {
		if (strcmp(text, level_names[i]) == 0) {
			*ret_level = (enum log_level)i;
			return 0;
		}
	}
	return 1;
}

/* Quotes and line breaks must not let a message pose as another field or another line. */
static void put_quoted(struct buf *line, const char *text)
{
	buf_putc(line, '"');
	for (const char *c = text; *c; c++) {
		if (*c == '"' || *c == '\\')
			buf_printf(line, "\\%c", *c);
		else if ((unsigned char)*c < 0x20)
			buf_printf(line, "\\x%02x", (unsigned)(unsigned char)*c);
		else
			buf_putc(line, *c);
	}
	buf_putc(line, '"');
}

void log_write(enum log_level level, const char *format, ...)
{
	if (level < log_threshold)
		return;

	struct timespec now;
	struct tm utc;
	char when[32];
	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &utc);
	strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%S", &utc);

	char message[2048];
	va_list args;
	va_start(args, format);
	vsnprintf(message, sizeof(message), format, args);
	va_end(args);

	cleanup(buf_deinit) struct buf line = { 0 };
	buf_printf(&line, "time=%s.%03ldZ level=%s service=%s msg=", when, now.tv_nsec / 1000000,
		   level_names[level], log_service);
	put_quoted(&line, message);
	buf_putc(&line, '\n');

	/* Nothing sensible can be done about a log that cannot be written. */
	ssize_t written = write(STDERR_FILENO, line.data, line.len);
	(void)written;
}
