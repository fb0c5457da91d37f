/*
 * `gpubus tail`: what goes over the topics, decoded. Decisions are read from their beginning whatever
 * is to be shown of them, because only so it is known which epoch counts where.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "bus/reader.h"
#include "cli/commands.h"
#include "cli/exit_status.h"
#include "cli/session.h"
#include "cli/tail_format.h"

struct tail_place {
	struct bus_offset ends;
	int64_t from; /* the first offset to be shown */
	struct follow follow;
	bool broken; /* the beginning of decisions is missing: nobody knows the epoch */
};

struct tail {
	struct settings settings;
	struct session session;
	bool topics[TOPICS];
	bool follow;
	bool exit_at_end;
	const char *from_text;
	int64_t from;		   /* BUS_BEGINNING, BUS_END, or an offset */
	struct tail_place *places; /* owned */
	size_t n;
	struct arena arena;
	struct buf line;
	int status;
};

static const char epilog[] =
	"TOPIC is catalog, inventory, hosts, requests, attachments, decisions, answers or\n"
	"dead-letters; several may be given; default: all of them.\n"
	"\n"
	"Without --from and --exit-at-end, what is published from now on is shown until Ctrl-C.\n"
	"--exit-at-end alone shows everything there is. In decisions, EPOCH marks where a "
	"scheduler\n"
	"took over, and VOID a record whose writer had been deposed: nobody acts on it. With -o "
	"json,\n"
	"there is one object a line.\n"
	"\n"
	"Examples:\n"
	"  gpubus tail answers\n"
	"  gpubus tail decisions --from beginning\n"
	"  gpubus tail dead-letters --exit-at-end -o json\n"
	"\n" STATUS_TEXT;

static bool parse_from(struct tail *tail)
{
	const char *text = tail->from_text;
	if (!text) {
		tail->from = tail->exit_at_end ? BUS_BEGINNING : BUS_END;
		return true;
	}
	if (strcmp(text, "beginning") == 0 || strcmp(text, "end") == 0) {
		tail->from = *text == 'b' ? BUS_BEGINNING : BUS_END;
		return true;
	}
	char *end;
	errno = 0;
	tail->from = strtoll(text, &end, 10);
	if (end != text && !*end && !errno && tail->from >= 0)
		return true;
	complain("--from: expected beginning, end or an offset, not \"%s\"", text);
	return false;
}

static bool parse(struct tail *tail, int argc, char **argv, int *ret_status)
{
	struct verb_options options = { 0 };
	const struct option_spec own[] = {
		{ .name = "from",
		  .no_environment = true,
		  .argument = "PLACE",
		  .help = "beginning, end, or an offset in every partition",
		  .set = option_set_string,
		  .target = &tail->from_text },
		{ .name = "follow",
		  .no_environment = true,
		  .letter = 'f',
		  .help = "go on when the end is reached (the default)",
		  .set = option_set_flag,
		  .target = &tail->follow },
		{ .name = "exit-at-end",
		  .no_environment = true,
		  .letter = 'e',
		  .help = "end at the end that the topics have now",
		  .set = option_set_flag,
		  .target = &tail->exit_at_end },
	};
	for (size_t i = 0; i < sizeof(own) / sizeof(*own); i++)
		verb_options_add(&options, own[i]);
	settings_add_options(&tail->settings, SETTINGS_KAFKA, &options);

	struct program program = {
		.name = "gpubus tail",
		.summary = "Shows what goes over the topics, decoded.",
		.usage = "[TOPIC...]",
		.epilog = epilog,
	};
	int first;
	if (!settings_parse(&tail->settings, &program, &options, argc, argv, &first, ret_status))
		return false;
	*ret_status = STATUS_USAGE;
	if (tail->follow && tail->exit_at_end) {
		complain("--follow and --exit-at-end exclude each other");
		return false;
	}
	for (int i = first; i < argc; i++) {
		enum topic topic;
		if (topic_by_name(argv[i], &topic)) {
			complain("there is no topic \"%s\"; see --help for their names", argv[i]);
			return false;
		}
		tail->topics[topic] = true;
	}
	for (int topic = 0; first == argc && topic < TOPICS; topic++)
		tail->topics[topic] = true;
	return parse_from(tail);
}

/* ---- showing ------------------------------------------------------------------------------------ */

static struct tail_place *place_of(struct tail *tail, const struct message *message)
{
	for (size_t i = 0; i < tail->n; i++)
		if (tail->places[i].ends.topic == message->topic &&
		    tail->places[i].ends.partition == message->partition)
			return &tail->places[i];
	return NULL;
}

static struct tail_verdict judge(struct tail_place *place, const struct message *message)
{
	struct tail_verdict verdict = { .is_decision = true, .kind = FOLLOW_GAP };
	if (!place->broken)
		verdict.kind = follow_step(&place->follow, message);
	if (verdict.kind == FOLLOW_GAP && !place->broken) {
		complain("decisions partition %d has no offset %" PRId64
			 ": what counts from there on cannot be told",
			 message->partition, place->follow.next);
		place->broken = true;
	}
	verdict.is_decision = !place->broken;
	verdict.epoch = place->follow.epoch;
	return verdict;
}

