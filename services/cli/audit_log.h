/*
 * The rules that a whole log has to keep, checked over all of it. Pure: messages are handed in.
 *
 *   invariant 1   no GPU has two owners, nothing is released that is not held, and the log does not
 *                 contradict itself (the same fold that the scheduler uses accepts every record)
 *   marks         a GPU in quarantine and a cordoned host get no VM; a forced release says who and why;
 *                 what replaces an assignment that failed is of the same VM, on another host
 *   invariant 2   every request that the log says is dealt with has exactly one outcome; what was
 *                 unreadable or misplaced stands in dead-letters or in its right partition
 *   answers       what was told stands in the log, word for word, and is not void; a request whose
 *                 offset is committed has been told its answer
 *
 * The order of calls: for every shard all of decisions; then requests, dead letters and answers, read up
 * to ends that were asked for after decisions had been read; then audit_finish(). A scheduler may go on
 * meanwhile: what it has taken and not decided is pending, not wrong.
 *
 * Who owns a GPU and which request has which outcome is kept here once more, independent of the fold.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/cleanup.h"
#include "codec/codec.h"
#include "model/message.h"

struct audit_log;

struct audit_options {
	int32_t n_partitions;
	int64_t remember_us; /* as the schedulers have it: older answers may be given anew */
};

/* `codec` is borrowed. */
struct audit_log *audit_log_new(const struct audit_options *options, struct codec *codec);
void audit_log_free(struct audit_log *log);
DEFINE_CLEANUP(struct audit_log *, audit_log_free);

/* Asks for the digest of the shard's state at this offset of decisions: before its messages come. */
void audit_expect(struct audit_log *log, int32_t shard, int64_t offset);

void audit_decision(struct audit_log *log, const struct message *message);

/* A partition is whole when retention has taken nothing from its beginning. */
void audit_requests_begin(struct audit_log *log, int32_t partition, bool whole);
/* `committed`: the group's offset in requests, asked for before the end of answers was: answers to what
 * stands below it have been delivered. -1: not known. */
void audit_answers_begin(struct audit_log *log, int32_t partition, bool whole, int64_t committed);
void audit_request(struct audit_log *log, const struct message *message);
void audit_dead_letter(struct audit_log *log, const struct message *message);
void audit_answer(struct audit_log *log, const struct message *message);
void audit_finish(struct audit_log *log);

/* ---- results ------------------------------------------------------------------------------------ */

struct audit_violation {
	const char *rule; /* "GPU_OWNED_TWICE": static */
	enum topic topic;
	int32_t partition;
	int64_t offset;
	const char *text; /* a sentence */
};

/* Those kept; there may have been more. */
const struct audit_violation *audit_violations(const struct audit_log *log, size_t *ret_kept,
					       size_t *ret_all);
/* Adds one from outside (Redis). `rule` is static. */
void audit_violate(struct audit_log *log, const char *rule, enum topic topic, int32_t partition,
		   int64_t offset, const char *format, ...) PRINTF_LIKE(6, 7);

struct audit_void {
	int64_t epoch; /* of the deposed writer; -1: the record has none */
	uint64_t records;
};

struct audit_shard {
	int64_t next; /* the offset behind the last record read */
	int64_t epoch;
	uint64_t epochs;  /* markers */
	uint64_t records; /* that count */
	uint64_t void_records;
	const struct audit_void *voids; /* by epoch */
	size_t n_voids;
	uint64_t digest; /* of the state at `next` */
	bool reached;	 /* the offset of audit_expect() */
	uint64_t expected_digest;
	int64_t applied; /* offset of requests that the log reflects */
};
struct audit_shard audit_shard(const struct audit_log *log, int32_t shard);

/* Requests of all kinds. Each id counts once in seen and once in one of granted ... pending. */
struct audit_requests {
	uint64_t seen;
	uint64_t granted; /* VmRequested with an assignment, whatever became of it */
	uint64_t rejected;
	uint64_t released;  /* VmReleased that freed something, or is about to */
	uint64_t completed; /* nothing was to be done */
	uint64_t verdicts;
	uint64_t marked;	/* operators' commands that changed something */
	uint64_t pending;	/* the log does not reflect them yet; also what cannot be read */
	uint64_t dead_lettered; /* could not be used, or not even be read */
	uint64_t repeated;	/* messages that ask under an id that was used before */
	uint64_t forwarded;	/* messages that stood in a wrong partition */
	uint64_t expired;	/* outcomes of requests that retention has taken */
	uint64_t answered;	/* of those seen: an answer to it stands in answers */
	uint64_t answers;	/* messages that tell an answer */
	uint64_t told_again;	/* of them: revisions that were told before */
};
struct audit_requests audit_requests(const struct audit_log *log);
uint64_t audit_assigned_gpus(const struct audit_log *log);
/* Cordoned hosts ("host"), GPUs in quarantine ("gpu"). */
uint64_t audit_marks(const struct audit_log *log, const char *kind);
