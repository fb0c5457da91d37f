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
#include "life.h"
#include "model/gpu_state.h"
#include "story.h"

enum { SIM_SEEDS_DEFAULT = 3000, ACTIONS = 250 };

/* What all lives together have seen: a sum of zero would say that something was never tried. */
static struct {
	int64_t counted, voided, markers, answers, refused_commits, dead_letters, rewrites;
	int64_t moved, failed, quarantined, marked;
} sums;

static void on_commit(struct world *world, enum topic input, int32_t partition, int64_t next)
{
	struct life *life = (struct life *)world; /* its first member */
	int64_t *checked = &life->checked[input == TOPIC_ATTACHMENTS][partition];
	TELL(life, "  committed %s/%d %" PRId64 "\n", topic_short_name(input), partition, next);
	if (!life->problem && !life->forgetful && next > *checked) {
		life->problem = check_commit(world, input, partition, *checked, next);
		*checked = next;
	}
}

/* ---- a life ---------------------------------------------------------------------------------------------------------- */

/* Somebody does something, a few times; sometimes the loop's turn ends between. */
static void work(struct life *life)
{
	struct scheduler *scheduler = life_somebody(life);
	int32_t partition = life_draw_below(life, SIM_PARTITIONS);

	for (int i = life_draw_below(life, 40); i >= 0; i--) {
		enum step step = (enum step)life_draw_below(life, STEPS);
		if (scheduler_step(scheduler, step, partition) && life_draw_below(life, 2))
			scheduler_flush(scheduler, partition);
	}
	scheduler_flush(scheduler, partition);
}

static void pass_time(struct life *life)
{
	struct world *world = &life->world;
	world->now_us += life_draw_below(life, 400) * 1000;
	world->broker.now_us = world->now_us;
	for (int i = 0; i < world->n_schedulers; i++)
		for (int32_t p = 0; p < SIM_PARTITIONS && world->schedulers[i]; p++)
			shard_tick(shard_at(world->schedulers[i], p), world->now_us);
}

static void act(struct life *life)
{
	int32_t partition = life_draw_below(life, SIM_PARTITIONS);
	int what = life_draw_below(life, 100);

	if (what < 35)
		work(life);
	else if (what < 38)
		world_run(
			&life->world); /* all that can be done is done: there is more to disturb */
	else if (what < 40)
		life_command(life, partition);
	else if (what < 46)
		life_report(life, partition);
	else if (what < 60)
		life_ask(life, partition);
	else if (what < 64)
		life_ask_again(life);
	else if (what < 65)
		life_compact(life, partition);
	else if (what < 67)
		life_report(life, 1);
	else if (what < 71)
		pass_time(life);
	else if (what < 74)
		life_change_fleet(life, partition);
	else if (what < 80)
		life_rebalance(life, partition);
	else if (what < 83)
		life_hear(life, life_somebody(life), partition);
	else if (what < 89)
		life_trouble_producer(life);
	else if (what < 92)
		life_trouble_ghosts(life);
	else if (what < 95)
		life_trouble_store(life, partition);
	else if (what < 96)
		life_kill(life);
	else if (what < 98)
		life_start(life);
	else if (what < 99)
		publish_bytes(&life->world, TOPIC_REQUESTS, partition, "garbage", 7);
	else
		publish_tombstone(&life->world, TOPIC_ATTACHMENTS, partition, "x");
}

static void add_record(const struct record *record)
{
	switch (record->type) {
	case RECORD_GPU_ASSIGNED:
		sums.moved += record->gpu_assigned.replaces != NULL;
		break;
	case RECORD_GPU_RELEASED:
		sums.failed += strcmp(record->gpu_released.code, "ATTACH_FAILED") == 0;
		sums.quarantined += record->gpu_released.n_quarantined > 0;
		break;
	case RECORD_HOST_MARKED:
	case RECORD_GPU_MARKED:
		sums.marked++;
		break;
	default:
		break;
	}
}

