/*
 * gpubus-inventory: publishes the GPUs of a host, and that it is alive. The table of contents: reader
 * mode, options, hosts and their pools, topics, loop, run.
 */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "bus/topics.h"
#include "inventory/host_list.h"
#include "inventory/inventory.h"
#include "inventory/options.h"
#include "pci/reader.h"
#include "service/options.h"
#include "service/state_dir.h"

extern char **environ;

enum { SHUTDOWN_GRACE_MS = 3000, CLIENTS_END_MS = 3000 };

/* This program again, as the process that reads the PCI bus (pci/scan.h). */
static const char *const reader_args[] = { "--read-bus", NULL };

static int claim_pools(const struct inventory_options *options, const struct host_place *places,
		       size_t n)
{
	cleanup(buf_deinit) struct buf error = { 0 };
	int r = state_dir_take(options->state_dir, &error);
	for (size_t i = 0; i < n && r == 0; i++)
		r = pool_claim(places[i].state_dir, places[i].name, places[i].pool_id,
			       options->move_pool, &error);
	if (r)
		log_error("%s", error.data);
	return r;
}

static int run(const struct inventory_options *options)
{
	cleanup(arena_deinit) struct arena arena;
	arena_init(&arena);
	cleanup(buf_deinit) struct buf error = { 0 };
	struct host_place *places;
	size_t n;
	if (host_list(options, &arena, &places, &n, &error)) {
		log_error("%s", error.data);
		return EXIT_FAILURE;
	}
	int32_t n_partitions;
	if (claim_pools(options, places, n) ||
	    bus_topics_await(options->bus, !options->once, &n_partitions))
		return EXIT_FAILURE;

	struct inventory *inventory = NULL;
	struct loop *loop = loop_new();
	int status = EXIT_FAILURE;
	if (inventory_new(loop, options, places, n, n_partitions, reader_args, &inventory) == 0) {
		loop_catch_signals(loop, SHUTDOWN_GRACE_MS);
		loop_on_shutdown(loop, inventory_shut_down, inventory);
		log_info("running hosts=%zu first=%s pool=%s", n, places[0].name,
			 places[0].pool_id);
		if (loop_run(loop) != 0)
			log_warning("stopped before everything was published");
		if (!options->once || inventory_is_done(inventory))
			status = EXIT_SUCCESS;
	}
	inventory_free(inventory);
	loop_free(loop);
	return status;
}

int main(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], reader_args[0]) == 0)
		return pci_reader_main(argc - 2, argv + 2);

	cleanup(bus_config_freep) struct bus_config *bus = bus_config_new();
	cleanup(buf_deinit) struct buf error = { 0 };
	struct inventory_options options = { .bus = bus };
	int r = inventory_options_parse(&options, argc, argv);
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
