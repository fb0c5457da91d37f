#include "memory_store.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "store/store.h"

/* ---- rows ---------------------------------------------------------------------------------------- */

static void *copy_bytes(const void *data, size_t len)
{
	char *copy = memory_alloc(len + 1);
	if (len > 0)
		memcpy(copy, data, len);
	copy[len] = '\0';
	return copy;
}

static void row_set_clear(struct row_set *set)
{
	for (size_t i = 0; i < set->n; i++) {
		free(set->rows[i].field);
		free(set->rows[i].value);
	}
	free(set->rows);
	*set = (struct row_set){ 0 };
}

const struct stored_row *row_set_find(const struct row_set *set, enum store_table table,
				      const void *field, size_t field_len)
{
	for (size_t i = 0; i < set->n; i++) {
		const struct stored_row *row = &set->rows[i];
		if (row->table == table && row->field_len == field_len &&
		    memcmp(row->field, field, field_len) == 0)
			return row;
	}
	return NULL;
}

/* Adds without looking whether the row is there: a list of what is to be done. */
static void row_set_add(struct row_set *set, enum store_table table, const void *field,
			size_t field_len, const void *value, size_t value_len)
{
	if (set->n == set->size) {
		set->size = set->size ? set->size * 2 : 8;
		set->rows = memory_resize(set->rows, set->size, sizeof(*set->rows));
	}
	set->rows[set->n++] = (struct stored_row){
		.table = table,
		.field = copy_bytes(field, field_len),
		.field_len = field_len,
		.value = value ? copy_bytes(value, value_len) : NULL,
		.value_len = value ? value_len : 0,
	};
}

static void row_set_apply(struct row_set *set, const struct row_set *changes)
{
	for (size_t i = 0; i < changes->n; i++) {
		const struct stored_row *change = &changes->rows[i];
		struct stored_row *row = (struct stored_row *)row_set_find(
			set, change->table, change->field, change->field_len);
		if (row) {
			free(row->field);
			free(row->value);
			*row = set->rows[--set->n];
		}
		if (change->value)
			row_set_add(set, change->table, change->field, change->field_len,
				    change->value, change->value_len);
	}
}

static void row_set_take(struct row_set *set, const struct store_row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++)
		row_set_add(set, rows[i].table, rows[i].field, rows[i].field_len, rows[i].value,
			    rows[i].value_len);
}

/* ---- what Redis holds ----------------------------------------------------------------------------- */

void store_shard_deinit(struct store_shard *shard)
{
	row_set_clear(&shard->rows);
	row_set_clear(&shard->staged);
	*shard = (struct store_shard){ 0 };
}

void store_shard_copy(struct store_shard *to, const struct store_shard *from)
{
	store_shard_deinit(to);
	to->exists = from->exists;
	to->meta = from->meta;
	row_set_apply(&to->rows, &from->rows);
}

void store_server_wipe(struct store_server *server, int32_t shard)
{
	store_shard_deinit(&server->shards[shard]);
}

void store_server_deinit(struct store_server *server)
{
	for (int32_t shard = 0; shard < STORE_SHARDS; shard++)
		store_server_wipe(server, shard);
}

static bool same(const struct store_meta *a, const struct store_meta *b)
{
	return a->epoch == b->epoch && a->offset == b->offset && a->sequence == b->sequence &&
	       a->digest == b->digest;
}

/* ---- a client's side ---------------------------------------------------------------------------------- */

void store_client_init(struct store_client *client, struct store_server *server, int32_t shard)
{
	*client = (struct store_client){ .server = server, .shard = shard };
}

static void drop_calls(struct store_client *client)
{
	for (size_t i = 0; i < client->n; i++)
		row_set_clear(&client->queue[i].rows);
	client->n = 0;
}

void store_client_deinit(struct store_client *client)
{
	drop_calls(client);
	free(client->queue);
	client->queue = NULL;
	client->size = 0;
}

void store_client_open(struct store_client *client)
{
	drop_calls(client);
	client->state = CLIENT_OPEN;
	client->say_rewrite_needed = client->say_more = false;
	client->rewrite = 0;
}

void store_client_close(struct store_client *client)
{
	drop_calls(client);
	client->state = CLIENT_CLOSED;
	client->say_rewrite_needed = client->say_more = false;
}

static void need_rewrite(struct store_client *client)
{
	drop_calls(client);
	client->state = CLIENT_NEEDS_REWRITE;
	client->say_rewrite_needed = true;
	client->rewrite = 0;
}

void store_client_loaded(struct store_client *client, const struct store_meta *meta)
{
	if (meta) {
		client->state = CLIENT_FOLLOWING;
		client->position = *meta;
	} else {
		client->state = CLIENT_WAITING;
	}
}

