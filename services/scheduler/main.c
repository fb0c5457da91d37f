/*
 * gpubus-scheduler: reads requests, decides, logs its decisions and answers. The table of contents:
 * options, topics, loop, scheduler, run.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "bus/topics.h"
#include "scheduler/options.h"
#include "scheduler/scheduler.h"
#include "service/options.h"

extern char **environ;

enum { SHUTDOWN_GRACE_MS = 8000, CLIENTS_END_MS = 3000 };

/* Refuses to work on topics whose settings could lose decisions. */
static int check_topics(const struct scheduler_options *options, int32_t *ret_partitions)
{
	cleanup(buf_deinit) struct buf report = { 0 };
	struct bus_topics_options expected = { 0 };

	int r = bus_topics_verify(options->bus, &expected, options->broker_is_mock, &report,
				  ret_partitions);
	if (r != 0)
		log_error("the topics are not as they must be (gpubus topics apply|verify): %s",
			  report.data ? report.data : "");
	return r;
}

static int run(struct scheduler_options *options)
{
	int32_t n_partitions;
	if (check_topics(options, &n_partitions) != 0)
		return EXIT_FAILURE;

	cleanup(loop_freep) struct loop *loop = loop_new();
	cleanup(scheduler_freep) struct scheduler *scheduler = NULL;
	if (scheduler_new(loop, options, n_partitions, &scheduler) != 0)
		return EXIT_FAILURE;

	loop_catch_signals(loop, SHUTDOWN_GRACE_MS);
	loop_on_shutdown(loop, scheduler_shut_down, scheduler);
	log_info("running name=%s partitions=%d", options->name, n_partitions);
	if (loop_run(loop) != 0)
		log_warning("stopped before everything was handed over: the others wait for the "
			    "session to end");
	return scheduler_has_failed(scheduler) ? EXIT_FAILURE : EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	cleanup(bus_config_freep) struct bus_config *bus = bus_config_new();
	cleanup(buf_deinit) struct buf error = { 0 };
	struct scheduler_options options = { .bus = bus };

	int r = scheduler_options_parse(&options, argc, argv);
	if (r != 0)
		return r == OPTIONS_HELP ? EXIT_SUCCESS : 2;
	if (bus_config_read_environment(bus, environ, &error) != 0) {
		log_error("%s", error.data);
		return 2;
	}

	char name[128];
	if (!options.name) {
		char host[64] = "scheduler";
		gethostname(host, sizeof(host) - 1);
		snprintf(name, sizeof(name), "%s-%d", host, (int)getpid());
		options.name = name;
	}

	int status = run(&options);
	if (bus_wait_destroyed(CLIENTS_END_MS) != 0)
		log_warning("some Kafka clients did not end in time");
	return status;
}
