#include "core/reasons.h"

#include <inttypes.h>
#include <string.h>

#include "base/buf.h"
#include "core/headroom.h"

enum { LABEL_BYTES = 100 /* of a model name in a sentence */ };

static const struct {
	const char *gpus;  /* "3 ..." */
	const char *hosts; /* "1 on host h2 ...", "3 on hosts ..."; NULL: not a matter of hosts */
} phrases[GPU_CONDITIONS] = {
	[GPU_FREE] = { "free", NULL },
	[GPU_HELD] = { "assigned", NULL },
	[GPU_QUARANTINED] = { "in quarantine", NULL },
	[GPU_HOST_CORDONED] = { "on a cordoned host", "that is cordoned" },
	[GPU_HOST_SILENT] = { "on a silent host", "not heard of lately" },
	[GPU_HOST_NO_IOMMU] = { "with the IOMMU off", "whose IOMMU is off" },
	[GPU_HOST_NO_VFIO] = { "without vfio-pci", "without vfio-pci" },
	[GPU_HOST_NO_INTERRUPT_REMAPPING] = { "without interrupt remapping",
					      "without interrupt remapping" },
	[GPU_UNREADABLE] = { "unreadable", NULL },
	[GPU_HAS_VIRTUAL_FUNCTIONS] = { "with virtual functions switched on", NULL },
	[GPU_BOOT_DISPLAY] = { "used as boot display", NULL },
	[GPU_IN_USE_BY_HOST] = { "in use by the host", NULL },
	[GPU_NO_IOMMU] = { "without an IOMMU group", NULL },
	[GPU_GROUP_SHARED] = { "sharing an IOMMU group", NULL },
	[GPU_OTHER_STATE] = { "not available", NULL },
};

static void put_clipped(struct buf *out, const char *text)
{
	size_t len = strlen(text);
	if (len <= LABEL_BYTES) {
		buf_append(out, text, len);
		return;
	}
	len = LABEL_BYTES;
	while (len > 0 && ((unsigned char)text[len] & 0xc0) == 0x80)
		len--; /* not in the middle of a character */
	buf_append(out, text, len);
	buf_puts(out, "…");
}

/* Refusals have many counts, and printf is most of what they cost. */
static void put_count(struct buf *out, uint32_t count)
{
	char digits[10];
	size_t at = sizeof(digits);
	do
		digits[--at] = (char)('0' + count % 10);
	while (count /= 10);
	buf_append(out, digits + at, sizeof(digits) - at);
}

static void put_phrase(struct buf *out, uint32_t count, const char *phrase)
{
	put_count(out, count);
	buf_putc(out, ' ');
	buf_puts(out, phrase);
}

/* What a selector stands for, in words: the models' name when they share one. */
static const char *label_of(const struct fleet_pool *pool, const struct selector *selector)
{
	const char *label = NULL;
	for (uint32_t i = 0; i < selector->n_models; i++) {
		const struct gpu_model *model = &pool->models.models[selector->models[i]];
		if (model->total == 0)
			continue;
		if (label && strcmp(label, model->identity.name) != 0)
			return selector->text;
		label = model->identity.name;
	}
	return label && *label ? label : selector->text;
}

static const char *copy_out(struct arena *arena, const struct buf *text)
{
	return arena_strndup(arena, text->data, text->len);
}

/* ---- one host ---- */

static uint32_t count_at(const uint16_t *counts, const struct selector *selector, uint32_t place)
{
	return place < selector->n_places ? counts[place] : 0;
}

static void count_conditions(const struct fleet_host *host, const struct selector *selector,
			     uint32_t counts[GPU_CONDITIONS])
{
	memset(counts, 0, GPU_CONDITIONS * sizeof(*counts));
	for (uint16_t i = 0; i < host->n_gpus; i++)
		if (selector_has_model(selector, host->gpus[i].model))
			counts[host->gpus[i].condition]++;
}

