/*
 * Rows on their way to Redis, in groups: each group goes out as one call. A row that is added while its
 * group still waits replaces an earlier row of the same table and field in it, so a group holds each
 * (table, field) once and the order of groups is all the order there is. Not thread-safe.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/index.h"
#include "store/meta.h"

struct queued_row {
	uint32_t field; /* offsets into data */
	uint32_t field_len;
	uint32_t value;
	uint32_t value_len;
	uint32_t value_room; /* a later value that fits is written over the earlier one */
	uint8_t table;
	bool deleted;
};

struct row_group {
	struct row_group *next;
	struct buf data;
	struct queued_row *rows;
	uint32_t n_rows, rows_size;
	uint32_t n_set[STORE_TABLES], n_deleted[STORE_TABLES];
	struct index index;
	struct store_meta to; /* where the state stands with this group */
	uint64_t n_records;
	int64_t since_us; /* when its first row or batch came */
};

struct row_queue {
	struct row_group *first, *last;
	size_t n_rows;
	size_t bytes; /* of all groups, as row_group_bytes() counts */
	uint32_t group_rows_max;
	size_t group_bytes_max;
};

void row_queue_init(struct row_queue *queue, uint32_t group_rows_max, size_t group_bytes_max);
/* Drops everything. */
void row_queue_clear(struct row_queue *queue);
/* All rows go into one group: the last one when they fit, else a new one. `to` and `n_records` as in
 * struct store_batch; without `to` the group keeps the one it has. */
void row_queue_add(struct row_queue *queue, const struct store_row *rows, size_t n_rows,
		   const struct store_meta *to, uint64_t n_records, int64_t now_us);
/* Takes the first group off; NULL: empty. The caller frees it. */
struct row_group *row_queue_take(struct row_queue *queue);

void row_group_free(struct row_group *group);
size_t row_group_bytes(const struct row_group *group);
/* The groups' rows as arguments of gpubus_apply and gpubus_stage: see gpubus.lua, write_rows. */
size_t row_group_n_args(const struct row_group *group);
void row_group_append_args(const struct row_group *group, struct buf *command);
