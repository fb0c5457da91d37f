#include "cli/get_columns.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/memory.h"
#include "cli/table.h"
#include "codec/rfc3339.h"

enum { COLUMNS_MAX = 12 };

/* NULL: the member as it is. */
typedef const char *(*cell_fn)(const json_t *object, const char *member, struct arena *arena);

struct column {
	const char *title;
	const char *member;
	cell_fn cell;
};

static const char *text_of(const json_t *object, const char *member)
{
	const char *text = json_string_value(json_object_get(object, member));
	return text ? text : "";
}

static const char *plain_cell(const json_t *object, const char *member, struct arena *arena)
{
	const json_t *value = json_object_get(object, member);
	if (json_is_integer(value))
		return arena_printf(arena, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
	if (json_is_boolean(value))
		return json_is_true(value) ? "yes" : "no";
	return json_string_value(value);
}

static const char *time_cell(const json_t *object, const char *member, struct arena *arena)
{
	char *text = arena_alloc(arena, RFC3339_TEXT_BYTES);
	json_int_t time_us = json_integer_value(json_object_get(object, member));
	if (time_us <= 0 || rfc3339_format(time_us - time_us % 1000000, text))
		return NULL;
	strcpy(strchr(text, '.'), "Z"); /* whole seconds are enough here */
	return text;
}

/* "2 x GP104GL [Tesla P4], 1 x ..." of asks, or the addresses of assigned GPUs. */
static const char *gpus_cell(const json_t *object, const char *member, struct arena *arena)
{
	const char *text = "";
	size_t i;
	json_t *gpu;

	json_array_foreach(json_object_get(object, member), i, gpu)
	{
		const json_t *n = json_object_get(gpu, "count");
		text = n ? arena_printf(arena, "%s%s%" JSON_INTEGER_FORMAT " x %s", text,
					i ? ", " : "", json_integer_value(n), text_of(gpu, "name"))
			 : arena_printf(arena, "%s%s%s", text, i ? " " : "",
					text_of(gpu, "pci_address"));
	}
	return text;
}

/* Which models an assignment has. */
static const char *models_cell(const json_t *object, const char *member, struct arena *arena)
{
	const char *text = "";
	json_t *gpus = json_object_get(object, member), *gpu;
	size_t i;

	for (i = 0; i < json_array_size(gpus);) {
		const char *name = text_of(json_array_get(gpus, i), "name");
		size_t n = 0;
		while ((gpu = json_array_get(gpus, i + n)) &&
		       strcmp(text_of(gpu, "name"), name) == 0)
			n++;
		text = arena_printf(arena, "%s%s%zu x %s", text, i ? ", " : "", n, name);
		i += n;
	}
	return text;
}

static const char *device_cell(const json_t *object, const char *member, struct arena *arena)
{
	return arena_printf(arena, "%s:%s", text_of(object, member), text_of(object, "device_id"));
}

/* Where a request's answer stands, in a word: ASSIGNED, a code, ... */
static const char *outcome_cell(const json_t *object, const char *member, struct arena *arena)
{
	const json_t *answer = json_object_get(object, member);
	const char *code = json_string_value(json_object_get(answer, "code"));
	const char *state = json_string_value(json_object_get(answer, "state"));
	const json_t *allowed = json_object_get(answer, "allowed");

	(void)arena;
	if (allowed)
		return json_is_true(allowed) ? "allowed" : "not allowed";
	return code ? code : state;
}

static const char *decided_cell(const json_t *object, const char *member, struct arena *arena)
{
	return time_cell(json_object_get(object, member), "decided_at", arena);
}

static const char *message_cell(const json_t *object, const char *member, struct arena *arena)
{
	const json_t *answer = json_object_get(object, member);
	(void)arena;
	return text_of(answer, "message");
}

/* How far the agent is, and what it waits for: "ATTACHED", "BOUND VM_ABSENT". */
static const char *attach_cell(const json_t *object, const char *member, struct arena *arena)
{
	const char *code = text_of(object, "attach_code");
	return *code ? arena_printf(arena, "%s %s", text_of(object, member), code)
		     : text_of(object, member);
}

/* A quarantine says more than what the host found. */
static const char *gpu_state_cell(const json_t *object, const char *member, struct arena *arena)
{
	(void)arena;
	return json_is_object(json_object_get(object, "quarantine")) ? "QUARANTINED"
								     : text_of(object, member);
}

/* "RESET_FAILED: no reset method (ann)" of a mark, or "" without one. */
static const char *mark_cell(const json_t *object, const char *member, struct arena *arena)
{
	const json_t *mark = json_object_get(object, member);
	const char *code = text_of(mark, "code"), *reason = text_of(mark, "reason"),
		   *actor = text_of(mark, "actor");
	if (!*code)
		return "";
	return arena_printf(arena, "%s%s%s%s%s%s", code, *reason ? ": " : "", reason,
			    *actor ? " (" : "", actor, *actor ? ")" : "");
}

static const char *gpu_reason_cell(const json_t *object, const char *member, struct arena *arena)
{
	const char *mark = mark_cell(object, "quarantine", arena);
	return *mark ? mark : text_of(object, member);
}

static const struct view {
	const char *id;
	struct column columns[COLUMNS_MAX]; /* up to the first without a title */
} views[STORE_TABLES] = {
	[STORE_POOLS] = { "pool_id",
			  { { "POOL", "pool_id", NULL },
			    { "NAME", "name", NULL },
			    { "ATTACH", "attach", NULL },
			    { "POLICY", "policy", NULL },
			    { "HOSTS", "hosts", NULL },
			    { "GPUS", "gpus", NULL },
			    { "ASSIGNED", "gpus_assigned", NULL },
			    { "FREE", "gpus_free", NULL },
			    { "DEFINED", "defined", NULL } } },
	[STORE_HOSTS] = { "host",
			  { { "HOST", "host", NULL },
			    { "POOL", "pool_id", NULL },
			    { "STATE", "state", NULL },
			    { "GPUS", "gpus", NULL },
			    { "ASSIGNED", "gpus_assigned", NULL },
			    { "CORES", "cpu_cores", NULL },
			    { "RAM GB", "ram_gb", NULL },
			    { "IOMMU", "iommu", NULL },
			    { "REMAPPING", "interrupt_remapping", NULL },
			    { "VFIO", "vfio", NULL },
			    { "SEEN", "seen_at", time_cell },
			    { "CORDON", "cordon", mark_cell } } },
	[STORE_GPUS] = { "gpu_id",
			 { { "HOST", "host", NULL },
			   { "ADDRESS", "pci_address", NULL },
			   { "POOL", "pool_id", NULL },
			   { "MODEL", "model", NULL },
			   { "ID", "vendor_id", device_cell },
			   { "STATE", "state", gpu_state_cell },
			   { "VM", "vm_id", NULL },
			   { "ATTACH", "attach_state", attach_cell },
			   { "NUMA", "numa_node", NULL },
			   { "REASON", "reason", gpu_reason_cell } } },
	[STORE_TYPES] = { "vm_type_id",
			  { { "TYPE", "vm_type_id", NULL },
			    { "POOL", "pool_id", NULL },
			    { "NAME", "name", NULL },
			    { "CORES", "cpu_cores", NULL },
			    { "RAM GB", "ram_gb", NULL },
			    { "GPUS", "gpus", gpus_cell } } },
	[STORE_VMS] = { "vm_id",
			{ { "VM", "vm_id", NULL },
			  { "POOL", "pool_id", NULL },
			  { "HOST", "host", NULL },
			  { "STATE", "state", NULL },
			  { "ATTACH", "attach_state", attach_cell },
			  { "MODELS", "gpus", models_cell },
			  { "GPUS", "gpus", gpus_cell },
			  { "REQUEST", "request_id", NULL },
			  { "DECIDED", "decided_at", time_cell },
			  { "WAITS FOR", "attach_reason", NULL } } },
	[STORE_REQUESTS] = { "request_id",
			     { { "REQUEST", "request_id", NULL },
			       { "POOL", "pool_id", NULL },
			       { "ASKED", "request_type", NULL },
			       { "VM", "vm_id", NULL },
			       { "ANSWER", "answer_event", NULL },
			       { "OUTCOME", "answer", outcome_cell },
			       { "DECIDED", "answer", decided_cell },
			       { "MESSAGE", "answer", message_cell } } },
	[STORE_MARKS] = { "id",
			  { { "KIND", "kind", NULL },
			    { "ID", "id", NULL },
			    { "POOL", "pool_id", NULL },
			    { "CODE", "code", NULL },
			    { "SINCE", "since", time_cell },
			    { "BY", "actor", NULL },
			    { "REASON", "reason", NULL } } },
};

const char *get_columns_id(enum store_table table)
{
	return views[table].id;
}

static const char *sorting_id;

static int compare(const void *a, const void *b)
{
	const json_t *left = *(json_t *const *)a, *right = *(json_t *const *)b;
	int order = strverscmp(text_of(left, "pool_id"), text_of(right, "pool_id"));
	return order ? order : strverscmp(text_of(left, sorting_id), text_of(right, sorting_id));
}

json_t *get_columns_sort(enum store_table table, json_t *list)
{
	size_t n = json_array_size(list);
	json_t **items = memory_zeroed(n, sizeof(json_t *));
	json_t *sorted = json_array();

	for (size_t i = 0; i < n; i++)
		items[i] = json_array_get(list, i);
	sorting_id = views[table].id;
	if (n > 0)
		qsort(items, n, sizeof(json_t *), compare);
	for (size_t i = 0; i < n; i++)
		json_array_append(sorted, items[i]);
	free(items);
	json_decref(list);
	return sorted;
}

void get_columns_print(enum store_table table, const json_t *list, struct buf *out)
{
	const struct column *columns = views[table].columns;
	const char *cells[COLUMNS_MAX];
	struct table shown;
	struct arena arena;
	size_t n = 0, i;
	json_t *object;

	while (n < COLUMNS_MAX && columns[n].title) {
		cells[n] = columns[n].title;
		n++;
	}
	table_init(&shown, cells, n);
	arena_init(&arena);
	json_array_foreach(list, i, object)
	{
		arena_reset(&arena);
		for (size_t c = 0; c < n; c++) {
			cell_fn cell = columns[c].cell ? columns[c].cell : plain_cell;
			cells[c] = cell(object, columns[c].member, &arena);
		}
		table_add(&shown, cells);
	}
	table_print(&shown, out);
	table_deinit(&shown);
	arena_deinit(&arena);
}