static struct host_refusal refuse_gpus(const struct placement_request *request,
				       const struct fleet_host *host,
				       const struct placement_ask *ask, struct arena *arena)
{
	cleanup(buf_deinit) struct buf text = { 0 };
	const struct selector *selector = ask->selector;
	const char *label = label_of(request->pool, selector);
	uint32_t present = count_at(selector->present, selector, host->place);

	if (present == 0) {
		buf_puts(&text, "has no ");
		put_clipped(&text, label);
		return (struct host_refusal){ CODE_NO_SUCH_MODEL, copy_out(arena, &text) };
	}
	buf_puts(&text, "has ");
	put_phrase(&text, present, "× ");
	put_clipped(&text, label);
	if (present < ask->at_least) {
		buf_puts(&text, ", and ");
		put_phrase(&text, ask->at_least, "are asked for");
		return (struct host_refusal){ CODE_TOO_FEW_GPUS, copy_out(arena, &text) };
	}

	uint32_t counts[GPU_CONDITIONS];
	count_conditions(host, selector, counts);
	const char *separator = ": ";
	for (int c = 0; c < GPU_CONDITIONS; c++) {
		if (counts[c] == 0)
			continue;
		buf_puts(&text, separator);
		put_phrase(&text, counts[c], phrases[c].gpus);
		separator = ", ";
	}
	bool all_held = counts[GPU_FREE] + counts[GPU_HELD] >= ask->at_least;
	return (struct host_refusal){ all_held ? CODE_GPUS_ASSIGNED : CODE_GPUS_UNAVAILABLE,
				      copy_out(arena, &text) };
}

static struct host_refusal refuse_host(const struct fleet_host *host, int64_t now_us,
				       struct arena *arena)
{
	switch ((enum gpu_condition)host->condition) {
	case GPU_HOST_CORDONED:
		return (struct host_refusal){ CODE_HOST_CORDONED, "an operator has cordoned it" };
	case GPU_HOST_NO_IOMMU:
		return (struct host_refusal){ CODE_HOST_NO_IOMMU, "its IOMMU is off" };
	case GPU_HOST_NO_VFIO:
		return (struct host_refusal){ CODE_HOST_NO_VFIO, "it has no vfio-pci driver" };
	case GPU_HOST_NO_INTERRUPT_REMAPPING:
		return (struct host_refusal){ CODE_HOST_NO_INTERRUPT_REMAPPING,
					      "it has no interrupt remapping" };
	default:
		break;
	}
	const char *message = "no HostSeen of it ever";
	if (host->flags & HOST_SEEN)
		message = arena_printf(arena, "not heard of for %" PRId64 " s",
				       (now_us - host->seen_at) / 1000000);
	return (struct host_refusal){ CODE_HOST_SILENT, message };
}

struct host_refusal reasons_of_host(const struct placement_request *request,
				    struct fleet_host *host, int64_t now_us, struct arena *arena)
{
	struct placement placement;

	if (placement_excludes(request, host))
		return (struct host_refusal){ CODE_HOST_FAILED_BEFORE,
					      "its agent could not hand over GPUs for this "
					      "request" };
	if (host->condition != GPU_FREE)
		return refuse_host(host, now_us, arena);
	for (size_t i = 0; i < request->n_asks; i++) {
		const struct placement_ask *ask = &request->asks[i];
		if (count_at(ask->selector->free, ask->selector, host->place) < ask->at_least)
			return refuse_gpus(request, host, ask, arena);
	}
	if (!headroom_has_cpu(host, request->cpu_cores))
		return (struct host_refusal){
			CODE_NO_CPU,
			arena_printf(arena, "%" PRId64 " of %d CPU cores left, %" PRId64 " needed",
				     host->cpu_cores - host->cpu_used, host->cpu_cores,
				     request->cpu_cores),
		};
	if (!headroom_has_ram(host, request->ram_gb))
		return (struct host_refusal){
			CODE_NO_RAM,
			arena_printf(arena, "%" PRId64 " of %d GB RAM left, %" PRId64 " needed",
				     host->ram_gb - host->ram_used, host->ram_gb, request->ram_gb),
		};
	if (!placement_on_host(request, host, &placement))
		return (struct host_refusal){ CODE_TOO_FEW_GPUS,
					      "its free GPUs do not meet all asks together" };
	return (struct host_refusal){ CODE_FITS, "it can take it" };
}

/* ---- the pool ---- */

