/*
 * The fleet: pools, hosts and GPUs of a shard as inventory and heartbeats tell, and which VM holds
 * which GPU as the ledger tells. Internal to the core; the ways in are shard_fold_gpu() and its like.
 *
 * A GPU entry exists while the inventory has the GPU or a VM holds it, so that ownership survives
 * whatever the inventory says. Its condition (gpu_model.h) is derived, kept in the entry, and every
 * change of it goes to the counts of its model and to the selectors in one place: fleet_gpu.c.
 *
 * A host is named by pool and name: the GPU's own pool counts. The same name under two pools (a host
 * that is being moved) makes two hosts, "siblings", that know of each other so that no GPU is given
 * twice.
 *
 * Memory matters: at ten GPUs a host, all of this is to take at most 128 bytes a GPU.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/index.h"
#include "core/gpu_model.h"
#include "core/headroom.h"
#include "core/slot_set.h"
#include "core/text_pool.h"
#include "model/pci_address.h"
#include "model/record.h"

#define FLEET_NONE UINT32_MAX

enum gpu_flag {
	GPU_INVENTORIED = 1,
	GPU_HELD_ELSEWHERE = 2, /* under a sibling of its host */
	GPU_IN_QUARANTINE = 4,
};

/* 40 bytes; a host's GPUs stand in the order of their addresses. */
struct gpu {
	uint64_t address; /* pci_address_pack() */
	uint32_t owner;	  /* the ledger's VM, or FLEET_NONE */
	uint32_t reason;  /* text_pool ids */
	uint32_t driver;
	uint32_t pcie_switch;
	uint32_t other_functions; /* addresses outside the GPU's own slot, separated by commas */
	int32_t iommu_group;
	int16_t numa_node;
	uint16_t model;
	uint8_t functions; /* of the GPU's own slot, a bit each */
	uint8_t state;	   /* as the inventory says: GPU_FREE or one from GPU_UNREADABLE on */
	uint8_t condition;
	uint8_t flags;
};

enum host_flag {
	HOST_ALIVE = 1,
	HOST_SEEN = 2, /* there is a HostSeen */
	HOST_DIRTY = 4,
	HOST_DIRTY_GPUS = 8,
	HOST_REPORTED = 16, /* rows of it were handed out: its going must be told */
	HOST_CORDONED = 32,
};

struct fleet_host {
	char *name;	  /* owned, and behind its NUL the boot id; NULL: an unused slot */
	struct gpu *gpus; /* owned */
	int64_t seen_at;
	int64_t cpu_used; /* by what is assigned here */
	int64_t ram_used;
	int32_t cpu_cores; /* 0: not known */
	int32_t ram_gb;
	uint32_t pool;
	uint32_t place;	  /* in the pool */
	uint32_t earlier; /* the host heard of just before this one, while alive */
	uint32_t later;	  /* unused slot: the next unused one */
	uint32_t dirty_next;
	uint32_t sibling; /* the next host of the same name in another pool */
	uint16_t n_gpus;
	uint16_t size;
	uint16_t announced; /* GPUs, as HostSeen says */
	int8_t iommu;	    /* 1, 0, ABSENT */
	int8_t interrupt_remapping;
	int8_t vfio;
	uint8_t condition; /* GPU_FREE, or what of the host keeps all its GPUs from being given */
	uint8_t flags;
};

struct fleet_pool {
	char *id; /* owned */
	uint32_t slot;
	uint32_t n_hosts;
	struct model_table models;
	struct selector **selectors; /* owned */
	uint32_t n_selectors;
	struct headroom_table headroom;
	uint32_t *hosts; /* owned; by place, FLEET_NONE: vacant */
	uint32_t n_places;
	struct slot_set members; /* places in use */
	struct slot_set vacant;
};

/* What the ledger has marked, whether the fleet has it at present or not. */
struct fleet_mark {
	char *host;	  /* owned; NULL: an unused slot */
	uint64_t address; /* FLEET_WHOLE_HOST: the host is cordoned */
	uint32_t
		n; /* pools of the shard under which it is marked; unused slot: the next unused one */
};

#define FLEET_WHOLE_HOST UINT64_MAX

struct fleet {
	int64_t host_timeout_us;
	struct text_pool texts;

	struct fleet_host *hosts; /* owned */
	uint32_t n_slots;
	uint32_t size;
	uint32_t vacant;
	struct index by_name; /* the first of the siblings */

	struct fleet_pool **pools; /* owned; NULL: an unused slot */
	uint32_t n_pool_slots;
	struct index pools_by_id;

	uint32_t earliest; /* living hosts in the order in which they were last heard of */
	uint32_t latest;
	uint32_t dirty_first;
	uint32_t dirty_last;
	char **gone; /* owned: POOL \t HOST of reported hosts that are no more */
	size_t n_gone;

	struct fleet_mark *marks; /* owned */
	uint32_t n_marks;
	uint32_t marks_size;
	uint32_t vacant_mark;
	struct index marks_by_key;

