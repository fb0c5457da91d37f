#include "store/shard.h"

#include <hiredis/hiredis.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "loop/loop.h"
#include "store/redis_command.h"

/*
 * where -> HSCAN of each table to its end -> where again: if Redis still stands as in the beginning, the
 * rows are of that one moment; else all of it is done again, as often as it takes until the deadline.
 * A connection that is lost in the middle starts it anew as well.
 *
 * A large shard takes its time: as long as Redis answers, the deadline moves on. Not in a second pass:
 * somebody who goes on writing could keep us here for ever.
 */

enum { SCAN_ROWS = 1000 };

struct store_loading {
	struct shard *shard;
	struct store_load_request request;
	enum store_table *tables; /* owned; request.tables points here */
	struct loop_timer *deadline;
	bool begun; /* on_begin was called for `where` */
	unsigned passes;
	struct whereabouts where;
	size_t table; /* index into tables; n_tables: all read */
	char cursor[32];
};

static void on_deadline(void *context);

struct store_loading *store_loading_new(struct shard *shard,
					const struct store_load_request *request)
{
	struct store_loading *load = memory_zeroed(1, sizeof(*load));
	load->shard = shard;
	load->request = *request;
	load->tables = memory_alloc((request->n_tables + 1) * sizeof(*load->tables));
	memcpy(load->tables, request->tables, request->n_tables * sizeof(*load->tables));
	load->deadline = loop_timer_new(shard->env->loop, on_deadline, load);
	loop_timer_start(load->deadline, request->deadline_ms, 0);
	return load;
}

void store_loading_free(struct store_loading *load)
{
	if (!load)
		return;
	loop_timer_free(load->deadline);
	free(load->tables);
	free(load);
}

/* Ends the load; the owner's on_done is the last thing, it may close the shard. */
static void done(struct store_loading *load, enum store_load_status status)
{
	static const char *const reasons[] = {
		[STORE_EMPTY] = "Redis has nothing of it",
		[STORE_FOREIGN_FORMAT] = "Redis has it in another format",
		[STORE_UNAVAILABLE] = "Redis did not answer when it was to be loaded",
	};
	struct shard *shard = load->shard;
	struct store_load_request request = load->request;
	struct store_meta meta = load->where.meta;

	shard->load = NULL;
	shard->attempt++;
	store_loading_free(load);
	if (status == STORE_LOADED) {
		shard->stored = shard->submitted = meta;
		shard->has_stored = shard->has_submitted = true;
	} else {
		store_shard_needs_rewrite(shard, reasons[status]);
	}
	store_shard_wake(shard->env, 0);
	request.on_done(request.context, status, status == STORE_LOADED ? &meta : NULL);
}

static void on_deadline(void *context)
{
	done(context, STORE_UNAVAILABLE);
}

void store_loading_on_down(struct store_loading *load)
{
	load->begun = false;
}

static void scan(struct store_loading *load)
{
	struct shard *shard = load->shard;
	cleanup(buf_deinit) struct buf key = { 0 };
	cleanup(buf_deinit) struct buf command = { 0 };
	whereabouts_table_key(shard->number, load->where.generation, load->tables[load->table],
			      &key);
	redis_command_begin(&command, 5);
	redis_command_text(&command, "HSCAN");
	redis_command_bytes(&command, key.data, key.len);
	redis_command_text(&command, load->cursor);
	redis_command_text(&command, "COUNT");
	redis_command_number(&command, SCAN_ROWS);
	store_shard_call(shard, CALL_SCAN, &command);
}

void store_loading_step(struct store_loading *load)
{
	if (load->begun && load->table < load->request.n_tables) {
		scan(load);
		return;
	}
	/* Nothing is known yet, or all is read: what stands in Redis now decides. */
	load->shard->known = false;
	store_shard_step(load->shard);
}

void store_loading_on_where(struct store_loading *load, const struct whereabouts *where)
{
	bool complete = load->begun && load->table == load->request.n_tables;

	if (!where->exists) {
		done(load, STORE_EMPTY);
		return;
	}
	if (strcmp(where->format, load->shard->env->format) != 0) {
		done(load, STORE_FOREIGN_FORMAT);
		return;
	}
	if (complete && strcmp(where->generation, load->where.generation) == 0 &&
	    store_meta_same(&where->meta, &load->where.meta)) {
		done(load, STORE_LOADED);
		return;
	}
	load->passes++;
	load->where = *where;
	load->begun = true;
	load->table = 0;
	strcpy(load->cursor, "0");
	if (load->request.on_begin)
		load->request.on_begin(load->request.context, &load->where.meta);
	store_shard_step(load->shard);
}

/* Positive: the owner refused a row. */
static int give_rows(struct store_loading *load, const redisReply *rows)
{
	for (size_t i = 0; i + 1 < rows->elements; i += 2) {
		const redisReply *field = rows->element[i], *value = rows->element[i + 1];
		struct store_row row = { .table = load->tables[load->table],
					 .field = field->str,
					 .field_len = field->len,
					 .value = value->str,
					 .value_len = value->len };
		if (load->request.on_row(load->request.context, &row))
			return 1;
	}
	return 0;
}

void store_loading_on_scan(struct store_loading *load, const redisReply *reply)
{
	const redisReply *cursor = reply->elements == 2 ? reply->element[0] : NULL;
	if (!cursor || cursor->type != REDIS_REPLY_STRING || cursor->len == 0 ||
	    cursor->len >= sizeof(load->cursor) || reply->element[1]->type != REDIS_REPLY_ARRAY ||
	    give_rows(load, reply->element[1])) {
		done(load, STORE_FOREIGN_FORMAT);
		return;
	}
	if (load->passes == 1)
		loop_timer_start(load->deadline, load->request.deadline_ms, 0);
	memcpy(load->cursor, cursor->str, cursor->len + 1);
	if (strcmp(load->cursor, "0") == 0)
		load->table++;
	store_shard_step(load->shard);
}
