#include "broker.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

/* ---- messages ---------------------------------------------------------------------------------- */

static void *take(char **end, const void *data, size_t len)
{
	if (!data)
		return NULL;
	void *copy = memcpy(*end, data, len);
	*end += len;
	return copy;
}

static struct log_entry *entry_new(const struct outgoing *from)
{
	size_t bytes = sizeof(struct log_entry) + from->n_headers * sizeof(struct header) +
		       from->key_len + from->value_len;
	for (size_t i = 0; i < from->n_headers; i++)
		bytes += strlen(from->headers[i].name) + 1 + from->headers[i].len;

	struct log_entry *entry = memory_zeroed(1, bytes);
	struct header *headers = (struct header *)(entry + 1);
	char *end = (char *)(headers + from->n_headers);
	entry->message = (struct message){
		.topic = from->topic,
		.partition = from->partition,
		.key_len = from->key_len,
		.value_len = from->value_len,
		.headers = headers,
		.n_headers = from->n_headers,
	};
	entry->message.key = take(&end, from->key, from->key_len);
	entry->message.value = take(&end, from->value, from->value_len);
	for (size_t i = 0; i < from->n_headers; i++) {
		const struct header *header = &from->headers[i];
		headers[i].name = take(&end, header->name, strlen(header->name) + 1);
		headers[i].value = take(&end, header->value, header->len);
		headers[i].len = header->len;
	}
	return entry;
}

/* ---- logs ---------------------------------------------------------------------------------------- */

void broker_init(struct broker *broker)
{
	*broker = (struct broker){ 0 };
	for (int32_t p = 0; p < SIM_PARTITIONS; p++)
		broker->owner[p] = -1;
}

static void pending_list_deinit(struct pending_list *list)
{
	for (size_t i = 0; i < list->n; i++)
		free(list->items[i].entry);
	free(list->items);
	*list = (struct pending_list){ 0 };
}

void broker_deinit(struct broker *broker)
{
	for (size_t topic = 0; topic < TOPICS; topic++) {
		for (size_t p = 0; p < SIM_PARTITIONS; p++) {
			struct partition_log *log = &broker->logs[topic][p];
			for (size_t i = 0; i < log->n; i++)
				free(log->entries[i]);
			free(log->entries);
		}
	}
	for (size_t i = 0; i < broker->n_ghosts; i++)
		pending_list_deinit(&broker->ghosts[i]);
	free(broker->ghosts);
}

int64_t broker_end(const struct broker *broker, enum topic topic, int32_t partition)
{
	return (int64_t)broker->logs[topic][partition].n;
}

const struct message *broker_next(const struct broker *broker, enum topic topic, int32_t partition,
				  int64_t offset)
{
	const struct partition_log *log = &broker->logs[topic][partition];
	for (size_t i = (size_t)offset; i < log->n; i++)
		if (!log->entries[i]->gone)
			return &log->entries[i]->message;
	return NULL;
}

const struct message *broker_at(const struct broker *broker, enum topic topic, int32_t partition,
				int64_t offset)
{
	const struct message *message = broker_next(broker, topic, partition, offset);
	return message && message->offset == offset ? message : NULL;
}

static int64_t append(struct broker *broker, struct log_entry *entry)
{
	struct partition_log *log = &broker->logs[entry->message.topic][entry->message.partition];
	if (log->n == log->size) {
		log->size = log->size ? log->size * 2 : 16;
		log->entries = memory_resize(log->entries, log->size, sizeof(struct log_entry *));
	}
	entry->message.offset = (int64_t)log->n;
	entry->message.timestamp_us = broker->now_us;
	log->entries[log->n++] = entry;
	return entry->message.offset;
}

int64_t broker_append(struct broker *broker, const struct outgoing *message)
{
	return append(broker, entry_new(message));
}

void broker_lose(struct broker *broker, enum topic topic, int32_t partition, int64_t offset)
{
	broker->logs[topic][partition].entries[offset]->gone = true;
}

void broker_truncate(struct broker *broker, enum topic topic, int32_t partition, int64_t end)
{
	struct partition_log *log = &broker->logs[topic][partition];
	while (log->n > (size_t)end)
		free(log->entries[--log->n]);
}

void broker_overwrite(struct broker *broker, enum topic topic, int32_t partition, int64_t offset,
		      const void *value, size_t len)
{
	struct log_entry **place = &broker->logs[topic][partition].entries[offset];
	const struct message *old = &(*place)->message;
	struct outgoing changed = {
		.topic = topic,
		.partition = partition,
		.key = old->key,
		.key_len = old->key_len,
		.value = value,
		.value_len = len,
		.headers = old->headers,
		.n_headers = old->n_headers,
	};
	struct log_entry *entry = entry_new(&changed);
	entry->message.offset = offset;
	entry->message.timestamp_us = old->timestamp_us;
	free(*place);
	*place = entry;
}

