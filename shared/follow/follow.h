/*
 * Reading a partition of decisions with the epoch rule (HACKING.md): which records count, which
 * are void, and whether the log is whole. Everyone who reads decisions - owner, agents, audit, CLI -
 * goes through here. No IO: messages are handed in, in the order of the partition.
 *
 * A marker is an EpochStarted, also one whose schema is newer than this program. Its offset is the epoch of its writer. Every other record says its
 * writer's epoch in ce_epoch; when that is not the latest marker before it, the record is void, for
 * everybody, and its content is not even looked at.
 */
#pragma once

#include <stdint.h>

#include "model/message.h"

struct follow {
	int64_t epoch; /* offset of the latest marker before `next`; -1: none yet */
	int64_t next;  /* the offset that comes next */
};

enum follow_kind {
	FOLLOW_RECORD, /* counts */
	FOLLOW_MARKER, /* a new epoch has begun with this message */
	FOLLOW_VOID,   /* its writer had been deposed, or it is no record of ours */
	FOLLOW_AGAIN,  /* seen before (below `next`): changes nothing */
	FOLLOW_GAP, /* messages are missing before it: the log is broken; `follow` is unchanged */
};

/* Start at an offset whose epoch is known: the beginning (0, -1) or a remembered position. */
static inline void follow_init(struct follow *follow, int64_t next, int64_t epoch)
{
	*follow = (struct follow){ .epoch = epoch, .next = next };
}

/* Takes the next message of the partition. */
enum follow_kind follow_step(struct follow *follow, const struct message *message);
