#include "store/row_queue.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "store/redis_command.h"

void row_queue_init(struct row_queue *queue, uint32_t group_rows_max, size_t group_bytes_max)
{
	*queue = (struct row_queue){ .group_rows_max = group_rows_max,
				     .group_bytes_max = group_bytes_max };
}

void row_group_free(struct row_group *group)
{
	if (!group)
		return;
	buf_deinit(&group->data);
	index_deinit(&group->index);
	free(group->rows);
	free(group);
}

/* What the group costs in memory, as good as it can be known: data, rows, index. */
size_t row_group_bytes(const struct row_group *group)
{
	return sizeof(*group) + group->data.size + group->rows_size * sizeof(*group->rows) +
	       group->index.size * sizeof(*group->index.entries);
}

void row_queue_clear(struct row_queue *queue)
{
	for (struct row_group *group; (group = row_queue_take(queue));)
		row_group_free(group);
}

struct row_group *row_queue_take(struct row_queue *queue)
{
	struct row_group *group = queue->first;
	if (!group)
		return NULL;
	queue->first = group->next;
	if (!queue->first)
		queue->last = NULL;
	queue->n_rows -= group->n_rows;
	queue->bytes -= row_group_bytes(group);
	group->next = NULL;
	return group;
}

static bool row_equals(const void *context, uint32_t slot, const void *key)
{
	const struct row_group *group = context;
	const struct queued_row *row = &group->rows[slot];
	const struct store_row *sought = key;
	return row->table == sought->table && row->field_len == sought->field_len &&
	       memcmp(group->data.data + row->field, sought->field, row->field_len) == 0;
}

static uint32_t append(struct row_group *group, const void *data, size_t len)
{
	size_t at = group->data.len;
	assert(at + len <= UINT32_MAX);
	buf_append(&group->data, data, len);
	return (uint32_t)at;
}

static void count(struct row_group *group, const struct queued_row *row, uint32_t by)
{
	uint32_t *n = row->deleted ? group->n_deleted : group->n_set;
	n[row->table] += by;
}

static void set_value(struct row_group *group, struct queued_row *row, const struct store_row *from)
{
	row->deleted = !from->value;
	if (from->value) {
		if (from->value_len <= row->value_room) {
			memcpy(group->data.data + row->value, from->value, from->value_len);
		} else {
			row->value = append(group, from->value, from->value_len);
			row->value_room = (uint32_t)from->value_len;
		}
		row->value_len = (uint32_t)from->value_len;
	}
	count(group, row, 1);
}

static void put(struct row_group *group, const struct store_row *from)
{
	uint64_t hash = index_hash(from->field, from->field_len, from->table);
	uint32_t slot = index_find(&group->index, hash, row_equals, group, from);
	if (slot != INDEX_NONE) {
		count(group, &group->rows[slot], (uint32_t)-1);
		set_value(group, &group->rows[slot], from);
		return;
	}

	if (group->n_rows == group->rows_size) {
		group->rows_size = group->rows_size ? group->rows_size * 2 : 16;
		group->rows = memory_resize(group->rows, group->rows_size, sizeof(*group->rows));
	}
	struct queued_row *row = &group->rows[group->n_rows];
	*row = (struct queued_row){ .table = (uint8_t)from->table,
				    .field = append(group, from->field, from->field_len),
				    .field_len = (uint32_t)from->field_len };
	index_add(&group->index, hash, group->n_rows++);
	set_value(group, row, from);
}

/* The group that takes the rows, new if they would make the last one too large. */
static struct row_group *group_for(struct row_queue *queue, const struct store_row *rows,
				   size_t n_rows, int64_t now_us)
{
	struct row_group *last = queue->last;
	size_t bytes = 0;
	for (size_t i = 0; i < n_rows; i++)
		bytes += rows[i].field_len + rows[i].value_len;
	if (last && last->n_rows + n_rows <= queue->group_rows_max &&
	    last->data.len + bytes <= queue->group_bytes_max)
		return last;

	struct row_group *group = memory_zeroed(1, sizeof(*group));
	group->since_us = now_us;
	if (last) {
		group->to = last->to;
		last->next = group;
	} else {
		queue->first = group;
	}
	queue->last = group;
	queue->bytes += row_group_bytes(group);
	return group;
}

void row_queue_add(struct row_queue *queue, const struct store_row *rows, size_t n_rows,
		   const struct store_meta *to, uint64_t n_records, int64_t now_us)
{
	struct row_group *group = group_for(queue, rows, n_rows, now_us);
	size_t bytes = row_group_bytes(group), n = group->n_rows;
	for (size_t i = 0; i < n_rows; i++)
		put(group, &rows[i]);
	if (to)
		group->to = *to;
	group->n_records += n_records;
	queue->n_rows += group->n_rows - n;
	queue->bytes += row_group_bytes(group) - bytes;
}

/* ---- as arguments --------------------------------------------------------------------------- */

size_t row_group_n_args(const struct row_group *group)
{
	size_t n = 0;
	for (int table = 0; table < STORE_TABLES; table++)
		if (group->n_set[table] || group->n_deleted[table])
			n += 3 + 2 * (size_t)group->n_set[table] + group->n_deleted[table];
	return n;
}

void row_group_append_args(const struct row_group *group, struct buf *command)
{
	const char *data = group->data.data;
	for (int table = 0; table < STORE_TABLES; table++) {
		if (!group->n_set[table] && !group->n_deleted[table])
			continue;
		redis_command_text(command, store_table_name((enum store_table)table));
		redis_command_number(command, group->n_set[table]);
		redis_command_number(command, group->n_deleted[table]);
		for (int deleted = 0; deleted <= 1; deleted++)
			for (uint32_t i = 0; i < group->n_rows; i++) {
				const struct queued_row *row = &group->rows[i];
				if (row->table != table || row->deleted != deleted)
					continue;
				redis_command_bytes(command, data + row->field, row->field_len);
				if (!deleted)
					redis_command_bytes(command, data + row->value,
							    row->value_len);
			}
	}
}
