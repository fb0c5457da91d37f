/* The GPU entries of the fleet, their conditions and their owners. */
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/memory.h"
#include "core/fleet.h"
#include "core/gpu_parse.h"
#include "core/selector.h"

/* ---- conditions and counts ---- */

static struct gpu_model *model_of(const struct fleet *fleet, const struct fleet_host *host,
				  const struct gpu *gpu)
{
	return &fleet_pool_of(fleet, host)->models.models[gpu->model];
}

static enum gpu_condition derive_condition(const struct fleet_host *host, const struct gpu *gpu)
{
	if (gpu->owner != FLEET_NONE || (gpu->flags & GPU_HELD_ELSEWHERE))
		return GPU_HELD;
	if (gpu->flags & GPU_IN_QUARANTINE)
		return GPU_QUARANTINED;
	return host->condition != GPU_FREE ? host->condition : gpu->state;
}

void fleet_reclassify_gpu(struct fleet *fleet, struct fleet_host *host, struct gpu *gpu)
{
	enum gpu_condition before = gpu->condition, after = derive_condition(host, gpu);
	if (before == after)
		return;
	struct gpu_model *model = model_of(fleet, host, gpu);
	gpu->condition = (uint8_t)after;
	model->conditions[before]--;
	model->conditions[after]++;
	if (before == GPU_FREE)
		selectors_on_free(model, host->place, -1);
	else if (after == GPU_FREE)
		selectors_on_free(model, host->place, 1);
}

void fleet_reclassify_host(struct fleet *fleet, struct fleet_host *host)
{
	enum gpu_condition condition = GPU_FREE;
	if (host->flags & HOST_CORDONED)
		condition = GPU_HOST_CORDONED;
	else if (!(host->flags & HOST_ALIVE))
		condition = GPU_HOST_SILENT;
	else if (host->iommu == 0)
		condition = GPU_HOST_NO_IOMMU;
	else if (host->vfio == 0)
		condition = GPU_HOST_NO_VFIO;
	else if (host->interrupt_remapping == 0)
		condition = GPU_HOST_NO_INTERRUPT_REMAPPING;
	if (host->condition == condition)
		return;
	host->condition = (uint8_t)condition;
	for (uint16_t i = 0; i < host->n_gpus; i++)
		fleet_reclassify_gpu(fleet, host, &host->gpus[i]);
}

static void count_in(struct fleet *fleet, struct fleet_host *host, struct gpu *gpu)
{
	struct gpu_model *model = model_of(fleet, host, gpu);
	gpu->condition = (uint8_t)derive_condition(host, gpu);
	model->refs++;
	model->total++;
	model->conditions[gpu->condition]++;
	selectors_on_present(model, host->place, 1);
	if (gpu->condition == GPU_FREE)
		selectors_on_free(model, host->place, 1);
}

static void count_out(struct fleet *fleet, struct fleet_host *host, struct gpu *gpu)
{
	struct gpu_model *model = model_of(fleet, host, gpu);
	if (gpu->condition == GPU_FREE)
		selectors_on_free(model, host->place, -1);
	selectors_on_present(model, host->place, -1);
	model->conditions[gpu->condition]--;
	model->total--;
	model->refs--;
}

static uint16_t need_model(struct fleet_pool *pool, const struct model_identity *identity,
			   uint32_t limit)
{
	uint16_t number = model_table_find(&pool->models, identity);
	if (number != MODEL_NONE)
		return number;
	bool reused;
	number = model_table_add(&pool->models, identity, limit, &reused);
	if (number != MODEL_NONE)
		selectors_on_model(pool, number, reused);
	return number;
}

/* ---- entries ---- */

/* The entry's position, or where it would stand. */
static uint16_t position(const struct fleet_host *host, uint64_t address)
{
	uint16_t low = 0, high = host->n_gpus;
	while (low < high) {
		uint16_t middle = (uint16_t)((low + high) / 2);
		if (host->gpus[middle].address < address)
			low = (uint16_t)(middle + 1);
		else
			high = middle;
	}
	return low;
}

struct gpu *fleet_find_gpu(const struct fleet_host *host, uint64_t address)
{
	uint16_t i = position(host, address);
	return i < host->n_gpus && host->gpus[i].address == address ? &host->gpus[i] : NULL;
}

/* Grows by little: hosts have few GPUs, and memory is counted. */
static struct gpu *insert(const struct fleet *fleet, struct fleet_host *host, uint64_t address)
{
	if (host->n_gpus == host->size) {
		host->size = (uint16_t)(host->size + 2 + host->size / 4);
		host->gpus = memory_resize(host->gpus, host->size, sizeof(*host->gpus));
	}
	uint16_t i = position(host, address);
	memmove(&host->gpus[i + 1], &host->gpus[i],
		(size_t)(host->n_gpus - i) * sizeof(*host->gpus));
	host->n_gpus++;
	host->gpus[i] = (struct gpu){ .address = address,
				      .owner = FLEET_NONE,
				      .reason = TEXT_NONE,
				      .driver = TEXT_NONE,
				      .pcie_switch = TEXT_NONE,
				      .other_functions = TEXT_NONE };
	if (fleet_is_marked(fleet, host->name, address))
		host->gpus[i].flags = GPU_IN_QUARANTINE;
	return &host->gpus[i];
}

