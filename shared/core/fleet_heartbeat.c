/* Heartbeats: which hosts are alive, and what they say about themselves. */
#include <string.h>

#include "base/limits.h"
#include "core/fleet.h"
#include "core/id_check.h"

/* ---- being alive: a list in the order of the last heartbeat ---- */

static void leave_living(struct fleet *fleet, struct fleet_host *host)
{
	if (!(host->flags & HOST_ALIVE))
		return;
	if (host->earlier == FLEET_NONE)
		fleet->earliest = host->later;
	else
		fleet->hosts[host->earlier].later = host->later;
	if (host->later == FLEET_NONE)
		fleet->latest = host->earlier;
	else
		fleet->hosts[host->later].earlier = host->earlier;
	host->earlier = host->later = FLEET_NONE;
	host->flags &= (uint8_t)~HOST_ALIVE;
}

/* From the latest backwards: timestamps of one partition hardly ever go back. */
static void join_living(struct fleet *fleet, struct fleet_host *host)
{
	uint32_t slot = fleet_host_slot(fleet, host);
	uint32_t before = fleet->latest;
	while (before != FLEET_NONE && fleet->hosts[before].seen_at > host->seen_at)
		before = fleet->hosts[before].earlier;

	host->earlier = before;
	host->later = before == FLEET_NONE ? fleet->earliest : fleet->hosts[before].later;
	if (before == FLEET_NONE)
		fleet->earliest = slot;
	else
		fleet->hosts[before].later = slot;
	if (host->later == FLEET_NONE)
		fleet->latest = slot;
	else
		fleet->hosts[host->later].earlier = slot;
	host->flags |= HOST_ALIVE;
}

void fleet_advance(struct fleet *fleet, int64_t now_us)
{
	while (fleet->earliest != FLEET_NONE) {
		struct fleet_host *host = &fleet->hosts[fleet->earliest];
		if (host->seen_at >= now_us - fleet->host_timeout_us)
			break;
		leave_living(fleet, host);
		fleet_reclassify_host(fleet, host);
	}
}

/* ---- heartbeats ---- */

static const char *host_problem(const struct host_seen *seen)
{
	if (id_problem(seen->host))
		return "host is not a usable id";
	if (id_problem(seen->pool_id))
		return "pool_id is not a usable id";
	if (seen->boot_id && *seen->boot_id && id_problem(seen->boot_id))
		return "boot_id is not a usable id";
	if (seen->cpu_cores < 0 || seen->cpu_cores > LIMIT_CPU_CORES)
		return "cpu_cores is out of range";
	if (seen->ram_gb < 0 || seen->ram_gb > LIMIT_RAM_GB)
		return "ram_gb is out of range";
	if (seen->iommu < ABSENT || seen->iommu > 1 || seen->vfio < ABSENT || seen->vfio > 1 ||
	    seen->interrupt_remapping < ABSENT || seen->interrupt_remapping > 1)
		return "iommu, interrupt_remapping or vfio is not a boolean";
	if (seen->n_gpus < 0 || seen->n_gpus > LIMIT_GPUS_PER_HOST)
		return "gpu_count is out of range";
	return NULL;
}

/* The pool's last word about the host is taken back. */
static void unsee(struct fleet *fleet, struct fleet_host *host)
{
	leave_living(fleet, host);
	host->flags &= (uint8_t)~HOST_SEEN;
	fleet_reclassify_host(fleet, host);
	fleet_mark_dirty(fleet, host, false);
}

int fleet_fold_host(struct fleet *fleet, const struct host_seen *seen, int64_t seen_at_us,
		    const char **ret_error)
{
	const char *problem = host_problem(seen);
	if (problem) {
		*ret_error = problem;
		return 1;
	}
	struct fleet_host *host = fleet_need_host(fleet, seen->pool_id, seen->host);
	if (!host) {
		*ret_error = "the pool has too many hosts";
		return 1;
	}

	/* A host belongs to one pool, the one it named last. */
	uint32_t slot = fleet_host_slot(fleet, host);
	for (struct fleet_host *other = fleet_first_of_name(fleet, seen->host), *next; other;
	     other = next) {
		next = fleet_next_of_name(fleet, other);
		if (fleet_host_slot(fleet, other) == slot || !(other->flags & HOST_SEEN))
			continue;
		unsee(fleet, other);
		fleet_settle_host(fleet, fleet_host_slot(fleet, other));
	}
	host = &fleet->hosts[slot];

	const char *boot_id = seen->boot_id ? seen->boot_id : "";
	if (strcmp(fleet_host_boot_id(host), boot_id) != 0)
		fleet_set_names(host, seen->host, boot_id);
	leave_living(fleet, host);
	if (!(host->flags & HOST_SEEN) || host->seen_at < seen_at_us)
		host->seen_at = seen_at_us;
	host->flags |= HOST_SEEN;
	join_living(fleet, host);

	if (host->cpu_cores != seen->cpu_cores || host->ram_gb != seen->ram_gb) {
		host->cpu_cores = (int32_t)seen->cpu_cores;
		host->ram_gb = (int32_t)seen->ram_gb;
		headroom_on_host(fleet_pool_of(fleet, host), host, true);
	}
	host->iommu = (int8_t)seen->iommu;
	host->interrupt_remapping = (int8_t)seen->interrupt_remapping;
	host->vfio = (int8_t)seen->vfio;
	host->announced = (uint16_t)seen->n_gpus;
	fleet_reclassify_host(fleet, host);
	fleet_mark_dirty(fleet, host, false);
	return 0;
}

void fleet_remove_host(struct fleet *fleet, const char *name)
{
	for (struct fleet_host *host = fleet_first_of_name(fleet, name), *next; host; host = next) {
		next = fleet_next_of_name(fleet, host);
		if (host->flags & HOST_SEEN)
			unsee(fleet, host);
		fleet_settle_host(fleet, fleet_host_slot(fleet, host));
	}
}
