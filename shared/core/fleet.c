#include "core/fleet.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/memory.h"
#include "core/selector.h"

void fleet_init(struct fleet *fleet, int64_t host_timeout_us)
{
	*fleet = (struct fleet){
		.host_timeout_us = host_timeout_us,
		.vacant = FLEET_NONE,
		.earliest = FLEET_NONE,
		.latest = FLEET_NONE,
		.dirty_first = FLEET_NONE,
		.dirty_last = FLEET_NONE,
		.vacant_mark = FLEET_NONE,
	};
	text_pool_init(&fleet->texts);
}

static void free_pool(struct fleet_pool *pool)
{
	if (!pool)
		return;
	for (uint32_t i = 0; i < pool->n_selectors; i++)
		selector_free(pool->selectors[i]);
	free(pool->selectors);
	model_table_deinit(&pool->models);
	headroom_table_deinit(&pool->headroom);
	slot_set_deinit(&pool->members);
	slot_set_deinit(&pool->vacant);
	free(pool->hosts);
	free(pool->id);
	free(pool);
}

void fleet_deinit(struct fleet *fleet)
{
	for (uint32_t i = 0; i < fleet->n_slots; i++) {
		free(fleet->hosts[i].name);
		free(fleet->hosts[i].gpus);
	}
	free(fleet->hosts);
	for (uint32_t i = 0; i < fleet->n_pool_slots; i++)
		free_pool(fleet->pools[i]);
	free(fleet->pools);
	for (size_t i = 0; i < fleet->n_gone; i++)
		free(fleet->gone[i]);
	free(fleet->gone);
	fleet_free_marks(fleet);
	index_deinit(&fleet->by_name);
	index_deinit(&fleet->pools_by_id);
	text_pool_deinit(&fleet->texts);
}

/* ---- pools ---- */

static uint64_t hash_of(const char *text)
{
	return index_hash(text, strlen(text), 0);
}

static bool same_pool(const void *context, uint32_t slot, const void *key)
{
	const struct fleet *fleet = context;
	return strcmp(fleet->pools[slot]->id, key) == 0;
}

struct fleet_pool *fleet_find_pool(const struct fleet *fleet, const char *pool_id)
{
	uint32_t slot =
		index_find(&fleet->pools_by_id, hash_of(pool_id), same_pool, fleet, pool_id);
	return slot == INDEX_NONE ? NULL : fleet->pools[slot];
}

static struct fleet_pool *need_pool(struct fleet *fleet, const char *pool_id)
{
	struct fleet_pool *pool = fleet_find_pool(fleet, pool_id);
	if (pool)
		return pool;

	uint32_t slot = 0;
	while (slot < fleet->n_pool_slots && fleet->pools[slot])
		slot++;
	if (slot == fleet->n_pool_slots) {
		fleet->pools = memory_resize(fleet->pools, ++fleet->n_pool_slots,
					     sizeof(struct fleet_pool *));
	}
	pool = memory_zeroed(1, sizeof(*pool));
	pool->id = memory_strdup(pool_id);
	pool->slot = slot;
	fleet->pools[slot] = pool;
	index_add(&fleet->pools_by_id, hash_of(pool_id), slot);
	return pool;
}

static void drop_empty_pool(struct fleet *fleet, struct fleet_pool *pool)
{
	if (pool->n_hosts > 0)
		return;
	index_remove(&fleet->pools_by_id, hash_of(pool->id), pool->slot);
	fleet->pools[pool->slot] = NULL;
	free_pool(pool);
}

struct fleet_pool *fleet_pool_of(const struct fleet *fleet, const struct fleet_host *host)
{
	return fleet->pools[host->pool];
}

/* ---- hosts by name ---- */

static bool same_name(const void *context, uint32_t slot, const void *key)
{
	const struct fleet *fleet = context;
	return strcmp(fleet->hosts[slot].name, key) == 0;
}

