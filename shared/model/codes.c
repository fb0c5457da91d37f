#include "model/codes.h"

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
