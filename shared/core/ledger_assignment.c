/* What a VM holds: kept small, given as records list it, owned on the entries of the fleet. */
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/memory.h"
#include "core/ledger.h"

static size_t text_bytes(const char *text)
{
	return text ? strlen(text) + 1 : 0;
}

static const char *copy_text(char **at, const char *text)
{
	if (!text)
		return NULL;
	size_t bytes = strlen(text) + 1;
	char *copy = memcpy(*at, text, bytes);
	*at += bytes;
	return copy;
}

static size_t list_bytes(const char *const *texts, size_t n)
{
	size_t bytes = 0;
	for (size_t i = 0; i < n; i++)
		bytes += text_bytes(texts[i]);
	return bytes;
}

/* Words and room for the holdings, which stay as they are (zero). */
static struct assignment *new_assignment(const struct gpu_assigned *assigned)
{
	size_t gpus = assigned->n_gpus * sizeof(struct holding);
	size_t texts = text_bytes(assigned->assignment_id) + text_bytes(assigned->request_id) +
		       text_bytes(assigned->vm_instance_id) + text_bytes(assigned->vm_type_id) +
		       text_bytes(assigned->release_request_id) +
		       text_bytes(assigned->attach_state) + text_bytes(assigned->attach_code) +
		       text_bytes(assigned->attach_reason) + text_bytes(assigned->after_release) +
		       list_bytes(assigned->failed_hosts, assigned->n_failed_hosts);
	struct assignment *assignment = memory_zeroed(1, sizeof(*assignment) + gpus + texts);
	char *at = (char *)assignment->gpus + gpus;

	assignment->assignment_id = copy_text(&at, assigned->assignment_id);
	assignment->request_id = copy_text(&at, assigned->request_id);
	assignment->vm_instance_id = copy_text(&at, assigned->vm_instance_id);
	assignment->vm_type_id = copy_text(&at, assigned->vm_type_id);
	if (strcmp(assigned->state, "RELEASING") == 0)
		assignment->release_request_id = copy_text(
			&at, assigned->release_request_id ? assigned->release_request_id : "");
	assignment->attach_state = copy_text(&at, assigned->attach_state);
	assignment->attach_code = copy_text(&at, assigned->attach_code);
	assignment->attach_reason = copy_text(&at, assigned->attach_reason);
	assignment->after_release = copy_text(&at, assigned->after_release);
	assignment->failed_hosts = at;
	for (size_t i = 0; i < assigned->n_failed_hosts; i++)
		copy_text(&at, assigned->failed_hosts[i]);
	assignment->n_failed_hosts = (uint16_t)assigned->n_failed_hosts;
	assignment->pinned = assigned->pinned == 1;
	assignment->cpu_cores = assigned->cpu_cores;
	assignment->ram_gb = assigned->ram_gb;
	assignment->n = (uint32_t)assigned->n_gpus;
	return assignment;
}

/* Positive: too few or too many GPUs, something that is no address, or one address twice. */
static int parse_addresses(const struct gpu_assigned *assigned,
			   uint64_t addresses[LIMIT_GPUS_PER_REQUEST])
{
	if (assigned->n_gpus == 0 || assigned->n_gpus > LIMIT_GPUS_PER_REQUEST)
		return 1;
	for (size_t i = 0; i < assigned->n_gpus; i++) {
		struct pci_address address;
		if (pci_address_parse(assigned->gpus[i].pci_address, &address) != 0)
			return 1;
		addresses[i] = pci_address_pack(address);
		for (size_t j = 0; j < i; j++)
			if (addresses[i] == addresses[j])
				return 1;
	}
	return 0;
}

int ledger_hold(struct ledger *ledger, uint32_t vm, const struct gpu_assigned *assigned)
{
	struct fleet *fleet = ledger->fleet;
	uint64_t addresses[LIMIT_GPUS_PER_REQUEST];
	if (parse_addresses(assigned, addresses) != 0)
		return 1;
	for (size_t i = 0; i < assigned->n_gpus; i++)
		if (fleet_owner(fleet, assigned->host, addresses[i]) != FLEET_NONE)
			return 1;
	struct fleet_host *host = fleet_need_host(fleet, assigned->pool_id, assigned->host);
	if (!host)
		return 1;

	struct assignment *assignment = new_assignment(assigned);
	assignment->host = fleet_host_slot(fleet, host);
	for (size_t i = 0; i < assigned->n_gpus; i++) {
		const struct assigned_gpu *gpu = &assigned->gpus[i];
		struct holding *holding = &assignment->gpus[i];
		*holding = (struct holding){
			.address = addresses[i],
			.other_functions = TEXT_NONE,
			.iommu_group = (int32_t)gpu->iommu_group,
			.numa_node = (int16_t)gpu->numa_node,
			.model = fleet_hold_gpu(fleet, assignment->host, addresses[i], gpu, vm),
		};
		/* What is malformed in the list of functions is left out; the GPU itself counts. */
		(void)fleet_parse_functions(fleet, addresses[i], gpu->functions, gpu->n_functions,
					    &holding->functions, &holding->other_functions);
	}
	fleet_use_host(fleet, assignment->host, assignment->cpu_cores, assignment->ram_gb);
	ledger->vms[vm].assignment = assignment;
	ledger->n_holding++;
	return 0;
}