static void on_message(void *context, const struct message *message)
{
	struct tail *tail = context;
	struct tail_place *place = place_of(tail, message);
	struct tail_verdict verdict = { .is_decision = false };

	if (!place)
		return;
	if (message->topic == TOPIC_DECISIONS)
		verdict = judge(place, message);
	if (message->offset < place->from)
		return;

	arena_reset(&tail->arena);
	if (tail->settings.json) {
		json_t *json = tail_json(message, &verdict, tail->session.codec, &tail->arena);
		json_dumpf(json, stdout, JSON_COMPACT);
		putchar('\n');
		json_decref(json);
	} else {
		buf_clear(&tail->line);
		tail_line(message, &verdict, tail->session.codec, &tail->arena, &tail->line);
		fwrite(tail->line.data, 1, tail->line.len, stdout);
	}
}

/* A reader on the other side of a pipe wants to see what there is; one that has gone wants no more. */
static void on_batch_done(void *context)
{
	struct tail *tail = context;
	if (fflush(stdout) != 0)
		loop_stop(tail->session.loop);
}

static void on_error(void *context, struct bus_partition place, enum bus_reader_error kind,
		     const char *reason)
{
	struct tail *tail = context;
	(void)kind;
	complain("%s partition %d: %s", topic_name(place.topic), place.partition, reason);
	tail->status = STATUS_ERROR;
	loop_stop(tail->session.loop);
}

/* ---- reading ------------------------------------------------------------------------------------ */

static int find_places(struct tail *tail)
{
	for (int topic = 0; topic < TOPICS; topic++)
		if (tail->topics[topic])
			tail->n += (size_t)session_partitions(&tail->session, (enum topic)topic);
	cleanup(freep) struct bus_offset *offsets = memory_zeroed(tail->n, sizeof(*offsets));
	size_t n = 0;
	for (int topic = 0; topic < TOPICS; topic++)
		for (int32_t p = 0; tail->topics[topic] &&
				    p < session_partitions(&tail->session, (enum topic)topic);
		     p++)
			offsets[n++] =
				(struct bus_offset){ .topic = (enum topic)topic, .partition = p };
	int status = session_ask_offsets(&tail->session, NULL, offsets, n);
	if (status != STATUS_OK)
		return status;

	tail->places = memory_zeroed(n, sizeof(*tail->places));
	for (size_t i = 0; i < n; i++) {
		struct tail_place *place = &tail->places[i];
		place->ends = offsets[i];
		place->from = tail->from == BUS_END	    ? offsets[i].high
			      : tail->from < offsets[i].low ? offsets[i].low
							    : tail->from;
		follow_init(&place->follow, 0, -1);
	}
	return STATUS_OK;
}

static int64_t first_offset(const struct tail_place *place)
{
	if (place->ends.topic == TOPIC_DECISIONS)
		return place->ends.low;
	return place->from < place->ends.high ? place->from : place->ends.high;
}

static int read_to_end(struct tail *tail)
{
	cleanup(freep) struct session_range *ranges = memory_zeroed(tail->n, sizeof(*ranges));
	for (size_t i = 0; i < tail->n; i++)
		ranges[i] = (struct session_range){
			.place = { tail->places[i].ends.topic, tail->places[i].ends.partition },
			.next = first_offset(&tail->places[i]),
			.end = tail->places[i].from < tail->places[i].ends.high
				       ? tail->places[i].ends.high
				       : 0,
		};
	return session_read(&tail->session, ranges, tail->n, on_message, tail);
}

static int read_on(struct tail *tail)
{
	const struct bus_reader_callbacks callbacks = { .on_message = on_message,
							.on_batch_done = on_batch_done,
							.on_error = on_error };
	cleanup(bus_reader_freep) struct bus_reader *reader = NULL;

	if (bus_reader_new(tail->session.loop, tail->session.settings->bus, &callbacks, tail,
			   &reader))
		return STATUS_ERROR;
	for (size_t i = 0; i < tail->n; i++)
		bus_reader_start(reader, tail->places[i].ends.topic, tail->places[i].ends.partition,
				 first_offset(&tail->places[i]));
	session_run(&tail->session, 0);
	return tail->status;
}

static int run(struct tail *tail)
{
	int status = session_open(&tail->session, &tail->settings);
	if (status == STATUS_OK)
		status = find_places(tail);
	if (status != STATUS_OK)
		return status;
	return tail->exit_at_end ? read_to_end(tail) : read_on(tail);
}

int cli_tail(int argc, char **argv)
{
	struct tail tail = { 0 };
	int status;

	settings_init(&tail.settings);
	arena_init(&tail.arena);
	if (parse(&tail, argc, argv, &status))
		status = run(&tail);
	session_close(&tail.session);
	free(tail.places);
	buf_deinit(&tail.line);
	arena_deinit(&tail.arena);
	settings_deinit(&tail.settings);
	return status;
}
