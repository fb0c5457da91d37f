/*
 * How people write the GPUs that a VM needs: "GP104GL [Tesla P4]=2", "2 x GP104GL [Tesla P4]", or a name
 * alone for one. Pure.
 */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"
#include "base/limits.h"
#include "model/record.h"

struct gpu_asks {
	struct arena arena; /* of the names */
	struct gpu_ask items[LIMIT_ASKS];
	size_t n;
};

void gpu_asks_init(struct gpu_asks *asks);
void gpu_asks_deinit(struct gpu_asks *asks);

/* Positive: not of these forms; a sentence in `error`. Also a setter of service/options.h: `target` is
 * the struct gpu_asks. Whether such a model exists is for the scheduler to say. */
int gpu_asks_add(void *target, const char *text, struct buf *error) MUST_CHECK;