static void drop_texts(struct fleet *fleet, const struct gpu *gpu)
{
	text_pool_release(&fleet->texts, gpu->reason);
	text_pool_release(&fleet->texts, gpu->driver);
	text_pool_release(&fleet->texts, gpu->pcie_switch);
	text_pool_release(&fleet->texts, gpu->other_functions);
}

static void erase(struct fleet *fleet, struct fleet_host *host, struct gpu *gpu)
{
	count_out(fleet, host, gpu);
	drop_texts(fleet, gpu);
	size_t behind = (size_t)(host->gpus + host->n_gpus - gpu) - 1;
	memmove(gpu, gpu + 1, behind * sizeof(*gpu));
	host->n_gpus--;
}

static bool held_under_sibling(const struct fleet *fleet, const struct fleet_host *host,
			       uint64_t address)
{
	for (const struct fleet_host *other = fleet_first_of_name(fleet, host->name); other;
	     other = fleet_next_of_name(fleet, other)) {
		const struct gpu *gpu = other == host ? NULL : fleet_find_gpu(other, address);
		if (gpu && gpu->owner != FLEET_NONE)
			return true;
	}
	return false;
}

/* The inventory does not have the GPU under this host any more. */
static void uninventory(struct fleet *fleet, struct fleet_host *host, struct gpu *gpu)
{
	if (!(gpu->flags & GPU_INVENTORIED))
		return;
	fleet->n_gpus--;
	gpu->flags &= (uint8_t)~GPU_INVENTORIED;
	if (gpu->owner == FLEET_NONE)
		erase(fleet, host, gpu);
	fleet_mark_dirty(fleet, host, true);
	fleet_settle_host(fleet, fleet_host_slot(fleet, host));
}

/* ---- what the inventory says ---- */

static uint32_t take_text(struct fleet *fleet, const char *text)
{
	return text_pool_take(&fleet->texts, text && *text ? text : NULL);
}

/* The GPU counts where its own record says: elsewhere the inventory has it no more. */
static void take_from_siblings(struct fleet *fleet, const char *name, uint32_t except,
			       uint64_t address)
{
	for (struct fleet_host *host = fleet_first_of_name(fleet, name), *next; host; host = next) {
		next = fleet_next_of_name(fleet, host);
		struct gpu *gpu = fleet_host_slot(fleet, host) == except
					  ? NULL
					  : fleet_find_gpu(host, address);
		if (gpu)
			uninventory(fleet, host, gpu);
	}
}

/* Room for an entry and its model. NULL: *ret_error says which limit is in the way. */
static struct fleet_host *make_room(struct fleet *fleet, const struct gpu_discovered *said,
				    const struct parsed_gpu *parsed, uint16_t *ret_model,
				    const char **ret_error)
{
	struct fleet_host *host = fleet_need_host(fleet, said->pool_id, said->host);
	if (!host) {
		*ret_error = "the pool has too many hosts";
		return NULL;
	}
	*ret_model = need_model(fleet_pool_of(fleet, host), &parsed->model, LIMIT_MODELS_PER_POOL);
	if (*ret_model == MODEL_NONE)
		*ret_error = "the pool has too many GPU models";
	else if (host->n_gpus >= LIMIT_GPUS_PER_HOST && !fleet_find_gpu(host, parsed->address))
		*ret_error = "the host has too many GPUs";
	else
		return host;
	fleet_settle_host(fleet, fleet_host_slot(fleet, host));
	return NULL;
}

static bool has_siblings(const struct fleet *fleet, const struct fleet_host *host)
{
	return host->sibling != FLEET_NONE || fleet_first_of_name(fleet, host->name) != host;
}

int fleet_fold_gpu(struct fleet *fleet, const struct gpu_discovered *said, const char **ret_error)
{
	struct parsed_gpu parsed;
	uint8_t functions;
	uint32_t other_functions;
	uint16_t model;

	if (gpu_parse(said, &parsed, ret_error) != 0)
		return 1;
	if (fleet_parse_functions(fleet, parsed.address, said->functions, said->n_functions,
				  &functions, &other_functions) != 0) {
		*ret_error = "functions has too many items or something that is no PCI address";
		return 1;
	}
	struct fleet_host *host = make_room(fleet, said, &parsed, &model, ret_error);
	if (!host) {
		text_pool_release(&fleet->texts, other_functions);
		return 1;
	}

	struct gpu *gpu = fleet_find_gpu(host, parsed.address);
	bool recount = !gpu || gpu->model != model;
	if (gpu && recount) {
		count_out(fleet, host, gpu);
	} else if (!gpu) {
		gpu = insert(fleet, host, parsed.address);
		if (has_siblings(fleet, host) && held_under_sibling(fleet, host, parsed.address))
			gpu->flags |= GPU_HELD_ELSEWHERE;
	}

	struct gpu old = *gpu;
	gpu->reason = take_text(fleet, parsed.state == GPU_FREE ? NULL : said->reason);
	gpu->driver = take_text(fleet, said->driver);
	gpu->pcie_switch = take_text(fleet, said->pcie_switch);
	gpu->other_functions = other_functions;
	gpu->iommu_group = (int32_t)said->iommu_group;
	gpu->numa_node = (int16_t)said->numa_node;
	gpu->functions = functions;
	gpu->state = (uint8_t)parsed.state;
	gpu->model = model;
	drop_texts(fleet, &old);

	if (recount)
		count_in(fleet, host, gpu);
	else
		fleet_reclassify_gpu(fleet, host, gpu);
	if (!(gpu->flags & GPU_INVENTORIED))
		fleet->n_gpus++;
	gpu->flags |= GPU_INVENTORIED;
	fleet_mark_dirty(fleet, host, true);
	if (has_siblings(fleet, host))
		take_from_siblings(fleet, said->host, fleet_host_slot(fleet, host), parsed.address);
	return 0;
}

