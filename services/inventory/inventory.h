/*
 * The inventory service round its hosts: when they are scanned, when their hearts beat, and when it is
 * over. Loop thread only.
 */
#pragma once

#include "base/cleanup.h"
#include "base/error.h"
#include "inventory/host_list.h"
#include "inventory/options.h"
#include "loop/loop.h"

struct inventory;

/* All arguments are borrowed; `reader_args`: see pci/scan.h. Positive: it cannot start, the reason was
 * logged. Negative: -errno. */
int inventory_new(struct loop *loop, const struct inventory_options *options,
		  const struct host_place *places, size_t n_places, int32_t n_partitions,
		  const char *const *reader_args, struct inventory **ret_inventory) MUST_CHECK;
void inventory_free(struct inventory *inventory);
DEFINE_CLEANUP(struct inventory *, inventory_free);

/* For loop_on_shutdown(): stops the loop as soon as what was announced has arrived. */
void inventory_shut_down(void *inventory);

/* With --once: every host was scanned whole, and all of it is in the log. */
bool inventory_is_done(const struct inventory *inventory);
