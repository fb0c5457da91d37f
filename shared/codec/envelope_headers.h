/*
 * struct envelope <-> the headers of a message. Sources: CloudEvents 1.0.2, Kafka protocol binding,
 * binary content mode; W3C Trace Context 1, section 3.2.
 *
 * Headers come from anybody: one that is malformed counts as absent, and of two with one name the first
 * is taken. The headers are:
 *
 *   ce_specversion  "1.0"
 *   ce_id           text, see codec/event_id.h
 *   ce_type         "gpubus.GpuAssigned"
 *   ce_source       who wrote it, a URI reference
 *   ce_time         RFC 3339, UTC, microseconds
 *   content-type    "application/avro": the value says itself, by its framing, which schema it has
 *   traceparent     carried from request to answer
 *   ce_epoch        decimal; decisions: offset of the writer's EpochStarted
 *   ce_applied      "requests=41,attachments=7"; decisions: input offsets that the record reflects
 *   ce_revision     decimal; answers: offset of the record in decisions
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "model/envelope.h"
#include "model/message.h"

enum { ENVELOPE_HEADERS_MAX = 10 };

/* An envelope that says nothing. */
#define ENVELOPE_EMPTY                                                                             \
	((struct envelope){ .time_us = -1, .epoch = -1, .applied = { -1, -1 }, .revision = -1 })

/* Fills `out` with a header for everything that the envelope has, and returns how many. Their values
 * live in `arena` or where the envelope's do. */
size_t envelope_to_headers(const struct envelope *envelope, struct arena *arena,
			   struct header out[ENVELOPE_HEADERS_MAX]);
/* Texts are copied into `arena`. */
void envelope_from_headers(const struct header *headers, size_t n, struct arena *arena,
			   struct envelope *ret_envelope);

/* One header each, without memory. -1: absent or malformed (both positions then). */
int64_t headers_epoch(const struct header *headers, size_t n);
int64_t headers_revision(const struct header *headers, size_t n);
struct input_positions headers_applied(const struct header *headers, size_t n);
/* `type`: as from record_event_type(). */
bool headers_are_of_type(const struct header *headers, size_t n, const char *type);

/* "00-<32 hex digits>-<16 hex digits>-<2 hex digits>", lower case, neither id all zero; a later version
 * may have more behind it. */
bool traceparent_is_valid(const void *text, size_t len);
