/*
 * gpubus-bench-consume: how long merely consuming takes. Reads partitions from their beginning to their
 * end with raw librdkafka and does nothing with the messages.
 *
 *   gpubus-bench-consume BOOTSTRAP PARTITION TOPIC...
 * Prints one JSON object.
 */
#include <stdio.h>
#include <stdlib.h>

#include "raw_kafka.h"

int main(int argc, char **argv)
{
	if (argc < 4)
		raw_die("usage: %s BOOTSTRAP PARTITION TOPIC...", argv[0]);
	rd_kafka_t *consumer = raw_consumer(argv[1], "bench-consume");
	rd_kafka_queue_t *queue = rd_kafka_queue_get_consumer(consumer);
	static rd_kafka_message_t *messages[1000];
	int left = argc - 3;
	size_t records = 0, bytes = 0;

	/* Connected, and the topics known, as a scheduler is when it takes over. */
	const struct rd_kafka_metadata *metadata;
	for (int t = 3; t < argc; t++)
		rd_kafka_topic_new(consumer, argv[t], NULL);
	if (rd_kafka_metadata(consumer, 0, NULL, &metadata, 5000))
		raw_die("no metadata");
	rd_kafka_metadata_destroy(metadata);

	int64_t start_us = raw_now_us();
	for (int t = 3; t < argc; t++) {
		rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
		rd_kafka_topic_partition_list_add(list, argv[t], atoi(argv[2]))->offset =
			RD_KAFKA_OFFSET_BEGINNING;
		rd_kafka_error_t *error = rd_kafka_incremental_assign(consumer, list);
		if (error)
			raw_die("assign: %s", rd_kafka_error_string(error));
		rd_kafka_topic_partition_list_destroy(list);
	}
	while (left > 0) {
		ssize_t n = rd_kafka_consume_batch_queue(queue, 5, messages, 1000);
		for (ssize_t i = 0; i < n; i++) {
			if (messages[i]->err == RD_KAFKA_RESP_ERR__PARTITION_EOF)
				left--;
			else if (!messages[i]->err) {
				records++;
				bytes += messages[i]->len;
			}
			rd_kafka_message_destroy(messages[i]);
		}
	}
	double seconds = (double)(raw_now_us() - start_us) / 1e6;
	printf("{\"records\": %zu, \"bytes\": %zu, \"seconds\": %.3f, \"rate\": %.0f}\n", records,
	       bytes, seconds, (double)records / seconds);
	/* The topic handles live as long as the process. */
	return 0;
}
