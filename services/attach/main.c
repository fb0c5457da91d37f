/*
 * gpubus-attach: gives the GPUs of its host to VMs as the scheduler decides, and takes them back clean. The
 * table of contents: options, this host and its pool for this process alone, topics, loop, run.
 */
#include <stdlib.h>

#include "attach/attach.h"
#include "attach/host_lock.h"
#include "attach/move.h"
#include "attach/options.h"
#include "base/log.h"
#include "bus/topics.h"
#include "service/options.h"
#include "service/state_dir.h"

extern char **environ;

enum { SHUTDOWN_GRACE_MS = 10000, CLIENTS_END_MS = 3000 };

/* Its state directory, its pool, and the host: nobody else acts. */
static int claim(const struct attach_options *options)
{
	cleanup(buf_deinit) struct buf error = { 0 };
	int r = state_dir_take(options->state_dir, &error);
	if (r == 0)
		r = host_lock_take(options->sysfs_dir, options->proc_dir, &error);
	if (r == 0)
		r = move_check(options, &error);
	if (r == 0)
		r = pool_claim(options->state_dir, options->host, options->pool_id,
			       options->move_pool, &error);
	if (r)
		log_error("%s", error.data);
	return r;
}

static int run(const struct attach_options *options)
{
	int32_t n_partitions;
	if (claim(options) || bus_topics_await(options->bus, true, &n_partitions))
		return EXIT_FAILURE;

	cleanup(loop_freep) struct loop *loop = loop_new();
	cleanup(attach_freep) struct attach *attach = NULL;
	if (attach_new(loop, options, n_partitions, &attach))
		return EXIT_FAILURE;
	loop_catch_signals(loop, SHUTDOWN_GRACE_MS);
	loop_on_shutdown(loop, attach_shut_down, attach);
	log_info("running host=%s pool=%s hypervisor=%s", options->host, options->pool_id,
		 options->hypervisor);
	if (loop_run(loop) != 0)
		log_warning("stopped before every report was delivered: the next agent reports "
			    "again");
	return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	cleanup(bus_config_freep) struct bus_config *bus = bus_config_new();
	cleanup(buf_deinit) struct buf error = { 0 };
	struct attach_options options = { .bus = bus };
	int r = attach_options_parse(&options, argc, argv);
	if (r != 0)
		return r == OPTIONS_HELP ? EXIT_SUCCESS : 2;
	if (bus_config_read_environment(bus, environ, &error) != 0) {
		log_error("%s", error.data);
		return 2;
	}
	int status = run(&options);
	if (bus_wait_destroyed(CLIENTS_END_MS) != 0)
		log_warning("some Kafka clients did not end in time");
	return status;
}
