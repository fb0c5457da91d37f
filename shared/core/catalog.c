#include "core/catalog.h"

#include <stdlib.h>
#include <string.h>

#include "base/index.h"
#include "base/limits.h"
#include "base/memory.h"
#include "core/id_check.h"

enum kind { POOLS, TYPES, KINDS };

/* Definitions of one kind, dense; each is one allocation that its strings lie in. */
struct shelf {
	void **items; /* owned: struct vm_pool_defined or struct vm_type_defined */
	uint32_t n;
	uint32_t size;
	struct index by_id;
};

struct catalog {
	struct shelf shelves[KINDS];
	uint64_t version;
};

struct catalog *catalog_new(void)
{
	return memory_zeroed(1, sizeof(struct catalog));
}

void catalog_free(struct catalog *catalog)
{
	if (!catalog)
		return;
	for (int kind = 0; kind < KINDS; kind++) {
		struct shelf *shelf = &catalog->shelves[kind];
		for (uint32_t i = 0; i < shelf->n; i++)
			free(shelf->items[i]);
		free(shelf->items);
		index_deinit(&shelf->by_id);
	}
	free(catalog);
}

/* Both definitions begin with their id. */
static const char *item_id(const void *item)
{
	const char *id;
	memcpy(&id, item, sizeof(id));
	return id;
}

static bool same_id(const void *context, uint32_t slot, const void *key)
{
	const struct shelf *shelf = context;
	return strcmp(item_id(shelf->items[slot]), key) == 0;
}

static uint64_t hash_of(const char *id)
{
	return index_hash(id, strlen(id), 0);
}

static void *find(const struct shelf *shelf, const char *id)
{
	uint32_t slot = index_find(&shelf->by_id, hash_of(id), same_id, shelf, id);
	return slot == INDEX_NONE ? NULL : shelf->items[slot];
}

static void put(struct shelf *shelf, void *item)
{
	const char *id = item_id(item);
	uint32_t slot = index_find(&shelf->by_id, hash_of(id), same_id, shelf, id);
	if (slot != INDEX_NONE) {
		free(shelf->items[slot]);
		shelf->items[slot] = item;
		return;
	}
	if (shelf->n == shelf->size) {
		shelf->size = shelf->size ? shelf->size * 2 : 16;
		shelf->items = memory_resize(shelf->items, shelf->size, sizeof(*shelf->items));
	}
	shelf->items[shelf->n] = item;
	index_add(&shelf->by_id, hash_of(id), shelf->n++);
}

/* The last definition moves into the gap. */
static bool take_out(struct shelf *shelf, const char *id)
{
	uint32_t slot = index_find(&shelf->by_id, hash_of(id), same_id, shelf, id);
	if (slot == INDEX_NONE)
		return false;
	index_remove(&shelf->by_id, hash_of(id), slot);
	free(shelf->items[slot]);

	uint32_t last = --shelf->n;
	if (slot != last) {
		uint64_t hash = hash_of(item_id(shelf->items[last]));
		index_remove(&shelf->by_id, hash, last);
		index_add(&shelf->by_id, hash, slot);
		shelf->items[slot] = shelf->items[last];
	}
	return true;
}

static const char *copy_text(char **at, const char *text)
{
	size_t bytes = strlen(text) + 1;
	char *copy = memcpy(*at, text, bytes);
	*at += bytes;
	return copy;
}

/* Empty or absent policies are the defaults. */
static const char *or_default(const char *text, const char *fallback)
{
	return text && *text ? text : fallback;
}

static int refuse(const char *error, const char **ret_error)
{
	*ret_error = error;
	return 1;
}

int catalog_fold_pool(struct catalog *catalog, const struct vm_pool_defined *pool,
		      const char **ret_error)
{
	const char *attach = or_default(pool->attach, "agent");
	const char *policy = or_default(pool->policy, "pack");
	const char *on_failure = or_default(pool->on_attach_failure, "reschedule");
	const char *after_release = or_default(pool->after_release, "keep-vfio");
	const char *name = pool->name ? pool->name : "";

	if (id_problem(pool->pool_id))
		return refuse("pool_id is not a usable id", ret_error);
	if (strlen(name) > LIMIT_TEXT_BYTES)
		return refuse("name is too long", ret_error);
	if (strcmp(attach, "agent") != 0 && strcmp(attach, "external") != 0)
		return refuse("attach is neither \"agent\" nor \"external\"", ret_error);
	if (strcmp(policy, "pack") != 0 && strcmp(policy, "spread") != 0)
		return refuse("policy is neither \"pack\" nor \"spread\"", ret_error);
	if (strcmp(on_failure, "reschedule") != 0 && strcmp(on_failure, "end") != 0)
		return refuse("on_attach_failure is neither \"reschedule\" nor \"end\"", ret_error);
	if (pool->attach_attempts < 1 || pool->attach_attempts > LIMIT_ATTACH_ATTEMPTS)
		return refuse("attach_attempts is not between 1 and 16", ret_error);
	if (strcmp(after_release, "keep-vfio") != 0 && strcmp(after_release, "give-back") != 0)
		return refuse("after_release is neither \"keep-vfio\" nor \"give-back\"",
			      ret_error);

	size_t bytes = strlen(pool->pool_id) + strlen(name) + strlen(attach) + strlen(policy) +
		       strlen(on_failure) + strlen(after_release) + 6;
	struct vm_pool_defined *copy = memory_alloc(sizeof(*copy) + bytes);
	char *at = (char *)(copy + 1);
	copy->pool_id = copy_text(&at, pool->pool_id);
	copy->name = copy_text(&at, name);
	copy->attach = copy_text(&at, attach);
	copy->policy = copy_text(&at, policy);
	copy->on_attach_failure = copy_text(&at, on_failure);
	copy->attach_attempts = pool->attach_attempts;
	copy->after_release = copy_text(&at, after_release);
	put(&catalog->shelves[POOLS], copy);
	catalog->version++;
	return 0;
}

