/*
 * Inside service only: what --help and --version print.
 */
#pragma once

#include <stddef.h>

#include "service/options.h"

extern const struct option_spec options_help;
extern const struct option_spec options_version;

void options_print_help(const struct program *program, const struct option_spec *const *specs,
			size_t n);
/* "redis-url": GPUBUS_REDIS_URL */
void option_environment_name(const struct option_spec *spec, char *name, size_t size);
