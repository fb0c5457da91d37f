#include "core/selector.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/memory.h"
#include "core/fleet.h"

void selector_free(struct selector *selector)
{
	if (!selector)
		return;
	for (uint32_t k = 0; k < selector->n_levels; k++) {
		slot_set_deinit(&selector->exactly[k]);
		slot_set_deinit(&selector->at_least[k]);
	}
	slot_set_deinit(&selector->with_any);
	free(selector->exactly);
	free(selector->at_least);
	free(selector->free);
	free(selector->present);
	free(selector->models);
	free(selector->text);
	free(selector);
}

bool selector_has_model(const struct selector *selector, uint16_t model)
{
	for (uint32_t i = 0; i < selector->n_models; i++)
		if (selector->models[i] == model)
			return true;
	return false;
}

bool selector_contains(const struct selector *outer, const struct selector *inner)
{
	for (uint32_t i = 0; i < inner->n_models; i++)
		if (!selector_has_model(outer, inner->models[i]))
			return false;
	return true;
}

/* ---- counts ---- */

static void make_place(struct selector *selector, uint32_t place)
{
	if (place < selector->n_places)
		return;
	uint32_t n = selector->n_places ? selector->n_places : 16;
	while (n <= place)
		n += n / 2;
	selector->free = memory_resize(selector->free, n, sizeof(*selector->free));
	selector->present = memory_resize(selector->present, n, sizeof(*selector->present));
	for (uint32_t i = selector->n_places; i < n; i++)
		selector->free[i] = selector->present[i] = 0;
	selector->n_places = n;
}

static void make_level(struct selector *selector, uint32_t k)
{
	if (k < selector->n_levels)
		return;
	uint32_t n = k + 1;
	selector->exactly = memory_resize(selector->exactly, n, sizeof(*selector->exactly));
	selector->at_least = memory_resize(selector->at_least, n, sizeof(*selector->at_least));
	for (uint32_t i = selector->n_levels; i < n; i++)
		selector->exactly[i] = selector->at_least[i] = (struct slot_set){ 0 };
	selector->n_levels = n;
}

static void count_present(struct selector *selector, uint32_t place, int by)
{
	make_place(selector, place);
	selector->present[place] = (uint16_t)(selector->present[place] + by);
	selector->total_present += (uint32_t)by;
	if (selector->present[place])
		slot_set_add(&selector->with_any, place);
	else
		slot_set_remove(&selector->with_any, place);
}

/* `by` is 1 or -1. */
static void count_free(struct selector *selector, uint32_t place, int by)
{
	make_place(selector, place);
	uint32_t before = selector->free[place];
	uint32_t after = before + (uint32_t)by;
	make_level(selector, after);

	selector->free[place] = (uint16_t)after;
	selector->total_free += (uint32_t)by;
	if (before)
		slot_set_remove(&selector->exactly[before], place);
	if (after)
		slot_set_add(&selector->exactly[after], place);
	if (by > 0)
		slot_set_add(&selector->at_least[after], place);
	else
		slot_set_remove(&selector->at_least[before], place);
}

void selectors_on_present(struct gpu_model *model, uint32_t place, int by)
{
	for (uint32_t i = 0; i < model->n_selectors; i++)
		count_present(model->selectors[i], place, by);
}

void selectors_on_free(struct gpu_model *model, uint32_t place, int by)
{
	for (uint32_t i = 0; i < model->n_selectors; i++)
		count_free(model->selectors[i], place, by);
}

/* ---- which models a selector matches ---- */

static char ascii_lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool same_any_case(const char *a, const char *b)
{
	for (; *a && ascii_lower(*a) == ascii_lower(*b); a++, b++)
		;
	return ascii_lower(*a) == ascii_lower(*b);
}

static bool matches(const struct selector *selector, const struct model_identity *model)
{
	const struct model_identity *id = &selector->id;
	switch (selector->kind) {
	case SELECT_NAME:
		return strcmp(selector->text, model->name) == 0;
	case SELECT_NAME_ANY_CASE:
		return same_any_case(selector->text, model->name);
	case SELECT_ID_SUBSYSTEM:
		if (!model->has_subsystem ||
		    id->subsystem_vendor_id != model->subsystem_vendor_id ||
		    id->subsystem_device_id != model->subsystem_device_id)
			return false;
		/* fall through */
	case SELECT_ID:
		break;
	}
	return id->vendor_id == model->vendor_id && id->device_id == model->device_id;
}

static void connect(struct fleet_pool *pool, struct selector *selector, uint16_t number)
{
	struct gpu_model *model = &pool->models.models[number];
	selector->models =
		memory_resize(selector->models, selector->n_models + 1, sizeof(*selector->models));
	selector->models[selector->n_models++] = number;
	model->selectors =
		memory_resize(model->selectors, model->n_selectors + 1, sizeof(*model->selectors));
	model->selectors[model->n_selectors++] = selector;
}

