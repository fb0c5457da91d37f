/*
 * Marks: which hosts are cordoned and which GPUs in quarantine, since when, why, and who says so. A mark
 * holds whatever becomes of its host or GPU, so it is shown by itself, too. Pure.
 */
#pragma once

#include <jansson.h>

#include "cli/get_rows.h"

/* A row of marks as an object: kind ("host" or "gpu"), id, code, reason, actor, since, and the record that made
 * it. Positive: not such a row. */
int get_mark_add(struct get_rows *rows, const struct store_row *row, json_t *list) MUST_CHECK;

/* The marks by what they are on, for get_set_mark(). Owned by the caller. */
json_t *get_index_marks(const json_t *marks);
/* Sets object[member] to the mark of kind and object[id_member], or null. */
void get_set_mark(json_t *object, const char *member, const char *kind, const char *id_member,
		  const json_t *marks);
