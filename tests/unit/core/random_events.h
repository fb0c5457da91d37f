/*
 * Random requests, reports and commands for the hosts h1 to h3 with 8 P4 each, and decisions about
 * them. The same seed gives the same.
 */
#pragma once

#include "world.h"

void random_seed(uint64_t with_seed);
unsigned random_below(unsigned n);
/* Decides something; a decision goes to the log but is not folded. NULL: none. */
struct logged *random_decision(struct world *w);
