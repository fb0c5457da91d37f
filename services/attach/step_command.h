/*
 * How gpubus-attach-step is called: the host's trees and the hypervisor stand on its command line, the step
 * itself comes on its standard input.
 */
#pragma once

#include "attach/options.h"
#include "base/arena.h"

/* Ends with NULL, lives in `arena`. */
const char *const *step_command(const struct attach_options *options, struct arena *arena);