struct fleet_host *fleet_first_of_name(const struct fleet *fleet, const char *name)
{
	uint32_t slot = index_find(&fleet->by_name, hash_of(name), same_name, fleet, name);
	return slot == INDEX_NONE ? NULL : &fleet->hosts[slot];
}

struct fleet_host *fleet_next_of_name(const struct fleet *fleet, const struct fleet_host *host)
{
	return host->sibling == FLEET_NONE ? NULL : &fleet->hosts[host->sibling];
}

struct fleet_host *fleet_find_host(const struct fleet *fleet, const struct fleet_pool *pool,
				   const char *name)
{
	if (!pool)
		return NULL;
	struct fleet_host *host = fleet_first_of_name(fleet, name);
	while (host && host->pool != pool->slot)
		host = fleet_next_of_name(fleet, host);
	return host;
}

uint32_t fleet_host_slot(const struct fleet *fleet, const struct fleet_host *host)
{
	return (uint32_t)(host - fleet->hosts);
}

const char *fleet_host_boot_id(const struct fleet_host *host)
{
	return host->name + strlen(host->name) + 1;
}

void fleet_set_names(struct fleet_host *host, const char *name, const char *boot_id)
{
	size_t name_bytes = strlen(name) + 1, boot_bytes = strlen(boot_id) + 1;
	char *text = memory_alloc(name_bytes + boot_bytes);
	memcpy(text, name, name_bytes);
	memcpy(text + name_bytes, boot_id, boot_bytes);
	free(host->name);
	host->name = text;
}

/* ---- hosts coming and going ---- */

static uint32_t unused_slot(struct fleet *fleet)
{
	if (fleet->vacant != FLEET_NONE) {
		uint32_t slot = fleet->vacant;
		fleet->vacant = fleet->hosts[slot].later;
		return slot;
	}
	if (fleet->n_slots == fleet->size) {
		fleet->size = fleet->size ? fleet->size + fleet->size / 2 : 16;
		fleet->hosts = memory_resize(fleet->hosts, fleet->size, sizeof(*fleet->hosts));
	}
	fleet->hosts[fleet->n_slots] = (struct fleet_host){ .dirty_next = FLEET_NONE };
	return fleet->n_slots++;
}

/* The lowest vacant place, so that the hosts known longest stand first. */
static uint32_t take_place(struct fleet_pool *pool, uint32_t host_slot)
{
	const struct slot_set *vacant = &pool->vacant;
	uint32_t place = slot_set_next(&vacant, 1, 0);
	if (place == SLOT_SET_NONE) {
		place = pool->n_places;
		if (place >= LIMIT_HOSTS_PER_POOL)
			return FLEET_NONE;
		if ((place & (place - 1)) == 0)
			pool->hosts = memory_resize(pool->hosts, place ? place * 2 : 1,
						    sizeof(*pool->hosts));
		pool->n_places++;
	}
	slot_set_remove(&pool->vacant, place);
	slot_set_add(&pool->members, place);
	pool->hosts[place] = host_slot;
	return place;
}

_Static_assert((int)LIMIT_HOSTS_PER_POOL == (int)SLOT_SET_SLOTS, "places are slots of sets");

struct fleet_host *fleet_need_host(struct fleet *fleet, const char *pool_id, const char *name)
{
	struct fleet_pool *pool = need_pool(fleet, pool_id);
	struct fleet_host *host = fleet_find_host(fleet, pool, name);
	if (host)
		return host;

	uint32_t slot = unused_slot(fleet);
	uint32_t place = take_place(pool, slot);
	host = &fleet->hosts[slot];
	if (place == FLEET_NONE) {
		host->later = fleet->vacant;
		fleet->vacant = slot;
		return NULL;
	}

