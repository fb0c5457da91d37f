#include "store/whereabouts.h"

#include <errno.h>
#include <hiredis/hiredis.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/redis_command.h"

enum kind { TEXT, SIGNED, UNSIGNED, HEX };

struct member {
	const char *name;
	enum kind kind;
	void *target;
};

/* False: not of this kind. hiredis ends every string with a NUL. */
static bool parse(const struct member *member, const redisReply *value)
{
	char *end = value->str;
	if (value->type != REDIS_REPLY_STRING || value->len == 0 ||
	    value->len >= WHEREABOUTS_TEXT || strlen(value->str) != value->len)
		return false;
	errno = 0;
	switch (member->kind) {
	case TEXT:
		memcpy(member->target, value->str, value->len + 1);
		return true;
	case SIGNED:
		*(int64_t *)member->target = strtoll(value->str, &end, 10);
		break;
	case UNSIGNED:
		*(uint64_t *)member->target = strtoull(value->str, &end, 10);
		break;
	case HEX:
		*(uint64_t *)member->target = strtoull(value->str, &end, 16);
		break;
	}
	return errno == 0 && *end == '\0';
}

/* True: each member is there, once, and well-formed. Fields not asked for are ignored. */
static bool read_hash(const redisReply *hash, const struct member *members, size_t n_members)
{
	size_t found = 0;
	if (!hash || hash->type != REDIS_REPLY_ARRAY)
		return false;
	for (size_t i = 0; i + 1 < hash->elements; i += 2) {
		const redisReply *name = hash->element[i];
		for (size_t m = 0; m < n_members; m++) {
			if (name->type != REDIS_REPLY_STRING ||
			    strcmp(name->str, members[m].name) != 0)
				continue;
			if (!parse(&members[m], hash->element[i + 1]))
				return false;
			found++;
		}
	}
	return found == n_members;
}

void whereabouts_read(struct whereabouts *ret_where, const redisReply *meta,
		      const redisReply *staging)
{
	struct whereabouts where = { 0 };
	const struct member of_meta[] = {
		{ "format", TEXT, where.format },
		{ "generation", TEXT, where.generation },
		{ "epoch", SIGNED, &where.meta.epoch },
		{ "offset", SIGNED, &where.meta.offset },
		{ "sequence", UNSIGNED, &where.meta.sequence },
		{ "digest", HEX, &where.meta.digest },
		{ "requests", SIGNED, &where.meta.applied.requests },
		{ "attachments", SIGNED, &where.meta.applied.attachments },
		{ "written_at", SIGNED, &where.meta.written_at_us },
	};
	const struct member of_staging[] = {
		{ "generation", TEXT, where.staged_generation },
		{ "epoch", SIGNED, &where.staged_epoch },
		{ "chunks", SIGNED, &where.staged_chunks },
	};
	where.exists = read_hash(meta, of_meta, sizeof(of_meta) / sizeof(of_meta[0]));
	where.staging = read_hash(staging, of_staging, sizeof(of_staging) / sizeof(of_staging[0]));
	*ret_where = where;
}

void whereabouts_meta_key(int32_t shard, struct buf *key)
{
	buf_printf(key, "{gpubus:%" PRId32 "}:meta", shard);
}

void whereabouts_table_key(int32_t shard, const char *generation, enum store_table table,
			   struct buf *key)
{
	buf_printf(key, "{gpubus:%" PRId32 "}:%s:%s", shard, generation, store_table_name(table));
}

static void append_number(struct buf *command, const char *name, int64_t number)
{
	redis_command_text(command, name);
	redis_command_number(command, number);
}

void whereabouts_append_meta(struct buf *command, const struct store_meta *meta)
{
	char text[24];
	append_number(command, "epoch", meta->epoch);
	append_number(command, "offset", meta->offset);
	append_number(command, "requests", meta->applied.requests);
	append_number(command, "attachments", meta->applied.attachments);
	append_number(command, "written_at", meta->written_at_us);
	snprintf(text, sizeof(text), "%" PRIu64, meta->sequence);
	redis_command_text(command, "sequence");
	redis_command_text(command, text);
	snprintf(text, sizeof(text), "%016" PRIx64, meta->digest);
	redis_command_text(command, "digest");
	redis_command_text(command, text);
}
