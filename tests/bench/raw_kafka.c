#include "raw_kafka.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

int64_t raw_now_us(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * INT64_C(1000000) + now.tv_nsec / 1000;
}

void raw_die(const char *format, ...)
{
	va_list args;
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	exit(1);
}

static void set(rd_kafka_conf_t *conf, const char *name, const char *value)
{
	char error[256];
	if (rd_kafka_conf_set(conf, name, value, error, sizeof(error)) != RD_KAFKA_CONF_OK)
		raw_die("%s=%s: %s", name, value, error);
}

static rd_kafka_t *client(rd_kafka_type_t type, rd_kafka_conf_t *conf)
{
	char error[256];
	rd_kafka_t *rk = rd_kafka_new(type, conf, error, sizeof(error));
	if (!rk)
		raw_die("librdkafka: %s", error);
	return rk;
}

rd_kafka_t *raw_producer(const char *bootstrap)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	set(conf, "bootstrap.servers", bootstrap);
	set(conf, "enable.idempotence", "true");
	set(conf, "acks", "all");
	set(conf, "message.timeout.ms", "0");
	set(conf, "linger.ms", "1");
	set(conf, "queue.buffering.max.messages", "1000000");
	return client(RD_KAFKA_PRODUCER, conf);
}

rd_kafka_t *raw_consumer(const char *bootstrap, const char *group)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	set(conf, "bootstrap.servers", bootstrap);
	set(conf, "group.id", group);
	set(conf, "enable.auto.commit", "false");
	set(conf, "enable.auto.offset.store", "false");
	set(conf, "auto.offset.reset", "earliest");
	set(conf, "enable.partition.eof", "true");
	set(conf, "fetch.wait.max.ms", "50");
	set(conf, "fetch.error.backoff.ms", "50");
	rd_kafka_t *rk = client(RD_KAFKA_CONSUMER, conf);
	rd_kafka_poll_set_consumer(rk);
	return rk;
}

void raw_assign(rd_kafka_t *consumer, const char *topic, int partitions, int64_t offset)
{
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(partitions);
	for (int p = 0; p < partitions; p++)
		rd_kafka_topic_partition_list_add(list, topic, p)->offset = offset;
	rd_kafka_error_t *error = rd_kafka_incremental_assign(consumer, list);
	if (error)
		raw_die("assign %s: %s", topic, rd_kafka_error_string(error));
	rd_kafka_topic_partition_list_destroy(list);
}

void raw_subscribe(rd_kafka_t *consumer, const char *topic)
{
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
	rd_kafka_topic_partition_list_add(list, topic, RD_KAFKA_PARTITION_UA);
	rd_kafka_resp_err_t error = rd_kafka_subscribe(consumer, list);
	if (error)
		raw_die("subscribe %s: %s", topic, rd_kafka_err2str(error));
	rd_kafka_topic_partition_list_destroy(list);
}

void raw_produce(rd_kafka_t *producer, const char *topic, int32_t partition, const char *key,
		 const void *value, size_t len, rd_kafka_headers_t *headers)
{
	for (;;) {
		rd_kafka_resp_err_t error = rd_kafka_producev(
			producer, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_PARTITION(partition),
			RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_KEY(key, strlen(key)),
			RD_KAFKA_V_VALUE((void *)(uintptr_t)value, len),
			RD_KAFKA_V_HEADERS(headers), RD_KAFKA_V_END);
		if (!error)
			return;
		if (error != RD_KAFKA_RESP_ERR__QUEUE_FULL)
			raw_die("produce %s: %s", topic, rd_kafka_err2str(error));
		rd_kafka_poll(producer, 1);
	}
}
