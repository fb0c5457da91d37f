/*
 * The ledger: which VM holds what, which request got which answer, and which hosts and GPUs are marked
 * (cordoned, in quarantine); the fold over decisions.
 * Internal to the core; the ways in are shard_fold(), shard_settle() and the rows of shard_state.h.
 *
 * VMs, requests and marks stand in slots that stay theirs as long as anything speaks of them: the folded
 * state, the settled state (digest and rows), or a change that is not settled yet. An answer object is
 * one record of the log; the VM's row, its requests' rows, marks and pending changes share it by
 * reference: a mark outlives the answer to the request that made it.
 *
 * A request that is answered by a living VM's assignment is an alias of the VM and is never forgotten.
 * Others stand in a queue in the order of the log and are forgotten from its head. answer.decided_at
 * is the record's, but never smaller than an earlier record's: so the queue is in its order, too, and
 * the newest of all is that of the last record, which always has a row.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/index.h"
#include "core/fleet.h"
#include "core/shard_state.h"

#define LEDGER_NONE UINT32_MAX

/* One GPU of an assignment, as it was assigned, whatever the inventory says later. */
struct holding {
	uint64_t address;
	uint32_t other_functions; /* text of the fleet; held */
	int32_t iommu_group;
	int16_t numa_node;
	uint16_t model; /* of the pool; held */
	uint8_t functions;
};

/* What a VM holds. One allocation, strings included. */
struct assignment {
	const char *assignment_id;
	const char *request_id;
	const char *vm_instance_id;	/* may be NULL */
	const char *vm_type_id;		/* may be NULL */
	const char *release_request_id; /* not NULL: RELEASING */
	const char *attach_state;	/* what the agent said last; may be NULL, as the next two */
	const char *attach_code;
	const char *attach_reason;
	const char *after_release;
	const char *failed_hosts; /* n_failed_hosts names, each with its NUL behind it */
	int64_t cpu_cores;
	int64_t ram_gb;
	uint32_t host; /* slot of the fleet; stays while GPUs are held */
	uint32_t n;
	uint16_t n_failed_hosts;
	bool pinned;
	struct holding gpus[];
};

enum row_kind { ROW_NONE, ROW_ANSWER, ROW_ALIAS };

struct ledger_vm {
	char *key;		       /* owned: POOL \t VM; NULL: an unused slot */
	struct assignment *assignment; /* owned; NULL: holds nothing */
	struct answer *answer;	       /* the latest GpuAssigned */
	struct answer *settled;
	uint64_t settled_hash;
	uint32_t request; /* the requests that are aliases of it */
	uint32_t release; /* unused slot: the next unused one */
	uint32_t pending; /* effects not settled yet */
};

struct ledger_request {
	char *key;		/* owned: POOL \t TYPE \t REQUEST; NULL: an unused slot */
	struct answer *answer;	/* ROW_ANSWER */
	struct answer *settled; /* the same for the settled state */
	uint64_t settled_hash;
	uint32_t vm; /* ROW_ALIAS */
	uint32_t settled_vm;
	uint32_t older; /* the queue of what may be forgotten */
	uint32_t newer; /* unused slot: the next unused one */
	uint32_t pending;
	uint8_t kind; /* enum row_kind */
	uint8_t settled_kind;
};

/* A host that is cordoned or a GPU that is in quarantine, whatever inventory and heartbeats say. */
struct ledger_mark {
	char *key;	       /* owned: POOL \t host|gpu \t ID; NULL: an unused slot */
	char *why;	       /* owned: a phrase for people; NULL: not marked (any more) */
	struct answer *answer; /* the record that made it */
	struct answer *settled;
	uint64_t settled_hash;
	uint32_t pending;
	uint32_t next_vacant;
};

/* A row as it is to be when its change is settled. */
struct effect {
	struct answer *answer; /* ROW_ANSWER; held */
	uint32_t slot;
	uint32_t vm; /* ROW_ALIAS */
	uint8_t table;
	uint8_t kind;
};

struct change {
	struct answer *answer; /* of the record; held */
	size_t n;
	size_t size;
	struct effect *effects; /* owned unless it is `few` */
	struct effect few[4];
};

struct ledger {
	struct fleet *fleet; /* borrowed */
	int64_t remember_us;
	int64_t newest; /* the largest decided_at folded; never negative */

	struct ledger_vm *vms; /* owned */
	uint32_t n_vms;
	uint32_t vms_size;
	uint32_t vacant_vm;
	struct index vms_by_key;

	struct ledger_request *requests; /* owned */
	uint32_t n_requests;
	uint32_t requests_size;
	uint32_t vacant_request;
	struct index requests_by_key;
	uint32_t oldest_request;
	uint32_t newest_request;

	struct ledger_mark *marks; /* owned */
	uint32_t n_marks;
	uint32_t marks_size;
	uint32_t vacant_mark;
	struct index marks_by_key;

	uint64_t digest;
	size_t n_holding;    /* VMs with an assignment */
	size_t n_remembered; /* requests with an answer */
	struct buf scratch;  /* of keys */
	struct buf row;	     /* of row values */
};