/* ---- what is on its way ---------------------------------------------------------------------------- */

static void pending_add(struct pending_list *list, struct log_entry *entry, int32_t sender,
			uint64_t token)
{
	if (list->n == list->size) {
		list->size = list->size ? list->size * 2 : 16;
		list->items = memory_resize(list->items, list->size, sizeof(*list->items));
	}
	list->items[list->n++] =
		(struct pending){ .entry = entry, .sender = sender, .token = token };
	list->left++;
}

/* The oldest to this partition; topic TOPICS: the oldest of all. */
static struct pending *pending_find(struct pending_list *list, enum topic topic, int32_t partition)
{
	for (size_t i = 0; i < list->n; i++) {
		struct pending *item = &list->items[i];
		if (item->entry &&
		    (topic == TOPICS || (item->entry->message.topic == topic &&
					 item->entry->message.partition == partition)))
			return item;
	}
	return NULL;
}

static int64_t pending_land(struct broker *broker, struct pending_list *list, struct pending *item)
{
	int64_t offset = append(broker, item->entry);
	item->entry = NULL;
	if (--list->left == 0)
		list->n = 0;
	return offset;
}

void broker_drop_ghost(struct broker *broker, size_t ghost)
{
	pending_list_deinit(&broker->ghosts[ghost]);
	broker->ghosts[ghost] = broker->ghosts[--broker->n_ghosts];
}

void broker_land_ghost(struct broker *broker, size_t ghost)
{
	struct pending_list *list = &broker->ghosts[ghost];
	pending_land(broker, list, pending_find(list, TOPICS, 0));
	if (list->left == 0)
		broker_drop_ghost(broker, ghost);
}

/* ---- the group ---------------------------------------------------------------------------------------- */

bool broker_commit(struct broker *broker, int scheduler, uint64_t generation, enum topic input,
		   int32_t partition, int64_t next)
{
	if (broker->owner[partition] != scheduler || broker->generation[partition] != generation)
		return false;
	broker->committed[input == TOPIC_ATTACHMENTS][partition] = next;
	return true;
}

/* ---- a producer ------------------------------------------------------------------------------------------ */

void producer_init(struct producer *producer, struct broker *broker)
{
	*producer = (struct producer){ .broker = broker };
}

void producer_deinit(struct producer *producer)
{
	pending_list_deinit(&producer->pending);
	free(producer->reports);
}

int producer_send(struct producer *producer, const struct outgoing *message, int32_t sender,
		  uint64_t token)
{
	if (producer->full[message->topic])
		return 1;
	pending_add(&producer->pending, entry_new(message), sender, token);
	return 0;
}

bool producer_land(struct producer *producer, enum topic topic, int32_t partition)
{
	struct pending *item =
		producer->cut[topic] ? NULL : pending_find(&producer->pending, topic, partition);
	if (!item)
		return false;

	struct delivery delivery = { .topic = topic, .sender = item->sender, .token = item->token };
	delivery.offset = pending_land(producer->broker, &producer->pending, item);
	if (producer->n_reports == producer->reports_size) {
		producer->reports_size = producer->reports_size ? producer->reports_size * 2 : 16;
		producer->reports = memory_resize(producer->reports, producer->reports_size,
						  sizeof(*producer->reports));
	}
	producer->reports[producer->n_reports++] = delivery;
	return true;
}

bool producer_take_report(struct producer *producer, struct delivery *ret_delivery)
{
	for (size_t i = 0; i < producer->n_reports; i++) {
		if (producer->silent[producer->reports[i].topic])
			continue;
		*ret_delivery = producer->reports[i];
		producer->n_reports--;
		memmove(&producer->reports[i], &producer->reports[i + 1],
			(producer->n_reports - i) * sizeof(*producer->reports));
		return true;
	}
	return false;
}

void producer_purge(struct producer *producer)
{
	struct broker *broker = producer->broker;
	if (producer->pending.left > 0) {
		broker->ghosts = memory_resize(broker->ghosts, broker->n_ghosts + 1,
					       sizeof(*broker->ghosts));
		broker->ghosts[broker->n_ghosts++] = producer->pending;
	} else {
		free(producer->pending.items);
	}
	producer->pending = (struct pending_list){ 0 };
	producer->n_reports = 0;
}
