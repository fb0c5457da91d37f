/*
 * Inputs that were taken from the bus and cannot be decided yet, oldest first, in memory of their own.
 * Owned by one shard; not thread-safe.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "model/message.h"

struct held_input;

struct held_inputs {
	struct held_input *items; /* owned ring of `size` */
	size_t size;
	size_t first;
	size_t count;
};

void held_inputs_deinit(struct held_inputs *held);
void held_inputs_drop_all(struct held_inputs *held);
void held_inputs_add(struct held_inputs *held, const struct message *message);
/* The i-th oldest; valid until it is dropped. */
struct message held_inputs_at(const struct held_inputs *held, size_t i);
void held_inputs_drop_first(struct held_inputs *held);
