/*
 * The fold over the catalog topic: VM pools and VM types by id, the latest value of each. Shared by all
 * shards of a process, which only read it. Pure.
 *
 * Keys of the topic are "pool/POOL" and "type/TYPE", so that a pool and a type of the same id are not
 * compacted into one; a tombstone under such a key removes the definition.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "model/record.h"

struct catalog;

struct catalog *catalog_new(void);
void catalog_free(struct catalog *catalog);
DEFINE_CLEANUP(struct catalog *, catalog_free);

/* Positive: the definition is not usable; *ret_error (static text) says why, nothing was changed. */
int catalog_fold_pool(struct catalog *catalog, const struct vm_pool_defined *pool,
		      const char **ret_error) MUST_CHECK;
int catalog_fold_type(struct catalog *catalog, const struct vm_type_defined *type,
		      const char **ret_error) MUST_CHECK;
/* Positive: not a key of the catalog. */
int catalog_remove(struct catalog *catalog, const void *key, size_t len) MUST_CHECK;

/* NULL: not defined. Valid until the catalog changes. */
const struct vm_pool_defined *catalog_pool(const struct catalog *catalog, const char *pool_id);
const struct vm_type_defined *catalog_type(const struct catalog *catalog, const char *pool_id,
					   const char *vm_type_id);

/* All definitions, in no order, for listing and for the read model. */
const struct vm_pool_defined *catalog_pool_at(const struct catalog *catalog, size_t i);
const struct vm_type_defined *catalog_type_at(const struct catalog *catalog, size_t i);
/* Grows with every change; tells whether the read model is behind. */
uint64_t catalog_version(const struct catalog *catalog);
