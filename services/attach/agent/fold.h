/*
 * What decisions mean for this host: assignments come, are released, end; an operator returns a GPU.
 *
 *   GpuAssigned of this host    is wanted (ASSIGNED) or is to be given back (RELEASING, which is for good)
 *   GpuAssigned of the same VM  with another id or host ends the one before
 *   GpuReleased                 ends it
 *   GpuMarked RETURNED          the GPU may be touched again, and is verified
 *
 * Without a memory (`blank`) the log alone says what may have been done here. Whoever ended by force was
 * never seen to let go, and whoever is in quarantine was not clean: their units are suspect. A clean release,
 * or a report that a later assignment has the unit, shows that what was before is undone.
 */
#pragma once

#include <stdbool.h>

#include "attach/agent/book.h"
#include "model/record.h"

struct fold_place {
	const char *host;
	const char *pool_id;
	bool blank;
};

/* True: something has changed for this host. */
bool fold_decision(struct book *book, const struct fold_place *place, const struct record *record);
/* The log is read, and there was no memory: all assignments may have been worked on. */
void fold_adopt(struct book *book);
