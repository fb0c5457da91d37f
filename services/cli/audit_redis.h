/*
 * A shard's checkpoint in Redis, for audit: where it says it stands, and what its rows add up to.
 */
#pragma once

#include <stdint.h>

#include "base/error.h"
#include "codec/codec.h"
#include "store/read.h"

enum audit_stored_status {
	STORED_NOT_ASKED,
	STORED_EMPTY,
	STORED_THERE,	   /* all of it was read while it stood still */
	STORED_MOVING,	   /* meta only: it moved on whenever its rows were read */
	STORED_UNREADABLE, /* rows are malformed or contradict each other */
	STORED_FAILED,	   /* Redis did not answer; `why` says it */
};

struct audit_stored {
	enum audit_stored_status status;
	struct store_meta meta; /* unless EMPTY or FAILED */
	uint64_t rows_digest;	/* THERE: computed from the rows */
	int64_t remember_us;	/* as the scheduler had it that wrote this; -1: not known */
	size_t vms, requests;	/* rows */
	char why[256];
};

void audit_redis_read(struct store_reader *reader, int32_t shard, struct codec *codec,
		      struct audit_stored *ret_stored);