/* The only host with GPUs of the selector in this condition, when that can be told by looking at a
 * few. */
static const struct fleet_host *only_host(const struct placement_request *request,
					  const struct selector *selector,
					  enum gpu_condition condition)
{
	const struct slot_set *set = &selector->with_any;
	const struct fleet_host *only = NULL;
	if (set->count > LIMIT_REJECTION_HOSTS)
		return NULL;
	for (uint32_t place = 0; (place = slot_set_next(&set, 1, place)) != SLOT_SET_NONE;
	     place++) {
		const struct fleet_host *host = &request->fleet->hosts[request->pool->hosts[place]];
		uint32_t counts[GPU_CONDITIONS];
		count_conditions(host, selector, counts);
		if (counts[condition] == 0)
			continue;
		if (only)
			return NULL;
		only = host;
	}
	return only;
}

static void put_condition(const struct placement_request *request, const struct selector *selector,
			  enum gpu_condition condition, uint32_t count, struct buf *text)
{
	if (!phrases[condition].hosts) {
		put_phrase(text, count, phrases[condition].gpus);
		return;
	}
	const struct fleet_host *host = only_host(request, selector, condition);
	if (host)
		buf_printf(text, "%u on host %s %s", count, host->name, phrases[condition].hosts);
	else
		buf_printf(text, "%u on hosts %s", count, phrases[condition].hosts);
}

/* The most free GPUs of the selector on any one host. */
static uint32_t most_free(const struct selector *selector)
{
	for (uint32_t k = selector->n_levels; k > 1; k--)
		if (selector->exactly[k - 1].count > 0)
			return k - 1;
	return 0;
}

static void put_selector(const struct placement_request *request, const struct placement_ask *ask,
			 struct buf *text)
{
	const struct selector *selector = ask->selector;
	uint32_t counts[GPU_CONDITIONS] = { 0 };
	for (uint32_t i = 0; i < selector->n_models; i++) {
		const struct gpu_model *model = &request->pool->models.models[selector->models[i]];
		for (int c = 0; c < GPU_CONDITIONS; c++)
			counts[c] += model->conditions[c];
	}

	put_phrase(text, selector->total_present, "× ");
	put_clipped(text, label_of(request->pool, selector));
	const char *separator = ": ";
	static const enum gpu_condition first[] = { GPU_HELD, GPU_FREE };
	for (int i = 0; i < GPU_CONDITIONS; i++) {
		enum gpu_condition c = i < 2 ? first[i] : (enum gpu_condition)i;
		if (counts[c] == 0)
			continue;
		buf_puts(text, separator);
		put_condition(request, selector, c, counts[c], text);
		if (c == GPU_FREE && most_free(selector) < counts[c])
			buf_printf(text, " (at most %u on one host)", most_free(selector));
		separator = ", ";
	}
}

const char *reasons_of_pool(const struct placement_request *request, struct arena *arena)
{
	cleanup(buf_deinit) struct buf text = { 0 };
	bool scattered = true; /* each ask alone could be met somewhere */

	buf_printf(&text, "pool %s has ", request->pool->id);
	for (size_t i = 0; i < request->n_asks; i++) {
		const struct placement_ask *ask = &request->asks[i];
		buf_puts(&text, i ? "; " : "");
		put_selector(request, ask, &text);
		scattered &= most_free(ask->selector) >= ask->at_least;
	}
	if (request->n_excluded > 0) {
		for (size_t i = 0; i < request->n_excluded; i++)
			buf_printf(&text, "%s%s",
				   i ? ", " : "; tried before: ", request->excluded[i]->name);
		return copy_out(arena, &text);
	}
	if (scattered && (request->cpu_cores || request->ram_gb))
		buf_printf(&text,
			   "; no host that has enough of them free has %" PRId64
			   " CPU cores and %" PRId64 " GB RAM left",
			   request->cpu_cores, request->ram_gb);
	else if (scattered)
		buf_puts(&text, "; no one host has all that is asked for free together");
	return copy_out(arena, &text);
}

/* ---- hosts worth telling about ---- */

struct picked {
	struct fleet_host **hosts;
	size_t n;
	size_t max;
};