	size_t n_hosts;
	size_t n_gpus; /* inventoried */
	size_t n_held;
	size_t n_cordoned; /* marks */
	size_t n_quarantined;
};

void fleet_init(struct fleet *fleet, int64_t host_timeout_us);
void fleet_deinit(struct fleet *fleet);

/* ---- folds (contracts in shard_state.h) ---- */
int fleet_fold_gpu(struct fleet *fleet, const struct gpu_discovered *gpu, const char **ret_error);
void fleet_remove_gpu(struct fleet *fleet, const char *gpu_id);
int fleet_fold_host(struct fleet *fleet, const struct host_seen *seen, int64_t seen_at_us,
		    const char **ret_error);
void fleet_remove_host(struct fleet *fleet, const char *name);

/* Hosts that have not been heard of since now - timeout fall silent. */
void fleet_advance(struct fleet *fleet, int64_t now_us);

/* ---- finding ---- */
struct fleet_pool *fleet_find_pool(const struct fleet *fleet, const char *pool_id);
/* NULL: not known. `pool` may be NULL. */
struct fleet_host *fleet_find_host(const struct fleet *fleet, const struct fleet_pool *pool,
				   const char *name);
struct fleet_pool *fleet_pool_of(const struct fleet *fleet, const struct fleet_host *host);
uint32_t fleet_host_slot(const struct fleet *fleet, const struct fleet_host *host);
const char *fleet_host_boot_id(const struct fleet_host *host);

/* ---- ownership, for the ledger ---- */

/* The VM that holds the GPU in any pool of the shard, or FLEET_NONE. */
uint32_t fleet_owner(const struct fleet *fleet, const char *host, uint64_t address);
/* The host of a new assignment; it is made when it is not known yet. Stays while a GPU of it is held.
 * NULL: the pool is full. */
struct fleet_host *fleet_need_host(struct fleet *fleet, const char *pool_id, const char *name);
/* The GPU must be free of owners. Returns its model, held once more for the caller; an entry that is
 * missing is made from what the assignment says. */
uint16_t fleet_hold_gpu(struct fleet *fleet, uint32_t host_slot, uint64_t address,
			const struct assigned_gpu *gpu, uint32_t vm);
/* Gives the GPU and the hold on `model` back. */
void fleet_release_gpu(struct fleet *fleet, uint32_t host_slot, uint64_t address, uint16_t model);
void fleet_use_host(struct fleet *fleet, uint32_t host_slot, int64_t cpu_cores, int64_t ram_gb);
/* The host may go when nothing speaks of it any more. */
void fleet_settle_host(struct fleet *fleet, uint32_t host_slot);

/* ---- marks, for the ledger (fleet_marks.c); they hold under all siblings ---- */

/* `address`: of a GPU that goes into quarantine, or FLEET_WHOLE_HOST. Each marking is taken back once. */
void fleet_mark(struct fleet *fleet, const char *host, uint64_t address);
void fleet_unmark(struct fleet *fleet, const char *host, uint64_t address);
bool fleet_is_marked(const struct fleet *fleet, const char *host, uint64_t address);
void fleet_free_marks(struct fleet *fleet);

/* ---- between fleet.c, fleet_heartbeat.c, fleet_gpu.c and fleet_marks.c ---- */
/* NULL: the host has no such entry. */
struct gpu *fleet_find_gpu(const struct fleet_host *host, uint64_t address);
void fleet_reclassify_gpu(struct fleet *fleet, struct fleet_host *host, struct gpu *gpu);
void fleet_set_names(struct fleet_host *host, const char *name, const char *boot_id);
void fleet_mark_dirty(struct fleet *fleet, struct fleet_host *host, bool gpus);
/* The host's condition may have changed: derives it, and with it the conditions of its GPUs. */
void fleet_reclassify_host(struct fleet *fleet, struct fleet_host *host);
/* Siblings: the next host of the same name, whatever its pool; start with the name's first. */
struct fleet_host *fleet_first_of_name(const struct fleet *fleet, const char *name);
struct fleet_host *fleet_next_of_name(const struct fleet *fleet, const struct fleet_host *host);

/* ---- units as records list them (fleet_unit.c) ---- */

/* The addresses of a unit as entries keep them: a bit for each function of the GPU's own slot (the GPU
 * itself always), the others as a text that is held. Positive: one is no PCI address, or too many. */
int fleet_parse_functions(struct fleet *fleet, uint64_t address, const char *const *functions,
			  size_t n, uint8_t *ret_mask, uint32_t *ret_others);
/* All fields but iommu_group and numa_node, copied into the arena. */
void fleet_describe_gpu(const struct fleet *fleet, const struct fleet_host *host, uint64_t address,
			const struct model_identity *model, uint8_t functions,
			uint32_t other_functions, struct arena *arena,
			struct assigned_gpu *ret_gpu);
