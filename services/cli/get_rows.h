/*
 * Rows of Redis as JSON objects with full field names: what `get` shows. Formats: core/shard_state.h
 * (vms, requests, marks), core/fleet_rows.h (hosts, gpus), framed records (pools, types). Pure.
 */
#pragma once

#include <jansson.h>

#include "base/arena.h"
#include "base/error.h"
#include "codec/codec.h"
#include "store/meta.h"

struct get_rows {
	struct codec *codec; /* borrowed */
	struct arena arena;  /* scratch */
};

/* Appends what the row says to `list`: one object, for `gpus` one a GPU. Positive: not such a row. */
int get_row_add(struct get_rows *rows, const struct store_row *row, json_t *list) MUST_CHECK;

/* The assignments of `vms` by GPU id, to say who holds what. Owned by the caller. */
json_t *get_owners(const json_t *vms);
/* Adds to a GPU whose it is and how far its agent is: vm_id, assignment_id, assignment_state, attach_state,
 * attach_code, attach_reason; null when nobody holds it. */
void get_set_owner(json_t *gpu, const json_t *owners);
/* Requests whose answer is a VM's assignment get it from `vms`. */
void get_resolve_answers(json_t *requests, const json_t *vms);
/* Adds to a host, which has its mark as "cordon", why it gets no new VMs: state (READY, CORDONED, SILENT,
 * NO_IOMMU, NO_VFIO or NO_REMAPPING) as it is at `now_us`. */
void get_set_host_state(json_t *host, int64_t now_us, int64_t host_timeout_us);
/* How many GPUs each host has, and how many of them VMs hold. */
void get_count_gpus(json_t *hosts, const json_t *gpus);
/* Pools as the three tables know them: definitions, and those that hosts name, with their totals. Hosts have
 * their state, GPUs their owner and quarantine: what is not free to be given to a VM is not counted so. */
json_t *get_pools(const json_t *definitions, const json_t *hosts, const json_t *gpus);
