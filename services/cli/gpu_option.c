#include "cli/gpu_option.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

void gpu_asks_init(struct gpu_asks *asks)
{
	*asks = (struct gpu_asks){ 0 };
	arena_init(&asks->arena);
}

void gpu_asks_deinit(struct gpu_asks *asks)
{
	arena_deinit(&asks->arena);
	asks->n = 0;
}

/* A whole number, perhaps negative, up to `end`. Zero and negative counts are the scheduler's to refuse. */
static bool parse_count(const char *text, const char *end, int64_t *ret_count)
{
	char *stop;
	errno = 0;
	long long count = strtoll(text, &stop, 10);
	if (stop == text || stop != end || isspace((unsigned char)*text) || errno)
		return false;
	*ret_count = count;
	return true;
}

/* "2 x NAME", "2x NAME": the number, then x between blanks or behind the number. */
static bool parse_times(const char *text, const char **ret_name, int64_t *ret_count)
{
	const char *end = text + strspn(text, "-0123456789");
	const char *x = end + strspn(end, " ");
	if (end == text || *x != 'x' || x[1] != ' ' || !parse_count(text, end, ret_count))
		return false;
	*ret_name = x + 1;
	return true;
}

/* The last "=", so that a name may have one. */
static bool parse_equals(const char *text, size_t *ret_name_len, int64_t *ret_count)
{
	const char *equals = strrchr(text, '=');
	if (!equals || !parse_count(equals + 1, text + strlen(text), ret_count))
		return false;
	*ret_name_len = (size_t)(equals - text);
	return true;
}

int gpu_asks_add(void *target, const char *text, struct buf *error)
{
	struct gpu_asks *asks = target;
	const char *name = text;
	size_t len = strlen(text);
	int64_t count = 1;

	if (asks->n == LIMIT_ASKS) {
		buf_printf(error, "more than %d models", LIMIT_ASKS);
		return 1;
	}
	if (parse_times(text, &name, &count))
		len = strlen(name);
	else if (!parse_equals(text, &len, &count) && strrchr(text, '=')) {
		buf_printf(error, "\"%s\": expected NAME=COUNT, as in \"GP104GL [Tesla P4]=2\"",
			   text);
		return 1;
	}
	while (len > 0 && *name == ' ')
		name++, len--;
	while (len > 0 && name[len - 1] == ' ')
		len--;
	if (len == 0) {
		buf_puts(error, "the name of the GPU model is missing, as in \"10de:1bb3=2\"");
		return 1;
	}
	asks->items[asks->n++] =
		(struct gpu_ask){ .name = arena_strndup(&asks->arena, name, len), .count = count };
	return 0;
}
