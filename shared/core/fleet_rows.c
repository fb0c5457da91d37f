#include "core/fleet_rows.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/memory.h"
#include "core/shard_internal.h"

/* Texts have no control characters: the folds see to that. */
static void put_string(struct buf *row, const char *text)
{
	buf_putc(row, '"');
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			buf_putc(row, '\\');
		buf_putc(row, *text);
	}
	buf_putc(row, '"');
}

static void put_known(struct buf *row, const char *name, int64_t value, bool known)
{
	if (!known)
		return;
	if (row->data[row->len - 1] != '{')
		buf_putc(row, ',');
	buf_printf(row, "\"%s\":%" PRId64, name, value);
}

void fleet_row_host(const struct fleet_host *host, struct buf *row)
{
	bool seen = host->flags & HOST_SEEN;
	buf_putc(row, '{');
	put_known(row, "seen", host->seen_at, seen);
	put_known(row, "cpu", host->cpu_cores, seen && host->cpu_cores);
	put_known(row, "ram", host->ram_gb, seen && host->ram_gb);
	put_known(row, "gpus", host->announced, seen);
	put_known(row, "iommu", host->iommu, seen && host->iommu != ABSENT);
	put_known(row, "ir", host->interrupt_remapping,
		  seen && host->interrupt_remapping != ABSENT);
	put_known(row, "vfio", host->vfio, seen && host->vfio != ABSENT);
	if (seen && *fleet_host_boot_id(host)) {
		buf_puts(row, ",\"boot\":");
		put_string(row, fleet_host_boot_id(host));
	}
	buf_putc(row, '}');
}

/* Numbers in the order of their first use. */
struct numbering {
	uint32_t *ids;
	size_t n;
};

static int number_of(struct numbering *numbering, uint32_t id, uint32_t none)
{
	if (id == none)
		return -1;
	for (size_t i = 0; i < numbering->n; i++)
		if (numbering->ids[i] == id)
			return (int)i;
	numbering->ids = memory_resize(numbering->ids, numbering->n + 1, sizeof(*numbering->ids));
	numbering->ids[numbering->n] = id;
	return (int)numbering->n++;
}

static void put_models(struct buf *row, const struct fleet_pool *pool,
		       const struct numbering *models)
{
	for (size_t i = 0; i < models->n; i++) {
		const struct model_identity *model = &pool->models.models[models->ids[i]].identity;
		char id[MODEL_ID_BYTES];
		model_format_id(model, true, id);
		buf_printf(row, "%s[\"%s\",", i ? "," : "", id);
		put_string(row, model->name);
		buf_putc(row, ',');
		put_string(row, model->vendor);
		if (model->class_id)
			buf_printf(row, ",\"%06x\"]", model->class_id);
		else
			buf_puts(row, ",\"\"]");
	}
}

static const char state_letters[GPU_CONDITIONS] = {
	[GPU_FREE] = 'A',	  [GPU_UNREADABLE] = 'U',     [GPU_HAS_VIRTUAL_FUNCTIONS] = 'V',
	[GPU_BOOT_DISPLAY] = 'B', [GPU_IN_USE_BY_HOST] = 'H', [GPU_NO_IOMMU] = 'N',
	[GPU_GROUP_SHARED] = 'S', [GPU_OTHER_STATE] = 'O',
};

enum { FIELDS = 7 };

static void put_gpu(struct buf *row, const struct gpu *gpu, struct numbering *models,
		    struct numbering *texts)
{
	char address[PCI_ADDRESS_TEXT_BYTES];
	pci_address_format(pci_address_unpack(gpu->address), address);
	const char *shown = strncmp(address, "0000:", 5) == 0 ? address + 5 : address;
	const int64_t fields[FIELDS] = {
		gpu->iommu_group,
		gpu->numa_node,
		gpu->functions,
		number_of(texts, gpu->driver, TEXT_NONE),
		number_of(texts, gpu->pcie_switch, TEXT_NONE),
		number_of(texts, gpu->other_functions, TEXT_NONE),
		number_of(texts, gpu->reason, TEXT_NONE),
	};
	size_t n = FIELDS;
	while (fields[n - 1] == -1) /* ends: functions has the GPU's own bit */
		n--;

