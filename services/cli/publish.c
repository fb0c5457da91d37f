/*
 * `gpubus publish`: any event that people or other systems may write, from JSON.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/event.h"
#include "cli/event_input.h"
#include "cli/exit_status.h"
#include "cli/random_id.h"
#include "cli/session.h"
#include "cli/table.h"
#include "codec/envelope_headers.h"
#include "codec/event_id.h"
#include "codec/json.h"
#include "loop/clock.h"

struct publish {
	struct settings settings;
	struct session session;
	enum record_type type;
	const char *json;
	const char *file;
	const char *delete_id;
	const char *pool_id;
	const char *raw_hex;
	const char *traceparent;
	int64_t partition; /* ABSENT: by the rule */
	int64_t timeout_ms;

	struct arena arena;
	struct record *records; /* what was read; not for tombstones and raw bytes */
	struct message *messages;
	const char **request_ids; /* "" without one */
	int64_t *offsets;
	size_t n;
};

static const char epilog[] =
	"EVENT is one of VmPoolDefined, VmTypeDefined, VmRequested, VmReleased, MigrationCheck,\n"
	"OperatorCommand, GpuAttachment, GpuDiscovered, HostSeen. The fields of each stand in "
	"schemas/EVENT.avsc; "
	"those\n"
	"with a default, a request_id and times may be left out. The event is checked against its\n"
	"schema here, and against what exists by the scheduler, whose answer appears in "
	"`answers`.\n"
	"Topic, key and partition follow from the event.\n"
	"\n"
	"Examples:\n"
	"  gpubus publish VmPoolDefined --json '{\"pool_id\": \"1\", \"name\": \"first\"}'\n"
	"  gpubus publish VmRequested --json '{\"vm_id\": \"vm-1\", \"pool_id\": \"1\",\n"
	"      \"gpus\": [{\"name\": \"GP104GL [Tesla P4]\", \"count\": 2}]}'\n"
	"  gpubus publish VmRequested --file requests.jsonl\n"
	"  gpubus publish GpuDiscovered --delete h1/0000:3b:00.0 --pool 1\n"
	"\n" STATUS_TEXT;

static bool parse(struct publish *publish, int argc, char **argv, int *ret_status)
{
	struct verb_options options = { 0 };
	const struct option_spec own[] = {
		{ .name = "json",
		  .argument = "TEXT",
		  .help = "the event, or an array of events",
		  .set = option_set_string,
		  .target = &publish->json },
		{ .name = "file",
		  .letter = 'f',
		  .argument = "FILE",
		  .help = "events from a file, \"-\" for standard input: an object, an array,\n"
			  "or one object a line",
		  .set = option_set_string,
		  .target = &publish->file },
		{ .name = "delete",
		  .argument = "ID",
		  .help = "publish the tombstone of this pool, VM type, GPU or host instead",
		  .set = option_set_string,
		  .target = &publish->delete_id },
		{ .name = "pool",
		  .argument = "ID",
		  .help = "with --delete of a GPU or host: the pool that it belongs to",
		  .set = option_set_string,
		  .target = &publish->pool_id },
		{ .name = "traceparent",
		  .argument = "TEXT",
		  .help = "W3C trace context to go on with (environment: TRACEPARENT; default: a "
			  "new trace)",
		  .set = option_set_string,
		  .target = &publish->traceparent },
		{ .name = "partition",
		  .argument = "N",
		  .help = "another partition than that of the pool (for tests of forwarding)",
		  .set = option_set_count,
		  .target = &publish->partition },
		{ .name = "raw-hex",
		  .argument = "HEX",
		  .help = "these bytes instead of an event (for tests of bad input);\n"
			  "needs --partition",
		  .set = option_set_string,
		  .target = &publish->raw_hex },
		{ .name = "timeout",
		  .argument = "TIME",
		  .fallback = "30s",
		  .help = "how long to wait for the brokers' acknowledgement",
		  .set = option_set_duration_ms,
		  .target = &publish->timeout_ms },
	};
	for (size_t i = 0; i < sizeof(own) / sizeof(*own); i++) {
		verb_options_add(&options, own[i]);
		options.specs[i].no_environment = true;
	}
	settings_add_options(&publish->settings, SETTINGS_KAFKA, &options);

	struct program program = {
		.name = "gpubus publish",
		.summary = "Publishes events from JSON and says where they went.",
		.usage = "EVENT",
		.epilog = epilog,
	};
	int first;
	if (!settings_parse(&publish->settings, &program, &options, argc, argv, &first, ret_status))
		return false;

	*ret_status = STATUS_USAGE;
	if (argc - first != 1) {
		complain("expected one EVENT, as in `gpubus publish VmRequested --json ...`");
		return false;
	}
	enum topic topic;
	if (record_type_by_name(argv[first], &publish->type)) {
		complain("there is no event \"%s\"; see --help for their names", argv[first]);
		return false;
	}
	if (event_topic(publish->type, &topic)) {
		complain("%s is written by the scheduler only", argv[first]);
		return false;
	}
	int sources = !!publish->json + !!publish->file + !!publish->delete_id + !!publish->raw_hex;
	if (sources != 1) {
		complain("expected one of --json, --file and --delete");
		return false;
	}
	if (publish->raw_hex && publish->partition == ABSENT) {
		complain("--raw-hex needs --partition");
		return false;
	}
	if (publish->delete_id && (topic == TOPIC_REQUESTS || topic == TOPIC_ATTACHMENTS)) {
		complain("--delete is for pools, VM types, GPUs and hosts; a %s has happened",
			 argv[first]);
		return false;
	}
	bool pooled = publish->type == RECORD_GPU_DISCOVERED || publish->type == RECORD_HOST_SEEN;
	if (publish->delete_id && pooled && !publish->pool_id) {
		complain("--delete of a %s needs --pool: the pool says which partition it is in",
			 argv[first]);
		return false;
	}
	return true;
}

