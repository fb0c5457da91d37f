/*
 * gpubus topics apply|verify: the topics with the settings that matter, see bus/topics.h.
 */
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "bus/topics.h"
#include "cli/commands.h"
#include "cli/exit_status.h"
#include "cli/settings.h"
#include "model/record.h"

/* `partitions` is ABSENT unless verify has counted them. */
static void print_json(struct buf *report, bool good, int32_t partitions)
{
	json_t *lines = json_array();
	for (char *rest = report->data, *line; (line = strsep(&rest, "\n"));)
		if (*line)
			json_array_append_new(lines, json_string(line));
	json_t *json = json_pack("{s:b, s:o, s:o}", "ok", good, "partitions",
				 partitions == ABSENT ? json_null() : json_integer(partitions),
				 "report", lines);
	json_dumpf(json, stdout, JSON_INDENT(2));
	putchar('\n');
	json_decref(json);
}

static int run(const struct settings *settings, const struct bus_topics_options *options,
	       bool apply)
{
	cleanup(buf_deinit) struct buf report = { 0 };
	int32_t partitions = ABSENT;
	int r = apply ? bus_topics_apply(settings->bus, options, &report)
		      : bus_topics_verify(settings->bus, options, false, &report, &partitions);

	if (settings->json)
		print_json(&report, r == 0, partitions);
	else if (report.len)
		fputs(report.data, r ? stderr : stdout);
	if (r)
		return STATUS_ERROR;
	if (!apply && !settings->json)
		printf("all topics are as they should be: %d partitions\n", partitions);
	return STATUS_OK;
}

int cli_topics(int argc, char **argv)
{
	cleanup(settings_deinit) struct settings settings;
	struct bus_topics_options topics = { 0 };
	int64_t partitions = 0, replication_factor = 0;
	struct verb_options options = { 0 };
	struct program program = {
		.name = "gpubus topics",
		.summary = "Creates the topics, or checks that they are as gpubus needs them.",
		.usage = "apply|verify",
		.epilog = "apply creates the topics that are missing, then checks all of them; "
			  "topics that\n"
			  "exist are never changed. verify prints one line for each deviation, "
			  "with what to\n"
			  "do about it.\n\n"
			  "Examples:\n"
			  "  gpubus topics apply --partitions 12 --replication-factor 3\n"
			  "  gpubus topics verify\n\n" STATUS_TEXT,
	};
	int operands, status;

	settings_init(&settings);
	verb_options_add(&options,
			 (struct option_spec){
				 .name = "partitions",
				 .no_environment = true,
				 .argument = "N",
				 .help = "partitions of all topics but the catalog; fixed "
					 "for life\n(default: those of decisions, or 12)",
				 .set = option_set_count,
				 .target = &partitions,
			 });
	verb_options_add(&options,
			 (struct option_spec){
				 .name = "replication-factor",
				 .no_environment = true,
				 .argument = "N",
				 .help = "copies of each new partition (default: the smaller "
					 "of 3 and\nthe number of brokers)",
				 .set = option_set_count,
				 .target = &replication_factor,
			 });
	settings_add_options(&settings, SETTINGS_KAFKA, &options);
	if (!settings_parse(&settings, &program, &options, argc, argv, &operands, &status))
		return status;
	if (argc - operands != 1 ||
	    (strcmp(argv[operands], "apply") != 0 && strcmp(argv[operands], "verify") != 0)) {
		complain("say apply or verify; see gpubus topics --help");
		return STATUS_USAGE;
	}
	if (partitions > LIMIT_PARTITIONS || replication_factor > INT16_MAX) {
		complain("at most %d partitions are supported", LIMIT_PARTITIONS);
		return STATUS_USAGE;
	}
	topics.partitions = (int32_t)partitions;
	topics.replication_factor = (int32_t)replication_factor;
	status = run(&settings, &topics, strcmp(argv[operands], "apply") == 0);
	(void)!bus_wait_destroyed(5000);
	return status;
}
