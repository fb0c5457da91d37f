#include "core/gpu_parse.h"

#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "core/id_check.h"
#include "model/gpu_state.h"
#include "model/pci_address.h"

static const struct {
	const char *name;
	enum gpu_condition state;
} state_names[] = {
	{ GPU_STATE_AVAILABLE, GPU_FREE },
	{ GPU_STATE_UNREADABLE, GPU_UNREADABLE },
	{ GPU_STATE_HAS_VIRTUAL_FUNCTIONS, GPU_HAS_VIRTUAL_FUNCTIONS },
	{ GPU_STATE_BOOT_DISPLAY, GPU_BOOT_DISPLAY },
	{ GPU_STATE_IN_USE_BY_HOST, GPU_IN_USE_BY_HOST },
	{ GPU_STATE_NO_IOMMU, GPU_NO_IOMMU },
	{ GPU_STATE_GROUP_SHARED, GPU_GROUP_SHARED },
};

static enum gpu_condition parse_state(const char *name)
{
	for (size_t i = 0; i < sizeof(state_names) / sizeof(*state_names); i++)
		if (strcmp(state_names[i].name, name) == 0)
			return state_names[i].state;
	return GPU_OTHER_STATE;
}

static bool parse_hex(const char *text, size_t digits, uint32_t *ret_value)
{
	if (!text || strlen(text) != digits || strspn(text, "0123456789abcdefABCDEF") != digits)
		return false;
	*ret_value = (uint32_t)strtoul(text, NULL, 16);
	return true;
}

static bool is_empty(const char *text)
{
	return !text || !*text;
}

static bool short_text(const char *text)
{
	return is_empty(text) || !id_problem(text);
}

static const char *parse_model(const struct gpu_discovered *gpu, bool readable,
			       struct model_identity *ret_model)
{
	uint32_t vendor, device, sub_vendor = 0, sub_device = 0, class_id = 0;
	bool subsystem = gpu->subsystem_vendor_id && gpu->subsystem_device_id;

	/* Of a GPU that its host could not read they may be empty; it is registered, as not to be had. */
	if (!readable && is_empty(gpu->vendor_id) && is_empty(gpu->device_id))
		vendor = device = 0;
	else if (!parse_hex(gpu->vendor_id, 4, &vendor) || !parse_hex(gpu->device_id, 4, &device))
		return "vendor_id or device_id is not four hex digits";
	if (subsystem && (!parse_hex(gpu->subsystem_vendor_id, 4, &sub_vendor) ||
			  !parse_hex(gpu->subsystem_device_id, 4, &sub_device)))
		return "subsystem_vendor_id or subsystem_device_id is not four hex digits";
	if (gpu->class_id && *gpu->class_id && !parse_hex(gpu->class_id, 6, &class_id))
		return "class is not six hex digits";
	if (!short_text(gpu->model) || !short_text(gpu->vendor))
		return "model or vendor is longer than 255 bytes or has control characters";

	*ret_model = (struct model_identity){
		.name = gpu->model ? gpu->model : "",
		.vendor = gpu->vendor ? gpu->vendor : "",
		.class_id = class_id,
		.vendor_id = (uint16_t)vendor,
		.device_id = (uint16_t)device,
		.subsystem_vendor_id = (uint16_t)sub_vendor,
		.subsystem_device_id = (uint16_t)sub_device,
		.has_subsystem = subsystem,
	};
	return NULL;
}

static const char *problem_of(const struct gpu_discovered *gpu, struct parsed_gpu *parsed)
{
	struct pci_address address, above;
	char text[PCI_ADDRESS_TEXT_BYTES];

	if (id_problem(gpu->host))
		return "host is not a usable id";
	if (id_problem(gpu->pool_id))
		return "pool_id is not a usable id";
	if (!gpu->pci_address || pci_address_parse(gpu->pci_address, &address) != 0)
		return "pci_address is not a PCI address";
	size_t host_len = strlen(gpu->host);
	pci_address_format(address, text);
	if (!gpu->gpu_id || strncmp(gpu->gpu_id, gpu->host, host_len) != 0 ||
	    gpu->gpu_id[host_len] != '/' || strcmp(gpu->gpu_id + host_len + 1, text) != 0)
		return "gpu_id is not host/pci_address";
	if (gpu->iommu_group < ABSENT || gpu->iommu_group > INT32_MAX)
		return "iommu_group is out of range";
	if (gpu->numa_node < ABSENT || gpu->numa_node > INT16_MAX)
		return "numa_node is out of range";
	if (gpu->pcie_switch && *gpu->pcie_switch &&
	    pci_address_parse(gpu->pcie_switch, &above) != 0)
		return "pcie_switch is not a PCI address";
	if (!short_text(gpu->driver))
		return "driver is longer than 255 bytes or has control characters";
	if (text_problem(gpu->reason))
		return "reason is longer than 1024 bytes or has control characters";
	if (!gpu->state || id_problem(gpu->state))
		return "state is missing";

	parsed->address = pci_address_pack(address);
	parsed->state = parse_state(gpu->state);
	return parse_model(gpu, parsed->state != GPU_UNREADABLE, &parsed->model);
}

int gpu_id_parse(const char *gpu_id, char host[LIMIT_ID_BYTES + 1], uint64_t *ret_address)
{
	struct pci_address address;
	const char *slash = gpu_id ? strrchr(gpu_id, '/') : NULL;
	if (!slash || slash - gpu_id > LIMIT_ID_BYTES ||
	    pci_address_parse(slash + 1, &address) != 0)
		return 1;
	memcpy(host, gpu_id, (size_t)(slash - gpu_id));
	host[slash - gpu_id] = '\0';
	if (id_problem(host))
		return 1;
	*ret_address = pci_address_pack(address);
	return 0;
}

int gpu_parse(const struct gpu_discovered *gpu, struct parsed_gpu *ret_parsed,
	      const char **ret_error)
{
	struct parsed_gpu parsed = { 0 };
	const char *problem = problem_of(gpu, &parsed);
	if (problem) {
		*ret_error = problem;
		return 1;
	}
	*ret_parsed = parsed;
	return 0;
}
