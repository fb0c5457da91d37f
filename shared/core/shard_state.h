/*
 * All that is known of one shard, and the only ways in which it changes. The state is the product of
 * independent folds: one over the decisions partition (the ledger: who holds what, which request got
 * which answer, which hosts are cordoned and which GPUs in quarantine), one each over the inventory
 * and hosts partitions (the fleet), and the catalog, which all shards of a process share. Who may have
 * which GPU is derived from them, whatever arrived first.
 *
 * Pure: no clock, no IO, no randomness; times come in with the events. Not thread-safe.
 *
 * The owner of a shard folds a record when it decides it, and settles it when it has read it back at
 * its offset (the revision). Only settled records show in the digest and in rows. A takeover, audit and
 * the simulator fold and settle in one go. A state whose folded records will never be settled (the
 * owner was deposed) is thrown away and built anew.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "core/catalog.h"
#include "model/envelope.h"
#include "model/record.h"

struct shard_state;

struct shard_options {
	int64_t host_timeout_us; /* a host that has not been heard of for longer is silent */
	int64_t remember_us;	 /* answers are remembered this long before the newest record */
};

#define SHARD_OPTIONS_DEFAULT                                                                      \
	((struct shard_options){ .host_timeout_us = 45 * INT64_C(1000000),                         \
				 .remember_us = 24 * INT64_C(3600) * 1000000 })

/* `catalog` is borrowed and must outlive the state. */
struct shard_state *shard_state_new(const struct shard_options *options,
				    const struct catalog *catalog);
void shard_state_free(struct shard_state *state);
DEFINE_CLEANUP(struct shard_state *, shard_state_free);

/* ---- the fleet: folds over inventory and hosts ---------------------------------------------- */

/* Positive: the record breaks a limit or contradicts itself; *ret_error (static text) says how, and
 * nothing was changed. */
int shard_fold_gpu(struct shard_state *state, const struct gpu_discovered *gpu,
		   const char **ret_error) MUST_CHECK;
/* A tombstone: an operator has removed the GPU. A GPU that a VM holds stays held. */
void shard_remove_gpu(struct shard_state *state, const char *gpu_id);
/* `seen_at_us`: the message's timestamp; hosts' own clocks are not trusted. */
int shard_fold_host(struct shard_state *state, const struct host_seen *host, int64_t seen_at_us,
		    const char **ret_error) MUST_CHECK;
void shard_remove_host(struct shard_state *state, const char *host);

/* ---- the ledger: fold over decisions -------------------------------------------------------- */

/* What the last record that concerns a request says, as it stands in the log. Reference counted. */
struct answer {
	uint32_t refs;
	uint32_t len;	    /* of value */
	int64_t revision;   /* offset in decisions; -1 until settled */
	int64_t decided_at; /* the record's, but never before that of an earlier record of the log */
	enum record_type type;
	unsigned char value[]; /* the framed record */
};

struct answer *answer_ref(struct answer *answer);
void answer_unref(struct answer *answer); /* accepts NULL */

/* The rows that one folded record touches, kept by its owner until it is settled. */
struct change;
void change_free(struct change *change);
DEFINE_CLEANUP(struct change *, change_free);

enum fold_outcome {
	FOLD_CONFLICT =
		1, /* the record gives a GPU that another VM holds or that is in quarantine, frees or
			    * replaces what is not held, or returns what is not marked: the log is
			    * broken, and nothing was changed */
	FOLD_FOREIGN, /* not a record of decisions */
};

/*
 * `value` is the framed record as it is (or will be) in the log; it is copied. `applied` is the
 * record's ce_applied; positions never move backwards. EpochStarted changes nothing of this state:
 * which records count is known to whoever reads the log (follow/follow.h).
 */
int shard_fold(struct shard_state *state, const struct record *record, const void *value,
	       size_t len, struct input_positions applied, struct change **ret_change) MUST_CHECK;

/* Rows of the ledger in Redis and in the digest. */
enum ledger_table { LEDGER_VMS, LEDGER_REQUESTS, LEDGER_MARKS };

