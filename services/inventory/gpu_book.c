#include "inventory/gpu_book.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/memory.h"
#include "codec/event_id.h"
#include "codec/rfc3339.h"
#include "model/gpu_state.h"

void gpu_book_init(struct gpu_book *book, struct codec *codec, const char *host, int32_t partition)
{
	*book = (struct gpu_book){ .codec = codec, .host = host, .partition = partition };
}

void gpu_book_deinit(struct gpu_book *book)
{
	for (size_t i = 0; i < book->n; i++) {
		struct gpu_entry *entry = book->entries[i];
		free(entry->gpu_id);
		buf_deinit(&entry->facts);
		announcement_deinit(&entry->announcement);
		free(entry);
	}
	free(book->entries);
}

static struct gpu_entry *find(const struct gpu_book *book, const char *gpu_id)
{
	for (size_t i = 0; i < book->n; i++)
		if (strcmp(book->entries[i]->gpu_id, gpu_id) == 0)
			return book->entries[i];
	return NULL;
}

static struct gpu_entry *add(struct gpu_book *book, const char *gpu_id)
{
	if (book->n == book->size) {
		book->size = book->size ? 2 * book->size : 8;
		book->entries = memory_resize(book->entries, book->size, sizeof(*book->entries));
	}
	struct gpu_entry *entry = memory_zeroed(1, sizeof(*entry));
	entry->gpu_id = memory_strdup(gpu_id);
	entry->announcement.topic = TOPIC_INVENTORY;
	entry->announcement.partition = book->partition;
	entry->announcement.key = memory_strdup(gpu_id);
	entry->announcement.event_type = record_event_type(RECORD_GPU_DISCOVERED);
	entry->announcement.host = book->host;
	book->entries[book->n++] = entry;
	return entry;
}

/* Positive: it does not fit on the bus; logged, and the entry is as before. */
static int set_record(struct gpu_book *book, struct gpu_entry *entry,
		      const struct gpu_discovered *gpu)
{
	struct record record = { .type = RECORD_GPU_DISCOVERED, .gpu_discovered = *gpu };
	cleanup(buf_deinit) struct buf value = { 0 };
	cleanup(buf_deinit) struct buf facts = { 0 };
	int r = codec_encode(book->codec, &record, &value);
	if (r == 0) {
		record.gpu_discovered.observed_at = 0;
		r = codec_encode(book->codec, &record, &facts);
	}
	if (r) {
		log_error("%s cannot be told: %s", gpu->gpu_id, codec_error(book->codec));
		return 1;
	}

	cleanup(arena_deinit) struct arena arena;
	arena_init(&arena);
	record.gpu_discovered.observed_at = gpu->observed_at;
	struct announcement *announcement = &entry->announcement;
	free(announcement->event_id);
	announcement->event_id = memory_strdup(record_event_id(&record, &arena));
	announcement->time_us = gpu->observed_at;

	struct buf old = announcement->value;
	announcement->value = value;
	value = old;
	old = entry->facts;
	entry->facts = facts;
	facts = old;
	return 0;
}

static bool has_changed(struct gpu_book *book, const struct gpu_entry *entry,
			const struct gpu_discovered *gpu)
{
	struct record record = { .type = RECORD_GPU_DISCOVERED, .gpu_discovered = *gpu };
	record.gpu_discovered.observed_at = 0;
	cleanup(buf_deinit) struct buf facts = { 0 };
	if (codec_encode(book->codec, &record, &facts))
		return true; /* set_record says why it cannot be told */
	return facts.len != entry->facts.len ||
	       memcmp(facts.data, entry->facts.data, facts.len) != 0;
}

int gpu_book_record(const struct gpu_book *book, const struct gpu_entry *entry, struct arena *arena,
		    struct gpu_discovered *ret_gpu)
{
	struct record record;
	const struct buf *value = &entry->announcement.value;
	if (codec_decode(book->codec, value->data, value->len, arena, &record))
		return 1;
	*ret_gpu = record.gpu_discovered;
	return 0;
}

/* Positive: it cannot be told. */
static int tell_gone(struct gpu_book *book, struct gpu_entry *entry, int64_t now_us)
{
	cleanup(arena_deinit) struct arena arena;
	arena_init(&arena);
	struct gpu_discovered gpu;
	char since[RFC3339_TEXT_BYTES];
	if (gpu_book_record(book, entry, &arena, &gpu) || rfc3339_format(now_us, since))
		return 1;
	gpu.state = GPU_STATE_UNREADABLE;
	gpu.reason = arena_printf(
		&arena,
		"the device is gone since %s: it was removed, or fell off its bus; put "
		"it back, or delete its record when it is gone for good",
		since);
	gpu.driver = NULL;
	gpu.n_functions = gpu.n_functions ? 1 : 0;
	gpu.observed_at = now_us;
	return set_record(book, entry, &gpu);
}

void gpu_book_update(struct gpu_book *book, const struct gpu_book_scan *scan,
		     gpu_book_change_fn on_change, void *context)
{
	for (size_t i = 0; i < book->n; i++)
		book->entries[i]->seen = false;
	for (size_t i = 0; i < scan->n; i++) {
		const struct gpu_discovered *gpu = &scan->gpus[i];
		struct gpu_entry *entry = find(book, gpu->gpu_id);
		bool tell = !entry || scan->tell_all || has_changed(book, entry, gpu);
		if (!entry)
			entry = add(book, gpu->gpu_id);
		entry->seen = true;
		entry->gone = false;
		if (tell && set_record(book, entry, gpu) == 0)
			on_change(context, entry);
	}
	for (size_t i = 0; scan->complete && i < book->n; i++) {
		struct gpu_entry *entry = book->entries[i];
		bool tell = !entry->gone || scan->tell_all;
		if (entry->seen || !tell)
			continue;
		/* One that was gone already keeps its "since". */
		if (entry->gone || tell_gone(book, entry, scan->now_us) == 0)
			on_change(context, entry);
		entry->gone = true;
	}
}

void gpu_book_remember(struct gpu_book *book, const struct gpu_discovered *gpu, bool gone)
{
	if (find(book, gpu->gpu_id))
		return;
	/* One that cannot be encoded has no value, and telling it would be a tombstone. */
	struct gpu_entry *entry = add(book, gpu->gpu_id);
	entry->gone = set_record(book, entry, gpu) == 0 && gone;
}