int catalog_fold_type(struct catalog *catalog, const struct vm_type_defined *type,
		      const char **ret_error)
{
	const char *name = type->name ? type->name : "";

	if (id_problem(type->vm_type_id))
		return refuse("vm_type_id is not a usable id", ret_error);
	if (id_problem(type->pool_id))
		return refuse("pool_id is not a usable id", ret_error);
	if (strlen(name) > LIMIT_TEXT_BYTES)
		return refuse("name is too long", ret_error);
	if (type->cpu_cores < 0 || type->cpu_cores > LIMIT_CPU_CORES)
		return refuse("cpu_cores is out of range", ret_error);
	if (type->ram_gb < 0 || type->ram_gb > LIMIT_RAM_GB)
		return refuse("ram_gb is out of range", ret_error);
	const char *asks = asks_problem(type->gpus, type->n_gpus);
	if (asks)
		return refuse(asks, ret_error);

	size_t bytes = strlen(type->vm_type_id) + strlen(type->pool_id) + strlen(name) + 3;
	for (size_t i = 0; i < type->n_gpus; i++)
		bytes += strlen(type->gpus[i].name) + 1;

	struct vm_type_defined *copy =
		memory_alloc(sizeof(*copy) + type->n_gpus * sizeof(*copy->gpus) + bytes);
	*copy = *type;
	copy->gpus = (struct gpu_ask *)(copy + 1);
	char *at = (char *)(copy->gpus + type->n_gpus);
	copy->vm_type_id = copy_text(&at, type->vm_type_id);
	copy->pool_id = copy_text(&at, type->pool_id);
	copy->name = copy_text(&at, name);
	for (size_t i = 0; i < type->n_gpus; i++) {
		copy->gpus[i].name = copy_text(&at, type->gpus[i].name);
		copy->gpus[i].count = type->gpus[i].count;
	}
	put(&catalog->shelves[TYPES], copy);
	catalog->version++;
	return 0;
}

int catalog_remove(struct catalog *catalog, const void *key, size_t len)
{
	static const char *const prefixes[KINDS] = { [POOLS] = "pool/", [TYPES] = "type/" };
	char text[LIMIT_ID_BYTES + 8];
	if (len >= sizeof(text) || len < 5 || memchr(key, '\0', len))
		return 1;
	memcpy(text, key, len);
	text[len] = '\0';

	for (int kind = 0; kind < KINDS; kind++) {
		if (strncmp(text, prefixes[kind], 5) == 0 && text[5]) {
			if (take_out(&catalog->shelves[kind], text + 5))
				catalog->version++;
			return 0;
		}
	}
	return 1;
}

const struct vm_pool_defined *catalog_pool(const struct catalog *catalog, const char *pool_id)
{
	return find(&catalog->shelves[POOLS], pool_id);
}

const struct vm_type_defined *catalog_type(const struct catalog *catalog, const char *pool_id,
					   const char *vm_type_id)
{
	const struct vm_type_defined *type = find(&catalog->shelves[TYPES], vm_type_id);
	return type && strcmp(type->pool_id, pool_id) == 0 ? type : NULL;
}

const struct vm_pool_defined *catalog_pool_at(const struct catalog *catalog, size_t i)
{
	const struct shelf *shelf = &catalog->shelves[POOLS];
	return i < shelf->n ? shelf->items[i] : NULL;
}

const struct vm_type_defined *catalog_type_at(const struct catalog *catalog, size_t i)
{
	const struct shelf *shelf = &catalog->shelves[TYPES];
	return i < shelf->n ? shelf->items[i] : NULL;
}

uint64_t catalog_version(const struct catalog *catalog)
{
	return catalog->version;
}
