/*
 * A selector is what a name in a request stands for in one pool: the models it matches, and how many
 * GPUs of them each host has and could give away now. Hosts are kept in sets by that number, so that
 * "the fullest host that still has n" is found without looking at the hosts. Internal to the core.
 *
 * Selectors are made when a name is first asked for and then kept up to date with every change of a
 * GPU. There are at most four a model: its name, its name regardless of case, its id, its id with
 * subsystem.
 *
 * Hosts are numbered by their place in the pool.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/gpu_model.h"
#include "core/slot_set.h"

enum selector_kind { SELECT_NAME, SELECT_NAME_ANY_CASE, SELECT_ID, SELECT_ID_SUBSYSTEM };

struct selector {
	enum selector_kind kind;
	char *text;		  /* owned; of SELECT_NAME_ANY_CASE in lower case */
	struct model_identity id; /* SELECT_ID, SELECT_ID_SUBSYSTEM; borrows nothing */

	uint16_t *models; /* owned; the models it matches */
	uint32_t n_models;

	uint16_t *free;	   /* owned; by place: GPUs that could be given away */
	uint16_t *present; /* owned; by place: all GPUs */
	uint32_t n_places;
	uint32_t total_free; /* sums over the places */
	uint32_t total_present;

	struct slot_set with_any;  /* places with present > 0 */
	struct slot_set *exactly;  /* owned; [k]: places with free == k, k > 0 */
	struct slot_set *at_least; /* owned; [k]: places with free >= k, k > 0 */
	uint32_t n_levels;	   /* both arrays have so many entries */
};

struct fleet;
struct fleet_pool;

/* NULL: the name stands for no GPU registered in the pool. Valid until the pool goes. */
struct selector *selector_find(struct fleet *fleet, struct fleet_pool *pool, const char *name);
void selector_free(struct selector *selector);

bool selector_has_model(const struct selector *selector, uint16_t model);
/* Every model of `inner` is also one of `outer`. */
bool selector_contains(const struct selector *outer, const struct selector *inner);

/* A new model has come (or taken over a number): connects it with the selectors that match it. */
void selectors_on_model(struct fleet_pool *pool, uint16_t model, bool reused);
/* A GPU of the model has appeared or gone (present), or become free or not (free), at a place. */
void selectors_on_present(struct gpu_model *model, uint32_t place, int by);
void selectors_on_free(struct gpu_model *model, uint32_t place, int by);
