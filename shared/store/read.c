#include "store/read.h"

#include <errno.h>
#include <hiredis/hiredis.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

#include "base/buf.h"
#include "base/index.h"
#include "base/memory.h"
#include "store/redis_command.h"
#include "store/redis_tls.h"
#include "store/redis_url.h"
#include "store/whereabouts.h"

enum { SCAN_ROWS = 1000, ATTEMPTS = 5 };

struct store_reader {
	struct redis_url *url;
	struct redis_tls *tls;
	redisContext *context;
	struct buf error;
	char format[WHEREABOUTS_TEXT];
};

static void reply_free(redisReply *reply)
{
	freeReplyObject(reply);
}
DEFINE_CLEANUP(redisReply *, reply_free);

const char *store_reader_error(const struct store_reader *reader)
{
	return reader->error.data ? reader->error.data : "";
}

static int fail(struct store_reader *reader, int error, const char *reason)
{
	buf_clear(&reader->error);
	buf_printf(&reader->error, "%s: %s", reader->url->shown, reason);
	return error;
}

/* A context in error stays so: the reader is of no use any more. */
static int fail_context(struct store_reader *reader)
{
	const redisContext *context = reader->context;
	int saved = errno;
	if (context->err == REDIS_ERR_IO && (saved == EAGAIN || saved == ETIMEDOUT))
		return fail(reader, -ETIMEDOUT, "no answer in time");
	if (context->err == REDIS_ERR_IO)
		return fail(reader, saved ? -saved : -EIO, context->errstr);
	if (context->err == REDIS_ERR_EOF)
		return fail(reader, -ECONNRESET, context->errstr);
	if (context->err == REDIS_ERR_PROTOCOL)
		return fail(reader, -EPROTO, context->errstr);
	return fail(reader, -ECONNREFUSED, context->errstr);
}

/* An answer that is not an error. */
static int ask(struct store_reader *reader, const struct buf *command, redisReply **ret_reply)
{
	redisReply *reply = NULL;
	if (reader->context->err)
		return fail(reader, -ENOTCONN, "the connection was lost");
	errno = 0;
	if (redisAppendFormattedCommand(reader->context, command->data, command->len) != REDIS_OK ||
	    redisGetReply(reader->context, (void **)&reply) != REDIS_OK)
		return fail_context(reader);
	if (reply->type == REDIS_REPLY_ERROR) {
		bool denied = strncmp(reply->str, "NOPERM", 6) == 0 ||
			      strncmp(reply->str, "NOAUTH", 6) == 0 ||
			      strncmp(reply->str, "WRONGPASS", 9) == 0;
		int r = fail(reader, denied ? -EACCES : -EPROTO, reply->str);
		freeReplyObject(reply);
		return r;
	}
	*ret_reply = reply;
	return 0;
}

/* ---- life ----------------------------------------------------------------------------------- */

static int greet(struct store_reader *reader)
{
	const struct redis_url *url = reader->url;
	if (url->password) {
		cleanup(reply_freep) redisReply *reply = NULL;
		struct buf command = { 0 };
		if (url->user)
			redis_command_words(&command, "AUTH", url->user, url->password, NULL);
		else
			redis_command_words(&command, "AUTH", url->password, NULL);
		int r = ask(reader, &command, &reply);
		explicit_bzero(command.data, command.len);
		buf_deinit(&command);
		if (r == -EACCES || r == -EPROTO) /* not the server's words: they may hold ours */
			return fail(reader, -EACCES, "user or password was refused");
		if (r)
			return r;
	}
	if (url->db) {
		cleanup(reply_freep) redisReply *reply = NULL;
		cleanup(buf_deinit) struct buf command = { 0 };
		redis_command_begin(&command, 2);
		redis_command_text(&command, "SELECT");
		redis_command_number(&command, url->db);
		return ask(reader, &command, &reply);
	}
	return 0;
}

