#include "cli/get_rows.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "cli/get_marks.h"
#include "codec/json.h"
#include "core/shard_state.h"

static void set_text(json_t *object, const char *name, const char *text)
{
	json_object_set_new(object, name, text ? json_string(text) : json_null());
}

/* "POOL \t REST" or "POOL \t TYPE \t REST": its parts, in `arena`. Positive: not of this form. */
static int split_field(const struct store_row *row, size_t n, const char *parts[],
		       struct arena *arena)
{
	char *at = arena_strndup(arena, row->field, row->field_len);
	for (size_t i = 0; i + 1 < n; i++) {
		char *tab = strchr(at, '\t');
		if (!tab)
			return 1;
		*tab = '\0';
		parts[i] = at;
		at = tab + 1;
	}
	parts[n - 1] = at;
	return 0;
}

/* ---- records and answers ------------------------------------------------------------------------ */

static int add_record(struct get_rows *rows, const struct store_row *row, json_t *list)
{
	struct record record;
	if (codec_decode(rows->codec, row->value, row->value_len, &rows->arena, &record))
		return 1;
	json_array_append_new(list, record_to_json(&record));
	return 0;
}

/* "REVISION DECIDED_AT:RECORD" */
static json_t *answer_to_json(struct get_rows *rows, const struct store_row *row,
			      int64_t *ret_revision, enum record_type *ret_type)
{
	struct record record;
	size_t len;
	const void *value = ledger_row_record(row->value, row->value_len, &len);
	if (!value || codec_decode(rows->codec, value, len, &rows->arena, &record))
		return NULL;
	char *prefix = arena_strndup(&rows->arena, row->value, row->value_len - len);
	*ret_revision = strtoll(prefix, NULL, 10);
	*ret_type = record.type;
	return record_to_json(&record);
}

static int add_vm(struct get_rows *rows, const struct store_row *row, json_t *list)
{
	int64_t revision;
	enum record_type type;
	json_t *vm = answer_to_json(rows, row, &revision, &type);
	if (!vm)
		return 1;
	json_object_set_new(vm, "revision", json_integer(revision));
	json_array_append_new(list, vm);
	return 0;
}

static void set_answer(json_t *request, json_t *answer, const char *event, int64_t revision)
{
	set_text(request, "answer_event", event);
	json_object_set_new(request, "revision", json_integer(revision));
	json_object_set_new(request, "answer", answer);
}

static int add_request(struct get_rows *rows, const struct store_row *row, json_t *list)
{
	const char *parts[3];
	const char *value = row->value;
	if (split_field(row, 3, parts, &rows->arena))
		return 1;

	json_t *request = json_pack("{s:s, s:s, s:s}", "request_id", parts[2], "request_type",
				    parts[1], "pool_id", parts[0]);
	if (!request)
		return 1;
	if (row->value_len > 0 && *value == '>') {
		json_object_set_new(request, "vm_id", json_stringn(value + 1, row->value_len - 1));
	} else {
		int64_t revision;
		enum record_type type;
		json_t *answer = answer_to_json(rows, row, &revision, &type);
		if (!answer) {
			json_decref(request);
			return 1;
		}
		json_object_set(request, "vm_id", json_object_get(answer, "vm_id"));
		set_answer(request, answer, record_info(type)->name, revision);
	}
	json_array_append_new(list, request);
	return 0;
}

/* ---- hosts and GPUs ------------------------------------------------------------------------------ */

static const struct {
	const char *short_name;
	const char *name;
	bool is_boolean;
} host_members[] = {
	{ "seen", "seen_at", false }, { "cpu", "cpu_cores", false },
	{ "ram", "ram_gb", false },   { "gpus", "gpu_count", false },
	{ "iommu", "iommu", true },   { "ir", "interrupt_remapping", true },
	{ "vfio", "vfio", true },     { "boot", "boot_id", false },
};

static int add_host(struct get_rows *rows, const struct store_row *row, json_t *list)
{
	const char *parts[2];
	json_t *value = json_loadb(row->value, row->value_len, 0, NULL);
	if (!json_is_object(value) || split_field(row, 2, parts, &rows->arena)) {
		json_decref(value);
		return 1;
	}
	json_t *host = json_pack("{s:s, s:s}", "host", parts[1], "pool_id", parts[0]);
	for (size_t i = 0; i < sizeof(host_members) / sizeof(*host_members); i++) {
		json_t *member = json_object_get(value, host_members[i].short_name);
		if (member && host_members[i].is_boolean)
			member = json_boolean(json_integer_value(member) > 0);
		else
			member = member ? json_incref(member) : json_null();
		json_object_set_new(host, host_members[i].name, member);
	}
	json_decref(value);
	json_array_append_new(list, host);
	return 0;
}

/* The elements of a GPU's list. */
enum {
	GPU_ADDRESS,
	GPU_MODEL,
	GPU_STATE,
	GPU_GROUP,
	GPU_NUMA,
	GPU_FUNCTIONS,
	GPU_DRIVER,
	GPU_SWITCH,
	GPU_OTHERS,
	GPU_REASON
};

static const char *state_name(const char *letter)
{
	static const struct {
		char letter;
		const char *name;
	} states[] = {
		{ 'A', "AVAILABLE" },	 { 'U', "UNREADABLE" },
		{ 'B', "BOOT_DISPLAY" }, { 'V', "HAS_VIRTUAL_FUNCTIONS" },
		{ 'N', "NO_IOMMU" },	 { 'H', "IN_USE_BY_HOST" },
		{ 'S', "GROUP_SHARED" },
	};
	for (size_t i = 0; i < sizeof(states) / sizeof(*states); i++)
		if (letter && *letter == states[i].letter)
			return states[i].name;
	return "OTHER";
}

