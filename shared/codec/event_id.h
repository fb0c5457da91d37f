/*
 * What an event is called: its type and its id in the headers. An id follows from the record's content
 * alone: the same decision told twice has one id, and receivers may drop what they have seen.
 *
 *   VmRequested, VmReleased, MigrationCheck, MigrationVerdict  POOL/RECORD/REQUEST-ID
 *   RequestRejected, RequestCompleted   POOL/RECORD/REQUEST-TYPE/REQUEST-ID
 *   GpuAssigned                         POOL/GpuAssigned/ASSIGNMENT-ID/STATE
 *   GpuReleased                         POOL/GpuReleased/ASSIGNMENT-ID
 *   GpuAttachment                       POOL/GpuAttachment/ASSIGNMENT-ID/STATE@OBSERVED-AT
 *   GpuDiscovered                       POOL/GpuDiscovered/GPU-ID@OBSERVED-AT
 *   HostSeen                            POOL/HostSeen/HOST@OBSERVED-AT
 *   EpochStarted                        SHARD/EpochStarted/NONCE
 *   VmPoolDefined, VmTypeDefined        POOL/RECORD/hash of the content
 *
 * In POOL, "/" and "%" are percent-encoded: no choice of ids makes two records' event ids alike.
 */
#pragma once

#include "base/arena.h"
#include "model/record.h"

const char *record_event_id(const struct record *record, struct arena *arena);
/* "gpubus.GpuAssigned"; static. */
const char *record_event_type(enum record_type type);
