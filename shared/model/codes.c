#include "model/codes.h"

#include <string.h>

#define NAME(code, meaning)    [CODE_##code] = #code,
#define MEANING(code, meaning) [CODE_##code] = meaning,
#define NAMES(prefix, list)                                                                        \
	const char *prefix##_code_name(enum prefix##_code code)                                    \
	{                                                                                          \
		static const char *const names[] = { list(NAME) };                                 \
		return names[code];                                                                \
	}                                                                                          \
	const char *prefix##_code_meaning(enum prefix##_code code)                                 \
	{                                                                                          \
		static const char *const meanings[] = { list(MEANING) };                           \
		return meanings[code];                                                             \
	}

NAMES(rejected, CODES_REJECTED)
NAMES(completed, CODES_COMPLETED)
NAMES(host, CODES_HOST)
NAMES(released, CODES_RELEASED)
#undef NAME
#undef MEANING

#define NAME(code, meaning)    [ATTACH_##code] = #code,
#define MEANING(code, meaning) [ATTACH_##code] = meaning,
NAMES(attach, CODES_ATTACH)

int attach_code_by_name(const char *name, enum attach_code *ret_code)
{
	for (int code = 0; code < ATTACH_CODES; code++)
		if (strcmp(attach_code_name((enum attach_code)code), name) == 0) {
			*ret_code = (enum attach_code)code;
			return 0;
		}
	return 1;
}
