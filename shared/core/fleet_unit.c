/* Passthrough units: as entries keep them, and as records list them. */
#include <string.h>

#include "base/buf.h"
#include "base/limits.h"
#include "core/fleet.h"

int fleet_parse_functions(struct fleet *fleet, uint64_t address, const char *const *functions,
			  size_t n, uint8_t *ret_mask, uint32_t *ret_others)
{
	cleanup(buf_deinit) struct buf others = { 0 };
	struct pci_address self = pci_address_unpack(address);
	uint8_t mask = (uint8_t)(1u << self.function);

	if (n > LIMIT_FUNCTIONS_PER_UNIT)
		return 1;
	for (size_t i = 0; i < n; i++) {
		struct pci_address function;
		char text[PCI_ADDRESS_TEXT_BYTES];
		if (!functions[i] || pci_address_parse(functions[i], &function) != 0)
			return 1;
		if (pci_address_same_slot(function, self)) {
			mask = (uint8_t)(mask | 1u << function.function);
			continue;
		}
		pci_address_format(function, text);
		if (others.len)
			buf_putc(&others, ',');
		buf_puts(&others, text);
	}
	*ret_mask = mask;
	*ret_others = text_pool_take(&fleet->texts, others.data);
	return 0;
}

static char *address_text(struct arena *arena, struct pci_address address)
{
	char text[PCI_ADDRESS_TEXT_BYTES];
	pci_address_format(address, text);
	return arena_strdup(arena, text);
}

static const char **list_functions(struct pci_address self, uint8_t functions, const char *others,
				   struct arena *arena, size_t *ret_n)
{
	size_t n = (size_t)__builtin_popcount(functions | 1u << self.function) + (others != NULL);
	for (const char *c = others; c && *c; c++)
		n += *c == ',';

	const char **list = arena_array(arena, n, sizeof(*list));
	size_t i = 0;
	list[i++] = address_text(arena, self);
	for (struct pci_address other = { self.domain, self.bus, self.device, 0 };
	     other.function < 8; other.function++)
		if (other.function != self.function && (functions >> other.function & 1))
			list[i++] = address_text(arena, other);
	while (others && *others) {
		size_t len = strcspn(others, ",");
		list[i++] = arena_strndup(arena, others, len);
		others += len + (others[len] == ',');
	}
	*ret_n = i;
	return list;
}

void fleet_describe_gpu(const struct fleet *fleet, const struct fleet_host *host, uint64_t address,
			const struct model_identity *model, uint8_t functions,
			uint32_t other_functions, struct arena *arena, struct assigned_gpu *ret_gpu)
{
	char device[MODEL_ID_BYTES];
	model_format_id(model, false, device);
	*ret_gpu = (struct assigned_gpu){
		.name = arena_strdup(arena, model->name),
		.vendor = arena_strdup(arena, model->vendor),
		.device = arena_strdup(arena, device),
		.pci_address = address_text(arena, pci_address_unpack(address)),
		.iommu_group = ABSENT,
		.numa_node = ABSENT,
	};
	size_t host_len = strlen(host->name), address_len = strlen(ret_gpu->pci_address);
	char *gpu_id = arena_alloc(arena, host_len + 1 + address_len + 1);
	memcpy(gpu_id, host->name, host_len);
	gpu_id[host_len] = '/';
	memcpy(gpu_id + host_len + 1, ret_gpu->pci_address, address_len);
	ret_gpu->gpu_id = gpu_id;
	ret_gpu->functions = list_functions(pci_address_unpack(address), functions,
					    text_pool_get(&fleet->texts, other_functions), arena,
					    &ret_gpu->n_functions);
}
