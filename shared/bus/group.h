/*
 * A member of a consumer group on the loop (range assignor, offsets committed only as asked).
 *
 * Assignment: on_assigned() names the new partitions; inside it the owner may pause them or give them
 * another start with bus_group_seek() before anything is fetched. Without that they start at the
 * group's committed offset, or at the beginning when there is none.
 *
 * Revocation is a handshake: after on_revoked() nothing of these partitions is delivered, but they are
 * still ours until the owner calls bus_group_revoked_done() (inside on_revoked() or later): so it can
 * have its decisions in flight read back, answered and committed. After revoke_timeout_ms the bus
 * hands over by itself. Commits asked for before are sent first. With `lost` the partitions are
 * already somebody else's: nothing can be committed and no answer is awaited.
 *
 * The rebalance is eager: every rebalance revokes everything and assigns what is left or new.
 * No callback comes after bus_group_free(), which may be called from inside any of them.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "bus/config.h"
#include "bus/partition.h"
#include "loop/loop.h"
#include "model/message.h"

struct bus_group;

struct bus_group_options {
	const char *group_id;
	const enum topic *topics;
	size_t n_topics;
	int64_t session_timeout_ms; /* 0: 10,000 */
	int64_t revoke_timeout_ms;  /* 0: 2,000 */
	int64_t commit_interval_ms; /* 0: 50 */
};

struct bus_group_callbacks {
	void (*on_assigned)(void *context, const struct bus_partition *partitions, size_t n);
	void (*on_revoked)(void *context, const struct bus_partition *partitions, size_t n,
			   bool lost);
	void (*on_message)(void *context, const struct message *message);
	/* Optional: after the last on_message() of this turn of the loop. */
	void (*on_batch_done)(void *context);
	/* Optional. `error` is NULL when the group's offset of this partition is now next_offset.
	 * Otherwise it was not committed and will not be tried again. */
	void (*on_committed)(void *context, struct bus_partition partition, int64_t next_offset,
			     const char *error);
	/* The membership is broken for good, or a topic is not readable; a sentence for people. */
	void (*on_error)(void *context, const char *reason);
};

/* Positive: the configuration is refused, the reason was logged. Copies the options. */
int bus_group_new(struct loop *loop, const struct bus_config *config,
		  const struct bus_group_options *options,
		  const struct bus_group_callbacks *callbacks, void *context,
		  struct bus_group **ret_group) MUST_CHECK;

void bus_group_revoked_done(struct bus_group *group);

/* Of partitions that are not assigned, these do nothing. After pause nothing is delivered, not even
 * of the current batch; what was fetched already is kept and comes first after resume. */
void bus_group_pause(struct bus_group *group, enum topic topic, int32_t partition);
void bus_group_resume(struct bus_group *group, enum topic topic, int32_t partition);
/* The next message delivered is the one at `offset` (or the first behind it). */
void bus_group_seek(struct bus_group *group, enum topic topic, int32_t partition, int64_t offset);

/* Commits of a partition are coalesced: the last one asked for counts. A partition that is not
 * assigned (any more) is ignored. */
void bus_group_commit(struct bus_group *group, enum topic topic, int32_t partition,
		      int64_t next_offset);
/* Sends what was asked for now instead of after commit_interval_ms. */
void bus_group_commit_now(struct bus_group *group);
/* Nothing asked for or under way. */
bool bus_group_commits_done(const struct bus_group *group);

/* Leaves in order: on_revoked() with its handshake, last commits, then LeaveGroup, so that the others
 * take over without waiting for the session to end; on_left() at the end, in any case and in bounded
 * time. The group is to be freed then (may be done in on_left()). */
void bus_group_leave(struct bus_group *group, void (*on_left)(void *context));
/* At once and without a word to the group, unless it was left before. Accepts NULL. */
void bus_group_free(struct bus_group *group);
DEFINE_CLEANUP(struct bus_group *, bus_group_free);
