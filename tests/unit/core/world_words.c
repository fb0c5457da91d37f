#include "world_words.h"

#include <stdlib.h>
#include <string.h>

struct words words_split(struct world *w, const char *text, const char *separators)
{
	struct words words = { 0 };
	char *rest = arena_strdup(&w->arena, text), *word;
	while ((word = strsep(&rest, separators))) {
		if (!*word)
			continue;
		assert_true(words.n < WORDS_MAX);
		words.word[words.n++] = word;
	}
	return words;
}

char *words_value(const struct words *words, const char *name)
{
	size_t len = strlen(name);
	for (size_t i = 0; i < words->n; i++)
		if (strncmp(words->word[i], name, len) == 0 && words->word[i][len] == '=')
			return words->word[i] + len + 1;
	return NULL;
}

int64_t words_number(const struct words *words, const char *name, int64_t otherwise)
{
	const char *value = words_value(words, name);
	return value ? strtoll(value, NULL, 10) : otherwise;
}

const struct world_model *world_model_of(const char *nick)
{
	for (const struct world_model *model = world_models; model->nick; model++)
		if (strcmp(model->nick, nick) == 0)
			return model;
	return NULL;
}

size_t words_asks(struct world *w, const struct words *words, struct gpu_ask **ret_asks)
{
	struct gpu_ask *asks = arena_array(&w->arena, words->n, sizeof(*asks));
	size_t n = 0;
	for (size_t i = 1; i < words->n; i++) {
		char *star = strrchr(words->word[i], '*');
		if (!star || strchr(words->word[i], '='))
			continue;
		*star = '\0';
		const struct world_model *model = world_model_of(words->word[i]);
		for (char *c = words->word[i]; *c; c++)
			*c = *c == '_' ? ' ' : *c;
		asks[n].name = model ? model->name : words->word[i];
		asks[n++].count = strtoll(star + 1, NULL, 10);
	}
	*ret_asks = asks;
	return n;
}
