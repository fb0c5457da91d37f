/*
 * Clusters that live random lives: two or three schedulers, rebalances in time and too late, zombies,
 * records that land late or never, producers that break, crashes, a store that is wiped, rolled back and
 * down, requests that are sent twice, and a fleet that changes. Then everything heals, all there is to
 * do is done, and checker.h looks at what is left.
 *
 *   SEEDS=10000 sim_random_test     so many lives (SIM_SEEDS_DEFAULT without it)
 *   SEED=4711 sim_random_test       this one, told step by step
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "checker.h"
#include "follow/follow.h"
#include "model/gpu_state.h"
#include "story.h"

enum { SIM_SEEDS_DEFAULT = 3000, ACTIONS = 250, LIVING_MAX = 3, VMS = 5, REQUESTS_MAX = 200 };

struct asked {
	int32_t partition;
	int64_t offset;
};

struct life {
	struct world world;
	uint64_t random;
	bool told; /* step by step */
	int n_requests;
	struct asked asked[REQUESTS_MAX];
	int n_asked;
	struct store_shard copies[SIM_PARTITIONS];
	int64_t checked[SIM_INPUTS][SIM_PARTITIONS]; /* commits up to here were looked at */
	const char *problem;			     /* the first one */
};

/* What all lives together have seen: a sum of zero would say that something was never tried. */
static struct {
	int64_t counted, voided, markers, answers, refused_commits, dead_letters, rewrites;
} sums;

#define TELL(life, ...)                                                                            \
	do {                                                                                       \
		if ((life)->told)                                                                  \
			fprintf(stderr, __VA_ARGS__);                                              \
	} while (0)

