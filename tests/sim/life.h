/*
 * One random life of a cluster: the actions that a seed chooses from. random_test.c chooses, heals and
 * judges.
 */
#pragma once

#include <stdio.h>

#include "world.h"

enum { LIVING_MAX = 3, VMS = 5, REQUESTS_MAX = 200 };

struct asked {
	int32_t partition;
	int64_t offset;
};

struct life {
	struct world world;
	uint64_t random;
	bool told;	/* step by step */
	bool agents;	/* partition 1 has agents: a release waits for their report */
	bool forgetful; /* requests are remembered for a moment only: they may have two outcomes */
	int n_requests;
	struct asked asked[REQUESTS_MAX];
	int n_asked;
	struct store_shard copies[SIM_PARTITIONS];
	int64_t checked[SIM_INPUTS][SIM_PARTITIONS]; /* commits up to here were looked at */
	const char *problem;			     /* the first one */
};

#define TELL(life, ...)                                                                            \
	do {                                                                                       \
		if ((life)->told)                                                                  \
			fprintf(stderr, __VA_ARGS__);                                              \
	} while (0)

/* Below n, at random. */
int life_draw_below(struct life *life, int n);

struct scheduler *life_somebody(struct life *life);
/* NULL: nobody, or who is dead. */
struct scheduler *life_owner_of(const struct life *life, int32_t partition);
/* A stop is always a problem: nothing was truncated here. */
void life_look_for_stops(struct life *life, const struct scheduler *scheduler);
void life_start(struct life *life);
void life_kill(struct life *life);

/* The group gives the partition to a scheduler; gives it to somebody, in order or behind the back of its
 * owner; and tells a scheduler what it has lost. */
void life_give(struct life *life, struct scheduler *scheduler, int32_t partition);
void life_rebalance(struct life *life, int32_t partition);
void life_hear(struct life *life, struct scheduler *scheduler, int32_t partition);

void life_ask(struct life *life, int32_t partition);
void life_ask_again(struct life *life);
/* Agents report how far they are, or again; some of it is wrong. */
void life_report(struct life *life, int32_t partition);
/* What is left to be released is detached. */
void life_report_all(struct life *life, int32_t partition);
void life_command(struct life *life, int32_t partition);
void life_change_fleet(struct life *life, int32_t partition);
/* Some of what is no longer the latest value of its key goes from inventory, hosts and catalog. */
void life_compact(struct life *life, int32_t partition);

void life_trouble_producer(struct life *life);
void life_trouble_ghosts(struct life *life);
void life_trouble_store(struct life *life, int32_t partition);
