#include "life.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "model/gpu_state.h"
#include "story.h"

/* splitmix64 (public domain, Sebastiano Vigna) */
static uint64_t draw(struct life *life)
{
	uint64_t z = (life->random += UINT64_C(0x9e3779b97f4a7c15));
	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

int life_draw_below(struct life *life, int n)
{
	return (int)(draw(life) % (uint64_t)n);
}

/* ---- who lives ------------------------------------------------------------------------------------------ */

static int living(const struct life *life)
{
	int n = 0;
	for (int i = 0; i < life->world.n_schedulers; i++)
		n += life->world.schedulers[i] != NULL;
	return n;
}

struct scheduler *life_somebody(struct life *life)
{
	int which = life_draw_below(life, living(life));
	for (int i = 0;; i++)
		if (life->world.schedulers[i] && which-- == 0)
			return life->world.schedulers[i];
}

struct scheduler *life_owner_of(const struct life *life, int32_t partition)
{
	int owner = life->world.broker.owner[partition];
	return owner < 0 ? NULL : life->world.schedulers[owner];
}

void life_look_for_stops(struct life *life, const struct scheduler *scheduler)
{
	for (int32_t p = 0; p < SIM_PARTITIONS && !life->problem; p++)
		if (shard_stopped_because(shard_at(scheduler, p)))
			life->problem = arena_printf(&life->world.arena, "%s stopped shard %d: %s",
						     scheduler->name, p,
						     shard_stopped_because(shard_at(scheduler, p)));
}

void life_start(struct life *life)
{
	char name[16];
	if (living(life) >= LIVING_MAX || life->world.n_schedulers == SIM_SCHEDULERS)
		return;
	snprintf(name, sizeof(name), "s%d", life->world.n_schedulers);
	TELL(life, "start %s\n", name);
	world_start(&life->world, name);
}

void life_kill(struct life *life)
{
	struct scheduler *victim = life_somebody(life);
	if (life->world.n_schedulers == SIM_SCHEDULERS)
		return;
	TELL(life, "kill %s\n", victim->name);
	life_look_for_stops(life, victim);
	world_kill(&life->world, victim);
	if (living(life) == 0)
		life_start(life);
}

/* ---- the group ---------------------------------------------------------------------------------------------- */

void life_give(struct life *life, struct scheduler *scheduler, int32_t partition)
{
	/* A zombie joins again only after it has heard of its loss. */
	if (scheduler->seats[partition].assigned)
		world_lose(scheduler, partition);
	TELL(life, "give %d to %s\n", partition, scheduler->name);
	world_give(&life->world, scheduler, partition);
}

void life_rebalance(struct life *life, int32_t partition)
{
	struct scheduler *owner = life_owner_of(life, partition);
	struct scheduler *next = life_somebody(life);
	bool believes = owner && owner->seats[partition].assigned;

	if (believes && life_draw_below(life, 3) > 0) {
		/* Asked to hand over; whether it gets to the end of that is up to what comes. */
		TELL(life, "revoke %d from %s\n", partition, owner->name);
		world_revoke(owner, partition);
		if (life_draw_below(life, 2))
			return;
	} else if (owner == next && believes) {
		return;
	}
	life_give(life, next, partition);
}

/* A zombie hears of its loss. */
void life_hear(struct life *life, struct scheduler *scheduler, int32_t partition)
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

void life_ask(struct life *life, int32_t partition)
{
	struct world *world = &life->world;
	char id[16], vm[16];
	int64_t offset;

	if (life->n_asked == REQUESTS_MAX)
		return;
	snprintf(id, sizeof(id), "r%d", life->n_requests++);
	snprintf(vm, sizeof(vm), "vm%d", life_draw_below(life, VMS));
	switch (life_draw_below(life, 12)) {
	case 0:
		offset = check_migration(world, partition, id, vm);
		break;
	case 1:
	case 2:
	case 3:
	case 4:
		offset = life_draw_below(life, 8) ? release(world, partition, id, vm)
						  : release_by_force(world, partition, id, vm);
		break;
	case 5:
		offset = request_of(world, partition, id, vm, world->pools[partition], "t1", NULL,
				    NULL);
		break;
	case 6:
		offset = request_of(world, partition, id, vm, world->pools[partition], NULL,
				    life_draw_below(life, 2) ? OTHER_MODEL : "Voodoo2", NULL);
		break;
	case 7:
		offset = request_of(world, partition, id, vm, world->pools[partition], NULL, MODEL,
				    life_draw_below(life, 3) ? "h2" : "h9");
		break;
	case 8: /* an upstream with another partitioner */
		offset = request_of(world, partition, id, vm, world->pools[1 - partition], NULL,
				    MODEL, NULL);
		break;
	default:
		offset = request(world, partition, id, vm, 1 + life_draw_below(life, 3));
	}
	TELL(life, "ask %s of %s in %d at %" PRId64 "\n", id, vm, partition, offset);
	life->asked[life->n_asked++] = (struct asked){ partition, offset };
}

void life_ask_again(struct life *life)
{
	if (life->n_asked == 0)
		return;
	const struct asked *asked = &life->asked[life_draw_below(life, life->n_asked)];
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

/* Has the assignment been released, as far as is known? */
static bool is_released(struct life *life, int32_t partition, const char *assignment_id)
{
	const struct message *message;
	for (int64_t at = 0;
	     (message = broker_next(&life->world.broker, TOPIC_ANSWERS, partition, at)); at++) {
		const struct record *record = read_record(&life->world, message);
		if (record->type == RECORD_GPU_RELEASED &&
		    strcmp(record->gpu_released.assignment_id, assignment_id) == 0)
			return true;
	}
	return false;
}

/* An assignment that was answered, mostly one of the newest; NULL: there is none. */
static const struct gpu_assigned *draw_assignment(struct life *life, int32_t partition)
{
	int64_t at = broker_end(&life->world.broker, TOPIC_ANSWERS, partition);
	int skip = life_draw_below(life, life_draw_below(life, 3) ? 2 : 10);
	const struct gpu_assigned *found = NULL;
	while (at-- > 0 && skip >= 0) {
		const struct record *record = read_record(
			&life->world, broker_at(&life->world.broker, TOPIC_ANSWERS, partition, at));
		if (!record || record->type != RECORD_GPU_ASSIGNED)
			continue;
		found = &record->gpu_assigned;
		skip--;
	}
	return found;
}

void life_report(struct life *life, int32_t partition)
{
	static const char *const states[] = { "BOUND", "ATTACHED", "ATTACHED", "FAILED" };
	const struct gpu_assigned *assigned = draw_assignment(life, partition);
	unsigned unclean = life_draw_below(life, 4) ? 0 : 1u << life_draw_below(life, 3);
	if (!assigned)
		return;
	bool releasing = strcmp(assigned->state, "RELEASING") == 0;
	const char *state = releasing && life_draw_below(life, 3)
				    ? "DETACHED"
				    : states[life_draw_below(life, 4)];
	const char *host = life_draw_below(life, 12) ? NULL : "nohost";
	if (life_draw_below(life, 20) == 0)
		state = "EXPLODED";
	TELL(life, "report that %s is %s%s\n", assigned->assignment_id, state,
	     unclean ? ", not clean" : "");
	report(&life->world, partition, assigned, state, unclean, host);
}

void life_report_all(struct life *life, int32_t partition)
{
	struct world *world = &life->world;
	const struct message *message;

	for (int64_t at = 0; (message = broker_next(&world->broker, TOPIC_ANSWERS, partition, at));
	     at++) {
		const struct record *record = read_record(world, message);
		if (record->type != RECORD_GPU_ASSIGNED ||
		    strcmp(record->gpu_assigned.state, "RELEASING") != 0 ||
		    is_released(life, partition, record->gpu_assigned.assignment_id))
			continue;
		TELL(life, "report that %s is detached\n", record->gpu_assigned.assignment_id);
		report(world, partition, &record->gpu_assigned, "DETACHED", 0, NULL);
	}
}

void life_command(struct life *life, int32_t partition)
{
	static const char *const of_hosts[] = { "CORDON_HOST", "UNCORDON_HOST", "UNCORDON_HOST" };
	static const char *const of_gpus[] = { "QUARANTINE_GPU", "RETURN_GPU", "RETURN_GPU" };
	const char *host = life_draw_below(life, 2) ? "h1" : "h2", *what;
	bool gpu = life_draw_below(life, 3) > 0;
	char id[16], target[32];

	if (life->n_asked == REQUESTS_MAX)
		return;
	snprintf(id, sizeof(id), "c%d", life->n_requests++);
	if (gpu)
		snprintf(target, sizeof(target), "%s/0000:%02x:00.0", host,
			 1 + life_draw_below(life, 3));
	else
		snprintf(target, sizeof(target), "%s", host);
	what = (gpu ? of_gpus : of_hosts)[life_draw_below(life, 3)];
	int64_t offset = command(&life->world, partition, id, what, target);
	TELL(life, "%s %s %s in %d at %" PRId64 "\n", id, what, target, partition, offset);
	life->asked[life->n_asked++] = (struct asked){ partition, offset };
}

void life_change_fleet(struct life *life, int32_t partition)
{
	static const char *const states[] = { GPU_STATE_AVAILABLE, GPU_STATE_AVAILABLE,
					      GPU_STATE_IN_USE_BY_HOST };
	struct world *world = &life->world;
	const char *host = life_draw_below(life, 2) ? "h1" : "h2";
	int n = life_draw_below(life, 3);
	char gpu[32];

	switch (life_draw_below(life, 6)) {
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
		publish_type(world, partition, "t1",
			     life_draw_below(life, 2) ? MODEL : OTHER_MODEL);
		break;
	default:
		publish_gpu(world, partition, host, n, n == 2 ? OTHER_MODEL : MODEL,
			    states[life_draw_below(life, 3)]);
	}
}

static bool is_superseded(const struct broker *broker, const struct message *message)
{
	const struct message *later;
	for (int64_t at = message->offset + 1;
	     (later = broker_next(broker, message->topic, message->partition, at)); at++)
		if (later->key_len == message->key_len &&
		    memcmp(later->key, message->key, message->key_len) == 0)
			return true;
	return false;
}

void life_compact(struct life *life, int32_t partition)
{
	static const enum topic topics[] = { TOPIC_INVENTORY, TOPIC_HOSTS, TOPIC_CATALOG };
	struct broker *broker = &life->world.broker;
	enum topic topic = topics[life_draw_below(life, 3)];
	const struct message *message;

	if (topic == TOPIC_CATALOG)
		partition = 0;
	for (int64_t at = 0; (message = broker_next(broker, topic, partition, at));
	     at = message->offset + 1)
		if (life_draw_below(life, 2) && is_superseded(broker, message))
			broker_lose(broker, topic, partition, message->offset);
}

/* ---- troubles ----------------------------------------------------------------------------------------------------- */

void life_trouble_producer(struct life *life)
{
	static const enum topic topics[] = { TOPIC_DECISIONS, TOPIC_ANSWERS, TOPIC_REQUESTS,
					     TOPIC_DEAD_LETTERS };
	struct scheduler *scheduler = life_somebody(life);
	struct producer *producer = &scheduler->producer;
	enum topic topic = topics[life_draw_below(life, 4)];

	switch (life_draw_below(life, 8)) {
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

void life_trouble_ghosts(struct life *life)
{
	struct broker *broker = &life->world.broker;
	if (broker->n_ghosts == 0)
		return;
	size_t ghost = (size_t)life_draw_below(life, (int)broker->n_ghosts);
	TELL(life, "a ghost\n");
	if (life_draw_below(life, 4))
		broker_land_ghost(broker, ghost);
	else
		broker_drop_ghost(broker, ghost);
}

void life_trouble_store(struct life *life, int32_t partition)
{
	struct store_server *store = &life->world.store;
	switch (life_draw_below(life, 5)) {
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