/* ---- what to publish --------------------------------------------------------------------------- */

static void choose_traceparent(struct publish *publish)
{
	const char *given = publish->traceparent ? publish->traceparent : getenv("TRACEPARENT");
	if (given && traceparent_is_valid(given, strlen(given))) {
		publish->traceparent = given;
		return;
	}
	if (given && *given)
		complain("\"%s\" is not a traceparent; a new trace begins", given);
	char *text = arena_alloc(&publish->arena, RANDOM_TRACEPARENT_BYTES);
	random_traceparent(text);
	publish->traceparent = text;
}

static void allocate(struct publish *publish, size_t n)
{
	publish->records = arena_array(&publish->arena, n, sizeof(*publish->records));
	publish->messages = arena_array(&publish->arena, n, sizeof(*publish->messages));
	publish->request_ids = arena_array(&publish->arena, n, sizeof(*publish->request_ids));
	publish->offsets = arena_array(&publish->arena, n, sizeof(*publish->offsets));
	for (size_t i = 0; i < n; i++)
		publish->request_ids[i] = "";
	publish->n = n;
}

/* False: the mistake was printed. */
static bool read_item(struct publish *publish, json_t *item, size_t i)
{
	cleanup(freep) char *why = NULL;
	char uuid[RANDOM_UUID_BYTES];

	random_uuid(uuid);
	event_complete(item, publish->type, uuid, clock_wall_us());
	if (!record_from_json(item, publish->type, &publish->arena, &publish->records[i], &why)) {
		publish->request_ids[i] = record_request_id(&publish->records[i]);
		return true;
	}
	if (publish->n > 1)
		complain("event %zu: %s", i + 1, why);
	else
		complain("%s", why);
	return false;
}

static int read_json(struct publish *publish)
{
	cleanup(buf_deinit) struct buf text = { 0 }, error = { 0 };
	json_t *items = NULL;

	if (publish->file && event_input_read(publish->file, &text, &error)) {
		complain("%s", error.data);
		return STATUS_ERROR;
	}
	if (publish->json)
		buf_puts(&text, publish->json);
	if (event_input_parse(text.data ? text.data : "", text.len, &items, &error)) {
		complain("%s: %s", publish->file ? publish->file : "--json", error.data);
		return STATUS_USAGE;
	}
	bool good = true;
	allocate(publish, json_array_size(items));
	for (size_t i = 0; i < publish->n; i++)
		good = read_item(publish, json_array_get(items, i), i) && good;
	json_decref(items);
	if (!good && publish->n > 1)
		complain("nothing was published");
	return good ? STATUS_OK : STATUS_USAGE;
}

