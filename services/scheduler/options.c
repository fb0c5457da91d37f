#include "scheduler/options.h"

#include <stdio.h>

#include "service/options.h"

int scheduler_options_parse(struct scheduler_options *options, int argc, char **argv)
{
	const struct option_spec specs[] = {
		BUS_CONFIG_OPTIONS(options->bus),
		{ .name = "redis-url",
		  .argument = "URL",
		  .fallback = "redis://127.0.0.1:6379",
		  .help = "redis://[user:password@]host[:port][/db], rediss://..., "
			  "unix:///path[?db=n]",
		  .set = option_set_string,
		  .target = &options->redis_url },
		{ .name = "name",
		  .argument = "NAME",
		  .help = "this replica's name in logs and markers (default: host name and pid)",
		  .set = option_set_string,
		  .target = &options->name },
		{ .name = "group",
		  .argument = "ID",
		  .fallback = "gpubus-scheduler",
		  .help = "consumer group that shares the partitions",
		  .set = option_set_string,
		  .target = &options->group_id },
		{ .name = "session-timeout",
		  .argument = "TIME",
		  .fallback = "10s",
		  .help = "the group takes the shards of a scheduler that is silent for this long",
		  .set = option_set_duration_ms,
		  .target = &options->session_timeout_ms },
		{ .name = "delivery-deadline",
		  .argument = "TIME",
		  .fallback = "6s",
		  .help = "a producer whose oldest record is older than this is given up;\n"
			  "shorter than the session timeout",
		  .set = option_set_duration_ms,
		  .target = &options->delivery_deadline_ms },
		{ .name = "host-timeout",
		  .argument = "TIME",
		  .fallback = "45s",
		  .help = "a host that is silent for this long gets no new VMs",
		  .set = option_set_duration_ms,
		  .target = &options->host_timeout_ms },
		{ .name = "remember",
		  .argument = "TIME",
		  .fallback = "24h",
		  .help = "answers are remembered for this long, to be told again;\n"
			  "the same for all schedulers of a group",
		  .set = option_set_duration_ms,
		  .target = &options->remember_ms },
		{ .name = "window",
		  .argument = "N",
		  .fallback = "2048",
		  .help = "requests in flight per shard, at most",
		  .set = option_set_count,
		  .target = &options->window },
		{ .name = "rest",
		  .argument = "TIME",
		  .fallback = "60s",
		  .help = "how long a shard that was taken away is followed in the hope of its "
			  "return",
		  .set = option_set_duration_ms,
		  .target = &options->rest_ms },
		{ .name = "broker-is-mock",
		  .help = "the broker is gpubus-mock-broker, which cannot describe its topics",
		  .set = option_set_flag,
		  .target = &options->broker_is_mock },
	};
	const struct program program = {
		.name = "gpubus-scheduler",
		.summary = "decides which VM gets which GPUs",
		.options = specs,
		.n_options = sizeof(specs) / sizeof(*specs),
	};

	int operands;
	int r = options_parse(&program, argc, argv, &operands);
	if (r == 0 && (options->delivery_deadline_ms <= 0 ||
		       options->delivery_deadline_ms >= options->session_timeout_ms)) {
		fprintf(stderr,
			"gpubus-scheduler: --delivery-deadline must be more than 0 and shorter "
			"than --session-timeout\n");
		return OPTIONS_WRONG;
	}
	return r;
}
