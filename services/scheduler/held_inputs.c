#include "scheduler/held_inputs.h"

#include <stdlib.h>

#include "base/memory.h"
#include "scheduler/in_flight.h"

struct held_input {
	struct parcel *message; /* owned */
	int64_t offset;
	int64_t timestamp_us;
};

void held_inputs_add(struct held_inputs *held, const struct message *message)
{
	if (held->count == held->size) {
		size_t size = held->size ? held->size * 2 : 16;
		struct held_input *items = memory_alloc(size * sizeof(*items));
		for (size_t i = 0; i < held->count; i++)
			items[i] = held->items[(held->first + i) % held->size];
		free(held->items);
		*held = (struct held_inputs){ .items = items, .size = size, .count = held->count };
	}
	held->items[(held->first + held->count++) % held->size] = (struct held_input){
		.message = parcel_new(message->topic, message->partition, message->key,
				      message->key_len, message->value, message->value_len,
				      message->headers, message->n_headers),
		.offset = message->offset,
		.timestamp_us = message->timestamp_us,
	};
}

struct message held_inputs_at(const struct held_inputs *held, size_t i)
{
	const struct held_input *item = &held->items[(held->first + i) % held->size];
	return (struct message){
		.topic = item->message->topic,
		.partition = item->message->partition,
		.offset = item->offset,
		.timestamp_us = item->timestamp_us,
		.key = item->message->key,
		.key_len = item->message->key_len,
		.value = item->message->value,
		.value_len = item->message->value_len,
		.headers = item->message->headers,
		.n_headers = item->message->n_headers,
	};
}

void held_inputs_drop_first(struct held_inputs *held)
{
	free(held->items[held->first].message);
	held->first = (held->first + 1) % held->size;
	held->count--;
}

void held_inputs_drop_all(struct held_inputs *held)
{
	while (held->count > 0)
		held_inputs_drop_first(held);
}

void held_inputs_deinit(struct held_inputs *held)
{
	held_inputs_drop_all(held);
	free(held->items);
	*held = (struct held_inputs){ 0 };
}
