#include "cli/get_marks.h"

#include <stdlib.h>
#include <string.h>

#include "core/shard_state.h"

static void set_text(json_t *object, const char *name, const char *text)
{
	json_object_set_new(object, name, text ? json_string(text) : json_null());
}

static const struct quarantined_gpu *find_gpu(const struct quarantined_gpu *gpus, size_t n,
					      const char *gpu_id)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(gpus[i].gpu_id, gpu_id) == 0)
			return &gpus[i];
	return NULL;
}

/* What the record that made the mark says of it. Positive: such records make no marks. */
static int describe(const struct record *record, const char *id, json_t *mark)
{
	const struct quarantined_gpu *gpu = NULL;
	switch (record->type) {
	case RECORD_HOST_MARKED:
		set_text(mark, "code", record->host_marked.mark);
		set_text(mark, "reason", record->host_marked.reason);
		set_text(mark, "actor", record->host_marked.actor);
		return 0;
	case RECORD_GPU_MARKED:
		set_text(mark, "code", "OPERATOR");
		set_text(mark, "reason", record->gpu_marked.reason);
		set_text(mark, "actor", record->gpu_marked.actor);
		return 0;
	case RECORD_GPU_RELEASED:
		gpu = find_gpu(record->gpu_released.quarantined, record->gpu_released.n_quarantined,
			       id);
		set_text(mark, "actor", record->gpu_released.actor);
		break;
	case RECORD_GPU_ASSIGNED:
		gpu = find_gpu(record->gpu_assigned.quarantined, record->gpu_assigned.n_quarantined,
			       id);
		set_text(mark, "actor", NULL);
		break;
	default:
		return 1;
	}
	if (!gpu)
		return 1;
	set_text(mark, "code", gpu->code);
	set_text(mark, "reason", *gpu->reason ? gpu->reason : NULL);
	return 0;
}

int get_mark_add(struct get_rows *rows, const struct store_row *row, json_t *list)
{
	char *pool = arena_strndup(&rows->arena, row->field, row->field_len);
	char *kind = strchr(pool, '\t'), *id = kind ? strchr(kind + 1, '\t') : NULL;
	struct record record;
	size_t len;
	const void *value = ledger_row_record(row->value, row->value_len, &len);
	if (!id || !value || codec_decode(rows->codec, value, len, &rows->arena, &record))
		return 1;
	*kind++ = '\0';
	*id++ = '\0';

	/* "REVISION DECIDED_AT:" */
	char *prefix = arena_strndup(&rows->arena, row->value, row->value_len - len);
	char *blank;
	json_int_t revision = strtoll(prefix, &blank, 10);
	json_t *mark = json_pack("{s:s, s:s, s:s, s:I, s:I, s:s}", "kind", kind, "id", id,
				 "pool_id", pool, "since", (json_int_t)strtoll(blank, NULL, 10),
				 "revision", revision, "event", record_info(record.type)->name);
	if (!mark || describe(&record, id, mark)) {
		json_decref(mark);
		return 1;
	}
	if (*record_vm_id(&record))
		set_text(mark, "vm_id", record_vm_id(&record));
	json_array_append_new(list, mark);
	return 0;
}

/* ---- joining ----------------------------------------------------------------------------------- */

static void put_key(struct buf *key, const json_t *object, const char *kind, const char *id_member)
{
	const char *pool_id = json_string_value(json_object_get(object, "pool_id"));
	const char *id = json_string_value(json_object_get(object, id_member));
	buf_printf(key, "%s\t%s\t%s", pool_id ? pool_id : "", kind, id ? id : "");
}

json_t *get_index_marks(const json_t *marks)
{
	json_t *index = json_object(), *mark;
	size_t i;

	json_array_foreach(marks, i, mark)
	{
		cleanup(buf_deinit) struct buf key = { 0 };
		put_key(&key, mark, json_string_value(json_object_get(mark, "kind")), "id");
		json_object_set(index, key.data, mark);
	}
	return index;
}

void get_set_mark(json_t *object, const char *member, const char *kind, const char *id_member,
		  const json_t *marks)
{
	cleanup(buf_deinit) struct buf key = { 0 };
	put_key(&key, object, kind, id_member);
	json_t *mark = json_object_get(marks, key.data);
	json_object_set_new(object, member, mark ? json_incref(mark) : json_null());
}
