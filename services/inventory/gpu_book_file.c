#include "inventory/gpu_book_file.h"

#include <errno.h>
#include <jansson.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "codec/json.h"
#include "service/state_dir.h"

struct load {
	struct gpu_book *book;
	const char *pool_id;
	gpu_book_stray_fn on_stray;
	void *context; /* of on_stray */
};

/* Positive: not an entry. */
static int load_entry(const struct load *load, const json_t *item)
{
	cleanup(arena_deinit) struct arena arena;
	arena_init(&arena);
	cleanup(freep) char *error = NULL;
	struct record record;
	const json_t *json = json_object_get(item, "gpu");
	if (!json || record_from_json(json, RECORD_GPU_DISCOVERED, &arena, &record, &error))
		return 1;
	const struct gpu_discovered *gpu = &record.gpu_discovered;
	if (strcmp(gpu->host, load->book->host) != 0)
		return 1;
	if (strcmp(gpu->pool_id, load->pool_id) != 0)
		load->on_stray(load->context, gpu);
	else
		gpu_book_remember(load->book, gpu, json_is_true(json_object_get(item, "gone")));
	return 0;
}

void gpu_book_load(struct gpu_book *book, const char *path, const char *pool_id,
		   gpu_book_stray_fn on_stray, void *context)
{
	if (access(path, F_OK) < 0 && errno == ENOENT)
		return;
	struct load load = {
		.book = book, .pool_id = pool_id, .on_stray = on_stray, .context = context
	};
	json_error_t why;
	json_t *list = json_load_file(path, 0, &why);
	size_t i;
	json_t *item;
	bool malformed = !json_is_array(list);
	json_array_foreach(list, i, item) malformed = load_entry(&load, item) || malformed;
	if (malformed)
		log_warning("%s cannot be read whole: a GPU that is gone since may not be missed",
			    path);
	json_decref(list);
}

int gpu_book_save(const struct gpu_book *book, const char *path)
{
	cleanup(arena_deinit) struct arena arena;
	arena_init(&arena);
	json_t *list = json_array();
	for (size_t i = 0; i < book->n; i++) {
		struct record record = { .type = RECORD_GPU_DISCOVERED };
		if (gpu_book_record(book, book->entries[i], &arena, &record.gpu_discovered))
			continue;
		json_t *item = json_object();
		json_object_set_new(item, "gone", json_boolean(book->entries[i]->gone));
		json_object_set_new(item, "gpu", record_to_json(&record));
		json_array_append_new(list, item);
	}
	char *text = json_dumps(list, JSON_INDENT(1));
	json_decref(list);
	if (!text)
		return -ENOMEM;
	int r = state_file_write(path, text, strlen(text));
	free(text);
	return r;
}
