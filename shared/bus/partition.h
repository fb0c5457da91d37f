/*
 * How the bus names places in the log.
 */
#pragma once

#include <stdint.h>

#include "model/topics.h"

struct bus_partition {
	enum topic topic;
	int32_t partition;
};

/* Logical offsets; all others are >= 0. */
#define BUS_END	      INT64_C(-1)    /* what is produced from now on */
#define BUS_BEGINNING INT64_C(-2)    /* the oldest message there is */
#define BUS_NONE      INT64_C(-1001) /* nothing committed */
