/*
 * The catalog of this process: what the messages of the catalog topic fold into, and how far they have
 * been read. One for all shards.
 */
#pragma once

#include <stdint.h>

#include "codec/codec.h"
#include "core/catalog.h"
#include "model/message.h"

struct catalog_feed;

struct catalog_feed *catalog_feed_new(struct codec *codec);
void catalog_feed_free(struct catalog_feed *feed);

/* Positive: the message is not usable, and the two say why, as dead letters do; it counts as read. */
int catalog_feed_take(struct catalog_feed *feed, const struct message *message,
		      const char **ret_code, const char **ret_error) MUST_CHECK;
/* There is nothing more below this offset. */
void catalog_feed_end(struct catalog_feed *feed, int64_t next);

const struct catalog *catalog_feed_catalog(const struct catalog_feed *feed);
/* The offset up to which messages have been folded; the pointer is valid as long as the feed. */
const int64_t *catalog_feed_next(const struct catalog_feed *feed);