/* `value` NULL: the row is gone. Field and value are bytes, valid during the call.
 *   vms       field POOL \t VM                 value "REVISION DECIDED_AT:" framed GpuAssigned
 *   requests  field POOL \t TYPE \t REQUEST    value "REVISION DECIDED_AT:" framed answer, or
 *                                              ">VM" while the answer is the VM's row
 *   marks     field POOL \t host \t HOST        value "REVISION DECIDED_AT:" framed record that made the
 *             field POOL \t gpu \t HOST/ADDRESS  mark: HostMarked (the host is cordoned); GpuMarked, or
 *                                              the GpuReleased or GpuAssigned whose `quarantined`
 *                                              lists it (the GPU is in quarantine). DECIDED_AT: since
 *                                              when. Without a mark there is no row. A mark holds
 *                                              whatever becomes of its host, its GPU, and the answer. */
typedef void (*ledger_row_fn)(void *context, enum ledger_table table, const void *field,
			      size_t field_len, const void *value, size_t value_len);

/* In the order of folding. Frees the change. `on_row` may be NULL. */
void shard_settle(struct shard_state *state, struct change *change, int64_t revision,
		  ledger_row_fn on_row, void *context);

struct input_positions shard_applied(const struct shard_state *state);
/* Sum (mod 2^64) of the hashes of all settled rows: equal states have equal digests, whatever the
 * history. */
uint64_t shard_digest(const struct shard_state *state);

/*
 * The rows, for writing a checkpoint while decisions go on: from *cursor (0 at the start) about
 * `max_rows` rows, as they were settled last; 0 when there are no more, else 1. Rows that change meanwhile may
 * or may not be among them; their settling reports them.
 */
int shard_each_ledger_row(const struct shard_state *state, uint64_t *cursor, size_t max_rows,
			  ledger_row_fn on_row, void *context);

/* Reading a checkpoint: all rows in any order into a new state, then shard_load_done(). `record` is the
 * decoded row value; NULL for an alias row. Positive from either: a row is malformed, or the rows
 * contradict each other (a GPU held twice, an alias to a missing VM); the state is of no use then. */
int shard_load_row(struct shard_state *state, enum ledger_table table, const void *field,
		   size_t field_len, const void *value, size_t value_len,
		   const struct record *record) MUST_CHECK;
int shard_load_done(struct shard_state *state, struct input_positions applied) MUST_CHECK;
/* Where in a row value the framed record starts; NULL for an alias or a malformed value. */
const void *ledger_row_record(const void *value, size_t len, size_t *ret_record_len);

/* ---- asking --------------------------------------------------------------------------------- */

/* The answer to a request as it is now (it may be unsettled), or NULL when none is remembered. */
const struct answer *shard_find_answer(const struct shard_state *state, const char *pool_id,
				       enum record_type request_type, const char *request_id);

/* ---- the read model of the fleet ------------------------------------------------------------ */

/* Hosts whose fleet rows have changed since the last call, each once: what the scheduler writes into
 * the tables `hosts` and `gpus` (see core/fleet_rows.h for the texts; value NULL: the row is gone).
 * Returns the number of hosts reported, at most `max_hosts`; 0: nothing has changed any more.
 * shard_mark_fleet_dirty() marks all, for a checkpoint. */
typedef void (*fleet_row_fn)(void *context, const char *table, const void *field, size_t field_len,
			     const void *value, size_t value_len);
void shard_mark_fleet_dirty(struct shard_state *state);
size_t shard_take_dirty_hosts(struct shard_state *state, size_t max_hosts, fleet_row_fn on_row,
			      void *context);

/* `field`: POOL \t HOST, as in the rows. */
bool shard_has_host(const struct shard_state *state, const char *field);
bool shard_fleet_is_dirty(const struct shard_state *state);

struct shard_counts {
	size_t hosts;
	size_t gpus; /* in the inventory */
	size_t gpus_assigned;
	size_t gpus_quarantined; /* known at present or not */
	size_t hosts_cordoned;
	size_t vms;	/* that hold GPUs */
	size_t answers; /* remembered */
};
struct shard_counts shard_counts(const struct shard_state *state);
