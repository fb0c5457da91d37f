/*
 * Redis in memory, with the promises of store/store.h and its troubles: a shard that is wiped, rolled
 * back to an older copy or written by somebody else, and a server that is down.
 *
 *   struct store_server  what Redis holds
 *   struct store_client  one scheduler's side of one shard: a queue of calls that are made one by one
 *                        when the test says so (store_client_step)
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/meta.h"

struct stored_row {
	enum store_table table;
	char *field; /* owned */
	size_t field_len;
	char *value; /* owned */
	size_t value_len;
};

struct row_set {
	struct stored_row *rows; /* owned */
	size_t n;
	size_t size;
};

struct store_shard {
	bool exists;
	struct store_meta meta;
	struct row_set rows;
	uint64_t staging; /* of which rewrite; 0: none */
	struct row_set staged;
};

enum { STORE_SHARDS = 2 };

struct store_server {
	struct store_shard shards[STORE_SHARDS];
	bool down;
	uint64_t rewrites; /* numbers them; also how many were begun */
	uint64_t switches; /* how many were finished */
};

enum client_state {
	CLIENT_CLOSED,
	CLIENT_OPEN,	  /* loading, or nothing submitted yet */
	CLIENT_WAITING,	  /* Redis was not there when it was to be loaded */
	CLIENT_FOLLOWING, /* batches continue where Redis stands */
	CLIENT_NEEDS_REWRITE,
	CLIENT_REWRITING,
	CLIENT_DEPOSED,
};

enum call_kind { CALL_APPLY, CALL_BEGIN, CALL_ROWS, CALL_END };

struct store_call {
	enum call_kind kind;
	struct store_meta from, to;
	struct row_set rows;
};

struct store_client {
	struct store_server *server; /* borrowed */
	int32_t shard;
	enum client_state state;
	struct store_meta position; /* the chain's end */
	int64_t refused_epoch;
	struct store_call *queue; /* owned */
	size_t n, size;
	uint64_t rewrite; /* ours, once begun in Redis */
	bool was_full;
	/* Callbacks that are due. */
	bool say_rewrite_needed, say_more;
};

/* A queue longer than this is dropped, as the real one is when it takes too much memory. */
enum { CLIENT_QUEUE_MAX = 40, CLIENT_FULL = 2 };

void store_server_deinit(struct store_server *server);
void store_server_wipe(struct store_server *server, int32_t shard);
void store_shard_copy(struct store_shard *to, const struct store_shard *from);
void store_shard_deinit(struct store_shard *shard);
const struct stored_row *row_set_find(const struct row_set *set, enum store_table table,
				      const void *field, size_t field_len);

void store_client_init(struct store_client *client, struct store_server *server, int32_t shard);
void store_client_deinit(struct store_client *client);
void store_client_open(struct store_client *client);
void store_client_close(struct store_client *client);
/* What was loaded: `meta` NULL when Redis is empty, refused or not there. */
void store_client_loaded(struct store_client *client, const struct store_meta *meta);
/* What was loaded is not usable. */
void store_client_distrust(struct store_client *client);
void store_client_submit(struct store_client *client, const struct store_meta *to,
			 const struct store_row *rows, size_t n_rows);
int store_client_rewrite_begin(struct store_client *client, const struct store_meta *now);
int store_client_rewrite_rows(struct store_client *client, const struct store_row *rows, size_t n);
int store_client_rewrite_end(struct store_client *client);
/* One call is made, or, when none waits, the position is compared. False: nothing has changed. */
bool store_client_step(struct store_client *client);
