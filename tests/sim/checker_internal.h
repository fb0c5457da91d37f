/* What the files of the checker share. Nobody else includes this. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "world.h"

#define WRONG(...) arena_printf(&world->arena, __VA_ARGS__)

/* One partition of decisions, read once. */
struct true_record {
	const struct message *message;
	struct record *record;
	bool told; /* stands on answers */
};

struct reading {
	struct world *world;
	int32_t partition;
	struct true_record *records; /* by offset; record NULL: void, or a marker */
	size_t n;
};

bool checker_same_text(const char *a, const char *b);
/* checker_owners.c: 1, 3, 4 and 5. `forgetful`: an id may come to be used again. */
const char *check_owners(struct reading *reading, bool forgetful);
