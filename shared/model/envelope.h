/*
 * What the headers of a message say: CloudEvents in binary mode (source: CloudEvents 1.0.2, Kafka
 * protocol binding), W3C traceparent, and the three headers of decisions and answers. The mapping to
 * header names and texts is in codec/envelope_headers.h.
 */
#pragma once

#include <stdint.h>

/* Up to which offset of each input topic a decisions record reflects what was asked; -1: nothing yet. */
struct input_positions {
	int64_t requests;
	int64_t attachments;
};

struct envelope {
	const char *id;		 /* ce_id */
	const char *type;	 /* ce_type: "gpubus.GpuAssigned" */
	const char *source;	 /* ce_source */
	int64_t time_us;	 /* ce_time, RFC 3339 UTC on the wire; -1: absent */
	const char *traceparent; /* NULL: absent */
	int64_t epoch;		 /* ce_epoch; -1: absent */
	struct input_positions
		applied;  /* ce_applied: "requests=41,attachments=7"; both -1: absent */
	int64_t revision; /* ce_revision; -1: absent */
};