static int connect_now(struct store_reader *reader, uint32_t timeout_ms)
{
	const struct redis_url *url = reader->url;
	const struct timeval timeout = { .tv_sec = timeout_ms / 1000,
					 .tv_usec = (timeout_ms % 1000) * 1000 };
	errno = 0;
	reader->context = url->path ? redisConnectUnixWithTimeout(url->path, timeout)
				    : redisConnectWithTimeout(url->host, url->port, timeout);
	if (!reader->context)
		memory_exhausted();
	if (reader->context->err || redisSetTimeout(reader->context, timeout) != REDIS_OK ||
	    redis_tls_start(reader->tls, reader->context))
		return fail_context(reader);
	return greet(reader);
}

int store_reader_new(const char *text, uint32_t timeout_ms, struct store_reader **ret_reader,
		     char **ret_error)
{
	cleanup(store_reader_freep) struct store_reader *reader = memory_zeroed(1, sizeof(*reader));
	const char *problem = NULL;
	cleanup(freep) char *tls_problem = NULL;

	if (redis_url_parse(text, &reader->url, &problem) ||
	    redis_tls_new(reader->url, &reader->tls, &tls_problem)) {
		buf_printf(&reader->error, "the Redis URL: %s", problem ? problem : tls_problem);
		if (ret_error)
			*ret_error = buf_steal(&reader->error);
		return -EINVAL;
	}
	int r = connect_now(reader, timeout_ms);
	if (r) {
		if (ret_error)
			*ret_error = buf_steal(&reader->error);
		return r;
	}
	*ret_reader = steal(&reader);
	return 0;
}

void store_reader_free(struct store_reader *reader)
{
	if (!reader)
		return;
	if (reader->context)
		redisFree(reader->context);
	redis_tls_free(reader->tls);
	redis_url_free(reader->url);
	buf_deinit(&reader->error);
	free(reader);
}

/* ---- reading -------------------------------------------------------------------------------- */

static int read_where(struct store_reader *reader, int32_t shard, struct whereabouts *ret_where)
{
	cleanup(buf_deinit) struct buf key = { 0 };
	cleanup(buf_deinit) struct buf command = { 0 };
	cleanup(reply_freep) redisReply *reply = NULL;
	struct whereabouts where;

	whereabouts_meta_key(shard, &key);
	redis_command_words(&command, "HGETALL", key.data, NULL);
	int r = ask(reader, &command, &reply);
	if (r)
		return r;
	whereabouts_read(&where, reply, NULL);
	if (!where.exists)
		return STORE_READ_EMPTY;
	*ret_where = where;
	return 0;
}

int store_read_meta(struct store_reader *reader, int32_t shard, struct store_meta *ret_meta,
		    const char **ret_format)
{
	struct whereabouts where;
	int r = read_where(reader, shard, &where);
	if (r)
		return r;
	memcpy(reader->format, where.format, sizeof(reader->format));
	*ret_meta = where.meta;
	if (ret_format)
		*ret_format = reader->format;
	return 0;
}

/* Rows of one table as they come; HSCAN may give one twice. */
struct rows {
	struct buf data;
	struct read_row {
		size_t field, field_len, value, value_len;
	} * items;
	uint32_t n, size;
	struct index index;
};

static void rows_clear(struct rows *rows)
{
	buf_deinit(&rows->data);
	index_deinit(&rows->index);
	free(rows->items);
	*rows = (struct rows){ 0 };
}

static bool field_equals(const void *context, uint32_t slot, const void *key)
{
	const struct rows *rows = context;
	const redisReply *field = key;
	const struct read_row *row = &rows->items[slot];
	return row->field_len == field->len &&
	       memcmp(rows->data.data + row->field, field->str, field->len) == 0;
}

static void rows_add(struct rows *rows, const redisReply *field, const redisReply *value)
{
	uint64_t hash = index_hash(field->str, field->len, 0);
	uint32_t slot = index_find(&rows->index, hash, field_equals, rows, field);
	if (slot == INDEX_NONE) {
		if (rows->n == rows->size) {
			rows->size = rows->size ? rows->size * 2 : 256;
			rows->items = memory_resize(rows->items, rows->size, sizeof(*rows->items));
		}
		slot = rows->n++;
		rows->items[slot] =
			(struct read_row){ .field = rows->data.len, .field_len = field->len };
		buf_append(&rows->data, field->str, field->len);
		index_add(&rows->index, hash, slot);
	}
	struct read_row *row = &rows->items[slot];
	row->value = rows->data.len;
	row->value_len = value->len;
	buf_append(&rows->data, value->str, value->len);
}

