#include "world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "world_words.h"

#define P4   "GP104GL [Tesla P4]"
#define T4   "TU104GL [Tesla T4]"
#define P100 "GP100GL [Tesla P100 PCIe 16GB]"

/* P4b is a P4 of another board maker; Px has a P4's name and another id. */
const struct world_model world_models[] = {
	{ "P4", P4, "10de", "1bb3", "10de", "11d8" },
	{ "P4b", P4, "10de", "1bb3", "1028", "beef" },
	{ "Px", P4, "10de", "1bb9", NULL, NULL },
	{ "T4", T4, "10de", "1eb8", "10de", "12a2" },
	{ "P100", P100, "10de", "15f8", "10de", "118f" },
	{ NULL, NULL, NULL, NULL, NULL, NULL },
};

struct world *world_new(void)
{
	struct world *w = memory_zeroed(1, sizeof(*w));
	w->catalog = catalog_new();
	w->options = SHARD_OPTIONS_DEFAULT;
	w->state = world_empty_state(w);
	w->now = 1000 * (int64_t)SECOND;
	w->pool = "1";
	arena_init(&w->arena);
	arena_init(&w->deciding);
	return w;
}

struct shard_state *world_empty_state(struct world *w)
{
	return shard_state_new(&w->options, w->catalog);
}

void world_free(struct world *w)
{
	shard_state_free(w->state);
	catalog_free(w->catalog);
	arena_deinit(&w->arena);
	arena_deinit(&w->deciding);
	free(w->log);
	free(w);
}

int world_setup(void **state)
{
	*state = world_new();
	return 0;
}

int world_teardown(void **state)
{
	world_free(*state);
	return 0;
}

/* ---- catalog, hosts, GPUs ---- */

void world_define_pool(struct world *w, const char *text)
{
	struct words words = words_split(w, text, " ");
	const struct vm_pool_defined pool = {
		.pool_id = w->pool,
		.name = "a pool",
		.attach = words_value(&words, "attach"),
		.policy = words_value(&words, "policy"),
		.on_attach_failure = words_value(&words, "failure"),
		.attach_attempts = words_number(&words, "attempts", 3),
		.after_release = words_value(&words, "after"),
	};
	const char *error = "";
	if (catalog_fold_pool(w->catalog, &pool, &error) != 0)
		fail_msg("pool %s: %s", text, error);
}

void world_pool(struct world *w, const char *attach, const char *policy)
{
	world_define_pool(w, arena_printf(&w->arena, "attach=%s policy=%s", attach, policy));
}

void world_type(struct world *w, const char *text)
{
	struct words words = words_split(w, text, " ");
	struct vm_type_defined type = {
		.vm_type_id = words.word[0],
		.pool_id = w->pool,
		.name = words.word[0],
		.cpu_cores = words_number(&words, "cpu", 0),
		.ram_gb = words_number(&words, "ram", 0),
	};
	const char *error = "";
	type.n_gpus = words_asks(w, &words, &type.gpus);
	if (catalog_fold_type(w->catalog, &type, &error) != 0)
		fail_msg("type %s: %s", text, error);
}

static void heartbeat(struct world *w, const struct words *words)
{
	const struct host_seen seen = {
		.host = words->word[0],
		.pool_id = w->pool,
		.boot_id = "boot-1",
		.cpu_cores = words_number(words, "cpu", 0),
		.ram_gb = words_number(words, "ram", 0),
		.iommu = words_number(words, "iommu", 1),
		.interrupt_remapping = words_number(words, "ir", 1),
		.vfio = words_number(words, "vfio", 1),
		.observed_at = w->now,
	};
	const char *error = "";
	if (shard_fold_host(w->state, &seen, w->now, &error) != 0)
		fail_msg("host %s: %s", words->word[0], error);
}

static void discover(struct world *w, const char *host, const char *nick, unsigned bus,
		     const struct words *parts)
{
	const struct world_model *model = world_model_of(nick);
	assert_non_null(model);
	struct arena *arena = &w->arena;
	const char *functions[2] = { arena_printf(arena, "0000:%02x:00.0", bus),
				     arena_printf(arena, "0000:%02x:00.1", bus) };
	struct gpu_discovered gpu = {
		.gpu_id = arena_printf(arena, "%s/%s", host, functions[0]),
		.host = host,
		.pool_id = w->pool,
		.pci_address = functions[0],
		.model = model->name,
		.vendor = "NVIDIA Corporation",
		.vendor_id = model->vendor_id,
		.device_id = model->device_id,
		.subsystem_vendor_id = model->subsystem_vendor_id,
		.subsystem_device_id = model->subsystem_device_id,
		.class_id = "030200",
		.driver = "vfio-pci",
		.iommu_group = (int64_t)bus + 10,
		.numa_node = ABSENT,
		.functions = functions,
		.n_functions = 2,
		.state = "AVAILABLE",
		.boot_id = "boot-1",
		.observed_at = w->now,
	};
	for (size_t i = 1; parts && i < parts->n; i++) {
		const char *part = parts->word[i];
		if (part[0] == 'n') {
			gpu.numa_node = strtoll(part + 1, NULL, 10);
		} else if (part[0] == 's') {
			gpu.pcie_switch = arena_printf(arena, "0000:f%s:00.0", part + 1);
		} else {
			gpu.state = part;
			gpu.reason = "as the test says";
		}
	}
	const char *error = "";
	if (shard_fold_gpu(w->state, &gpu, &error) != 0)
		fail_msg("GPU %s: %s", gpu.gpu_id, error);
}

