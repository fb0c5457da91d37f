/* A log line is one line of logfmt, whatever the message. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <regex.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"

/* Runs with stderr on a pipe; what was written comes back in `text`. */
static void capture(enum log_level level, const char *message, char *text, size_t size)
{
	int pipe_fds[2], real = dup(STDERR_FILENO);
	assert_int_equal(pipe(pipe_fds), 0);
	assert_true(dup2(pipe_fds[1], STDERR_FILENO) >= 0);
	log_write(level, "%s", message);
	assert_true(dup2(real, STDERR_FILENO) >= 0);
	close(pipe_fds[1]);
	close(real);

	size_t len = 0;
	ssize_t got;
	while ((got = read(pipe_fds[0], text + len, size - 1 - len)) > 0)
		len += (size_t)got;
	text[len] = '\0';
	close(pipe_fds[0]);
}

static void assert_matches(const char *text, const char *pattern)
{
	regex_t regex;
	assert_int_equal(regcomp(&regex, pattern, REG_EXTENDED | REG_NOSUB), 0);
	if (regexec(&regex, text, 0, NULL, 0))
		fail_msg("%s", text);
	regfree(&regex);
}

static void a_line_says_when_who_and_what(void **state)
{
	(void)state;
	char text[4096];
	log_init("tester", LOG_LEVEL_INFO);
	capture(LOG_LEVEL_WARNING, "host is silent host=h1", text, sizeof(text));
	assert_matches(text,
		       "^time=[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{3}Z "
		       "level=warning service=tester msg=\"host is silent host=h1\"\n$");
}

static void a_message_cannot_pose_as_another_line_or_field(void **state)
{
	(void)state;
	char text[4096];
	log_init("tester", LOG_LEVEL_INFO);
	capture(LOG_LEVEL_ERROR, "a\" level=info\nb\\\x1b[31m", text, sizeof(text));
	assert_matches(text, "msg=\"a\\\\\" level=info\\\\x0ab\\\\\\\\\\\\x1b\\[31m\"\n$");
	assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
}

static void what_is_below_the_threshold_is_not_said(void **state)
{
	(void)state;
	char text[4096];
	log_init("tester", LOG_LEVEL_WARNING);
	capture(LOG_LEVEL_INFO, "unimportant", text, sizeof(text));
	assert_string_equal(text, "");
	capture(LOG_LEVEL_WARNING, "important", text, sizeof(text));
	assert_matches(text, "important");
}

static void levels_are_known_by_name(void **state)
{
	(void)state;
	enum log_level level;
	assert_int_equal(log_parse_level("debug", &level), 0);
	assert_int_equal(level, LOG_LEVEL_DEBUG);
	assert_int_equal(log_parse_level("error", &level), 0);
	assert_int_equal(level, LOG_LEVEL_ERROR);
	assert_int_equal(log_parse_level("loud", &level), 1);
	assert_int_equal(level, LOG_LEVEL_ERROR);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_line_says_when_who_and_what),
		cmocka_unit_test(a_message_cannot_pose_as_another_line_or_field),
		cmocka_unit_test(what_is_below_the_threshold_is_not_said),
		cmocka_unit_test(levels_are_known_by_name),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
