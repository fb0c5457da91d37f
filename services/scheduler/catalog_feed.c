#include "scheduler/catalog_feed.h"

#include "base/memory.h"

struct catalog_feed {
	struct codec *codec; /* borrowed */
	struct catalog *catalog;
	struct arena arena;
	int64_t next;
};

struct catalog_feed *catalog_feed_new(struct codec *codec)
{
	struct catalog_feed *feed = memory_zeroed(1, sizeof(*feed));
	feed->codec = codec;
	feed->catalog = catalog_new();
	arena_init(&feed->arena);
	return feed;
}

void catalog_feed_free(struct catalog_feed *feed)
{
	if (!feed)
		return;
	catalog_free(feed->catalog);
	arena_deinit(&feed->arena);
	free(feed);
}

int catalog_feed_take(struct catalog_feed *feed, const struct message *message,
		      const char **ret_code, const char **ret_error)
{
	struct record record;

	arena_reset(&feed->arena);
	feed->next = message->offset + 1;
	*ret_code = "INVALID";
	if (!message->value) {
		*ret_error = "the key is neither pool/ID nor type/ID";
		return catalog_remove(feed->catalog, message->key, message->key_len);
	}
	int r = codec_decode(feed->codec, message->value, message->value_len, &feed->arena,
			     &record);
	if (r != 0) {
		*ret_code = codec_outcome_name(r);
		*ret_error = codec_error(feed->codec);
		return r;
	}
	switch (record.type) {
	case RECORD_VM_POOL_DEFINED:
		return catalog_fold_pool(feed->catalog, &record.vm_pool_defined, ret_error);
	case RECORD_VM_TYPE_DEFINED:
		return catalog_fold_type(feed->catalog, &record.vm_type_defined, ret_error);
	default:
		*ret_code = "WRONG_TOPIC";
		*ret_error = "only VmPoolDefined and VmTypeDefined belong into the catalog";
		return 1;
	}
}

void catalog_feed_end(struct catalog_feed *feed, int64_t next)
{
	if (feed->next < next)
		feed->next = next;
}

const struct catalog *catalog_feed_catalog(const struct catalog_feed *feed)
{
	return feed->catalog;
}

const int64_t *catalog_feed_next(const struct catalog_feed *feed)
{
	return &feed->next;
}
