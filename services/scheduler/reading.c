/*
 * Reading messages of the bus as records, and the fold of the fleet: inventory and hosts. What cannot be
 * read or stands in the wrong place goes to dead-letters, and what follows is served.
 */
#include "model/partition.h"
#include "scheduler/shard_internal.h"

int shard_read_record(struct shard *shard, const struct message *message, struct record *ret_record,
		      const char **ret_code, const char **ret_error)
{
	if (!message->value) {
		*ret_code = "TOMBSTONE";
		*ret_error = "a message without a value asks for nothing in this topic";
		return 1;
	}
	int r = codec_decode(shard->world.codec, message->value, message->value_len, &shard->arena,
			     ret_record);
	if (r != 0) {
		*ret_code = codec_outcome_name(r);
		*ret_error = codec_error(shard->world.codec);
	}
	return r;
}

void shard_on_fleet(struct shard *shard, const struct message *message, int64_t now_us)
{
	struct record record;
	const char *code, *error = NULL;
	bool inventory = message->topic == TOPIC_INVENTORY;

	if (inventory)
		shard->inventory_next = message->offset + 1;
	else
		shard->hosts_next = message->offset + 1;

	if (!message->value) {
		char *key = arena_strndup(&shard->arena, message->key ? message->key : "",
					  message->key_len);
		if (inventory)
			shard_remove_gpu(shard->state, key);
		else
			shard_remove_host(shard->state, key);
		return;
	}
	if (shard_read_record(shard, message, &record, &code, &error) != 0) {
		shard_dead_letter_followed(shard, message, code, error, now_us);
		return;
	}
	if (record.type != (inventory ? RECORD_GPU_DISCOVERED : RECORD_HOST_SEEN)) {
		shard_dead_letter_followed(shard, message, "WRONG_TOPIC",
					   "this record does not belong into this topic", now_us);
		return;
	}
	if (partition_of_pool(record_pool_id(&record), shard->config.n_partitions) !=
	    shard->config.partition) {
		shard_dead_letter_followed(shard, message, "WRONG_PARTITION",
					   "the partition is not murmur2(pool_id) mod partitions",
					   now_us);
		return;
	}
	int r = inventory ? shard_fold_gpu(shard->state, &record.gpu_discovered, &error)
			  : shard_fold_host(shard->state, &record.host_seen, message->timestamp_us,
					    &error);
	if (r != 0)
		shard_dead_letter_followed(shard, message, "INVALID", error, now_us);
}
