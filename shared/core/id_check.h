/*
 * What the core accepts from outside as ids, texts and lists of asks. A function returns what is wrong
 * (static text that reads on after the field's name), or NULL.
 */
#pragma once

#include <stddef.h>

#include "model/record.h"

/* Ids are keys of indexes and of rows: not empty, at most LIMIT_ID_BYTES, UTF-8 without control
 * characters. */
const char *id_problem(const char *id);
/* The same, but with room for "/" and an attempt behind a request id. */
const char *assignment_id_problem(const char *id);
/* Text may be absent or empty. */
const char *text_problem(const char *text);
/* A whole sentence about a list of asks, or NULL. */
const char *asks_problem(const struct gpu_ask *asks, size_t n_asks);
