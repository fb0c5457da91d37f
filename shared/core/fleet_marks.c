/*
 * What is cordoned or in quarantine, by host name and address: it holds for the host under every pool
 * that names it, and for entries that come later. Few at a time, so none of it is in the entries but a
 * flag.
 */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "core/fleet.h"

struct key {
	const char *host;
	uint64_t address;
};

static uint64_t hash_of(const struct key *key)
{
	return index_hash(key->host, strlen(key->host), key->address);
}

static bool same_mark(const void *context, uint32_t slot, const void *key)
{
	const struct fleet *fleet = context;
	const struct key *wanted = key;
	const struct fleet_mark *mark = &fleet->marks[slot];
	return mark->address == wanted->address && strcmp(mark->host, wanted->host) == 0;
}

static uint32_t find(const struct fleet *fleet, const struct key *key)
{
	return index_find(&fleet->marks_by_key, hash_of(key), same_mark, fleet, key);
}

bool fleet_is_marked(const struct fleet *fleet, const char *host, uint64_t address)
{
	const struct key key = { host, address };
	if (fleet->n_cordoned + fleet->n_quarantined == 0)
		return false; /* as nearly always: no hash is worth it */
	return find(fleet, &key) != INDEX_NONE;
}

/* Under every pool that names the host. */
static void tell_entries(struct fleet *fleet, const char *name, uint64_t address, bool marked)
{
	for (struct fleet_host *host = fleet_first_of_name(fleet, name); host;
	     host = fleet_next_of_name(fleet, host)) {
		if (address == FLEET_WHOLE_HOST) {
			host->flags = (uint8_t)(marked ? host->flags | HOST_CORDONED
						       : host->flags & ~HOST_CORDONED);
			fleet_reclassify_host(fleet, host);
			continue;
		}
		struct gpu *gpu = fleet_find_gpu(host, address);
		if (!gpu)
			continue;
		gpu->flags = (uint8_t)(marked ? gpu->flags | GPU_IN_QUARANTINE
					      : gpu->flags & ~GPU_IN_QUARANTINE);
		fleet_reclassify_gpu(fleet, host, gpu);
	}
}

static size_t *count_of(struct fleet *fleet, uint64_t address)
{
	return address == FLEET_WHOLE_HOST ? &fleet->n_cordoned : &fleet->n_quarantined;
}

void fleet_mark(struct fleet *fleet, const char *host, uint64_t address)
{
	const struct key key = { host, address };
	uint32_t slot = find(fleet, &key);
	if (slot != INDEX_NONE) {
		fleet->marks[slot].n++;
		return;
	}
	slot = fleet->vacant_mark;
	if (slot != FLEET_NONE) {
		fleet->vacant_mark = fleet->marks[slot].n;
	} else {
		if (fleet->n_marks == fleet->marks_size) {
			fleet->marks_size = fleet->marks_size ? fleet->marks_size * 2 : 16;
			fleet->marks = memory_resize(fleet->marks, fleet->marks_size,
						     sizeof(*fleet->marks));
		}
		slot = fleet->n_marks++;
	}
	fleet->marks[slot] =
		(struct fleet_mark){ .host = memory_strdup(host), .address = address, .n = 1 };
	index_add(&fleet->marks_by_key, hash_of(&key), slot);
	++*count_of(fleet, address);
	tell_entries(fleet, host, address, true);
}

void fleet_unmark(struct fleet *fleet, const char *host, uint64_t address)
{
	const struct key key = { host, address };
	uint32_t slot = find(fleet, &key);
	struct fleet_mark *mark = &fleet->marks[slot];
	if (--mark->n > 0)
		return;
	index_remove(&fleet->marks_by_key, hash_of(&key), slot);
	--*count_of(fleet, address);
	tell_entries(fleet, host, address, false);
	free(mark->host);
	*mark = (struct fleet_mark){ .n = fleet->vacant_mark };
	fleet->vacant_mark = slot;
}

void fleet_free_marks(struct fleet *fleet)
{
	for (uint32_t i = 0; i < fleet->n_marks; i++)
		free(fleet->marks[i].host);
	free(fleet->marks);
	index_deinit(&fleet->marks_by_key);
}
