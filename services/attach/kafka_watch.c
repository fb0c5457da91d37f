#include "attach/kafka_watch.h"

#include <stdlib.h>

#include "base/memory.h"
#include "bus/offsets.h"
#include "loop/clock.h"

/* A question is repeated by the bus until a broker answers it. */
enum { ASK_EVERY_MS = 2000, PATIENCE_MS = 6000 };

struct kafka_watch {
	struct bus_offsets *offsets; /* owned */
	struct loop_timer *timer;    /* owned */
	struct health *health;	     /* borrowed */
	int32_t partition;
	bool asking;
	int64_t asked_us;
};

static void on_answer(void *context, const struct bus_offset *offsets, size_t n, const char *error)
{
	struct kafka_watch *watch = context;
	(void)offsets;
	(void)n;
	watch->asking = false;
	if (error)
		health_wait(watch->health, "kafka", "%s", error);
	else
		health_ready(watch->health, "kafka");
}

static void on_timer(void *context)
{
	struct kafka_watch *watch = context;
	if (watch->asking) {
		if (clock_monotonic_us() - watch->asked_us > PATIENCE_MS * 1000)
			health_wait(watch->health, "kafka", "no broker answers");
		return;
	}
	const struct bus_partition place = { TOPIC_DECISIONS, watch->partition };
	watch->asking = true;
	watch->asked_us = clock_monotonic_us();
	bus_offsets_ask(watch->offsets, &place, 1, on_answer, watch);
}

int kafka_watch_new(struct loop *loop, const struct bus_config *config, int32_t partition,
		    struct health *health, struct kafka_watch **ret_watch)
{
	cleanup(kafka_watch_freep) struct kafka_watch *watch = memory_zeroed(1, sizeof(*watch));
	watch->health = health;
	watch->partition = partition;
	int r = bus_offsets_new(loop, config, NULL, &watch->offsets);
	if (r)
		return r;
	watch->timer = loop_timer_new(loop, on_timer, watch);
	loop_timer_start(watch->timer, 0, ASK_EVERY_MS);
	*ret_watch = steal(&watch);
	return 0;
}

void kafka_watch_free(struct kafka_watch *watch)
{
	if (!watch)
		return;
	bus_offsets_free(watch->offsets);
	loop_timer_free(watch->timer);
	free(watch);
}
