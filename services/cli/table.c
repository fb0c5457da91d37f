#include "cli/table.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

enum { GAP = 2 };

static const char *shown(struct arena *texts, const char *cell)
{
	char *text = arena_strdup(texts, cell && *cell ? cell : "-");
	for (char *c = text; *c; c++)
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			*c = '?';
	return text;
}

void table_init(struct table *table, const char *const *titles, size_t n_columns)
{
	*table = (struct table){ .n_columns = n_columns };
	arena_init(&table->texts);
	table_add(table, titles);
}

void table_deinit(struct table *table)
{
	arena_deinit(&table->texts);
	free(table->cells);
	*table = (struct table){ 0 };
}

void table_add(struct table *table, const char *const *cells)
{
	if (table->n_cells + table->n_columns > table->size) {
		table->size = 2 * table->size + 16 * table->n_columns;
		table->cells = memory_resize(table->cells, table->size, sizeof(*table->cells));
	}
	for (size_t i = 0; i < table->n_columns; i++)
		table->cells[table->n_cells++] = shown(&table->texts, cells[i]);
}

static size_t width_of(const char *text)
{
	size_t width = 0;
	for (; *text; text++)
		width += ((unsigned char)*text & 0xc0) != 0x80;
	return width;
}

void table_print(const struct table *table, struct buf *out)
{
	size_t n = table->n_columns;
	cleanup(freep) size_t *widths = memory_zeroed(n, sizeof(*widths));

	for (size_t i = 0; i < table->n_cells; i++) {
		size_t width = width_of(table->cells[i]);
		if (width > widths[i % n])
			widths[i % n] = width;
	}
	for (size_t i = 0; i < table->n_cells; i++) {
		const char *cell = table->cells[i];
		buf_puts(out, cell);
		if (i % n == n - 1)
			buf_putc(out, '\n');
		else
			buf_printf(out, "%*s", (int)(widths[i % n] - width_of(cell) + GAP), "");
	}
}