static int scan(struct store_reader *reader, const char *key, struct rows *rows)
{
	char cursor[32] = "0";
	do {
		cleanup(buf_deinit) struct buf command = { 0 };
		cleanup(reply_freep) redisReply *reply = NULL;
		redis_command_begin(&command, 5);
		redis_command_text(&command, "HSCAN");
		redis_command_text(&command, key);
		redis_command_text(&command, cursor);
		redis_command_text(&command, "COUNT");
		redis_command_number(&command, SCAN_ROWS);
		int r = ask(reader, &command, &reply);
		if (r)
			return r;
		if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2 ||
		    reply->element[0]->type != REDIS_REPLY_STRING ||
		    reply->element[0]->len >= sizeof(cursor) ||
		    reply->element[1]->type != REDIS_REPLY_ARRAY)
			return fail(reader, -EPROTO, "an answer of an unexpected type");
		const redisReply *found = reply->element[1];
		for (size_t i = 0; i + 1 < found->elements; i += 2)
			rows_add(rows, found->element[i], found->element[i + 1]);
		memcpy(cursor, reply->element[0]->str, reply->element[0]->len + 1);
	} while (strcmp(cursor, "0") != 0);
	return 0;
}

/* All rows of one generation; a switch in the middle has deleted what was being read. */
static int read_rows(struct store_reader *reader, int32_t shard, enum store_table table,
		     struct rows *rows)
{
	struct whereabouts before, after;
	int r = read_where(reader, shard, &before);
	if (r)
		return r;
	for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
		cleanup(buf_deinit) struct buf key = { 0 };
		whereabouts_table_key(shard, before.generation, table, &key);
		rows_clear(rows);
		r = scan(reader, key.data, rows);
		if (r)
			return r;
		r = read_where(reader, shard, &after);
		if (r)
			return r;
		if (strcmp(before.generation, after.generation) == 0)
			return 0;
		before = after;
	}
	return STORE_READ_UNSTABLE;
}

int store_read_table(struct store_reader *reader, int32_t shard, enum store_table table,
		     int (*on_row)(void *context, const struct store_row *row), void *context)
{
	cleanup(rows_clear) struct rows rows = { 0 };
	int r = read_rows(reader, shard, table, &rows);
	for (uint32_t i = 0; r == 0 && i < rows.n; i++) {
		const struct read_row *item = &rows.items[i];
		const struct store_row row = { .table = table,
					       .field = rows.data.data + item->field,
					       .field_len = item->field_len,
					       .value = rows.data.data + item->value,
					       .value_len = item->value_len };
		r = on_row(context, &row);
	}
	return r;
}

int store_read_row(struct store_reader *reader, int32_t shard, enum store_table table,
		   const void *field, size_t field_len, char **ret_value, size_t *ret_value_len)
{
	struct whereabouts before, after;
	int r = read_where(reader, shard, &before);
	if (r)
		return r;
	for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
		cleanup(buf_deinit) struct buf key = { 0 };
		cleanup(buf_deinit) struct buf command = { 0 };
		cleanup(reply_freep) redisReply *reply = NULL;
		whereabouts_table_key(shard, before.generation, table, &key);
		redis_command_begin(&command, 3);
		redis_command_text(&command, "HGET");
		redis_command_bytes(&command, key.data, key.len);
		redis_command_bytes(&command, field, field_len);
		r = ask(reader, &command, &reply);
		if (r)
			return r;
		if (reply->type == REDIS_REPLY_STRING) {
			struct buf value = { 0 };
			buf_append(&value, reply->str, reply->len);
			*ret_value_len = value.len;
			*ret_value = buf_steal(&value);
			return 0;
		}
		/* Not there; or the generation was dropped between the two questions. */
		r = read_where(reader, shard, &after);
		if (r)
			return r;
		if (strcmp(before.generation, after.generation) == 0)
			return STORE_READ_EMPTY;
		before = after;
	}
	return STORE_READ_UNSTABLE;
}