	buf_printf(row, "[\"%s\",%d,\"%c\"", shown, number_of(models, gpu->model, MODEL_NONE),
		   state_letters[gpu->state]);
	for (size_t i = 0; i < n; i++)
		buf_printf(row, ",%" PRId64, fields[i]);
	buf_putc(row, ']');
}

bool fleet_row_gpus(const struct fleet *fleet, const struct fleet_host *host, struct buf *row)
{
	cleanup(buf_deinit) struct buf gpus = { 0 };
	struct numbering models = { 0 }, texts = { 0 };

	for (uint16_t i = 0; i < host->n_gpus; i++) {
		if (!(host->gpus[i].flags & GPU_INVENTORIED))
			continue;
		if (gpus.len)
			buf_putc(&gpus, ',');
		put_gpu(&gpus, &host->gpus[i], &models, &texts);
	}
	if (gpus.len) {
		buf_puts(row, "{\"models\":[");
		put_models(row, fleet_pool_of(fleet, host), &models);
		buf_puts(row, "],\"texts\":[");
		for (size_t i = 0; i < texts.n; i++) {
			if (i)
				buf_putc(row, ',');
			put_string(row, text_pool_get(&fleet->texts, texts.ids[i]));
		}
		buf_puts(row, "],\"gpus\":[");
		buf_append(row, gpus.data, gpus.len);
		buf_puts(row, "]}");
	}
	free(models.ids);
	free(texts.ids);
	return gpus.len > 0;
}

/* ---- what has changed ---- */

bool shard_has_host(const struct shard_state *state, const char *field)
{
	const char *tab = strchr(field, '\t');
	if (!tab)
		return false;
	cleanup(freep) char *pool_id = memory_strdup(field);
	pool_id[tab - field] = '\0';
	const struct fleet_pool *pool = fleet_find_pool(&state->fleet, pool_id);
	return pool && fleet_find_host(&state->fleet, pool, tab + 1);
}

bool shard_fleet_is_dirty(const struct shard_state *state)
{
	return state->fleet.dirty_first != FLEET_NONE;
}

void shard_mark_fleet_dirty(struct shard_state *state)
{
	struct fleet *fleet = &state->fleet;
	for (uint32_t slot = 0; slot < fleet->n_slots; slot++)
		if (fleet->hosts[slot].name)
			fleet_mark_dirty(fleet, &fleet->hosts[slot], true);
}

static void tell_gone(struct fleet *fleet, fleet_row_fn on_row, void *context)
{
	char *field = fleet->gone[--fleet->n_gone];
	on_row(context, "hosts", field, strlen(field), NULL, 0);
	on_row(context, "gpus", field, strlen(field), NULL, 0);
	free(field);
}

static void tell_host(const struct fleet *fleet, struct fleet_host *host, bool gpus,
		      fleet_row_fn on_row, void *context)
{
	cleanup(buf_deinit) struct buf field = { 0 }, row = { 0 };
	buf_printf(&field, "%s\t%s", fleet_pool_of(fleet, host)->id, host->name);
	fleet_row_host(host, &row);
	on_row(context, "hosts", field.data, field.len, row.data, row.len);
	if (!gpus)
		return;
	buf_clear(&row);
	bool any = fleet_row_gpus(fleet, host, &row);
	on_row(context, "gpus", field.data, field.len, any ? row.data : NULL, any ? row.len : 0);
}

/* What is gone comes first: the same host may be back among the dirty ones. */
size_t shard_take_dirty_hosts(struct shard_state *state, size_t max_hosts, fleet_row_fn on_row,
			      void *context)
{
	struct fleet *fleet = &state->fleet;
	size_t n = 0;

	for (; n < max_hosts && fleet->n_gone > 0; n++)
		tell_gone(fleet, on_row, context);
	while (n < max_hosts && fleet->dirty_first != FLEET_NONE) {
		struct fleet_host *host = &fleet->hosts[fleet->dirty_first];
		fleet->dirty_first = host->dirty_next;
		if (fleet->dirty_first == FLEET_NONE)
			fleet->dirty_last = FLEET_NONE;
		bool gpus = host->flags & HOST_DIRTY_GPUS;
		host->flags &= (uint8_t) ~(HOST_DIRTY | HOST_DIRTY_GPUS);
		if (!host->name)
			continue; /* went before it was told */
		host->flags |= HOST_REPORTED;
		tell_host(fleet, host, gpus, on_row, context);
		n++;
	}
	return n;
}