bool ledger_may_give(const struct ledger *ledger, const struct gpu_assigned *assigned)
{
	bool any = ledger->fleet->n_quarantined > 0;
	for (size_t i = 0; any && i < assigned->n_gpus; i++) {
		struct pci_address address;
		if (pci_address_parse(assigned->gpus[i].pci_address, &address) == 0 &&
		    fleet_is_marked(ledger->fleet, assigned->host, pci_address_pack(address)))
			return false;
	}
	return true;
}

/* The new holding cannot fail once the old one is gone: what it may fail for is looked at before, and
 * it takes nothing that the old one gives. */
int ledger_replace(struct ledger *ledger, uint32_t vm, const struct gpu_assigned *assigned)
{
	const struct assignment *old = ledger->vms[vm].assignment;
	uint64_t addresses[LIMIT_GPUS_PER_REQUEST];
	if (!old || strcmp(old->assignment_id, assigned->replaces) != 0 ||
	    strcmp(old->assignment_id, assigned->assignment_id) == 0 ||
	    strcmp(old->request_id, assigned->request_id) != 0 || old->release_request_id ||
	    strcmp(assigned->state, "RELEASING") == 0 ||
	    strcmp(ledger->fleet->hosts[old->host].name, assigned->host) == 0 ||
	    !ledger_holds_all(ledger, old, assigned->quarantined, assigned->n_quarantined))
		return 1;
	if (parse_addresses(assigned, addresses) != 0 || !ledger_may_give(ledger, assigned))
		return 1;
	for (size_t i = 0; i < assigned->n_gpus; i++)
		if (fleet_owner(ledger->fleet, assigned->host, addresses[i]) != FLEET_NONE)
			return 1;
	if (!fleet_need_host(ledger->fleet, assigned->pool_id, assigned->host))
		return 1;
	ledger_let_go(ledger, vm);
	return ledger_hold(ledger, vm, assigned);
}

int ledger_reword(struct ledger *ledger, uint32_t vm, const struct gpu_assigned *assigned)
{
	struct assignment *old = ledger->vms[vm].assignment;
	uint64_t addresses[LIMIT_GPUS_PER_REQUEST];
	if (parse_addresses(assigned, addresses) != 0 ||
	    strcmp(old->assignment_id, assigned->assignment_id) != 0 ||
	    strcmp(old->request_id, assigned->request_id) != 0 || old->n != assigned->n_gpus ||
	    (old->release_request_id && strcmp(assigned->state, "RELEASING") != 0) ||
	    strcmp(ledger->fleet->hosts[old->host].name, assigned->host) != 0)
		return 1;
	for (size_t i = 0; i < assigned->n_gpus; i++)
		if (old->gpus[i].address != addresses[i])
			return 1;
	struct assignment *fresh = new_assignment(assigned);
	fresh->host = old->host;
	memcpy(fresh->gpus, old->gpus, old->n * sizeof(*old->gpus));
	fleet_use_host(ledger->fleet, old->host, fresh->cpu_cores - old->cpu_cores,
		       fresh->ram_gb - old->ram_gb);
	free(old);
	ledger->vms[vm].assignment = fresh;
	return 0;
}

void ledger_let_go(struct ledger *ledger, uint32_t vm)
{
	struct assignment *assignment = ledger->vms[vm].assignment;
	struct fleet *fleet = ledger->fleet;
	for (uint32_t i = 0; i < assignment->n; i++) {
		const struct holding *holding = &assignment->gpus[i];
		fleet_release_gpu(fleet, assignment->host, holding->address, holding->model);
		text_pool_release(&fleet->texts, holding->other_functions);
	}
	fleet_use_host(fleet, assignment->host, -assignment->cpu_cores, -assignment->ram_gb);
	fleet_settle_host(fleet, assignment->host);
	free(assignment);
	ledger->vms[vm].assignment = NULL;
	ledger->n_holding--;
}

struct assigned_gpu *ledger_list_gpus(const struct ledger *ledger,
				      const struct assignment *assignment, struct arena *arena)
{
	const struct fleet *fleet = ledger->fleet;
	const struct fleet_host *host = &fleet->hosts[assignment->host];
	const struct model_table *models = &fleet_pool_of(fleet, host)->models;
	struct assigned_gpu *list = arena_array(arena, assignment->n, sizeof(*list));

	for (uint32_t i = 0; i < assignment->n; i++) {
		const struct holding *holding = &assignment->gpus[i];
		const struct model_identity *model = &models->models[holding->model].identity;
		fleet_describe_gpu(fleet, host, holding->address, model, holding->functions,
				   holding->other_functions, arena, &list[i]);
		list[i].iommu_group = holding->iommu_group;
		list[i].numa_node = holding->numa_node;
	}
	return list;
}
