/*
 * What the files of audit_log.h share: audit_log.c (results, tables), audit_decisions.c, audit_marks.c and
 * audit_requests.c (the rules).
 */
#pragma once

#include "base/index.h"
#include "cli/audit_log.h"
#include "core/catalog.h"
#include "core/shard_state.h"
#include "follow/follow.h"

#define AUDIT_NONE UINT32_MAX

enum { VIOLATIONS_KEPT = 1000 };

enum audit_outcome {
	OUTCOME_NONE,
	OUTCOME_GRANTED,
	OUTCOME_REJECTED,
	OUTCOME_RELEASING,
	OUTCOME_RELEASED,
	OUTCOME_COMPLETED,
	OUTCOME_VERDICT,
	OUTCOME_MARKED,
};

/* One request id, of the log or of `requests` or both. */
struct audit_request {
	const char *key; /* POOL \t TYPE \t REQUEST */
	int32_t shard;
	enum audit_outcome outcome;
	bool alive;	      /* a VM holds GPUs by it: not forgotten */
	bool dead_lettered;   /* some message that asks it */
	bool told;	      /* an answer to it stands in answers */
	uint32_t seen;	      /* messages in its own partition */
	int64_t outcome_at;   /* offset of its outcome; -1 */
	int64_t concerned_at; /* time of the last record that concerns it */
	int64_t first_seen;   /* offset; -1 */
};

struct audit_assignment {
	const char *key; /* POOL \t ASSIGNMENT */
	const char *vm_id;
	uint32_t request;
	uint32_t release; /* the VmReleased that is under way; AUDIT_NONE */
	int32_t shard;
	int64_t offset;
	bool held;
	uint32_t *gpus; /* of the log's arena */
	size_t n_gpus;
};

struct audit_gpu {
	const char *id;
	uint32_t holder; /* assignment; AUDIT_NONE */
};

/* A host that was or is cordoned, a GPU that was or is in quarantine. */
struct audit_mark {
	const char *key; /* POOL \t host|gpu \t ID */
	bool set;
	int64_t offset; /* of the record that set it */
};

/* A message of requests that must be found elsewhere. */
struct audit_stray {
	int32_t partition;
	int64_t offset;
	uint32_t request; /* misplaced: must stand in its right partition; AUDIT_NONE: unreadable */
	bool dead_lettered;
};

struct audit_told {
	int64_t offset; /* in decisions */
	uint64_t hash;
	uint32_t times;
	uint32_t requests[3]; /* whom it answers; AUDIT_NONE */
};

struct audit_shard_log {
	struct follow follow;
	struct shard_state *state; /* owned */
	struct input_positions applied;
	int64_t newest; /* as the fold has it: the largest time so far */
	uint64_t epochs, records, void_records;
	struct audit_void *voids; /* owned */
	size_t n_voids;
	int64_t expect; /* -1: nothing */
	bool reached;
	uint64_t expected_digest;
	struct audit_told *told; /* owned; what counts, in the order of the log */
	size_t n_told, told_size;
	bool requests_whole;
	bool answers_whole;
	int64_t committed; /* requests below it have been answered; -1: not known */
};

/* A table of things found by their key. */
struct audit_table {
	struct index index;
	void *items; /* owned */
	size_t n, size;
};

struct audit_log {
	struct audit_options options;
	struct codec *codec;
	struct catalog *catalog;	/* owned, empty: the ledger does not look at it */
	struct arena texts;		/* what lives as long as the log */
	struct arena scratch;		/* of one message */
	struct audit_shard_log *shards; /* owned */
	struct audit_table requests;	/* struct audit_request */
	struct audit_table assignments; /* struct audit_assignment */
	struct audit_table gpus;	/* struct audit_gpu */
	struct audit_table marks;	/* struct audit_mark */
	struct audit_stray *strays;	/* owned */
	size_t n_strays, strays_size;
	bool strays_sorted;
	struct audit_violation *violations; /* owned */
	size_t n_violations;		    /* all of them */
	struct audit_requests counts;
};

/* Where the rules over decisions are: one record that counts. */
struct audit_step {
	struct audit_log *log;
	struct audit_shard_log *shard;
	const struct message *message;
	struct audit_told *told;
	int64_t at;	/* its time, as the fold has it */
	int64_t before; /* the newest time before it */
};

#define AUDIT_VIOLATE(step, rule, ...)                                                             \
	audit_violate((step)->log, rule, TOPIC_DECISIONS, (step)->message->partition,              \
		      (step)->message->offset, __VA_ARGS__)

/* The marks that a record sets and clears, and what may not be given because of one. */
void audit_mark_host(const struct audit_step *step, const struct host_marked *marked);
void audit_mark_gpu(const struct audit_step *step, const struct gpu_marked *marked);
/* `of`: the GPUs of the assignment that ends; only they can be unclean. */
void audit_quarantine(const struct audit_step *step, const char *pool_id,
		      const struct quarantined_gpu *gpus, size_t n,
		      const struct audit_assignment *of);
void audit_may_be_given(const struct audit_step *step, const struct gpu_assigned *assigned);

/* The number of the entry with this key; it is made when it is not there. */
uint32_t audit_need_request(struct audit_log *log, const char *pool_id, const char *type,
			    const char *request_id);
uint32_t audit_need_gpu(struct audit_log *log, const char *gpu_id);
uint32_t audit_need_assignment(struct audit_log *log, const char *pool_id,
			       const char *assignment_id, bool *ret_new);
uint32_t audit_need_mark(struct audit_log *log, const char *pool_id, const char *kind,
			 const char *id);

static inline struct audit_request *audit_request_at(struct audit_log *log, uint32_t i)
{
	return (struct audit_request *)log->requests.items + i;
}

static inline struct audit_assignment *audit_assignment_at(struct audit_log *log, uint32_t i)
{
	return (struct audit_assignment *)log->assignments.items + i;
}

static inline struct audit_mark *audit_mark_at(struct audit_log *log, uint32_t i)
{
	return (struct audit_mark *)log->marks.items + i;
}

static inline struct audit_gpu *audit_gpu_at(struct audit_log *log, uint32_t i)
{
	return (struct audit_gpu *)log->gpus.items + i;
}
