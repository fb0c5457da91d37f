#include "store/redis_command.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* This runs for every row of every batch, so numbers are written by hand. */
static size_t decimal(char digits[24], uint64_t number)
{
	char reversed[24];
	size_t n = 0;
	do {
		reversed[n++] = (char)('0' + number % 10);
		number /= 10;
	} while (number);
	for (size_t i = 0; i < n; i++)
		digits[i] = reversed[n - 1 - i];
	return n;
}

static void count(struct buf *command, char kind, size_t number)
{
	char line[32] = { kind };
	size_t n = 1 + decimal(line + 1, number);
	line[n++] = '\r';
	line[n++] = '\n';
	buf_append(command, line, n);
}

void redis_command_begin(struct buf *command, size_t n_args)
{
	count(command, '*', n_args);
}

void redis_command_bytes(struct buf *command, const void *data, size_t len)
{
	count(command, '$', len);
	buf_append(command, data, len);
	buf_append(command, "\r\n", 2);
}

void redis_command_text(struct buf *command, const char *text)
{
	redis_command_bytes(command, text, strlen(text));
}

void redis_command_number(struct buf *command, int64_t number)
{
	char text[24];
	int len = snprintf(text, sizeof(text), "%" PRId64, number);
	redis_command_bytes(command, text, (size_t)len);
}

void redis_command_words(struct buf *command, ...)
{
	va_list words;
	size_t n = 0;
	va_start(words, command);
	while (va_arg(words, const char *))
		n++;
	va_end(words);

	redis_command_begin(command, n);
	va_start(words, command);
	for (const char *word; (word = va_arg(words, const char *));)
		redis_command_text(command, word);
	va_end(words);
}