void store_client_distrust(struct store_client *client)
{
	need_rewrite(client);
}

static struct store_call *add_call(struct store_client *client, enum call_kind kind)
{
	if (client->n == client->size) {
		client->size = client->size ? client->size * 2 : 16;
		client->queue = memory_resize(client->queue, client->size, sizeof(*client->queue));
	}
	struct store_call *call = &client->queue[client->n++];
	*call = (struct store_call){ .kind = kind };
	return call;
}

void store_client_submit(struct store_client *client, const struct store_meta *to,
			 const struct store_row *rows, size_t n_rows)
{
	struct store_meta from = client->position;
	client->position = *to;
	if (client->state == CLIENT_DEPOSED && to->epoch > client->refused_epoch)
		need_rewrite(client);
	if (client->state != CLIENT_FOLLOWING && client->state != CLIENT_REWRITING)
		return;
	if (client->n >= CLIENT_QUEUE_MAX) {
		need_rewrite(client);
		return;
	}
	struct store_call *call = add_call(client, CALL_APPLY);
	call->from = from;
	call->to = *to;
	row_set_take(&call->rows, rows, n_rows);
}

int store_client_rewrite_begin(struct store_client *client, const struct store_meta *now)
{
	if (client->state != CLIENT_NEEDS_REWRITE)
		return STORE_OVER;
	drop_calls(client);
	client->state = CLIENT_REWRITING;
	client->say_rewrite_needed = false;
	client->position = *now;
	client->was_full = false;
	add_call(client, CALL_BEGIN)->to = *now;
	return 0;
}

int store_client_rewrite_rows(struct store_client *client, const struct store_row *rows, size_t n)
{
	if (client->state != CLIENT_REWRITING)
		return STORE_OVER;
	row_set_take(&add_call(client, CALL_ROWS)->rows, rows, n);
	client->was_full = client->n >= CLIENT_FULL;
	return client->was_full ? STORE_FULL : 0;
}

int store_client_rewrite_end(struct store_client *client)
{
	if (client->state != CLIENT_REWRITING)
		return STORE_OVER;
	add_call(client, CALL_END)->to = client->position;
	return 0;
}

/* False: Redis stands elsewhere. */
static bool apply(struct store_client *client, struct store_shard *shard, struct store_call *call)
{
	bool staging = client->rewrite != 0 && shard->staging == client->rewrite;
	switch (call->kind) {
	case CALL_BEGIN:
		row_set_clear(&shard->staged);
		shard->staging = client->rewrite = ++client->server->rewrites;
		return true;
	case CALL_ROWS:
		if (staging)
			row_set_apply(&shard->staged, &call->rows);
		return staging;
	case CALL_END:
		if (!staging)
			return false;
		row_set_clear(&shard->rows);
		shard->rows = shard->staged;
		shard->staged = (struct row_set){ 0 };
		shard->staging = client->rewrite = 0;
		shard->meta = call->to;
		shard->exists = true;
		client->state = CLIENT_FOLLOWING;
		client->server->switches++;
		return true;
	case CALL_APPLY:
		break;
	}
	if (client->state == CLIENT_REWRITING) {
		if (staging)
			row_set_apply(&shard->staged, &call->rows);
		return staging;
	}
	if (!shard->exists || !same(&shard->meta, &call->from))
		return false;
	row_set_apply(&shard->rows, &call->rows);
	shard->meta = call->to;
	return true;
}

bool store_client_step(struct store_client *client)
{
	struct store_shard *shard = &client->server->shards[client->shard];

	if (client->server->down)
		return false;
	if (client->state == CLIENT_WAITING) {
		need_rewrite(client);
		return true;
	}
	if (client->n == 0) {
		if (client->state != CLIENT_FOLLOWING ||
		    (shard->exists && same(&shard->meta, &client->position)))
			return false;
		need_rewrite(client);
		return true;
	}

	struct store_call call = client->queue[0];
	client->n--;
	memmove(&client->queue[0], &client->queue[1], client->n * sizeof(*client->queue));
	int64_t epoch = call.kind == CALL_ROWS ? client->position.epoch : call.to.epoch;
	if (shard->exists && shard->meta.epoch > epoch) {
		client->refused_epoch = shard->meta.epoch;
		drop_calls(client);
		client->state = CLIENT_DEPOSED;
	} else if (!apply(client, shard, &call)) {
		need_rewrite(client);
	}
	if (client->was_full && client->n < CLIENT_FULL) {
		client->was_full = false;
		client->say_more = client->state == CLIENT_REWRITING;
	}
	row_set_clear(&call.rows);
	return true;
}