static json_t *number_or_null(const json_t *list, size_t i)
{
	const json_t *element = json_array_get(list, i);
	json_int_t number = element ? json_integer_value(element) : -1;
	return number >= 0 ? json_integer(number) : json_null();
}

static const char *text_at(const json_t *row, const json_t *gpu, size_t i)
{
	const json_t *element = json_array_get(gpu, i);
	json_int_t at = element ? json_integer_value(element) : -1;
	return at < 0 ? NULL
		      : json_string_value(
				json_array_get(json_object_get(row, "texts"), (size_t)at));
}

/* The GPU itself first, as GpuDiscovered has them. */
static json_t *functions_of(const char *address, json_int_t slot_functions, const char *others,
			    struct arena *arena)
{
	json_t *functions = json_array();
	size_t slot_len = strlen(address) - 1;

	json_array_append_new(functions, json_string(address));
	for (int f = 0; f < 8; f++) {
		const char *text = arena_printf(arena, "%.*s%d", (int)slot_len, address, f);
		if ((slot_functions >> f & 1) && strcmp(text, address) != 0)
			json_array_append_new(functions, json_string(text));
	}
	for (char *rest = arena_strdup(arena, others ? others : ""), *text;
	     (text = strsep(&rest, ",")) != NULL;)
		if (*text)
			json_array_append_new(functions, json_string(text));
	return functions;
}

/* "VENDOR:DEVICE[:SUBSYSTEM VENDOR:SUBSYSTEM DEVICE]" */
static void set_identity(json_t *gpu, const char *id, struct arena *arena)
{
	static const char *const names[] = { "vendor_id", "device_id", "subsystem_vendor_id",
					     "subsystem_device_id" };
	char *rest = arena_strdup(arena, id ? id : "");
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		set_text(gpu, names[i], rest ? strsep(&rest, ":") : NULL);
}

static json_t *gpu_to_json(const json_t *row, const json_t *element, const char *pool_id,
			   const char *host, struct arena *arena)
{
	const char *shown = json_string_value(json_array_get(element, GPU_ADDRESS));
	json_int_t model_at = json_integer_value(json_array_get(element, GPU_MODEL));
	const json_t *model = json_array_get(json_object_get(row, "models"), (size_t)model_at);
	if (!shown || !*shown || model_at < 0 || !model)
		return NULL;
	bool has_domain = strchr(shown, ':') != strrchr(shown, ':');
	const char *address = arena_printf(arena, "%s%s", has_domain ? "" : "0000:", shown);

	json_t *gpu = json_object();
	set_text(gpu, "gpu_id", arena_printf(arena, "%s/%s", host, address));
	set_text(gpu, "host", host);
	set_text(gpu, "pool_id", pool_id);
	set_text(gpu, "pci_address", address);
	set_text(gpu, "model", json_string_value(json_array_get(model, 1)));
	set_text(gpu, "vendor", json_string_value(json_array_get(model, 2)));
	set_identity(gpu, json_string_value(json_array_get(model, 0)), arena);
	set_text(gpu, "class", json_string_value(json_array_get(model, 3)));
	set_text(gpu, "driver", text_at(row, element, GPU_DRIVER));
	json_object_set_new(gpu, "iommu_group", number_or_null(element, GPU_GROUP));
	json_object_set_new(gpu, "numa_node", number_or_null(element, GPU_NUMA));
	set_text(gpu, "pcie_switch", text_at(row, element, GPU_SWITCH));
	json_object_set_new(gpu, "functions",
			    functions_of(address,
					 json_integer_value(json_array_get(element, GPU_FUNCTIONS)),
					 text_at(row, element, GPU_OTHERS), arena));
	set_text(gpu, "state", state_name(json_string_value(json_array_get(element, GPU_STATE))));
	set_text(gpu, "reason", text_at(row, element, GPU_REASON));
	return gpu;
}

static int add_gpus(struct get_rows *rows, const struct store_row *row, json_t *list)
{
	const char *parts[2];
	size_t i;
	json_t *element, *value = json_loadb(row->value, row->value_len, 0, NULL);
	int r = 0;

	if (!json_is_object(value) || split_field(row, 2, parts, &rows->arena)) {
		json_decref(value);
		return 1;
	}
	json_array_foreach(json_object_get(value, "gpus"), i, element)
	{
		json_t *gpu = gpu_to_json(value, element, parts[0], parts[1], &rows->arena);
		if (gpu)
			json_array_append_new(list, gpu);
		else
			r = 1;
	}
	json_decref(value);
	return r;
}

int get_row_add(struct get_rows *rows, const struct store_row *row, json_t *list)
{
	arena_reset(&rows->arena);
	switch (row->table) {
	case STORE_POOLS:
	case STORE_TYPES:
		return add_record(rows, row, list);
	case STORE_VMS:
		return add_vm(rows, row, list);
	case STORE_REQUESTS:
		return add_request(rows, row, list);
	case STORE_HOSTS:
		return add_host(rows, row, list);
	case STORE_GPUS:
		return add_gpus(rows, row, list);
	case STORE_MARKS:
		return get_mark_add(rows, row, list);
	default:
		return 1;
	}
}
