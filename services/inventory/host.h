/*
 * One host that inventory speaks for: it is scanned off the loop, what changed is announced, and its
 * heartbeat says that it is alive. Loop thread only.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "codec/codec.h"
#include "inventory/host_list.h"
#include "publish/publisher.h"
#include "loop/loop.h"

struct host;

/* What hosts have in common; all borrowed. */
struct host_context {
	struct loop *loop;
	struct publisher *publisher;
	struct codec *codec;
	int32_t n_partitions;
	/* The program's reader mode, see pci/scan.h. */
	const char *const *reader_args;
	/* After every scan of any host. */
	loop_fn on_scanned;
	void *context;
};

/* `context` must stay until host_free(), `place` until loop_free(), which waits for a scan under way. */
struct host *host_new(const struct host_place *place, const struct host_context *context);
void host_free(struct host *host);
DEFINE_CLEANUP(struct host *, host_free);

/* Scans now, or once more after the scan that is under way. */
void host_scan(struct host *host);
/* Announces that it is alive. Nothing before its first scan, and nothing while the last heartbeat is on
 * its way. */
void host_beat(struct host *host);

enum host_health {
	HOST_NOT_SCANNED,
	HOST_SCANNED,	/* whole */
	HOST_UNREADABLE /* the last scan failed, or was not whole */
};
enum host_health host_health(const struct host *host);
