/*
 * How `get` shows its objects to people: which columns, in which order. Pure.
 */
#pragma once

#include <jansson.h>

#include "base/buf.h"
#include "store/meta.h"

/* The member that is the object's id in this table. */
const char *get_columns_id(enum store_table table);
/* By pool, then id. Takes the list over and returns the sorted one. */
json_t *get_columns_sort(enum store_table table, json_t *list);
void get_columns_print(enum store_table table, const json_t *list, struct buf *out);
