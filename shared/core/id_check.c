#include "core/id_check.h"

#include <string.h>

#include "base/limits.h"
#include "base/utf8.h"

static const char *bytes_problem(const char *text)
{
	const char *end = text;
	for (; *end; end++)
		if ((unsigned char)*end < 0x20 || *end == 0x7f)
			return "has control characters";
	return utf8_is_text(text, (size_t)(end - text)) ? NULL : "is not valid UTF-8";
}

const char *id_problem(const char *id)
{
	if (!id || !*id)
		return "is empty";
	if (strnlen(id, LIMIT_ID_BYTES + 1) > LIMIT_ID_BYTES)
		return "is longer than 255 bytes";
	return bytes_problem(id);
}

const char *assignment_id_problem(const char *id)
{
	if (!id || !*id)
		return "is empty";
	if (strnlen(id, LIMIT_ID_BYTES + 4) > LIMIT_ID_BYTES + 3)
		return "is longer than 258 bytes";
	return bytes_problem(id);
}

const char *text_problem(const char *text)
{
	if (!text)
		return NULL;
	if (strnlen(text, LIMIT_TEXT_BYTES + 1) > LIMIT_TEXT_BYTES)
		return "is longer than 1024 bytes";
	return bytes_problem(text);
}

const char *asks_problem(const struct gpu_ask *asks, size_t n_asks)
{
	int64_t total = 0;

	if (n_asks == 0)
		return "gpus is empty: ask for at least one GPU";
	if (n_asks > LIMIT_ASKS)
		return "gpus lists more than 16 models";
	for (size_t i = 0; i < n_asks; i++) {
		if (!asks[i].name || !*asks[i].name)
			return "gpus: a name is empty";
		if (text_problem(asks[i].name))
			return "gpus: a name is too long, has control characters or is not UTF-8";
		if (asks[i].count <= 0)
			return "gpus: a count is zero or negative";
		if (asks[i].count > LIMIT_GPUS_PER_REQUEST)
			return "gpus: a count is above 64, the most that one request can get";
		total += asks[i].count;
	}
	if (total > LIMIT_GPUS_PER_REQUEST)
		return "gpus: the counts add up to more than 64, the most that one request can get";
	return NULL;
}

_Static_assert(LIMIT_ID_BYTES == 255 && LIMIT_TEXT_BYTES == 1024 && LIMIT_ASKS == 16 &&
		       LIMIT_GPUS_PER_REQUEST == 64 && LIMIT_ATTACH_ATTEMPTS <= 99,
	       "the texts above name the limits");
