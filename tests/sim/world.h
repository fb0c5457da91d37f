/*
 * A whole installation in memory: a broker, a store, a clock that is moved by hand, and schedulers whose
 * shards are the real ones, wired through struct shard_io. Nothing happens by itself and nothing is
 * concurrent: a test, or a seed, says who takes the next step. world_run() takes all steps there are, in
 * a fixed order, until nothing is left to do.
 *
 * What a scheduler may know is kept apart from what is so: it learns of a loss of its partition only
 * when it is told (world_revoke, world_lose), and until then it reads and writes like an owner.
 */
#pragma once

#include "base/arena.h"
#include "broker.h"
#include "codec/codec.h"
#include "core/catalog.h"
#include "memory_store.h"
#include "scheduler/shard.h"

enum { SIM_SCHEDULERS = 16 };

/* What one partition of one scheduler can do next. */
enum step {
	STEP_LAND_DECISIONS, /* the oldest message sent to the partition lands */
	STEP_LAND_ANSWERS,
	STEP_LAND_REQUESTS, /* forwarded */
	STEP_LAND_ATTACHMENTS,
	STEP_LAND_DEAD_LETTERS,
	STEP_REPORT, /* the producer says what has landed; all partitions */
	STEP_DECISIONS,
	STEP_INVENTORY,
	STEP_HOSTS,
	STEP_CATALOG, /* all partitions */
	STEP_REQUESTS,
	STEP_ATTACHMENTS,
	STEP_ENDS,
	STEP_LOAD,
	STEP_STORE,
	STEPS
};

enum { FOLLOWED = 3 }; /* decisions, inventory, hosts */

/* One shard's place in a scheduler, and what its clients of broker and store know. */
struct seat {
	struct scheduler *scheduler;
	int32_t partition;
	struct shard *shard; /* owned */
	struct store_client store;

	bool assigned; /* as far as the scheduler knows */
	bool drained;  /* since the last assignment */
	uint64_t generation;
	bool paused;
	int64_t input_next[SIM_INPUTS];
	int64_t follow_next[FOLLOWED]; /* -1: not followed */
	int64_t end_told[FOLLOWED];

	bool ends_asked;
	uint64_t ends_token;
	struct log_ends ends; /* as they were when asked for */
	bool load_asked;
	unsigned pauses;
};

struct scheduler {
	struct world *world;
	int id;
	char name[16];
	struct producer producer;
	struct catalog *catalog; /* owned */
	int64_t catalog_next;
	struct seat seats[SIM_PARTITIONS];

	bool frozen;	    /* SIGSTOP: world_run() passes it over */
	bool held[STEPS];   /* these steps are not taken */
	unsigned ends_fail; /* so many times asking for ends fails */
	unsigned refused_commits;
};

struct world {
	struct broker broker;
	struct store_server store;
	struct codec *codec;
	struct arena arena; /* of records that tests make and read; reset by world_deinit() */
	struct shard_config config;	/* of shards made from now on */
	char pools[SIM_PARTITIONS][16]; /* a pool of each partition */
	int64_t now_us;
	unsigned nonces;
	bool restless; /* world_run() found no end: shards depose each other for ever, or the like */
	struct scheduler *schedulers[SIM_SCHEDULERS]; /* NULL: gone */
	int n_schedulers;
	/* Optional: a commit was accepted. */
	void (*on_commit)(struct world *world, enum topic input, int32_t partition, int64_t next);
};

/* world_io.c: what the seat's shard is wired to. */
struct shard_io seat_io(struct seat *seat);

void world_init(struct world *world);
void world_deinit(struct world *world);

struct scheduler *world_start(struct world *world, const char *name);
/* SIGKILL. What it had sent becomes a ghost; the pointer is gone. */
void world_kill(struct world *world, struct scheduler *scheduler);

/* The group gives the partition to this scheduler, whoever had it. */
void world_give(struct world *world, struct scheduler *scheduler, int32_t partition);
/* The group wants it back; the scheduler may still finish what is in flight. */
void world_revoke(struct scheduler *scheduler, int32_t partition);
/* The scheduler hears that the partition has been somebody else's for some time. */
void world_lose(struct scheduler *scheduler, int32_t partition);
/* The producer is broken: purged, and a new one takes its place. */
void world_break_producer(struct scheduler *scheduler);

/* False: there was nothing to do, or the step is held. The end of the turn is the caller's. */
bool scheduler_step(struct scheduler *scheduler, enum step step, int32_t partition);
void scheduler_flush(struct scheduler *scheduler, int32_t partition);
/* Everything there is to do, to the end. */
void world_run(struct world *world);
/* Time passes for all that are not frozen; then world_run(). */
void world_pass(struct world *world, int64_t us);

/* All of the catalog topic into a new catalog. */
void world_fold_catalog(struct world *world, struct catalog *catalog);

static inline struct shard *shard_at(const struct scheduler *scheduler, int32_t partition)
{
	return scheduler->seats[partition].shard;
}