static void add_up(struct life *life)
{
	struct world *world = &life->world;
	for (int32_t p = 0; p < SIM_PARTITIONS; p++) {
		const struct message *message;
		struct follow log;
		follow_init(&log, 0, -1);
		for (int64_t at = 0;
		     (message = broker_next(&world->broker, TOPIC_DECISIONS, p, at)); at++) {
			enum follow_kind kind = follow_step(&log, message);
			sums.counted += kind == FOLLOW_RECORD;
			if (kind == FOLLOW_RECORD)
				add_record(read_record(world, message));
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
			life_hear(life, scheduler, p);
	}
	for (int32_t p = 0; p < SIM_PARTITIONS; p++) {
		publish_host(world, p, "h1");
		publish_host(world, p, "h2");
		struct scheduler *owner = life_owner_of(life, p);
		if (!owner || !owner->seats[p].assigned)
			life_give(life, life_somebody(life), p);
	}
	/* Ghosts may come at the last moment, too. */
	for (int i = 0; i < 5; i++) {
		TELL(life, "heal\n");
		world_pass(world, world->config.back_off_us);
		while (world->broker.n_ghosts > 0 && life_draw_below(life, 4))
			life_trouble_ghosts(life);
	}
	while (world->broker.n_ghosts > 0)
		broker_drop_ghost(&world->broker, 0);
	world_run(world);
	life_report_all(life, 1);
	world_pass(world, world->config.back_off_us); /* the last ghost may have been a marker */
}

static void judge(struct life *life)
{
	struct world *world = &life->world;
	if (world->restless && !life->problem)
		life->problem = "it does not come to rest";
	for (int i = 0; i < world->n_schedulers; i++)
		if (world->schedulers[i])
			life_look_for_stops(life, world->schedulers[i]);
	for (int32_t p = 0; p < SIM_PARTITIONS; p++) {
		const struct scheduler *owner = life_owner_of(life, p);
		if (!life->problem && (!owner || phase_of(owner, p) != SHARD_OWNING))
			life->problem =
				arena_printf(&world->arena, "shard %d is %s at the end", p,
					     owner ? shard_phase_name(phase_of(owner, p)) : "lost");
		if (!life->problem)
			life->problem = check_partition(world, p, life->forgetful);
	}
}

/* False: something is wrong, and was said. */
static bool live(uint64_t seed, bool told)
{
	struct life life = { .random = seed, .told = told };
	struct world *world = &life.world;

	world_init(world);
	world->on_commit = on_commit;
	world->config.window = life_draw_below(&life, 3) ? 64 : 3;
	world->config.hold = life_draw_below(&life, 3) ? 64 : 2;
	world->config.rest_us = 2 * 1000000;
	life.agents = life_draw_below(&life, 2);
	life.forgetful = life_draw_below(&life, 8) == 0;
	if (life.forgetful)
		world->config.options.remember_us = 300 * 1000;
	for (int32_t p = 0; p < SIM_PARTITIONS; p++) {
		publish_fleet(world, p, 2);
		if (p == 1 && life.agents)
			publish_pool(world, p, "agent");
		publish_host(world, p, "h2");
		for (int n = 0; n < 3; n++)
			publish_gpu(world, p, "h2", n, n == 2 ? OTHER_MODEL : MODEL,
				    GPU_STATE_AVAILABLE);
	}
	life_start(&life);
	life_start(&life);
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
	       " dead letters, %" PRId64 " refused commits, %" PRId64 " rewrites, %" PRId64
	       " moves, %" PRId64 " failures, %" PRId64 " unclean ends, %" PRId64 " marks\n",
	       n, bad, sums.counted, sums.voided, sums.markers, sums.answers, sums.dead_letters,
	       sums.refused_commits, sums.rewrites, sums.moved, sums.failed, sums.quarantined,
	       sums.marked);
	return bad > 0;
}
