/* The one-line texts of tests, taken apart. Internal to the world. */
#pragma once

#include "world.h"

enum { WORDS_MAX = 80 };

struct words {
	size_t n;
	char *word[WORDS_MAX];
};

struct words words_split(struct world *w, const char *text, const char *separators);
/* The value of "name=value", or NULL. */
char *words_value(const struct words *words, const char *name);
int64_t words_number(const struct words *words, const char *name, int64_t otherwise);
/* "P4*2", "10de:1bb3*1", "tesla_t4*3": nicks stand for names, '_' for a blank. */
size_t words_asks(struct world *w, const struct words *words, struct gpu_ask **ret_asks);
const struct world_model *world_model_of(const char *nick);
