/*
 * gpubus-bench-fleet: makes a pool of hosts with GPUs on the bus, as inventories would.
 *
 *   gpubus-bench-fleet BOOTSTRAP PARTITIONS POOL HOSTS GPUS-PER-HOST
 * The hosts have two NUMA nodes and 4 GPUs a PCIe switch; half the GPUs are of each of two models.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codec/codec.h"
#include "codec/envelope_headers.h"
#include "codec/event_id.h"
#include "model/gpu_state.h"
#include "model/partition.h"
#include "model/topics.h"
#include "raw_kafka.h"

struct fleet {
	rd_kafka_t *producer;
	struct codec *codec;
	struct buf value;
	struct arena arena;
};

static void publish(struct fleet *fleet, enum topic topic, int32_t partition, const char *key,
		    const struct record *record)
{
	arena_reset(&fleet->arena);
	buf_clear(&fleet->value);
	if (codec_encode(fleet->codec, record, &fleet->value) != 0)
		raw_die("encode: %s", codec_error(fleet->codec));
	struct envelope envelope = ENVELOPE_EMPTY;
	envelope.id = record_event_id(record, &fleet->arena);
	envelope.type = record_event_type(record->type);
	envelope.source = "bench";
	struct header headers[ENVELOPE_HEADERS_MAX];
	size_t n = envelope_to_headers(&envelope, &fleet->arena, headers);
	rd_kafka_headers_t *list = rd_kafka_headers_new(n);
	for (size_t h = 0; h < n; h++)
		rd_kafka_header_add(list, headers[h].name, -1, headers[h].value,
				    (ssize_t)headers[h].len);
	raw_produce(fleet->producer, topic_name(topic), partition, key, fleet->value.data,
		    fleet->value.len, list);
	rd_kafka_poll(fleet->producer, 0);
}

static void publish_gpu(struct fleet *fleet, int32_t partition, const char *pool, const char *host,
			int slot)
{
	char address[32], audio[32], gpu_id[96], pcie_switch[32];
	snprintf(address, sizeof(address), "0000:%02x:00.0", 0x10 + slot);
	snprintf(audio, sizeof(audio), "0000:%02x:00.1", 0x10 + slot);
	snprintf(pcie_switch, sizeof(pcie_switch), "0000:%02x:00.0", 1 + slot / 4);
	snprintf(gpu_id, sizeof(gpu_id), "%s/%s", host, address);
	const char *functions[] = { address, audio };
	struct record gpu = {
		.type = RECORD_GPU_DISCOVERED,
		.gpu_discovered = {
			.gpu_id = gpu_id, .host = host, .pool_id = pool, .pci_address = address,
			.model = slot % 2 ? "GA102GL [A40]" : "GP104GL [Tesla P4]",
			.vendor = "NVIDIA Corporation", .vendor_id = "10de",
			.device_id = slot % 2 ? "2235" : "1bb3", .class_id = "030200",
			.driver = "vfio-pci", .iommu_group = 20 + slot, .numa_node = slot / 4 % 2,
			.pcie_switch = pcie_switch, .functions = functions, .n_functions = 2,
			.group_members = functions, .n_group_members = 2,
			.state = GPU_STATE_AVAILABLE, .boot_id = "b",
			.observed_at = 1,
		},
	};
	publish(fleet, TOPIC_INVENTORY, partition, gpu_id, &gpu);
}

int main(int argc, char **argv)
{
	if (argc != 6)
		raw_die("usage: %s BOOTSTRAP PARTITIONS POOL HOSTS GPUS-PER-HOST", argv[0]);
	const char *pool = argv[3];
	int32_t partition = partition_of_pool(pool, atoi(argv[2]));
	int hosts = atoi(argv[4]), gpus = atoi(argv[5]);
	struct fleet fleet = { .producer = raw_producer(argv[1]) };
	char key[64], host[64];

	if (codec_new(&fleet.codec) != 0)
		raw_die("no codec");
	arena_init(&fleet.arena);
	snprintf(key, sizeof(key), "pool/%s", pool);
	struct record definition = { .type = RECORD_VM_POOL_DEFINED,
				     .vm_pool_defined = { .pool_id = pool,
							  .name = pool,
							  .attach = "external",
							  .policy = "pack",
							  .attach_attempts = 1 } };
	publish(&fleet, TOPIC_CATALOG, 0, key, &definition);
	for (int h = 0; h < hosts; h++) {
		snprintf(host, sizeof(host), "host-%s-%d", pool, h);
		for (int slot = 0; slot < gpus; slot++)
			publish_gpu(&fleet, partition, pool, host, slot);
		struct record seen = { .type = RECORD_HOST_SEEN,
				       .host_seen = { .host = host,
						      .pool_id = pool,
						      .boot_id = "b",
						      .cpu_cores = 64,
						      .ram_gb = 512,
						      .iommu = 1,
						      .interrupt_remapping = 1,
						      .vfio = 1,
						      .n_gpus = gpus,
						      .observed_at = 1 } };
		publish(&fleet, TOPIC_HOSTS, partition, host, &seen);
	}
	if (rd_kafka_flush(fleet.producer, 60000))
		raw_die("not everything was delivered");
	printf("{\"pool\": \"%s\", \"hosts\": %d, \"gpus\": %d, \"partition\": %d}\n", pool, hosts,
	       hosts * gpus, partition);
	rd_kafka_destroy(fleet.producer);
	codec_free(fleet.codec);
	return 0;
}
