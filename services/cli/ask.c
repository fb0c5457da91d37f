#include "cli/ask.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bus/reader.h"
#include "cli/answer.h"
#include "cli/event.h"
#include "cli/exit_status.h"
#include "cli/random_id.h"
#include "cli/session.h"
#include "codec/envelope_headers.h"
#include "codec/json.h"
#include "loop/clock.h"

enum { DELIVERY_MS = 30000 };

void ask_init(struct ask *ask)
{
	*ask = (struct ask){ .wait_ms = 30000 };
	settings_init(&ask->settings);
	arena_init(&ask->arena);
}

void ask_deinit(struct ask *ask)
{
	settings_deinit(&ask->settings);
	arena_deinit(&ask->arena);
}

struct option_spec ask_text(const char *name, const char *argument, const char *help,
			    const char **target)
{
	return (struct option_spec){ .name = name,
				     .argument = argument,
				     .help = help,
				     .set = option_set_string,
				     .target = target };
}

static void add_options(struct ask *ask, struct verb_options *options)
{
	const struct option_spec own[] = {
		{ .name = "pool",
		  .letter = 'p',
		  .argument = "ID",
		  .help = "the VM pool",
		  .set = option_set_string,
		  .target = &ask->pool_id },
		{ .name = "wait",
		  .letter = 'w',
		  .help = "wait for the answer, print it, and say it in the exit status;\n"
			  "--wait=TIME is --wait --timeout=TIME",
		  .set = option_set_flag,
		  .target = &ask->wait },
		{ .name = "timeout",
		  .letter = 't',
		  .argument = "TIME",
		  .fallback = "30s",
		  .help = "how long --wait waits",
		  .set = option_set_duration_ms,
		  .target = &ask->wait_ms },
		{ .name = "request-id",
		  .argument = "ID",
		  .help = "the request's id (default: a new one). The same id again is the same\n"
			  "request: it is answered as before",
		  .set = option_set_string,
		  .target = &ask->request_id },
		{ .name = "traceparent",
		  .argument = "TEXT",
		  .help = "W3C trace context to go on with (environment: TRACEPARENT; default: a "
			  "new trace)",
		  .set = option_set_string,
		  .target = &ask->traceparent },
	};
	for (size_t i = 0; i < sizeof(own) / sizeof(*own); i++) {
		struct option_spec spec = own[i];
		spec.no_environment = true;
		verb_options_add(options, spec);
	}
	settings_add_options(&ask->settings, SETTINGS_KAFKA, options);
}

/* Options either have a value or have none: the form with one becomes two options. */
static void split_wait(struct ask *ask, int argc, char **argv)
{
	static const char prefix[] = "--wait=";
	for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
		if (strncmp(argv[i], prefix, strlen(prefix)) == 0) {
			ask->wait = true;
			argv[i] =
				arena_printf(&ask->arena, "--timeout=%s", argv[i] + strlen(prefix));
		}
}

bool ask_parse(struct ask *ask, struct program *program, const struct option_spec *own, size_t n,
	       int argc, char **argv, int *ret_status)
{
	struct verb_options options = { 0 };

	for (size_t i = 0; i < n; i++) {
		struct option_spec spec = own[i];
		spec.no_environment = true;
		verb_options_add(&options, spec);
	}
	add_options(ask, &options);
	split_wait(ask, argc, argv);
	if (!settings_parse(&ask->settings, program, &options, argc, argv, &ask->operands,
			    ret_status))
		return false;
	*ret_status = STATUS_USAGE;
	return ask_needs("--pool", ask->pool_id);
}

bool ask_needs(const char *option, const char *value)
{
	if (!value)
		complain("%s is missing; see --help", option);
	return value;
}

/* ---- waiting ------------------------------------------------------------------------------------ */

/*
 * Reading starts at the ends that answers and dead letters had before the request was published: so
 * neither an answer is missed nor an old one taken for ours.
 */
struct waiting {
	struct ask *ask;
	struct session *session;
	struct bus_reader *reader; /* owned */
	const struct record *request;
	struct message published;
	int64_t offset; /* of the request, once it is known; -1 */
	struct arena arena;
	struct buf text; /* the answer, to be printed */
	int status;	 /* -1: none yet */
};

