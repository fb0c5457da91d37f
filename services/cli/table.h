/*
 * A table for people: columns as wide as their widest cell, counted in characters; the last one is not
 * padded. What came from outside may hold anything: control characters are shown as "?".
 */
#pragma once

#include <stddef.h>

#include "base/arena.h"
#include "base/buf.h"

struct table {
	struct arena texts;
	const char **cells; /* owned; row by row */
	size_t n_cells;
	size_t size;
	size_t n_columns;
};

/* `titles` is the first row; its strings are copied, as all cells are. */
void table_init(struct table *table, const char *const *titles, size_t n_columns);
void table_deinit(struct table *table);
/* As many cells as there are columns; NULL and "" are shown as "-". */
void table_add(struct table *table, const char *const *cells);
void table_print(const struct table *table, struct buf *out);