void fleet_remove_gpu(struct fleet *fleet, const char *gpu_id)
{
	char host[LIMIT_ID_BYTES + 1];
	uint64_t address;
	if (gpu_id_parse(gpu_id, host, &address) == 0)
		take_from_siblings(fleet, host, FLEET_NONE, address);
}

/* ---- owners ---- */

uint32_t fleet_owner(const struct fleet *fleet, const char *name, uint64_t address)
{
	for (const struct fleet_host *host = fleet_first_of_name(fleet, name); host;
	     host = fleet_next_of_name(fleet, host)) {
		const struct gpu *gpu = fleet_find_gpu(host, address);
		if (gpu && gpu->owner != FLEET_NONE)
			return gpu->owner;
	}
	return FLEET_NONE;
}

static void tell_siblings(struct fleet *fleet, const struct fleet_host *host, uint64_t address,
			  bool held)
{
	if (!has_siblings(fleet, host))
		return;
	for (struct fleet_host *other = fleet_first_of_name(fleet, host->name); other;
	     other = fleet_next_of_name(fleet, other)) {
		struct gpu *gpu = other == host ? NULL : fleet_find_gpu(other, address);
		if (!gpu)
			continue;
		gpu->flags = (uint8_t)(held ? gpu->flags | GPU_HELD_ELSEWHERE
					    : gpu->flags & ~GPU_HELD_ELSEWHERE);
		fleet_reclassify_gpu(fleet, other, gpu);
	}
}

/* The model as an assignment names it; the inventory's own when it says the same. */
static uint16_t assigned_model(struct fleet_pool *pool, const struct gpu *entry,
			       const struct assigned_gpu *said)
{
	struct model_identity identity;
	if (!said->device || !model_parse_id(said->device, &identity))
		identity = (struct model_identity){ 0 };
	identity.name = said->name ? said->name : "";
	identity.vendor = said->vendor ? said->vendor : "";

	if (entry) {
		const struct model_identity *known = &pool->models.models[entry->model].identity;
		if (known->vendor_id == identity.vendor_id &&
		    known->device_id == identity.device_id &&
		    strcmp(known->name, identity.name) == 0 &&
		    strcmp(known->vendor, identity.vendor) == 0)
			return entry->model;
	}
	return need_model(pool, &identity, MODEL_NONE);
}

uint16_t fleet_hold_gpu(struct fleet *fleet, uint32_t host_slot, uint64_t address,
			const struct assigned_gpu *said, uint32_t vm)
{
	struct fleet_host *host = &fleet->hosts[host_slot];
	struct fleet_pool *pool = fleet_pool_of(fleet, host);
	struct gpu *gpu = fleet_find_gpu(host, address);
	uint16_t model = assigned_model(pool, gpu, said);
	if (model == MODEL_NONE)
		memory_exhausted();
	pool->models.models[model].refs++;

	if (gpu) {
		gpu->owner = vm;
		fleet_reclassify_gpu(fleet, host, gpu);
	} else {
		gpu = insert(fleet, host, address);
		gpu->owner = vm;
		gpu->model = model;
		gpu->state = GPU_OTHER_STATE;
		gpu->iommu_group = (int32_t)said->iommu_group;
		gpu->numa_node = (int16_t)said->numa_node;
		(void)fleet_parse_functions(fleet, address, said->functions, said->n_functions,
					    &gpu->functions, &gpu->other_functions);
		count_in(fleet, host, gpu);
		fleet_mark_dirty(fleet, host, true);
	}
	fleet->n_held++;
	tell_siblings(fleet, host, address, true);
	return model;
}

void fleet_release_gpu(struct fleet *fleet, uint32_t host_slot, uint64_t address, uint16_t model)
{
	struct fleet_host *host = &fleet->hosts[host_slot];
	struct gpu *gpu = fleet_find_gpu(host, address);
	gpu->owner = FLEET_NONE;
	if (gpu->flags & GPU_INVENTORIED) {
		fleet_reclassify_gpu(fleet, host, gpu);
	} else {
		erase(fleet, host, gpu);
		fleet_mark_dirty(fleet, host, true);
	}
	fleet_pool_of(fleet, host)->models.models[model].refs--;
	fleet->n_held--;
	tell_siblings(fleet, host, address, false);
}