static void print_answer(struct waiting *waiting, const struct message *message,
			 const struct record *answer, enum answer_kind kind)
{
	static const char *const outcomes[] = {
		[ANSWER_GRANTED] = "granted",	  [ANSWER_GRANTED_RELEASED] = "granted_released",
		[ANSWER_RELEASING] = "releasing", [ANSWER_DONE] = "done",
		[ANSWER_REFUSED] = "refused",	  [ANSWER_ATTACH_FAILED] = "attach_failed",
	};
	if (!waiting->ask->settings.json) {
		answer_describe(answer, kind, &waiting->text);
		return;
	}
	json_t *json = json_pack("{s:s, s:s, s:s, s:I, s:o}", "request_id",
				 record_request_id(waiting->request), "outcome", outcomes[kind],
				 "event", record_info(answer->type)->name, "revision",
				 headers_revision(message->headers, message->n_headers), "answer",
				 record_to_json(answer));
	char *dump = json_dumps(json, JSON_INDENT(2));
	buf_printf(&waiting->text, "%s\n", dump);
	free(dump);
	json_decref(json);
}

static void on_answer(struct waiting *waiting, const struct message *message)
{
	struct record answer;

	arena_reset(&waiting->arena);
	if (!message->value || codec_decode(waiting->session->codec, message->value,
					    message->value_len, &waiting->arena, &answer))
		return;
	enum answer_kind kind = answer_kind(waiting->request, &answer);
	if (kind == ANSWER_OTHER || kind == ANSWER_RELEASING)
		return;
	print_answer(waiting, message, &answer, kind);
	waiting->status =
		kind == ANSWER_REFUSED || kind == ANSWER_ATTACH_FAILED ? STATUS_REFUSED : STATUS_OK;
	/* A request id is answered once, whatever comes under it later. */
	const char *other = answer_to_another(waiting->request, &answer, &waiting->arena);
	if (other) {
		complain("request id %s was used before, for %s: this is the answer it got",
			 record_request_id(waiting->request), other);
		waiting->status = STATUS_ERROR;
	}
	loop_stop(waiting->session->loop);
}

static bool header_is(const struct message *message, const char *name, const char *value)
{
	for (size_t i = 0; i < message->n_headers; i++) {
		const struct header *header = &message->headers[i];
		if (strcmp(header->name, name) == 0)
			return header->len == strlen(value) &&
			       memcmp(header->value, value, header->len) == 0;
	}
	return false;
}

static void on_dead_letter(struct waiting *waiting, const struct message *message)
{
	char partition[16], offset[24];

	snprintf(partition, sizeof(partition), "%d", waiting->published.partition);
	snprintf(offset, sizeof(offset), "%" PRId64, waiting->offset);
	if (!header_is(message, "dl_topic", topic_name(TOPIC_REQUESTS)) ||
	    !header_is(message, "dl_partition", partition) ||
	    !header_is(message, "dl_offset", offset))
		return;
	for (size_t i = 0; i < message->n_headers; i++)
		if (strcmp(message->headers[i].name, "dl_error") == 0)
			complain("the scheduler could not use the request: %.*s",
				 (int)message->headers[i].len,
				 (const char *)message->headers[i].value);
	waiting->status = STATUS_ERROR;
	loop_stop(waiting->session->loop);
}

static void on_message(void *context, const struct message *message)
{
	struct waiting *waiting = context;
	if (waiting->status >= 0)
		return;
	if (message->topic == TOPIC_ANSWERS)
		on_answer(waiting, message);
	else
		on_dead_letter(waiting, message);
}

static void on_error(void *context, struct bus_partition place, enum bus_reader_error kind,
		     const char *reason)
{
	struct waiting *waiting = context;
	(void)kind;
	complain("%s partition %d: %s", topic_name(place.topic), place.partition, reason);
	waiting->status = STATUS_ERROR;
	loop_stop(waiting->session->loop);
}

static int wait_for_answer(struct waiting *waiting, const struct bus_offset ends[2])
{
	const struct bus_reader_callbacks callbacks = { .on_message = on_message,
							.on_error = on_error };
	struct session *session = waiting->session;
	int64_t deadline_us = clock_monotonic_us() + waiting->ask->wait_ms * 1000;

	if (bus_reader_new(session->loop, session->settings->bus, &callbacks, waiting,
			   &waiting->reader))
		return STATUS_ERROR;
	for (int i = 0; i < 2; i++)
		bus_reader_start(waiting->reader, ends[i].topic, ends[i].partition, ends[i].high);
	while (waiting->status < 0 && !session->interrupted) {
		int64_t left_ms = (deadline_us - clock_monotonic_us()) / 1000;
		if (left_ms <= 0)
			break;
		session_run(session, left_ms);
	}
	bus_reader_free(waiting->reader);
	if (waiting->status >= 0)
		return waiting->status;
	complain("no answer %s %" PRId64
		 " ms; request %s stands: ask again with the same --request-id, or see\n"
		 "  gpubus get requests %s --pool %s",
		 session->interrupted ? "when interrupted, of" : "within", waiting->ask->wait_ms,
		 record_request_id(waiting->request), record_request_id(waiting->request),
		 record_pool_id(waiting->request));
	return STATUS_NO_ANSWER;
}