static void disconnect(struct fleet_pool *pool, uint16_t number)
{
	struct gpu_model *model = &pool->models.models[number];
	for (uint32_t i = 0; i < model->n_selectors; i++) {
		struct selector *selector = model->selectors[i];
		for (uint32_t m = 0; m < selector->n_models; m++) {
			if (selector->models[m] == number) {
				selector->models[m] = selector->models[--selector->n_models];
				break;
			}
		}
	}
	free(model->selectors);
	model->selectors = NULL;
	model->n_selectors = 0;
}

void selectors_on_model(struct fleet_pool *pool, uint16_t number, bool reused)
{
	if (reused)
		disconnect(pool, number);
	for (uint32_t i = 0; i < pool->n_selectors; i++)
		if (matches(pool->selectors[i], &pool->models.models[number].identity))
			connect(pool, pool->selectors[i], number);
}

/* ---- making and finding ---- */

static struct selector *find_made(const struct fleet_pool *pool, enum selector_kind kind,
				  const char *text)
{
	for (uint32_t i = 0; i < pool->n_selectors; i++) {
		struct selector *selector = pool->selectors[i];
		if (selector->kind == kind && strcmp(selector->text, text) == 0)
			return selector;
	}
	return NULL;
}

/* Models come and go; selectors that have lost all of theirs go when a new one is made. */
static void drop_unconnected(struct fleet_pool *pool)
{
	uint32_t kept = 0;
	for (uint32_t i = 0; i < pool->n_selectors; i++) {
		if (pool->selectors[i]->n_models > 0)
			pool->selectors[kept++] = pool->selectors[i];
		else
			selector_free(pool->selectors[i]);
	}
	pool->n_selectors = kept;
}

static struct selector *make(struct fleet *fleet, struct fleet_pool *pool, enum selector_kind kind,
			     const char *text, const struct model_identity *id)
{
	drop_unconnected(pool);
	struct selector *selector = memory_zeroed(1, sizeof(*selector));
	*selector = (struct selector){ .kind = kind, .text = memory_strdup(text) };
	if (id)
		selector->id = *id;
	pool->selectors =
		memory_resize(pool->selectors, pool->n_selectors + 1, sizeof(*pool->selectors));
	pool->selectors[pool->n_selectors++] = selector;

	for (uint16_t m = 0; m < pool->models.n; m++)
		if (matches(selector, &pool->models.models[m].identity))
			connect(pool, selector, m);

	for (uint32_t place = 0; place < pool->n_places; place++) {
		if (pool->hosts[place] == FLEET_NONE)
			continue;
		const struct fleet_host *host = &fleet->hosts[pool->hosts[place]];
		for (uint16_t g = 0; g < host->n_gpus; g++) {
			if (!selector_has_model(selector, host->gpus[g].model))
				continue;
			count_present(selector, place, 1);
			if (host->gpus[g].condition == GPU_FREE)
				count_free(selector, place, 1);
		}
	}
	return selector;
}

static bool any_registered(const struct fleet_pool *pool, const struct selector *wanted)
{
	for (uint16_t m = 0; m < pool->models.n; m++)
		if (pool->models.models[m].total &&
		    matches(wanted, &pool->models.models[m].identity))
			return true;
	return false;
}

static struct selector *need(struct fleet *fleet, struct fleet_pool *pool, enum selector_kind kind,
			     char *text, const struct model_identity *id)
{
	struct selector *selector = find_made(pool, kind, text);
	if (selector)
		return selector->total_present ? selector : NULL;

	struct selector wanted = { .kind = kind, .text = text };
	if (id)
		wanted.id = *id;
	return any_registered(pool, &wanted) ? make(fleet, pool, kind, text, id) : NULL;
}

/* A name counts as written first, then regardless of case; an id is never a name. */
struct selector *selector_find(struct fleet *fleet, struct fleet_pool *pool, const char *name)
{
	char text[LIMIT_TEXT_BYTES + 1];
	struct model_identity id;
	size_t len = strlen(name);
	if (len > LIMIT_TEXT_BYTES)
		return NULL;

	if (model_parse_id(name, &id)) {
		model_format_id(&id, true, text);
		return need(fleet, pool, id.has_subsystem ? SELECT_ID_SUBSYSTEM : SELECT_ID, text,
			    &id);
	}
	memcpy(text, name, len + 1);
	struct selector *selector = need(fleet, pool, SELECT_NAME, text, NULL);
	if (selector)
		return selector;
	for (size_t i = 0; i < len; i++)
		text[i] = ascii_lower(text[i]);
	return need(fleet, pool, SELECT_NAME_ANY_CASE, text, NULL);
}