static int read_raw(struct publish *publish)
{
	size_t digits = strlen(publish->raw_hex);
	unsigned char *bytes = arena_alloc(&publish->arena, digits / 2 + 1);

	if (digits % 2 || publish->raw_hex[strspn(publish->raw_hex, "0123456789abcdefABCDEF")]) {
		complain("--raw-hex: expected pairs of hex digits");
		return STATUS_USAGE;
	}
	for (size_t i = 0; i < digits / 2; i++)
		sscanf(publish->raw_hex + 2 * i, "%2hhx", &bytes[i]);
	allocate(publish, 1);
	enum topic topic = TOPIC_REQUESTS;
	(void)!event_topic(publish->type, &topic); /* was accepted when the arguments were parsed */
	publish->messages[0] =
		(struct message){ .topic = topic, .value = bytes, .value_len = digits / 2 };
	return STATUS_OK;
}

/* All mistakes in what was given are found before anybody is connected to. */
static int read_input(struct publish *publish)
{
	if (publish->raw_hex)
		return read_raw(publish);
	if (!publish->delete_id)
		return read_json(publish);
	allocate(publish, 1);
	return STATUS_OK;
}

static int make_messages(struct publish *publish)
{
	struct event_origin origin = {
		.traceparent = publish->traceparent,
		.now_us = clock_wall_us(),
		.n_partitions = publish->session.n_partitions,
	};
	if (publish->delete_id)
		event_tombstone(publish->type, publish->delete_id,
				publish->pool_id ? publish->pool_id : "", &origin, &publish->arena,
				publish->messages);
	for (size_t i = 0; i < publish->n && !publish->delete_id && !publish->raw_hex; i++)
		if (event_message(&publish->records[i], &origin, publish->session.codec,
				  &publish->arena, &publish->messages[i])) {
			complain("event %zu: %s", i + 1, codec_error(publish->session.codec));
			return STATUS_USAGE;
		}
	return STATUS_OK;
}

static int place_messages(struct publish *publish)
{
	for (size_t i = 0; i < publish->n && publish->partition != ABSENT; i++) {
		struct message *message = &publish->messages[i];
		int32_t n = session_partitions(&publish->session, message->topic);
		if (publish->partition >= n) {
			complain("%s has %d partitions, 0 to %d", topic_name(message->topic), n,
				 n - 1);
			return STATUS_USAGE;
		}
		message->partition = (int32_t)publish->partition;
	}
	return STATUS_OK;
}

/* ---- where it went ------------------------------------------------------------------------------ */

static void print_json(const struct publish *publish)
{
	json_t *list = json_array();
	for (size_t i = 0; i < publish->n; i++) {
		const struct message *message = &publish->messages[i];
		json_t *item = json_pack("{s:s, s:s, s:i, s:I, s:s%}", "event",
					 record_info(publish->type)->name, "topic",
					 topic_name(message->topic), "partition",
					 message->partition, "offset", publish->offsets[i], "key",
					 message->key ? message->key : "", message->key_len);
		if (*publish->request_ids[i])
			json_object_set_new(item, "request_id",
					    json_string(publish->request_ids[i]));
		json_array_append_new(list, item);
	}
	json_dumpf(list, stdout, JSON_INDENT(2));
	putchar('\n');
	json_decref(list);
}

static void print_lines(const struct publish *publish)
{
	for (size_t i = 0; i < publish->n; i++) {
		const struct message *message = &publish->messages[i];
		const char *request_id = publish->request_ids[i];
		if (publish->offsets[i] < 0)
			continue;
		printf("%s%s%s -> %s partition %d offset %" PRId64 "\n",
		       record_info(publish->type)->name, *request_id ? " " : "", request_id,
		       topic_name(message->topic), message->partition, publish->offsets[i]);
	}
}

static int run(struct publish *publish)
{
	int status = read_input(publish);
	if (status == STATUS_OK)
		status = session_open(&publish->session, &publish->settings);
	if (status != STATUS_OK)
		return status;
	choose_traceparent(publish);
	status = make_messages(publish);
	if (status == STATUS_OK)
		status = place_messages(publish);
	if (status != STATUS_OK)
		return status;

	for (size_t i = 0; i < publish->n; i++)
		publish->offsets[i] = -1;
	status = session_deliver(&publish->session, publish->messages, publish->n,
				 publish->timeout_ms, publish->offsets);
	if (publish->settings.json)
		print_json(publish);
	else
		print_lines(publish);
	return status;
}

int cli_publish(int argc, char **argv)
{
	struct publish publish = { .partition = ABSENT };
	int status;

	settings_init(&publish.settings);
	arena_init(&publish.arena);
	if (parse(&publish, argc, argv, &status))
		status = run(&publish);
	session_close(&publish.session);
	arena_deinit(&publish.arena);
	settings_deinit(&publish.settings);
	return status;
}
