/*
 * The words in which the tests tell their stories: what the outside publishes, and what it finds in the
 * logs. Records that are handed out live in the world's arena.
 */
#pragma once

#include "world.h"

/* ---- what the outside publishes; each returns the offset -------------------------------------------- */

int64_t publish(struct world *world, enum topic topic, int32_t partition, const char *key,
		const struct record *record);
int64_t publish_bytes(struct world *world, enum topic topic, int32_t partition, const void *value,
		      size_t len);
int64_t publish_tombstone(struct world *world, enum topic topic, int32_t partition,
			  const char *key);
/* The partition's pool. `attach`: "external" (a release frees at once) or "agent". */
int64_t publish_pool(struct world *world, int32_t partition, const char *attach);
int64_t publish_type(struct world *world, int32_t partition, const char *type, const char *model);
int64_t publish_host(struct world *world, int32_t partition, const char *host);
/* GPU number n of the host. */
int64_t publish_gpu(struct world *world, int32_t partition, const char *host, int n,
		    const char *model, const char *state);
/* Pool without agents, one host and its GPUs of MODEL. */
void publish_fleet(struct world *world, int32_t partition, int gpus);

int64_t request(struct world *world, int32_t partition, const char *request_id, const char *vm,
		int64_t count);
int64_t request_of(struct world *world, int32_t partition, const char *request_id, const char *vm,
		   const char *pool, const char *type, const char *model, const char *host);
int64_t release(struct world *world, int32_t partition, const char *request_id, const char *vm);
int64_t release_by_force(struct world *world, int32_t partition, const char *request_id,
			 const char *vm);
/* The agent of the assignment's host says it. With FAILED and DETACHED its GPUs are CLEAN, but for those
 * of `unclean` (bits, by their place in the list), which are STUCK; `host` NULL: the right one. */
int64_t report(struct world *world, int32_t partition, const struct gpu_assigned *assigned,
	       const char *state, unsigned unclean, const char *host);
/* `target`: a host or the id of a GPU, as the command needs it. */
int64_t command(struct world *world, int32_t partition, const char *request_id, const char *what,
		const char *target);
int64_t check_migration(struct world *world, int32_t partition, const char *request_id,
			const char *vm);

#define MODEL	    "GP104GL [Tesla P4]"
#define OTHER_MODEL "GV100GL [Tesla V100 PCIe 16GB]"

/* ---- what it finds ------------------------------------------------------------------------------------ */

struct found {
	int n;		       /* how many there are */
	int64_t offset;	       /* of the newest */
	int64_t revision;      /* its ce_revision */
	struct record *record; /* the newest; NULL when there is none */
};

/* Answers that name this request. */
struct found find_answers(struct world *world, int32_t partition, const char *request_id);
/* Decisions that name this request, void ones included. */
struct found find_decisions(struct world *world, int32_t partition, const char *request_id);
/* Markers in decisions. */
struct found find_markers(struct world *world, int32_t partition);
/* The value of a header as text; NULL: absent. */
const char *header_text(struct world *world, const struct message *message, const char *name);
struct record *read_record(struct world *world, const struct message *message);

/* Does the newest answer say this? `what`: "GpuAssigned", "RequestRejected/NO_CAPACITY", ... */
bool answered(struct world *world, int32_t partition, const char *request_id, const char *what);

/* ---- shortcuts -------------------------------------------------------------------------------------------- */

/* A scheduler that has taken partition 0 over, in a world with so many GPUs. */
struct scheduler *start_owner(struct world *world, const char *name, int gpus);
enum shard_phase phase_of(const struct scheduler *scheduler, int32_t partition);
int64_t epoch_of(const struct scheduler *scheduler, int32_t partition);
int64_t committed(const struct world *world, int32_t partition);
