#include "attach/change_log.h"

#include <stdbool.h>
#include <string.h>

#include "base/log.h"

void change_log_deinit(struct change_log *log)
{
	buf_deinit(&log->last);
}

/* The next line of the text; its length excludes the newline. NULL: none. */
static const char *next_line(const char **text, size_t *ret_len)
{
	const char *line = *text;
	if (!line || !*line)
		return NULL;
	*ret_len = strcspn(line, "\n");
	*text = line + *ret_len + (line[*ret_len] == '\n');
	return line;
}

/* Does a line of the text begin with these words? `whole`: is it these words? */
static bool has_line(const struct buf *text, const char *words, size_t len, bool whole)
{
	const char *rest = text->data, *line;
	size_t line_len;
	while ((line = next_line(&rest, &line_len)))
		if (line_len >= len && memcmp(line, words, len) == 0 &&
		    (line_len == len || (!whole && line[len] == ' ')))
			return true;
	return false;
}

static size_t key_len(const char *line, size_t len, unsigned words)
{
	for (size_t i = 0; i < len; i++)
		if (line[i] == ' ' && --words == 0)
			return i;
	return len;
}

size_t change_log_tell(struct change_log *log, struct buf *text, unsigned key_words)
{
	size_t n = 0, len;
	const char *line, *rest = text->data;
	while ((line = next_line(&rest, &len)))
		if (!has_line(&log->last, line, len, true)) {
			log_info("%.*s", (int)len, line);
			n++;
		}
	rest = log->last.data;
	while ((line = next_line(&rest, &len)))
		if (*line != ' ' && !has_line(text, line, key_len(line, len, key_words), false)) {
			log_info("no longer: %.*s", (int)len, line);
			n++;
		}
	buf_deinit(&log->last);
	log->last = *text;
	*text = (struct buf){ 0 };
	return n;
}
