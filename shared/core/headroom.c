#include "core/headroom.h"

#include <stdlib.h>

#include "base/memory.h"
#include "core/fleet.h"

void headroom_table_deinit(struct headroom_table *table)
{
	for (uint32_t i = 0; i < table->n; i++)
		slot_set_deinit(&table->sizes[i].places);
	free(table->sizes);
	*table = (struct headroom_table){ 0 };
}

bool headroom_has_cpu(const struct fleet_host *host, int64_t cpu_cores)
{
	return cpu_cores <= 0 || host->cpu_cores == 0 ||
	       host->cpu_cores - host->cpu_used >= cpu_cores;
}

bool headroom_has_ram(const struct fleet_host *host, int64_t ram_gb)
{
	return ram_gb <= 0 || host->ram_gb == 0 || host->ram_gb - host->ram_used >= ram_gb;
}

static void place_host(struct headroom *size, const struct fleet_host *host, bool member)
{
	if (member && headroom_has_cpu(host, size->cpu_cores) &&
	    headroom_has_ram(host, size->ram_gb))
		slot_set_add(&size->places, host->place);
	else
		slot_set_remove(&size->places, host->place);
}

static struct headroom *make_room(struct headroom_table *table)
{
	if (table->n < HEADROOM_SIZES) {
		if ((table->n & (table->n - 1)) == 0)
			table->sizes = memory_resize(table->sizes, table->n ? table->n * 2 : 1,
						     sizeof(*table->sizes));
		return &table->sizes[table->n++];
	}
	struct headroom *oldest = &table->sizes[0];
	for (uint32_t i = 1; i < table->n; i++)
		if (table->sizes[i].asked < oldest->asked)
			oldest = &table->sizes[i];
	slot_set_deinit(&oldest->places);
	return oldest;
}

const struct slot_set *headroom_places(struct fleet *fleet, struct fleet_pool *pool,
				       int64_t cpu_cores, int64_t ram_gb)
{
	struct headroom_table *table = &pool->headroom;
	if (cpu_cores <= 0 && ram_gb <= 0)
		return NULL;

	for (uint32_t i = 0; i < table->n; i++) {
		struct headroom *size = &table->sizes[i];
		if (size->cpu_cores == cpu_cores && size->ram_gb == ram_gb) {
			size->asked = ++table->clock;
			return &size->places;
		}
	}

	struct headroom *size = make_room(table);
	*size = (struct headroom){ .cpu_cores = cpu_cores,
				   .ram_gb = ram_gb,
				   .asked = ++table->clock };
	for (uint32_t place = 0; place < pool->n_places; place++)
		if (pool->hosts[place] != FLEET_NONE)
			place_host(size, &fleet->hosts[pool->hosts[place]], true);
	return &size->places;
}

void headroom_on_host(struct fleet_pool *pool, const struct fleet_host *host, bool member)
{
	for (uint32_t i = 0; i < pool->headroom.n; i++)
		place_host(&pool->headroom.sizes[i], host, member);
}
