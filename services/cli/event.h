/*
 * What an event needs to be published: its topic, key and partition, and its headers. Pure: ids, times
 * and traces come from the caller.
 *
 *   VmPoolDefined, VmTypeDefined             catalog, the one partition    "pool/ID", "type/ID"
 *   GpuDiscovered                            inventory, the pool's         gpu_id
 *   HostSeen                                 hosts, the pool's             host
 *   VmRequested, VmReleased, MigrationCheck  requests, the pool's          pool_id
 *   OperatorCommand                          requests, the pool's          pool_id
 *   GpuAttachment                            attachments, the pool's       pool_id
 *
 * All other records are written by the scheduler only.
 */
#pragma once

#include <jansson.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "codec/codec.h"
#include "model/message.h"
#include "model/record.h"

/* Positive: nobody but the scheduler writes such records. */
int event_topic(enum record_type type, enum topic *ret_topic) MUST_CHECK;

/* Adds to a JSON object what its writer may leave out here: a request id, and times. */
void event_complete(json_t *json, enum record_type type, const char *request_id, int64_t now_us);

struct event_origin {
	const char *traceparent; /* NULL: none */
	int64_t now_us;
	int32_t n_partitions; /* of the sharded topics */
};

/* The message of a record that event_topic() accepts. All of it lives in `arena`, or where the record's
 * strings do. Positive: the record cannot be encoded, see codec_error(). */
int event_message(const struct record *record, const struct event_origin *origin,
		  struct codec *codec, struct arena *arena, struct message *ret_message) MUST_CHECK;

/* The tombstone that removes what such records say of this id. */
void event_tombstone(enum record_type type, const char *id, const char *pool_id,
		     const struct event_origin *origin, struct arena *arena,
		     struct message *ret_message);
