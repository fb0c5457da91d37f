#include "store/meta.h"

#include <string.h>

static const char *const names[STORE_TABLES] = {
	[STORE_GPUS] = "gpus",	 [STORE_VMS] = "vms",	  [STORE_HOSTS] = "hosts",
	[STORE_POOLS] = "pools", [STORE_TYPES] = "types", [STORE_REQUESTS] = "requests",
	[STORE_MARKS] = "marks",
};

const char *store_table_name(enum store_table table)
{
	return names[table];
}

int store_table_by_name(const char *name, enum store_table *ret_table)
{
	for (enum store_table table = 0; table < STORE_TABLES; table++)
		if (strcmp(names[table], name) == 0) {
			*ret_table = table;
			return 0;
		}
	return 1;
}

bool store_meta_same(const struct store_meta *a, const struct store_meta *b)
{
	return a->epoch == b->epoch && a->offset == b->offset && a->sequence == b->sequence &&
	       a->digest == b->digest;
}