static void discover_all(struct world *w, const struct words *words)
{
	unsigned bus = 1;
	for (size_t i = 1; i < words->n; i++) {
		char *star = strchr(words->word[i], '*'), *at = strchr(words->word[i], '@');
		if (star) {
			*star = '\0';
			for (int n = atoi(star + 1); n > 0; n--)
				discover(w, words->word[0], words->word[i], bus++, NULL);
		} else if (at) {
			*at = '\0';
			struct words parts = words_split(w, at + 1, "/");
			bus = (unsigned)strtoul(parts.word[0], NULL, 16);
			discover(w, words->word[0], words->word[i], bus++, &parts);
		}
	}
}

void world_heartbeat(struct world *w, const char *text)
{
	struct words words = words_split(w, text, " ");
	heartbeat(w, &words);
}

void world_gpus(struct world *w, const char *text)
{
	struct words words = words_split(w, text, " ");
	discover_all(w, &words);
}

void world_host(struct world *w, const char *text)
{
	world_heartbeat(w, text);
	world_gpus(w, text);
}

void world_remove_gpu(struct world *w, const char *gpu_id)
{
	shard_remove_gpu(w->state, gpu_id);
}

/* ---- the log ---- */

static void copy_strings(struct arena *arena, const struct record_info *info, void *body)
{
	for (size_t f = 0; f < info->n_fields; f++) {
		const struct field *field = &info->fields[f];
		char *member = (char *)body + field->offset;
		size_t n = 0;
		if (field->type == FIELD_STRINGS || field->type == FIELD_RECORDS)
			memcpy(&n, (char *)body + field->count_offset, sizeof(n));
		if (field->type == FIELD_STRING) {
			const char **text = (void *)member;
			*text = *text ? arena_strdup(arena, *text) : NULL;
		} else if (field->type == FIELD_STRINGS) {
			const char **from, **to = arena_array(arena, n, sizeof(*to));
			memcpy(&from, member, sizeof(from));
			for (size_t i = 0; i < n; i++)
				to[i] = arena_strdup(arena, from[i]);
			memcpy(member, &to, sizeof(to));
		} else if (field->type == FIELD_RECORDS) {
			size_t size = field->item->size;
			char *from, *to = arena_array(arena, n, size);
			memcpy(&from, member, sizeof(from));
			for (size_t i = 0; i < n; i++) {
				memcpy(to + i * size, from + i * size, size);
				copy_strings(arena, field->item, to + i * size);
			}
			memcpy(member, &to, sizeof(to));
		}
	}
}

struct logged *world_log(struct world *w, const struct record *record)
{
	if (w->n_log == w->log_size) {
		w->log_size = w->log_size ? w->log_size * 2 : 64;
		w->log = memory_resize(w->log, w->log_size, sizeof(*w->log));
	}
	struct logged *logged = &w->log[w->n_log++];
	logged->record = *record;
	copy_strings(&w->arena, record_info(record->type), record_body(&logged->record));
	logged->value_len =
		(size_t)snprintf(logged->value, sizeof(logged->value), "record %zu", w->n_log - 1);
	return logged;
}

const struct logged *world_find_logged(const struct world *w, const void *value, size_t len)
{
	char text[24] = "";
	assert_true(len < sizeof(text));
	memcpy(text, value, len);
	size_t i = strtoull(text + strlen("record "), NULL, 10);
	assert_true(i < w->n_log);
	return &w->log[i];
}

int64_t world_offset(const struct world *w, const struct logged *logged)
{
	return (logged - w->log) + 1; /* the marker stands at 0 */
}

struct change *world_fold(struct shard_state *state, const struct logged *logged)
{
	struct change *change = NULL;
	assert_int_equal(shard_fold(state, &logged->record, logged->value, logged->value_len,
				    (struct input_positions){ -1, -1 }, &change),
			 0);
	return change;
}

/* ---- decisions ---- */

const char *world_decide(struct world *w, const struct record *event)
{
	arena_reset(&w->deciding);
	decide(w->state, event, w->now, !w->unknown, &w->deciding, &w->decision);
	switch (w->decision.kind) {
	case DECISION_UNKNOWN:
		return "unknown";
	case DECISION_NOTHING:
		return "nothing";
	case DECISION_UNUSABLE:
		return arena_printf(&w->arena, "unusable: %s", w->decision.error);
	case DECISION_TELL: {
		const struct answer *answer = w->decision.answer;
		const struct logged *logged = world_find_logged(w, answer->value, answer->len);
		assert_int_equal(answer->type, logged->record.type);
		return arena_printf(&w->arena, "again %s", world_tell(w, &logged->record));
	}
	case DECISION_RECORD:
		break;
	}
	const struct logged *logged = world_log(w, &w->decision.record);
	struct change *change = world_fold(w->state, logged);
	shard_settle(w->state, change, world_offset(w, logged), NULL, NULL);
	return world_tell(w, &logged->record);
}
