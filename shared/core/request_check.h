/*
 * Is a request well-formed? Looks at the request alone, not at the state. Pure; internal to the core.
 */
#pragma once

#include "base/arena.h"
#include "model/record.h"

/* A sentence that names the field, or NULL when there is nothing to object to. Request id and pool id
 * are usable already. */
const char *request_problem(const struct record *request, struct arena *arena);
/* The same for an agent's report; its pool id is usable already. */
const char *report_problem(const struct gpu_attachment *report, struct arena *arena);