/* splitmix64 (public domain, Sebastiano Vigna) */
static uint64_t draw(struct life *life)
{
	uint64_t z = (life->random += UINT64_C(0x9e3779b97f4a7c15));
	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

static int below(struct life *life, int n)
{
	return (int)(draw(life) % (uint64_t)n);
}

static void on_commit(struct world *world, enum topic input, int32_t partition, int64_t next)
{
	struct life *life = (struct life *)world; /* its first member */
	int64_t *checked = &life->checked[input == TOPIC_ATTACHMENTS][partition];
	TELL(life, "  committed %s/%d %" PRId64 "\n", topic_short_name(input), partition, next);
	if (!life->problem && next > *checked) {
		life->problem = check_commit(world, input, partition, *checked, next);
		*checked = next;
	}
}

/* ---- who lives ------------------------------------------------------------------------------------------ */

static int living(const struct life *life)
{
	int n = 0;
	for (int i = 0; i < life->world.n_schedulers; i++)
		n += life->world.schedulers[i] != NULL;
	return n;
}

static struct scheduler *somebody(struct life *life)
{
	int which = below(life, living(life));
	for (int i = 0;; i++)
		if (life->world.schedulers[i] && which-- == 0)
			return life->world.schedulers[i];
}

static struct scheduler *owner_of(const struct life *life, int32_t partition)
{
	int owner = life->world.broker.owner[partition];
	return owner < 0 ? NULL : life->world.schedulers[owner];
}

static void look_for_stops(struct life *life, const struct scheduler *scheduler)
{
	for (int32_t p = 0; p < SIM_PARTITIONS && !life->problem; p++)
		if (shard_stopped_because(shard_at(scheduler, p)))
			life->problem = arena_printf(&life->world.arena, "%s stopped shard %d: %s",
						     scheduler->name, p,
						     shard_stopped_because(shard_at(scheduler, p)));
}

static void start(struct life *life)
{
	char name[16];
	if (living(life) >= LIVING_MAX || life->world.n_schedulers == SIM_SCHEDULERS)
		return;
	snprintf(name, sizeof(name), "s%d", life->world.n_schedulers);
	TELL(life, "start %s\n", name);
	world_start(&life->world, name);
}

static void kill_one(struct life *life)
{
	struct scheduler *victim = somebody(life);
	if (life->world.n_schedulers == SIM_SCHEDULERS)
		return;
	TELL(life, "kill %s\n", victim->name);
	look_for_stops(life, victim);
	world_kill(&life->world, victim);
	if (living(life) == 0)
		start(life);
}

/* ---- the group ---------------------------------------------------------------------------------------------- */

static void give(struct life *life, struct scheduler *scheduler, int32_t partition)
{
	/* A zombie joins again only after it has heard of its loss. */
	if (scheduler->seats[partition].assigned)
		world_lose(scheduler, partition);
	TELL(life, "give %d to %s\n", partition, scheduler->name);
	world_give(&life->world, scheduler, partition);
}

static void rebalance(struct life *life, int32_t partition)
{
	struct scheduler *owner = owner_of(life, partition);
	struct scheduler *next = somebody(life);
	bool believes = owner && owner->seats[partition].assigned;

	if (believes && below(life, 3) > 0) {
		/* Asked to hand over; whether it gets to the end of that is up to what comes. */
		TELL(life, "revoke %d from %s\n", partition, owner->name);
		world_revoke(owner, partition);
		if (below(life, 2))
			return;
	} else if (owner == next && believes) {
		return;
	}
	give(life, next, partition);
}

/* A zombie hears of its loss. */
static void hear(struct life *life, struct scheduler *scheduler, int32_t partition)
{
	struct seat *seat = &scheduler->seats[partition];
	const struct broker *broker = &life->world.broker;
	if (!seat->assigned || (broker->owner[partition] == scheduler->id &&
				broker->generation[partition] == seat->generation))
		return;
	TELL(life, "%s hears that it lost %d\n", scheduler->name, partition);
	world_lose(scheduler, partition);
}

/* ---- what the outside does ------------------------------------------------------------------------------------ */

static void ask(struct life *life, int32_t partition)
{
	struct world *world = &life->world;
	char id[16], vm[16];
	int64_t offset;

	if (life->n_asked == REQUESTS_MAX)
		return;
	snprintf(id, sizeof(id), "r%d", life->n_requests++);
	snprintf(vm, sizeof(vm), "vm%d", below(life, VMS));
	switch (below(life, 12)) {
	case 0:
		offset = check_migration(world, partition, id, vm);
		break;
	case 1:
	case 2:
	case 3:
	case 4:
		offset = release(world, partition, id, vm);
		break;
	case 5:
		offset = request_of(world, partition, id, vm, world->pools[partition], "t1", NULL,
				    NULL);
		break;
	case 6:
		offset = request_of(world, partition, id, vm, world->pools[partition], NULL,
				    below(life, 2) ? OTHER_MODEL : "Voodoo2", NULL);
		break;
	case 7:
		offset = request_of(world, partition, id, vm, world->pools[partition], NULL, MODEL,
				    below(life, 3) ? "h2" : "h9");
		break;
	case 8: /* an upstream with another partitioner */
		offset = request_of(world, partition, id, vm, world->pools[1 - partition], NULL,
				    MODEL, NULL);
		break;
	default:
		offset = request(world, partition, id, vm, 1 + below(life, 3));
	}
	TELL(life, "ask %s of %s in %d at %" PRId64 "\n", id, vm, partition, offset);
	life->asked[life->n_asked++] = (struct asked){ partition, offset };
}

static void ask_again(struct life *life)
{
	if (life->n_asked == 0)
		return;
	const struct asked *asked = &life->asked[below(life, life->n_asked)];
	const struct message *old =
		broker_at(&life->world.broker, TOPIC_REQUESTS, asked->partition, asked->offset);
	struct outgoing again = {
		.topic = TOPIC_REQUESTS,
		.partition = asked->partition,
		.key = old->key,
		.key_len = old->key_len,
		.value = old->value,
		.value_len = old->value_len,
		.headers = old->headers,
		.n_headers = old->n_headers,
	};
	TELL(life, "ask again what is at %d/%" PRId64 "\n", asked->partition, asked->offset);
	broker_append(&life->world.broker, &again);
}

static void change_fleet(struct life *life, int32_t partition)
{
	static const char *const states[] = { GPU_STATE_AVAILABLE, GPU_STATE_AVAILABLE,
					      GPU_STATE_IN_USE_BY_HOST };
	struct world *world = &life->world;
	const char *host = below(life, 2) ? "h1" : "h2";
	int n = below(life, 3);
	char gpu[32];

	switch (below(life, 6)) {
	case 0:
		publish_host(world, partition, host);
		break;
	case 5:
		publish_tombstone(world, TOPIC_CATALOG, 0, "type/t1");
		break;
	case 1:
		snprintf(gpu, sizeof(gpu), "%s/0000:%02x:00.0", host, n + 1);
		publish_tombstone(world, TOPIC_INVENTORY, partition, gpu);
		break;
	case 2:
		publish_type(world, partition, "t1", below(life, 2) ? MODEL : OTHER_MODEL);
		break;
	default:
		publish_gpu(world, partition, host, n, n == 2 ? OTHER_MODEL : MODEL,
			    states[below(life, 3)]);
	}
}

/* ---- troubles ----------------------------------------------------------------------------------------------------- */

static void trouble_producer(struct life *life)
{
	static const enum topic topics[] = { TOPIC_DECISIONS, TOPIC_ANSWERS, TOPIC_REQUESTS,
					     TOPIC_DEAD_LETTERS };
	struct scheduler *scheduler = somebody(life);
	struct producer *producer = &scheduler->producer;
	enum topic topic = topics[below(life, 4)];

	switch (below(life, 8)) {
	case 0:
		TELL(life, "break the producer of %s\n", scheduler->name);
		world_break_producer(scheduler);
		break;
	case 1:
		producer->full[topic] ^= true;
		break;
	case 2:
	case 3:
		producer->silent[topic] ^= true;
		break;
	default:
		producer->cut[topic] ^= true;
	}
}

static void trouble_ghosts(struct life *life)
{
	struct broker *broker = &life->world.broker;
	if (broker->n_ghosts == 0)
		return;
	size_t ghost = (size_t)below(life, (int)broker->n_ghosts);
	TELL(life, "a ghost\n");
	if (below(life, 4))
		broker_land_ghost(broker, ghost);
	else
		broker_drop_ghost(broker, ghost);
}

static void trouble_store(struct life *life, int32_t partition)
{
	struct store_server *store = &life->world.store;
	switch (below(life, 5)) {
	case 0:
		TELL(life, "wipe %d\n", partition);
		store_server_wipe(store, partition);
		break;
	case 1:
		store_shard_copy(&life->copies[partition], &store->shards[partition]);
		break;
	case 2:
		TELL(life, "roll back %d\n", partition);
		store_shard_copy(&store->shards[partition], &life->copies[partition]);
		break;
	default:
		store->down ^= true;
	}
}

/* ---- a life ---------------------------------------------------------------------------------------------------------- */

/* Somebody does something, a few times; sometimes the loop's turn ends between. */
static void work(struct life *life)
{
	struct scheduler *scheduler = somebody(life);
	int32_t partition = below(life, SIM_PARTITIONS);

	for (int i = below(life, 40); i >= 0; i--) {
		enum step step = (enum step)below(life, STEPS);
		if (scheduler_step(scheduler, step, partition) && below(life, 2))
			scheduler_flush(scheduler, partition);
	}
	scheduler_flush(scheduler, partition);
}

static void pass_time(struct life *life)
{
	struct world *world = &life->world;
	world->now_us += below(life, 400) * 1000;
	world->broker.now_us = world->now_us;
	for (int i = 0; i < world->n_schedulers; i++)
		for (int32_t p = 0; p < SIM_PARTITIONS && world->schedulers[i]; p++)
			shard_tick(shard_at(world->schedulers[i], p), world->now_us);
}

static void act(struct life *life)
{
	int32_t partition = below(life, SIM_PARTITIONS);
	int what = below(life, 100);

	if (what < 45)
		work(life);
	else if (what < 60)
		ask(life, partition);
	else if (what < 64)
		ask_again(life);
	else if (what < 69)
		pass_time(life);
	else if (what < 74)
		change_fleet(life, partition);
	else if (what < 80)
		rebalance(life, partition);
	else if (what < 83)
		hear(life, somebody(life), partition);
	else if (what < 89)
		trouble_producer(life);
	else if (what < 92)
		trouble_ghosts(life);
	else if (what < 95)
		trouble_store(life, partition);
	else if (what < 96)
		kill_one(life);
	else if (what < 98)
		start(life);
	else if (what < 99)
		publish_bytes(&life->world, TOPIC_REQUESTS, partition, "garbage", 7);
	else
		publish_tombstone(&life->world, TOPIC_ATTACHMENTS, partition, "x");
}

static void add_up(const struct life *life)
{
	const struct world *world = &life->world;
	for (int32_t p = 0; p < SIM_PARTITIONS; p++) {
		const struct message *message;
		struct follow log;
		follow_init(&log, 0, -1);
		for (int64_t at = 0;
		     (message = broker_next(&world->broker, TOPIC_DECISIONS, p, at)); at++) {
			enum follow_kind kind = follow_step(&log, message);
			sums.counted += kind == FOLLOW_RECORD;
			sums.voided += kind == FOLLOW_VOID;
			sums.markers += kind == FOLLOW_MARKER;
		}
		sums.answers += broker_end(&world->broker, TOPIC_ANSWERS, p);
		sums.dead_letters += broker_end(&world->broker, TOPIC_DEAD_LETTERS, p);
	}
	for (int i = 0; i < world->n_schedulers; i++)
		if (world->schedulers[i])
			sums.refused_commits += world->schedulers[i]->refused_commits;
	sums.rewrites += (int64_t)world->store.switches;
}

static void heal(struct life *life)
{
	struct world *world = &life->world;

	world->store.down = false;
	for (int i = 0; i < world->n_schedulers; i++) {
		struct scheduler *scheduler = world->schedulers[i];
		if (!scheduler)
			continue;
		memset(scheduler->producer.cut, 0, sizeof(scheduler->producer.cut));
		memset(scheduler->producer.silent, 0, sizeof(scheduler->producer.silent));
		memset(scheduler->producer.full, 0, sizeof(scheduler->producer.full));
		for (int32_t p = 0; p < SIM_PARTITIONS; p++)
			hear(life, scheduler, p);
	}
	for (int32_t p = 0; p < SIM_PARTITIONS; p++) {
		publish_host(world, p, "h1");
		publish_host(world, p, "h2");
		struct scheduler *owner = owner_of(life, p);
		if (!owner || !owner->seats[p].assigned)
			give(life, somebody(life), p);
	}
	/* Ghosts may come at the last moment, too. */
	for (int i = 0; i < 5; i++) {
		TELL(life, "heal\n");
		world_pass(world, world->config.back_off_us);
		while (world->broker.n_ghosts > 0 && below(life, 4))
			trouble_ghosts(life);
	}
	while (world->broker.n_ghosts > 0)
		broker_drop_ghost(&world->broker, 0);
	world_run(world);
	world_pass(world, world->config.back_off_us); /* the last ghost may have been a marker */
}

static void judge(struct life *life)
{
	struct world *world = &life->world;
	for (int i = 0; i < world->n_schedulers; i++)
		if (world->schedulers[i])
			look_for_stops(life, world->schedulers[i]);
	for (int32_t p = 0; p < SIM_PARTITIONS; p++) {
		const struct scheduler *owner = owner_of(life, p);
		if (!life->problem && (!owner || phase_of(owner, p) != SHARD_OWNING))
			life->problem =
				arena_printf(&world->arena, "shard %d is %s at the end", p,
					     owner ? shard_phase_name(phase_of(owner, p)) : "lost");
		if (!life->problem)
			life->problem = check_partition(world, p);
	}
}

/* False: something is wrong, and was said. */
static bool live(uint64_t seed, bool told)
{
	struct life life = { .random = seed, .told = told };
	struct world *world = &life.world;

	world_init(world);
	world->on_commit = on_commit;
	world->config.window = below(&life, 3) ? 64 : 3;
	world->config.hold = below(&life, 3) ? 64 : 2;
	world->config.rest_us = 2 * 1000000;
	for (int32_t p = 0; p < SIM_PARTITIONS; p++) {
		publish_fleet(world, p, 2);
		publish_host(world, p, "h2");
		for (int n = 0; n < 3; n++)
			publish_gpu(world, p, "h2", n, n == 2 ? OTHER_MODEL : MODEL,
				    GPU_STATE_AVAILABLE);
	}
	start(&life);
	start(&life);
	for (int i = 0; i < ACTIONS && !life.problem; i++)
		act(&life);
	if (!life.problem)
		heal(&life);
	if (!life.problem)
		judge(&life);
	add_up(&life);
	bool good = !life.problem;
	if (!good)
		printf("SEED=%" PRIu64 " sim_random_test: %s\n", seed, life.problem);
	for (int32_t p = 0; p < SIM_PARTITIONS; p++)
		store_shard_deinit(&life.copies[p]);
	world_deinit(world);
	return good;
}

int main(void)
{
	const char *seed = getenv("SEED");
	const char *seeds = getenv("SEEDS");
	uint64_t n = seeds ? strtoull(seeds, NULL, 10) : SIM_SEEDS_DEFAULT;
	int bad = 0;

	log_init("sim", seed ? LOG_LEVEL_DEBUG : LOG_LEVEL_ERROR);
	if (seed)
		return live(strtoull(seed, NULL, 10), true) ? 0 : 1;
	for (uint64_t i = 1; i <= n && bad < 5; i++)
		bad += !live(i, false);
	printf("%" PRIu64 " lives, %d of them went wrong: %" PRId64 " decisions, %" PRId64
	       " void records, %" PRId64 " epochs, %" PRId64 " answers, %" PRId64
	       " dead letters, %" PRId64 " refused commits, %" PRId64 " rewrites\n",
	       n, bad, sums.counted, sums.voided, sums.markers, sums.answers, sums.dead_letters,
	       sums.refused_commits, sums.rewrites);
	return bad > 0;
}
