/* One decision in the making, for the files that decide: decide.c and decide_migration.c. */
#pragma once

#include "core/decide.h"
#include "core/placement.h"
#include "core/shard_internal.h"
#include "model/codes.h"

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

/* Does a record with these GPUs stay below LIMIT_VALUE_BYTES? */
bool decide_fits_record(const struct assigned_gpu *gpus, size_t n_gpus);
/* Into the arena: a record never points into the state. NULL stays NULL. */
const char *decide_copy(struct arena *arena, const char *text);
const char *decide_host_of(const struct deciding *deciding, const struct assignment *assignment);

void decide_vm_released(struct deciding *deciding);
void decide_attachment(struct deciding *deciding);
void decide_migration_check(struct deciding *deciding);
