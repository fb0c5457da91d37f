/*
 * A shard for tests that read like stories: hosts, requests and reports are one line of text each, and
 * what is decided comes back as one line of text. Every decision is folded and, unless told
 * otherwise, settled at the next offset of an in-memory log.
 *
 *   world_host(w, "h1 cpu=32 ram=128 P4*2 T4@0a/n1/s3")      heartbeat and inventory
 *   world_ask(w, "r1 vm1 P4*2 host=h1 policy=spread")         -> "vm1: h1 01 02"
 *   world_ask(w, "r2 vm2 type=small")                          -> "NO_CAPACITY: pool 1 has ..."
 *   world_release(w, "x1 vm1 force=1 reason=gone")             -> "released vm1: h1 01 02"
 *   world_report(w, "vm1 r1/1 FAILED 01=CLEAN 02=STUCK")       -> "vm1: h2 01 02, not r1/1, quarantined 02 STUCK"
 *   world_command(w, "c1 CORDON_HOST h1")                      -> "h1 CORDONED"
 *
 * GPUs: MODEL*COUNT (buses 01, 02, ...) or MODEL@BUS[/nNODE][/sSWITCH][/STATE]. Models of tests: see
 * world_models. GPUs are shown by their bus alone, their address is 0000:BUS:00.0.
 */
#pragma once

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/arena.h"
#include "core/decide.h"
#include "core/shard_state.h"

enum { SECOND = 1000000 };

struct logged {
	struct record record; /* strings in the world's arena */
	char value[24];	      /* stands for the framed record */
	size_t value_len;
};

struct world {
	struct catalog *catalog;
	struct shard_options options;
	struct shard_state *state;
	struct arena arena;    /* lives as long as the world */
	struct arena deciding; /* of the last decision */
	struct decision decision;
	int64_t now;
	bool unknown;	  /* what is not there is not known yet */
	const char *pool; /* "1" */
	struct logged *log;
	size_t n_log;
	size_t log_size;
};

struct world_model {
	const char *nick; /* in test texts */
	const char *name;
	const char *vendor_id;
	const char *device_id;
	const char *subsystem_vendor_id;
	const char *subsystem_device_id;
};
extern const struct world_model world_models[];

/* cmocka setup and teardown: *state is the world. Starts at 1,000 s, remembers 24 h. */
int world_setup(void **state);
int world_teardown(void **state);
struct world *world_new(void);
void world_free(struct world *w);
/* A shard with the same catalog and nothing else. */
struct shard_state *world_empty_state(struct world *w);

void world_pool(struct world *w, const char *attach, const char *policy);
/* "attach=agent policy=pack failure=end attempts=2 after=give-back", the default for what is left out */
void world_define_pool(struct world *w, const char *text);
/* "small cpu=4 ram=8 P4*1" */
void world_type(struct world *w, const char *text);
void world_host(struct world *w, const char *text);
/* One heartbeat without GPUs: "h1 cpu=.. ram=.. iommu=0 vfio=0 ir=0". */
void world_heartbeat(struct world *w, const char *text);
/* "h1 P4@01/n0/s1/IN_USE_BY_HOST" */
void world_gpus(struct world *w, const char *text);
void world_remove_gpu(struct world *w, const char *gpu_id);

const char *world_ask(struct world *w, const char *text);
const char *world_release(struct world *w, const char *text);
/* "m1 vm1 target=h2 reserve=1" -> "h2 01 02 | h1 CURRENT_HOST" or "no | h2 NO_CPU | ..." */
const char *world_migrate(struct world *w, const char *text);
/* "vm1 r1/1 DETACHED 01=CLEAN 02=DIRTY/RESET_FAILED/no_reset code=IN_USE reason=X_has_it host=h1"; '_'
 * for a blank. clean=1: all GPUs of the assignment are CLEAN. host: the assignment's, if it is left out. */
const char *world_report(struct world *w, const char *text);
/* "c1 QUARANTINE_GPU h1/01 actor=alice reason=the_fan_rattles"; left out: "tester", "test". */
const char *world_command(struct world *w, const char *text);

/* Decides any event, folds and settles what comes out, and says it in a line. */
const char *world_decide(struct world *w, const struct record *event);
const char *world_tell(struct world *w, const struct record *record);
/* Appends to the log without folding. */
struct logged *world_log(struct world *w, const struct record *record);
/* The log's record whose value this is. */
const struct logged *world_find_logged(const struct world *w, const void *value, size_t len);
/* Folds a logged record; what comes back is to be settled at the record's offset. */
struct change *world_fold(struct shard_state *state, const struct logged *logged);
int64_t world_offset(const struct world *w, const struct logged *logged);
/* A line about the reasons of the last rejection: "h1 HOST_SILENT, h2 NO_CPU". */
const char *world_reasons(struct world *w);
