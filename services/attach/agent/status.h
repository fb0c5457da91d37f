/*
 * What is true of an assignment, as a report. Pure.
 *
 *   wanted                 BOUND when all functions are on vfio-pci, ATTACHED when the VM has them all;
 *                          with the code of what is waited for
 *   releasing or failed    nothing while it is undone, but while something is waited for: BOUND or
 *                          ATTACHED with the code, so that people see it; DETACHED or FAILED when all
 *                          units are free or marked
 *   ended                  nothing: nobody asks any more
 */
#pragma once

#include "attach/agent/book.h"
#include "base/arena.h"
#include "base/error.h"
#include "model/record.h"

/* Positive: there is nothing to say. Of the report, host, pool_id and observed_at are the caller's. The
 * strings belong to the assignment, the list to the arena. */
int status_of(const struct assignment *assignment, struct arena *arena,
	      struct gpu_attachment *ret_report) MUST_CHECK;
