/*
 * `gpubus get`: the state as it stands in Redis. Needs no Kafka.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/memory.h"
#include "cli/commands.h"
#include "cli/exit_status.h"
#include "cli/get_columns.h"
#include "cli/get_marks.h"
#include "cli/get_rows.h"
#include "cli/settings.h"
#include "loop/clock.h"
#include "store/read.h"

enum { TIMEOUT_MS = 10000 };

struct get {
	struct settings settings;
	enum store_table table;
	const char *id;
	const char *pool_id;
	int64_t partitions; /* 0: look at all that there may be */
	int64_t host_timeout_ms;
	struct get_rows rows;
	struct store_reader *reader; /* owned */
	size_t malformed;	     /* rows */
};

static const char epilog[] = "WHAT is pools, hosts, gpus, types, vms, requests or marks; ID is "
			     "one of them: a pool, a host, a GPU\n"
			     "(HOST/ADDRESS), a VM type, a VM or a request. Marks are what "
			     "operators and agents took out of\n"
			     "service: cordoned hosts, GPUs in quarantine; ID is the host or GPU.\n"
			     "\n"
			     "Redis has what schedulers have confirmed; it may stand a moment "
			     "behind the log, and never\n"
			     "ahead of it. Requests are remembered for a day; those of VMs that "
			     "hold GPUs as long as they do.\n"
			     "\n"
			     "Examples:\n"
			     "  gpubus get gpus --pool 1\n"
			     "  gpubus get vms vm-1 -o json\n"
			     "  gpubus get requests order-4711 --pool 1\n"
			     "\n" STATUS_TEXT;

static bool parse(struct get *get, int argc, char **argv, int *ret_status)
{
	struct verb_options options = { 0 };
	const struct option_spec own[] = {
		{ .name = "pool",
		  .no_environment = true,
		  .letter = 'p',
		  .argument = "ID",
		  .help = "only what belongs to this pool",
		  .set = option_set_string,
		  .target = &get->pool_id },
		{ .name = "partitions",
		  .no_environment = true,
		  .argument = "N",
		  .help = "partitions of the topics, to look at no more shards\n"
			  "(default: look for all that Redis has)",
		  .set = option_set_count,
		  .target = &get->partitions },
		{ .name = "host-timeout",
		  .argument = "TIME",
		  .fallback = "45s",
		  .help = "as schedulers have it: a host that was not heard of for longer is "
			  "silent, and\nits GPUs are not free",
		  .set = option_set_duration_ms,
		  .target = &get->host_timeout_ms },
	};
	for (size_t i = 0; i < sizeof(own) / sizeof(*own); i++)
		verb_options_add(&options, own[i]);
	settings_add_options(&get->settings, SETTINGS_REDIS, &options);

	struct program program = {
		.name = "gpubus get",
		.summary = "Shows the state as Redis has it.",
		.usage = "WHAT [ID]",
		.epilog = epilog,
	};
	int first;
	if (!settings_parse(&get->settings, &program, &options, argc, argv, &first, ret_status))
		return false;
	*ret_status = STATUS_USAGE;
	if (argc - first < 1 || argc - first > 2 || store_table_by_name(argv[first], &get->table)) {
		complain("expected pools, hosts, gpus, types, vms, requests or marks, and perhaps "
			 "an id");
		return false;
	}
	get->id = argc - first == 2 ? argv[first + 1] : NULL;
	if (get->partitions > LIMIT_PARTITIONS)
		get->partitions = LIMIT_PARTITIONS;
	return true;
}

/* ---- reading ------------------------------------------------------------------------------------- */

struct reading {
	struct get *get;
	json_t *list;
};

static int on_row(void *context, const struct store_row *row)
{
	struct reading *reading = context;
	reading->get->malformed += get_row_add(&reading->get->rows, row, reading->list) != 0;
	return 0;
}

/* A table of all shards. */
static int read_table(struct get *get, enum store_table table, const bool *shards, json_t *list)
{
	for (int32_t shard = 0; shard < LIMIT_PARTITIONS; shard++) {
		struct reading reading = { .get = get, .list = list };
		if (!shards[shard])
			continue;
		int r = store_read_table(get->reader, shard, table, on_row, &reading);
		if (r == STORE_READ_EMPTY)
			continue; /* was wiped just now */
		if (r == STORE_READ_UNSTABLE)
			complain("shard %d is being written anew again and again; try once more",
				 shard);
		else if (r)
			complain("%s", store_reader_error(get->reader));
		if (r)
			return STATUS_ERROR;
	}
	return STATUS_OK;
}

static int find_shards(struct get *get, bool shards[LIMIT_PARTITIONS])
{
	int32_t n = get->partitions ? (int32_t)get->partitions : LIMIT_PARTITIONS;
	for (int32_t shard = 0; shard < n; shard++) {
		struct store_meta meta;
		int r = store_read_meta(get->reader, shard, &meta, NULL);
		shards[shard] = r == 0;
		if (r && r != STORE_READ_EMPTY) {
			complain("%s", store_reader_error(get->reader));
			return STATUS_ERROR;
		}
	}
	return STATUS_OK;
}