void ledger_init(struct ledger *ledger, struct fleet *fleet, int64_t remember_us);
void ledger_deinit(struct ledger *ledger);

/* ---- folding (ledger.c) ---- */
int ledger_fold(struct ledger *ledger, const struct record *record, const void *value, size_t len,
		struct change **ret_change) MUST_CHECK;
struct ledger_vm *ledger_find_vm(struct ledger *ledger, const char *pool_id, const char *vm_id);
const struct answer *ledger_find_answer(struct ledger *ledger, const char *pool_id,
					enum record_type request_type, const char *request_id);

/* ---- slots (ledger_slots.c) ---- */
uint32_t ledger_need_vm(struct ledger *ledger, const char *key, size_t len);
uint32_t ledger_need_request(struct ledger *ledger, const char *key, size_t len);
uint32_t ledger_vm_slot(const struct ledger *ledger, const char *key, size_t len);
uint32_t ledger_request_slot(const struct ledger *ledger, const char *key, size_t len);
/* Give a slot back when nothing speaks of it any more. */
void ledger_settle_vm(struct ledger *ledger, uint32_t slot);
void ledger_settle_request(struct ledger *ledger, uint32_t slot);
void ledger_enqueue(struct ledger *ledger, uint32_t request);
void ledger_dequeue(struct ledger *ledger, uint32_t request);
struct effect *ledger_add_effect(struct change *change, enum ledger_table table, uint32_t slot,
				 enum row_kind kind);
/* The key in ledger->scratch; valid until the next key is made. */
const char *ledger_vm_key(struct ledger *ledger, const char *pool_id, const char *vm_id);
const char *ledger_request_key(struct ledger *ledger, const char *pool_id, const char *type,
			       const char *request_id);

/* ---- assignments (ledger_assignment.c) ---- */
/* Takes ownership of the GPUs for the VM. Positive: one of them is held, or is named twice, or the
 * record is malformed; nothing was changed. */
int ledger_hold(struct ledger *ledger, uint32_t vm, const struct gpu_assigned *assigned) MUST_CHECK;
/* May a record of the log give these GPUs? Not those in quarantine. Changes nothing. */
bool ledger_may_give(const struct ledger *ledger, const struct gpu_assigned *assigned);
/* Instead of the assignment that it replaces, which is of the same request and on another host.
 * Positive: it is not there, or as ledger_hold(); nothing was changed. */
int ledger_replace(struct ledger *ledger, uint32_t vm,
		   const struct gpu_assigned *assigned) MUST_CHECK;
/* The same assignment with new words (RELEASING, what the agent says). Positive: it is another one. */
int ledger_reword(struct ledger *ledger, uint32_t vm,
		  const struct gpu_assigned *assigned) MUST_CHECK;
/* Gives everything back. */
void ledger_let_go(struct ledger *ledger, uint32_t vm);
/* The GPUs as a record lists them. */
struct assigned_gpu *ledger_list_gpus(const struct ledger *ledger,
				      const struct assignment *assignment, struct arena *arena);

/* ---- marks (ledger_marks.c) ---- */
enum mark_kind { MARK_HOST, MARK_GPU };

/* NULL: no such mark. `id`: a host, or HOST/ADDRESS. */
const struct ledger_mark *ledger_find_mark(struct ledger *ledger, const char *pool_id,
					   enum mark_kind kind, const char *id);
/* Are these GPUs of the assignment, each named once? */
bool ledger_holds_all(const struct ledger *ledger, const struct assignment *assignment,
		      const struct quarantined_gpu *gpus, size_t n);
void ledger_quarantine(struct ledger *ledger, struct change *change, const char *pool_id,
		       const struct quarantined_gpu *gpus, size_t n);
/* Positive: it takes back a mark that is not there, or is malformed; nothing was changed. */
int ledger_mark_host(struct ledger *ledger, struct change *change,
		     const struct host_marked *marked) MUST_CHECK;
int ledger_mark_gpu(struct ledger *ledger, struct change *change,
		    const struct gpu_marked *marked) MUST_CHECK;
/* Positive: the record does not make the mark of this key, or the mark is there already. */
int ledger_load_mark(struct ledger *ledger, const char *field, size_t len, struct answer *answer,
		     const struct record *record, uint32_t *ret_slot) MUST_CHECK;
/* Gives the slot back when nothing speaks of it any more. */
void ledger_settle_mark(struct ledger *ledger, uint32_t slot);
void ledger_free_marks(struct ledger *ledger);

/* ---- answers ---- */
struct answer *answer_new(enum record_type type, int64_t decided_at, const void *value, size_t len);
struct answer *answer_ref(struct answer *answer);

/* ---- rows (ledger_rows.c) ---- */
void ledger_settle(struct ledger *ledger, struct change *change, int64_t revision,
		   ledger_row_fn on_row, void *context);
int ledger_each_row(const struct ledger *ledger, uint64_t *cursor, size_t max_rows,
		    ledger_row_fn on_row, void *context);
int ledger_load_row(struct ledger *ledger, enum ledger_table table, const void *field,
		    size_t field_len, const void *value, size_t value_len,
		    const struct record *record) MUST_CHECK;
int ledger_load_done(struct ledger *ledger) MUST_CHECK;
