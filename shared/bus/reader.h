/*
 * Reads partitions that the owner names, from offsets that the owner names; no group, no commits.
 * Starting or stopping one partition costs the others nothing. An offset that does not exist (any more
 * or yet) is an error, never skipped over.
 *
 * No callback of a partition comes after bus_reader_stop() of it, none at all after bus_reader_free();
 * both may be called from inside callbacks.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "bus/config.h"
#include "bus/partition.h"
#include "loop/loop.h"
#include "model/message.h"

struct bus_reader;

enum bus_reader_error {
	BUS_READ_OFFSET_MISSING, /* the offset is not in the log: truncated, recreated, or too high */
	BUS_READ_NO_PARTITION,	 /* no such topic or partition */
	BUS_READ_FORBIDDEN,	 /* not authorised */
	BUS_READ_FAILED,	 /* anything else that does not heal by itself */
};

struct bus_reader_callbacks {
	void (*on_message)(void *context, const struct message *message);
	/* Optional: the partition is read to its present end, which may be behind the last message (what
	 * compaction removed leaves no gap to be seen otherwise). */
	void (*on_end)(void *context, struct bus_partition partition, int64_t next);
	/* Optional: after the last on_message() of this turn of the loop. */
	void (*on_batch_done)(void *context);
	/* The partition delivers nothing more until it is stopped and started again. */
	void (*on_error)(void *context, struct bus_partition partition, enum bus_reader_error kind,
			 const char *reason);
};

/* Positive: the configuration is refused, the reason was logged. Waits up to two seconds for a broker's
 * word on the topics: before the loop runs, or where that does not matter. */
int bus_reader_new(struct loop *loop, const struct bus_config *config,
		   const struct bus_reader_callbacks *callbacks, void *context,
		   struct bus_reader **ret_reader) MUST_CHECK;

/* Messages of this topic come without their headers from now on. Unpacking them costs as much as
 * decoding a record: for long topics whose headers nobody looks at. */
void bus_reader_skip_headers(struct bus_reader *reader, enum topic topic);
/* `offset`: of the first message wanted, or BUS_BEGINNING or BUS_END. A partition that is already
 * started is stopped first. */
void bus_reader_start(struct bus_reader *reader, enum topic topic, int32_t partition,
		      int64_t offset);
/* These do nothing on a partition that is not started. */
void bus_reader_stop(struct bus_reader *reader, enum topic topic, int32_t partition);
/* After pause nothing is delivered, not even of the current batch; nothing is lost. */
void bus_reader_pause(struct bus_reader *reader, enum topic topic, int32_t partition);
void bus_reader_resume(struct bus_reader *reader, enum topic topic, int32_t partition);

/* Does not block: the client ends in the background. Accepts NULL. */
void bus_reader_free(struct bus_reader *reader);
DEFINE_CLEANUP(struct bus_reader *, bus_reader_free);
