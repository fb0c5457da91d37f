/*
 * gpubus-mock-broker: librdkafka's mock cluster in a process of its own, for the demo and for tests that
 * need no real broker. It holds all gpubus topics, in memory, and ends on SIGTERM or with its parent.
 *
 *	gpubus-mock-broker --address-file FILE [--partitions N] [--brokers N] [--outlive-parent]
 *
 * FILE gets the bootstrap address when it can be used; it appears as a whole. This broker answers a fetch
 * that finds nothing only after fetch.wait.max.ms, whatever comes meanwhile: clients that are to be quick
 * set it low (GPUBUS_KAFKA_FETCH_WAIT_MAX_MS=5). A partition holds 5 MiB.
 */
#include <errno.h>
#include <getopt.h>
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "model/topics.h"

/* Positive: not written, the reason was printed. */
static int write_file(const char *path, const char *text)
{
	char temporary[4096];
	FILE *file;

	snprintf(temporary, sizeof(temporary), "%s.%d", path, (int)getpid());
	file = fopen(temporary, "we");
	if (file && fprintf(file, "%s\n", text) >= 0 && !fclose(file) && !rename(temporary, path))
		return 0;
	fprintf(stderr, "gpubus-mock-broker: %s: %s\n", path, strerror(errno));
	return 1;
}

static int usage(void)
{
	fputs("usage: gpubus-mock-broker --address-file FILE [--partitions N] [--brokers N] "
	      "[--outlive-parent]\n",
	      stderr);
	return 2;
}

static int serve(rd_kafka_t *rk, const char *address_file, int brokers, int partitions)
{
	rd_kafka_mock_cluster_t *cluster = rd_kafka_mock_cluster_new(rk, brokers);
	sigset_t ends;
	int number;

	if (!cluster) {
		fputs("gpubus-mock-broker: cannot start\n", stderr);
		return 1;
	}
	for (enum topic topic = 0; topic < TOPICS; topic++)
		rd_kafka_mock_topic_create(cluster, topic_name(topic),
					   topic_is_sharded(topic) ? partitions : 1, brokers);
	sigemptyset(&ends);
	sigaddset(&ends, SIGTERM);
	sigaddset(&ends, SIGINT);
	if (write_file(address_file, rd_kafka_mock_cluster_bootstraps(cluster)))
		return 1;
	sigwait(&ends, &number);
	unlink(address_file);
	rd_kafka_mock_cluster_destroy(cluster);
	return 0;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "address-file", required_argument, NULL, 'a' },
		{ "partitions", required_argument, NULL, 'p' },
		{ "brokers", required_argument, NULL, 'b' },
		{ "outlive-parent", no_argument, NULL, 'o' },
		{ 0 },
	};
	const char *address_file = NULL;
	int partitions = DEFAULT_PARTITIONS, brokers = 1, letter, status;
	bool outlive = false;
	pid_t parent = getppid();
	char error[256];
	sigset_t blocked;
	rd_kafka_conf_t *conf;
	rd_kafka_t *rk;

	while ((letter = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (letter) {
		case 'a':
			address_file = optarg;
			break;
		case 'p':
			partitions = atoi(optarg);
			break;
		case 'b':
			brokers = atoi(optarg);
			break;
		case 'o':
			outlive = true;
			break;
		default:
			return usage();
		}
	}
	if (!address_file || optind != argc || partitions < 1 || brokers < 1)
		return usage();
	/* Blocked in all threads, librdkafka's included, so that sigwait() gets them. */
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGTERM);
	sigaddset(&blocked, SIGINT);
	sigprocmask(SIG_BLOCK, &blocked, NULL);
	if (!outlive) {
		prctl(PR_SET_PDEATHSIG, SIGTERM);
		if (getppid() != parent)
			return 0; /* it went away before we could ask to be told */
	}
	conf = rd_kafka_conf_new();
	rd_kafka_conf_set_log_cb(conf, NULL); /* the client itself is never used */
	rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, error, sizeof(error));
	if (!rk) {
		fprintf(stderr, "gpubus-mock-broker: %s\n", error);
		return 1;
	}
	status = serve(rk, address_file, brokers, partitions);
	rd_kafka_destroy(rk);
	return status;
}