static bool joins(enum store_table wanted, enum store_table table)
{
	switch (wanted) {
	case STORE_POOLS:
	case STORE_HOSTS:
		return table == STORE_HOSTS || table == STORE_GPUS || table == STORE_VMS ||
		       table == STORE_MARKS;
	case STORE_GPUS:
		return table == STORE_VMS || table == STORE_MARKS;
	case STORE_REQUESTS:
		return table == STORE_VMS;
	default:
		return false;
	}
}

static int read_tables(struct get *get, json_t *tables[STORE_TABLES])
{
	bool shards[LIMIT_PARTITIONS] = { false };
	int status = find_shards(get, shards);

	for (int table = 0; table < STORE_TABLES && status == STATUS_OK; table++)
		if (table == (int)get->table || joins(get->table, (enum store_table)table))
			status = read_table(get, (enum store_table)table, shards, tables[table]);
	return status;
}

/* ---- putting together ----------------------------------------------------------------------------- */

static bool is_wanted(const struct get *get, const json_t *item)
{
	const char *pool_id = json_string_value(json_object_get(item, "pool_id"));
	const char *id = json_string_value(json_object_get(item, get_columns_id(get->table)));

	return (!get->pool_id || (pool_id && strcmp(pool_id, get->pool_id) == 0)) &&
	       (!get->id || (id && strcmp(id, get->id) == 0));
}

static json_t *join(const struct get *get, json_t *tables[STORE_TABLES])
{
	json_t *owners = get_owners(tables[STORE_VMS]),
	       *marks = get_index_marks(tables[STORE_MARKS]);
	json_t *item;
	size_t i;

	json_array_foreach(tables[STORE_GPUS], i, item)
	{
		get_set_owner(item, owners);
		get_set_mark(item, "quarantine", "gpu", "gpu_id", marks);
	}
	json_array_foreach(tables[STORE_HOSTS], i, item)
	{
		get_set_mark(item, "cordon", "host", "host", marks);
		get_set_host_state(item, clock_wall_us(), get->host_timeout_ms * 1000);
	}
	json_decref(owners);
	json_decref(marks);
	if (get->table == STORE_REQUESTS)
		get_resolve_answers(tables[STORE_REQUESTS], tables[STORE_VMS]);
	if (get->table == STORE_HOSTS)
		get_count_gpus(tables[STORE_HOSTS], tables[STORE_GPUS]);
	if (get->table == STORE_POOLS)
		return get_pools(tables[STORE_POOLS], tables[STORE_HOSTS], tables[STORE_GPUS]);
	return json_incref(tables[get->table]);
}

static json_t *pick(const struct get *get, const json_t *all)
{
	json_t *picked = json_array(), *item;
	size_t i;

	json_array_foreach(all, i, item) if (is_wanted(get, item)) json_array_append(picked, item);
	return get_columns_sort(get->table, picked);
}

static void print(const struct get *get, const json_t *list)
{
	if (get->settings.json) {
		json_dumpf(list, stdout, JSON_INDENT(2));
		putchar('\n');
		return;
	}
	cleanup(buf_deinit) struct buf out = { 0 };
	get_columns_print(get->table, list, &out);
	if (json_array_size(list) == 0)
		complain("there are no %s%s", store_table_name(get->table),
			 get->id || get->pool_id ? " like that" : " in Redis");
	else
		fwrite(out.data, 1, out.len, stdout);
}

static int show(struct get *get)
{
	json_t *tables[STORE_TABLES];
	for (int table = 0; table < STORE_TABLES; table++)
		tables[table] = json_array();

	int status = read_tables(get, tables);
	if (status == STATUS_OK) {
		json_t *all = join(get, tables);
		json_t *list = pick(get, all);
		print(get, list);
		if (get->id && json_array_size(list) == 0)
			status = STATUS_ERROR;
		json_decref(list);
		json_decref(all);
		if (get->malformed > 0) {
			complain("%zu rows in Redis cannot be read; gpubus audit says more",
				 get->malformed);
			status = STATUS_ERROR;
		}
	}
	for (int table = 0; table < STORE_TABLES; table++)
		json_decref(tables[table]);
	return status;
}

static int run(struct get *get)
{
	cleanup(freep) char *error = NULL;
	if (codec_new(&get->rows.codec)) {
		complain("the embedded schemas do not parse: this program is broken");
		return STATUS_ERROR;
	}
	if (store_reader_new(get->settings.redis_url, TIMEOUT_MS, &get->reader, &error)) {
		complain("Redis cannot be reached: %s", error ? error : get->settings.redis_url);
		return STATUS_ERROR;
	}
	return show(get);
}

int cli_get(int argc, char **argv)
{
	struct get get = { 0 };
	int status;

	settings_init(&get.settings);
	arena_init(&get.rows.arena);
	if (parse(&get, argc, argv, &status))
		status = run(&get);
	store_reader_free(get.reader);
	codec_free(get.rows.codec);
	arena_deinit(&get.rows.arena);
	settings_deinit(&get.settings);
	return status;
}
