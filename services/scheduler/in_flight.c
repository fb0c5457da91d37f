#include "scheduler/in_flight.h"

#include <string.h>

#include "base/memory.h"

enum { RING_START = 64 };

struct parcel *parcel_new(enum topic topic, int32_t partition, const void *key, size_t key_len,
			  const void *value, size_t value_len, const struct header *headers,
			  size_t n_headers)
{
	size_t bytes =
		sizeof(struct parcel) + n_headers * sizeof(struct header) + key_len + value_len;
	for (size_t i = 0; i < n_headers; i++)
		bytes += strlen(headers[i].name) + 1 + headers[i].len;

	struct parcel *parcel = memory_alloc(bytes);
	struct header *copies = (struct header *)(parcel + 1);
	char *end = (char *)(copies + n_headers);

#define TAKE(data, len) ((data) ? memcpy(end, (data), (len)) : NULL)
	*parcel = (struct parcel){ .topic = topic,
				   .partition = partition,
				   .key_len = key_len,
				   .value_len = value_len,
				   .n_headers = n_headers };
	parcel->key = TAKE(key, key_len);
	end += key_len;
	parcel->value = TAKE(value, value_len);
	end += value_len;
	for (size_t i = 0; i < n_headers; i++) {
		size_t name_len = strlen(headers[i].name) + 1;
		copies[i].name = memcpy(end, headers[i].name, name_len);
		end += name_len;
		copies[i].value = TAKE(headers[i].value, headers[i].len);
		copies[i].len = headers[i].len;
		end += headers[i].len;
	}
#undef TAKE
	parcel->headers = copies;
	return parcel;
}

static struct in_flight *slot(struct in_flight_queue *queue, uint64_t number)
{
	return &queue->ring[number & (queue->size - 1)];
}

static void release(struct in_flight *entry)
{
	change_free(entry->change);
	answer_unref(entry->answer);
	free(entry->parcel);
	*entry = (struct in_flight){ 0 };
}

void in_flight_drop_all(struct in_flight_queue *queue)
{
	for (; queue->head != queue->tail; queue->head++)
		release(slot(queue, queue->head));
	queue->logged = queue->tail;
}

void in_flight_deinit(struct in_flight_queue *queue)
{
	in_flight_drop_all(queue);
	free(queue->ring);
	*queue = (struct in_flight_queue){ 0 };
}

static void grow(struct in_flight_queue *queue)
{
	struct in_flight_queue larger = *queue;
	larger.size = queue->size ? queue->size * 2 : RING_START;
	larger.ring = memory_zeroed(larger.size, sizeof(*larger.ring));
	for (uint64_t number = queue->head; number != queue->tail; number++)
		*slot(&larger, number) = *slot(queue, number);
	free(queue->ring);
	*queue = larger;
}

struct in_flight *in_flight_add(struct in_flight_queue *queue, uint64_t *ret_number)
{
	if (in_flight_count(queue) == queue->size)
		grow(queue);
	*ret_number = queue->tail++;
	return slot(queue, *ret_number);
}

struct in_flight *in_flight_at(struct in_flight_queue *queue, uint64_t number)
{
	return number >= queue->head && number < queue->tail ? slot(queue, number) : NULL;
}

struct in_flight *in_flight_oldest(struct in_flight_queue *queue)
{
	return in_flight_at(queue, queue->head);
}

void in_flight_pop(struct in_flight_queue *queue)
{
	release(slot(queue, queue->head));
	queue->head++;
	if (queue->logged < queue->head)
		queue->logged = queue->head;
}