	/* A slot may still stand in the list of dirty hosts from its last user. */
	*host = (struct fleet_host){
		.pool = pool->slot,
		.place = place,
		.earlier = FLEET_NONE,
		.later = FLEET_NONE,
		.sibling = FLEET_NONE,
		.dirty_next = host->dirty_next,
		.flags = host->flags & HOST_DIRTY,
		.iommu = ABSENT,
		.interrupt_remapping = ABSENT,
		.vfio = ABSENT,
		.condition = GPU_HOST_SILENT,
	};
	fleet_set_names(host, name, "");
	struct fleet_host *sibling = fleet_first_of_name(fleet, name);
	if (sibling) {
		host->sibling = sibling->sibling;
		sibling->sibling = slot;
	} else {
		index_add(&fleet->by_name, hash_of(name), slot);
	}
	if (fleet_is_marked(fleet, name, FLEET_WHOLE_HOST))
		host->flags |= HOST_CORDONED;
	fleet_reclassify_host(fleet, host);
	pool->n_hosts++;
	fleet->n_hosts++;
	headroom_on_host(pool, host, true);
	fleet_mark_dirty(fleet, host, true);
	return host;
}

static void forget_name(struct fleet *fleet, struct fleet_host *host, uint32_t slot)
{
	uint64_t hash = hash_of(host->name);
	struct fleet_host *first = fleet_first_of_name(fleet, host->name);
	if (first == host) {
		index_remove(&fleet->by_name, hash, slot);
		if (host->sibling != FLEET_NONE)
			index_add(&fleet->by_name, hash, host->sibling);
		return;
	}
	while (first->sibling != slot)
		first = &fleet->hosts[first->sibling];
	first->sibling = host->sibling;
}

static void remember_gone(struct fleet *fleet, const struct fleet_pool *pool,
			  const struct fleet_host *host)
{
	if (!(host->flags & HOST_REPORTED))
		return;
	size_t pool_len = strlen(pool->id), bytes = pool_len + strlen(host->name) + 2;
	char *field = memory_alloc(bytes);
	memcpy(field, pool->id, pool_len);
	field[pool_len] = '\t';
	memcpy(field + pool_len + 1, host->name, bytes - pool_len - 1);
	fleet->gone = memory_resize(fleet->gone, fleet->n_gone + 1, sizeof(*fleet->gone));
	fleet->gone[fleet->n_gone++] = field;
}

void fleet_settle_host(struct fleet *fleet, uint32_t slot)
{
	struct fleet_host *host = &fleet->hosts[slot];
	if (host->n_gpus > 0 || (host->flags & HOST_SEEN))
		return;

	struct fleet_pool *pool = fleet_pool_of(fleet, host);
	assert(!(host->flags & HOST_ALIVE));
	remember_gone(fleet, pool, host);
	forget_name(fleet, host, slot);
	headroom_on_host(pool, host, false);
	slot_set_remove(&pool->members, host->place);
	slot_set_add(&pool->vacant, host->place);
	pool->hosts[host->place] = FLEET_NONE;
	pool->n_hosts--;
	fleet->n_hosts--;

	free(host->name);
	free(host->gpus);
	host->name = NULL;
	host->gpus = NULL;
	host->size = 0;
	host->flags &= HOST_DIRTY;
	host->later = fleet->vacant;
	fleet->vacant = slot;
	drop_empty_pool(fleet, pool);
}

void fleet_mark_dirty(struct fleet *fleet, struct fleet_host *host, bool gpus)
{
	uint32_t slot = fleet_host_slot(fleet, host);
	if (gpus)
		host->flags |= HOST_DIRTY_GPUS;
	if (host->flags & HOST_DIRTY)
		return;
	host->flags |= HOST_DIRTY;
	host->dirty_next = FLEET_NONE;
	if (fleet->dirty_last == FLEET_NONE)
		fleet->dirty_first = slot;
	else
		fleet->hosts[fleet->dirty_last].dirty_next = slot;
	fleet->dirty_last = slot;
}

void fleet_use_host(struct fleet *fleet, uint32_t host_slot, int64_t cpu_cores, int64_t ram_gb)
{
	struct fleet_host *host = &fleet->hosts[host_slot];
	if (cpu_cores == 0 && ram_gb == 0)
		return;
	host->cpu_used += cpu_cores;
	host->ram_used += ram_gb;
	headroom_on_host(fleet_pool_of(fleet, host), host, true);
}
