/*
 * Is a request well-formed? Looks at the request alone, not at the state. Pure; internal to the core.
 */
#pragma once

#include "base/arena.h"
#include "model/record.h"

/* A sentence that names the field, or NULL when there is nothing to object to. Request id and pool id
 * are usable already. */
const char *request_problem(const struct record *request, struct arena *arena);
