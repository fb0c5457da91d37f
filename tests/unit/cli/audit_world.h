/*
 * A log in memory for the tests of audit: messages are made and handed in, offsets count by themselves.
 * Decisions go to partition 0, under the present epoch, and reflect requests up to `applied`.
 */
#pragma once

#include "cli/audit_log.h"
#include "model/envelope.h"

#define REMEMBER_US INT64_C(1000000)

struct world {
	struct codec *codec; /* owned */
	struct audit_log *log;
	struct arena arena;
	int32_t n_partitions;
	int64_t next[TOPICS][4]; /* offsets */
	int64_t now;
	int64_t epoch;
	int64_t applied;
};

void world_start(struct world *world, int32_t n_partitions);
void world_stop(struct world *world);
struct message world_message(struct world *world, enum topic topic, int32_t partition,
			     const struct record *record, const struct envelope *envelope);
void world_marker(struct world *world);
struct message world_decide_in_epoch(struct world *world, const struct record *record,
				     int64_t epoch);
struct message world_decide(struct world *world, const struct record *record);
/* Of pool 1; `gpu_id` is HOST/ADDRESS. */
struct record world_assigned(struct world *world, const char *request_id, const char *vm_id,
			     const char *gpu_id);
void world_assign(struct world *world, const char *request_id, const char *vm_id,
		  const char *gpu_id);
struct record world_released(struct world *world, const char *request_id, const char *of_request,
			     const char *vm_id, const char *gpu_id);
void world_release(struct world *world, const char *request_id, const char *of_request,
		   const char *vm_id, const char *gpu_id);
void world_reject(struct world *world, const char *request_id);
struct message world_ask_in(struct world *world, const char *request_id, int32_t partition);
void world_ask(struct world *world, const char *request_id);
void world_ask_release(struct world *world, const char *request_id);
void world_expect_clean(struct world *world);
/* Exactly this one, at this offset. */
void world_expect_violation(struct world *world, const char *rule, int64_t offset);
