#include "inventory/inventory.h"

#include <stdlib.h>

#include "base/log.h"
#include "base/memory.h"
#include "inventory/host.h"
#include "publish/publisher.h"
#include "inventory/uevents.h"

struct inventory {
	struct loop *loop;			 /* borrowed */
	const struct inventory_options *options; /* borrowed */
	struct codec *codec;			 /* owned */
	struct publisher *publisher;		 /* owned */
	struct host_context context;
	struct host **hosts; /* owned, also each */
	size_t n;
	size_t next_scan;	   /* hosts are scanned in turn */
	struct loop_timer *rescan; /* owned */
	struct loop_timer *beat;   /* owned */
	struct uevents *uevents;   /* owned; NULL: none */
	bool shutting_down;
};

/* ---- the end ------------------------------------------------------------------------------- */

static bool is_scanned(const struct inventory *inventory)
{
	for (size_t i = 0; i < inventory->n; i++)
		if (host_health(inventory->hosts[i]) == HOST_NOT_SCANNED)
			return false;
	return true;
}

static void stop_when_done(void *context)
{
	struct inventory *inventory = context;
	if (!publisher_is_idle(inventory->publisher))
		return;
	if (inventory->shutting_down || (inventory->options->once && is_scanned(inventory)))
		loop_stop(inventory->loop);
}

void inventory_shut_down(void *context)
{
	struct inventory *inventory = context;
	inventory->shutting_down = true;
	loop_timer_stop(inventory->rescan);
	loop_timer_stop(inventory->beat);
	stop_when_done(inventory);
}

bool inventory_is_done(const struct inventory *inventory)
{
	for (size_t i = 0; i < inventory->n; i++)
		if (host_health(inventory->hosts[i]) != HOST_SCANNED)
			return false;
	return publisher_is_idle(inventory->publisher);
}

/* ---- the rhythm ---------------------------------------------------------------------------- */

static void on_rescan(void *context)
{
	struct inventory *inventory = context;
	host_scan(inventory->hosts[inventory->next_scan]);
	inventory->next_scan = (inventory->next_scan + 1) % inventory->n;
}

static void on_beat(void *context)
{
	struct inventory *inventory = context;
	for (size_t i = 0; i < inventory->n; i++)
		host_beat(inventory->hosts[i]);
}

static void on_uevent(void *context)
{
	struct inventory *inventory = context;
	log_info("the PCI bus has changed: scanning");
	host_scan(inventory->hosts[0]);
}

/* ---- life ---------------------------------------------------------------------------------- */

static void start(struct inventory *inventory, const struct host_place *places)
{
	const struct inventory_options *options = inventory->options;
	inventory->rescan = loop_timer_new(inventory->loop, on_rescan, inventory);
	inventory->beat = loop_timer_new(inventory->loop, on_beat, inventory);
	if (!options->once) {
		/* With many hosts their scans are spread over the interval. */
		int64_t each_ms = options->rescan_ms / (int64_t)inventory->n;
		each_ms = each_ms > 0 ? each_ms : 1;
		loop_timer_start(inventory->rescan, options->rescan_ms, each_ms);
		loop_timer_start(inventory->beat, options->heartbeat_ms, options->heartbeat_ms);
		if (places[0].is_this_machine &&
		    uevents_new(inventory->loop, on_uevent, inventory, &inventory->uevents))
			inventory->uevents = NULL;
	}
	for (size_t i = 0; i < inventory->n; i++)
		host_scan(inventory->hosts[i]);
}

int inventory_new(struct loop *loop, const struct inventory_options *options,
		  const struct host_place *places, size_t n_places, int32_t n_partitions,
		  const char *const *reader_args, struct inventory **ret_inventory)
{
	cleanup(inventory_freep) struct inventory *inventory = memory_zeroed(1, sizeof(*inventory));
	inventory->loop = loop;
	inventory->options = options;
	int r = codec_new(&inventory->codec);
	if (r == 0)
		r = publisher_new(loop, options->bus, "inventory", stop_when_done, inventory,
				  &inventory->publisher);
	if (r)
		return r;

	inventory->context = (struct host_context){
		.loop = loop,
		.publisher = inventory->publisher,
		.codec = inventory->codec,
		.n_partitions = n_partitions,
		.reader_args = reader_args,
		.on_scanned = stop_when_done,
		.context = inventory,
	};
	inventory->hosts = memory_zeroed(n_places, sizeof(*inventory->hosts));
	for (size_t i = 0; i < n_places; i++)
		inventory->hosts[inventory->n++] = host_new(&places[i], &inventory->context);
	start(inventory, places);
	*ret_inventory = steal(&inventory);
	return 0;
}

void inventory_free(struct inventory *inventory)
{
	if (!inventory)
		return;
	uevents_free(inventory->uevents);
	loop_timer_free(inventory->rescan);
	loop_timer_free(inventory->beat);
	/* First the publisher: it reports what is in flight to announcements of the hosts. */
	publisher_free(inventory->publisher);
	for (size_t i = 0; i < inventory->n; i++)
		host_free(inventory->hosts[i]);
	free(inventory->hosts);
	codec_free(inventory->codec);
	free(inventory);
}