static void pick_from(const struct placement_request *request, const struct slot_set *set,
		      struct picked *picked)
{
	for (uint32_t place = 0;
	     picked->n < picked->max && (place = slot_set_next(&set, 1, place)) != SLOT_SET_NONE;
	     place++) {
		struct fleet_host *host = &request->fleet->hosts[request->pool->hosts[place]];
		bool known = false;
		for (size_t i = 0; i < picked->n && !known; i++)
			known = picked->hosts[i] == host;
		if (!known)
			picked->hosts[picked->n++] = host;
	}
}

size_t reasons_pick_hosts(const struct placement_request *request, struct fleet_host **ret_hosts,
			  size_t max)
{
	struct picked picked = { ret_hosts, 0, max };
	for (size_t i = 0; i < request->n_asks; i++) {
		const struct selector *selector = request->asks[i].selector;
		for (uint32_t k = selector->n_levels; k > 1; k--)
			if (selector->exactly[k - 1].count > 0)
				pick_from(request, &selector->exactly[k - 1], &picked);
		pick_from(request, &selector->with_any, &picked);
	}
	pick_from(request, &request->pool->members, &picked);
	return picked.n;
}

/* ---- names that exist ---- */

static const char *finish_names(struct buf *text, size_t left_out, struct arena *arena)
{
	if (left_out)
		buf_printf(text, " (and %zu more)", left_out);
	return copy_out(arena, text);
}

const char *reasons_model_names(const struct fleet_pool *pool, struct arena *arena)
{
	cleanup(buf_deinit) struct buf text = { 0 };
	size_t n = 0, left_out = 0;
	for (uint16_t i = 0; pool && i < pool->models.n; i++) {
		const struct gpu_model *model = &pool->models.models[i];
		bool told = model->total == 0;
		for (uint16_t j = 0; j < i && !told && n < LIMIT_REJECTION_NAMES; j++)
			told = pool->models.models[j].total > 0 &&
			       pool->models.models[j].identity.vendor_id ==
				       model->identity.vendor_id &&
			       pool->models.models[j].identity.device_id ==
				       model->identity.device_id &&
			       strcmp(pool->models.models[j].identity.name, model->identity.name) ==
				       0;
		if (told)
			continue;
		if (n == LIMIT_REJECTION_NAMES) {
			left_out++;
			continue;
		}
		char id[MODEL_ID_BYTES];
		model_format_id(&model->identity, false, id);
		buf_puts(&text, n++ ? ", " : "; it has: ");
		put_clipped(&text, model->identity.name);
		buf_printf(&text, " (%s)", id);
	}
	if (n == 0)
		return "; it has no GPUs at all";
	return finish_names(&text, left_out, arena);
}

const char *reasons_gpu_names(const struct fleet_host *host, struct arena *arena)
{
	cleanup(buf_deinit) struct buf text = { 0 };
	uint16_t n = 0;
	for (; n < host->n_gpus && n < LIMIT_REJECTION_NAMES; n++) {
		char address[PCI_ADDRESS_TEXT_BYTES];
		pci_address_format(pci_address_unpack(host->gpus[n].address), address);
		buf_puts(&text, n ? ", " : "; the GPUs of that host: ");
		buf_puts(&text, address);
	}
	if (n == 0)
		return "; that host has no GPUs at all";
	return finish_names(&text, (size_t)(host->n_gpus - n), arena);
}

const char *reasons_host_names(const struct fleet *fleet, const struct fleet_pool *pool,
			       struct arena *arena)
{
	cleanup(buf_deinit) struct buf text = { 0 };
	size_t n = 0;
	if (!pool || pool->n_hosts == 0)
		return "; it has no hosts at all";
	const struct slot_set *members = &pool->members;
	for (uint32_t place = 0; n < LIMIT_REJECTION_NAMES &&
				 (place = slot_set_next(&members, 1, place)) != SLOT_SET_NONE;
	     place++) {
		buf_puts(&text, n++ ? ", " : "; its hosts: ");
		buf_puts(&text, fleet->hosts[pool->hosts[place]].name);
	}
	return finish_names(&text, pool->n_hosts - n, arena);
}
