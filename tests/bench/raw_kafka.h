/*
 * The bench's own thin hold on librdkafka, so that what it compares gpubus with owes nothing to gpubus.
 * The settings that shape latency and throughput are those of gpubus' own clients.
 */
#pragma once

#include <librdkafka/rdkafka.h>
#include <stdint.h>

int64_t raw_now_us(void);
/* All of these end the program with a message on failure. */
rd_kafka_t *raw_producer(const char *bootstrap);
rd_kafka_t *raw_consumer(const char *bootstrap, const char *group);
/* Reads all partitions of a topic from their beginning (or end). */
void raw_assign(rd_kafka_t *consumer, const char *topic, int partitions, int64_t offset);
void raw_subscribe(rd_kafka_t *consumer, const char *topic);
/* Takes ownership of headers; polls while the queue is full. */
void raw_produce(rd_kafka_t *producer, const char *topic, int32_t partition, const char *key,
		 const void *value, size_t len, rd_kafka_headers_t *headers);
_Noreturn void raw_die(const char *format, ...) __attribute__((format(printf, 1, 2)));
