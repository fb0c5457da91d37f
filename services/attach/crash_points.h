/*
 * The moments in the agent's shell at which a test can kill it (attach/step/crash.h), in the order in which a
 * step passes them. Those of the step process are the step program's.
 */
#pragma once

#include "attach/step/crash.h"

#define ATTACH_CRASH_POINTS(X)                                                                     \
	X("agent-saved", "its memory is on the disk, and nothing was done with it yet")            \
	X("agent-step-unstarted", "a step is wanted, and its process does not exist")              \
	X("agent-step-started", "the step's process runs")                                         \
	X("agent-result-untaken", "a step has ended; the agent does not know how")                 \
	X("agent-result-taken", "the agent knows how; what follows from it was not begun")         \
	X("agent-report-unsent", "a report is wanted, and has not left the agent")                 \
	X("agent-report-delivered", "all reports are in the log; the agent does not know it")
