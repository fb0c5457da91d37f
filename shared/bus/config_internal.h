/*
 * Inside the bus only: walking over the properties of a configuration.
 */
#pragma once

#include <stddef.h>

#include "bus/config.h"

struct bus_property {
	char *name;  /* owned */
	char *value; /* owned */
	enum bus_config_source source;
};

struct bus_config {
	struct bus_property *items; /* owned */
	size_t n;
	size_t size;
};