/* ---- publishing --------------------------------------------------------------------------------- */

/* What every request has, wherever it stands in the record. */
static void complete(const struct ask *ask, int64_t now_us, struct record *request)
{
	const struct record_info *info = record_info(request->type);
	for (size_t i = 0; i < info->n_fields; i++) {
		const struct field *field = &info->fields[i];
		void *member = (char *)record_body(request) + field->offset;
		if (strcmp(field->name, "request_id") == 0)
			*(const char **)member = ask->request_id;
		else if (strcmp(field->name, "pool_id") == 0)
			*(const char **)member = ask->pool_id;
		else if (strcmp(field->name, "requested_at") == 0)
			*(int64_t *)member = now_us;
	}
}

static int prepare(struct ask *ask, struct record *request, struct session *session,
		   struct arena *arena, struct message *ret_message)
{
	const char *trace = ask->traceparent ? ask->traceparent : getenv("TRACEPARENT");
	char *text = arena_alloc(arena, RANDOM_TRACEPARENT_BYTES);
	random_traceparent(text);

	struct event_origin origin = {
		.traceparent = trace && traceparent_is_valid(trace, strlen(trace)) ? trace : text,
		.now_us = clock_wall_us(),
		.n_partitions = session->n_partitions,
	};
	if (!ask->request_id) {
		char *uuid = arena_alloc(arena, RANDOM_UUID_BYTES);
		random_uuid(uuid);
		ask->request_id = uuid;
	}
	complete(ask, origin.now_us, request);
	if (event_message(request, &origin, session->codec, arena, ret_message)) {
		complain("%s", codec_error(session->codec));
		return STATUS_USAGE;
	}
	return STATUS_OK;
}

static void print_published(const struct ask *ask, const struct record *request,
			    const struct message *message, int64_t offset)
{
	const char *name = record_info(request->type)->name;
	if (!ask->settings.json) {
		printf("%s %s -> %s partition %d offset %" PRId64 "\n", name, ask->request_id,
		       topic_name(message->topic), message->partition, offset);
		return;
	}
	json_t *json = json_pack("{s:s, s:s, s:s, s:i, s:I}", "event", name, "request_id",
				 ask->request_id, "topic", topic_name(message->topic), "partition",
				 message->partition, "offset", offset);
	json_dumpf(json, stdout, JSON_INDENT(2));
	putchar('\n');
	json_decref(json);
}

static int publish_and_wait(struct ask *ask, struct record *request, struct session *session,
			    struct arena *arena)
{
	struct waiting waiting = {
		.ask = ask, .session = session, .request = request, .offset = -1, .status = -1
	};
	int status = prepare(ask, request, session, arena, &waiting.published);
	if (status != STATUS_OK)
		return status;

	int32_t partition = waiting.published.partition;
	struct bus_offset ends[2] = { { .topic = TOPIC_ANSWERS, .partition = partition },
				      { .topic = TOPIC_DEAD_LETTERS, .partition = partition } };
	if (ask->wait)
		status = session_ask_offsets(session, NULL, ends, 2);
	if (status == STATUS_OK)
		status = session_deliver(session, &waiting.published, 1, DELIVERY_MS,
					 &waiting.offset);
	if (status != STATUS_OK)
		return status;
	if (!ask->wait) {
		print_published(ask, request, &waiting.published, waiting.offset);
		return status;
	}
	arena_init(&waiting.arena);
	status = wait_for_answer(&waiting, ends);
	if (waiting.text.data)
		fputs(waiting.text.data, stdout);
	buf_deinit(&waiting.text);
	arena_deinit(&waiting.arena);
	return status;
}

int ask_run(struct ask *ask, struct record *request)
{
	struct session session;
	struct arena arena;

	arena_init(&arena);
	int status = session_open(&session, &ask->settings);
	if (status == STATUS_OK)
		status = publish_and_wait(ask, request, &session, &arena);
	session_close(&session);
	arena_deinit(&arena);
	return status;
}
