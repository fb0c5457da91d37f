/* One decision in the making, for the files that decide: decide.c and decide_*.c. */
#pragma once

#include "base/limits.h"
#include "core/decide.h"
#include "core/placement.h"
#include "core/shard_internal.h"
#include "model/codes.h"

/* A quarantined GPU in a record, beside its id and the sentence of its reason. */
enum { DECIDE_QUARANTINED_BYTES = LIMIT_CODE_BYTES + 16 };

struct deciding {
	struct shard_state *state;
	const struct record *event;
	int64_t now_us;
	bool known;
	struct arena *arena;
	struct decision *decision;
};

void decide_set_record(struct deciding *deciding, struct record record);
/* RequestCompleted. */
void decide_complete(struct deciding *deciding, enum completed_code code, const char *message);
/* RequestRejected. The codes that rest on absence become DECISION_UNKNOWN while that is not known. */
void decide_reject(struct deciding *deciding, enum rejected_code code, const char *message);
/* The same, with hosts and why each of them was not taken. */
void decide_reject_hosts(struct deciding *deciding, enum rejected_code code, const char *message,
			 struct host_reason *hosts, size_t n_hosts);
/* The GPUs of a placement, as records list them. */
struct assigned_gpu *decide_list_gpus(struct deciding *deciding, const struct placement *placement);

/* What a record with these GPUs takes of LIMIT_VALUE_BYTES at most, but for a list of quarantined ones. */
size_t decide_record_bytes(const struct assigned_gpu *gpus, size_t n_gpus);
/* Does it stay below the limit, even when all of these GPUs are quarantined in the end? */
bool decide_fits_record(const struct assigned_gpu *gpus, size_t n_gpus);
/* Into the arena: a record never points into the state. NULL stays NULL. */
const char *decide_copy(struct arena *arena, const char *text);
const char *decide_host_of(const struct deciding *deciding, const struct assignment *assignment);

/* "; pools here: 1, 2" */
const char *decide_list_pools(struct deciding *deciding);
/* The policy for new decisions; `pool` NULL: the default. */
const char *decide_after_release(const struct vm_pool_defined *pool);
bool decide_spreads(const struct vm_pool_defined *pool);

/* What the VM of the event holds now, as the record that would say so (decide_release.c). */
struct gpu_assigned decide_present(struct deciding *deciding, const struct assignment *assignment,
				   const char *vm_id);
/* And as the record of its end; the code and what belongs to it are the caller's. */
struct gpu_released decide_ended(struct deciding *deciding, const struct assignment *assignment,
				 const char *vm_id, enum released_code code);
/* The same models, by vendor:device, and the same CPU cores and RAM, anywhere in the pool
 * (decide_migration.c). False: too many models, or models that are gone. */
bool decide_ask_for_the_same(struct deciding *deciding, const struct assignment *assignment,
			     struct placement_request *ret_wanted);

void decide_vm_released(struct deciding *deciding);
void decide_operator_command(struct deciding *deciding);
void decide_attachment(struct deciding *deciding);
void decide_migration_check(struct deciding *deciding);
