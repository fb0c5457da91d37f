#include "core/placement.h"

#include "core/headroom.h"

enum { CANDIDATES = 8 };

size_t placement_resolve(struct placement_request *request, const struct gpu_ask *asks,
			 size_t n_asks)
{
	request->n_asks = 0;
	for (size_t i = 0; i < n_asks; i++) {
		struct selector *selector =
			selector_find(request->fleet, request->pool, asks[i].name);
		if (!selector)
			return i;
		request->asks[i] = (struct placement_ask){ .selector = selector,
							   .count = (uint32_t)asks[i].count };
		request->n_asks++;
	}
	for (size_t i = 0; i < n_asks; i++) {
		struct placement_ask *outer = &request->asks[i];
		for (size_t j = 0; j < n_asks; j++)
			if (selector_contains(outer->selector, request->asks[j].selector))
				outer->at_least += request->asks[j].count;
	}
	return n_asks;
}

bool placement_excludes(const struct placement_request *request, const struct fleet_host *host)
{
	for (size_t i = 0; i < request->n_excluded; i++)
		if (request->excluded[i] == host)
			return true;
	return false;
}

bool placement_on_host(const struct placement_request *request, struct fleet_host *host,
		       struct placement *ret_placement)
{
	if (host->condition != GPU_FREE || !headroom_has_cpu(host, request->cpu_cores) ||
	    !headroom_has_ram(host, request->ram_gb) || placement_excludes(request, host))
		return false;
	if (!unit_choice_make(host, request->asks, request->n_asks, &ret_placement->choice))
		return false;
	ret_placement->host = host;
	return true;
}

static bool is_better(const struct placement *a, const struct placement *b)
{
	if (a->choice.nodes != b->choice.nodes)
		return a->choice.nodes < b->choice.nodes;
	if (a->choice.switches != b->choice.switches)
		return a->choice.switches < b->choice.switches;
	if (a->choice.left_over != b->choice.left_over)
		return a->choice.left_over < b->choice.left_over;
	return a->host->place < b->host->place;
}

/* Insertion into a list that is kept best first. */
static void rank(struct placement *list, size_t n, const struct placement *fresh)
{
	size_t at = n;
	for (; at > 0 && is_better(fresh, &list[at - 1]); at--)
		list[at] = list[at - 1];
	list[at] = *fresh;
}

/* Hosts with exactly `free` GPUs for the first ask; adds to the list. */
static size_t list_level(const struct placement_request *request, uint32_t free,
			 struct placement *list, size_t max)
{
	const struct slot_set *sets[LIMIT_ASKS + 1];
	size_t n_sets = 0, n = 0;
	const struct slot_set *headroom =
		headroom_places(request->fleet, request->pool, request->cpu_cores, request->ram_gb);

	sets[n_sets++] = &request->asks[0].selector->exactly[free];
	for (size_t i = 1; i < request->n_asks; i++) {
		const struct placement_ask *ask = &request->asks[i];
		if (ask->at_least >= ask->selector->n_levels)
			return 0;
		sets[n_sets++] = &ask->selector->at_least[ask->at_least];
	}
	if (headroom)
		sets[n_sets++] = headroom;

	/* The hosts lie far apart in memory: their way to the cache is made together. */
	uint32_t places[CANDIDATES];
	uint32_t from = 0;
	while (n < max && from != SLOT_SET_NONE) {
		size_t n_places = 0;
		while (n_places < CANDIDATES && n_places < max - n) {
			uint32_t place = slot_set_next(sets, n_sets, from);
			from = place;
			if (place == SLOT_SET_NONE)
				break;
			from = place + 1;
			places[n_places++] = place;
			__builtin_prefetch(&request->fleet->hosts[request->pool->hosts[place]]);
		}
		for (size_t i = 0; i < n_places; i++)
			__builtin_prefetch(
				request->fleet->hosts[request->pool->hosts[places[i]]].gpus);
		for (size_t i = 0; i < n_places; i++) {
			struct fleet_host *host =
				&request->fleet->hosts[request->pool->hosts[places[i]]];
			struct placement fresh;
			if (placement_on_host(request, host, &fresh))
				rank(list, n++, &fresh);
		}
	}
	return n;
}

size_t placement_list(const struct placement_request *request, struct placement *list, size_t max)
{
	const struct placement_ask *first = &request->asks[0];
	uint32_t levels = first->selector->n_levels;
	size_t n = 0;

	for (uint32_t i = first->at_least; i < levels && n < max; i++) {
		uint32_t free = request->spread ? levels - 1 - (i - first->at_least) : i;
		if (first->selector->exactly[free].count > 0)
			n += list_level(request, free, list + n, max - n);
	}
	return n;
}

bool placement_find(const struct placement_request *request, struct placement *ret_placement)
{
	const struct placement_ask *first = &request->asks[0];
	uint32_t levels = first->selector->n_levels;
	struct placement list[CANDIDATES];

	for (uint32_t i = first->at_least; i < levels; i++) {
		uint32_t free = request->spread ? levels - 1 - (i - first->at_least) : i;
		if (first->selector->exactly[free].count == 0)
			continue;
		if (list_level(request, free, list, CANDIDATES) > 0) {
			*ret_placement = list[0];
			return true;
		}
	}
	return false;
}
