/* The read model of the fleet: its texts, what is told again, and what it costs. */
#include "world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"

static void on_row(void *context, const char *table, const void *field, size_t field_len,
		   const void *value, size_t value_len)
{
	struct buf *out = context;
	buf_printf(out, "%s %.*s %.*s\n", table, (int)field_len, (const char *)field,
		   value ? (int)value_len : 4, value ? (const char *)value : "gone");
}

static const char *take(struct world *w, size_t max)
{
	struct buf out = { 0 };
	buf_puts(&out, "");
	while (shard_take_dirty_hosts(w->state, max, on_row, &out) > 0)
		;
	const char *text = arena_strdup(&w->arena, out.data);
	buf_deinit(&out);
	return text;
}

static void rows_as_documented(void **state)
{
	struct world *w = *state;
	world_host(w, "h1 cpu=8 ram=16 vfio=-1 P4@3b/n0/s1 T4@3c/n1/IN_USE_BY_HOST");
	assert_string_equal(
		take(w, 10),
		"hosts 1\th1 {\"seen\":1000000000,\"cpu\":8,\"ram\":16,\"gpus\":0,\"iommu\":1,"
		"\"ir\":1,\"boot\":\"boot-1\"}\n"
		"gpus 1\th1 {\"models\":[[\"10de:1bb3:10de:11d8\",\"GP104GL [Tesla P4]\",\"NVIDIA "
		"Corporation\",\"030200\"],[\"10de:1eb8:10de:12a2\",\"TU104GL [Tesla T4]\","
		"\"NVIDIA Corporation\",\"030200\"]],\"texts\":[\"vfio-pci\",\"0000:f1:00.0\",\"as "
		"the test says\"],\"gpus\":[[\"3b:00.0\",0,\"A\",69,0,3,0,1],"
		"[\"3c:00.0\",1,\"H\",70,1,3,0,-1,-1,2]]}\n");
	assert_string_equal(take(w, 10), "");
}

static void only_what_changed_is_told_again(void **state)
{
	struct world *w = *state;
	world_host(w, "h1 P4@01");
	world_host(w, "h2 P4@01");
	take(w, 1);
	world_heartbeat(w, "h2");
	world_heartbeat(w, "h2");
	assert_null(strstr(take(w, 10), "gpus 1"));
	world_gpus(w, "h1 P4@01/UNREADABLE");
	assert_non_null(strstr(take(w, 10), "gpus 1\th1 "));
	/* Who holds a GPU is told by the ledger's rows alone. */
	world_ask(w, "r1 vm1 P4*1");
	assert_string_equal(take(w, 10), "");

	shard_mark_fleet_dirty(w->state);
	const char *all = take(w, 1);
	assert_non_null(strstr(all, "gpus 1\th1 "));
	assert_non_null(strstr(all, "gpus 1\th2 "));
}

static void what_is_gone_is_told(void **state)
{
	struct world *w = *state;
	world_host(w, "h1 P4@01");
	world_host(w, "h2 P4@01");
	take(w, 10);
	world_remove_gpu(w, "h1/0000:01:00.0");
	assert_non_null(strstr(take(w, 10), "gpus 1\th1 gone\n"));
	shard_remove_host(w->state, "h1");
	assert_string_equal(take(w, 10), "hosts 1\th1 gone\ngpus 1\th1 gone\n");
	/* Gone and back before it is told: the last word is that it is there. */
	world_remove_gpu(w, "h2/0000:01:00.0");
	shard_remove_host(w->state, "h2");
	world_host(w, "h2 P4@01");
	const char *text = take(w, 10);
	assert_non_null(strstr(text, "hosts 1\th2 gone\ngpus 1\th2 gone\nhosts 1\th2 {\"seen\""));
	/* Never told, never taken back. */
	world_host(w, "h3 P4@01");
	world_remove_gpu(w, "h3/0000:01:00.0");
	shard_remove_host(w->state, "h3");
	assert_string_equal(take(w, 10), "");
}

static void a_host_known_by_its_assignment_only(void **state)
{
	struct world *w = *state;
	world_host(w, "h\"1 P4@01");
	world_ask(w, "r1 vm1 P4*1");
	world_remove_gpu(w, "h\"1/0000:01:00.0");
	shard_remove_host(w->state, "h\"1");
	assert_string_equal(take(w, 10), "hosts 1\th\"1 {}\ngpus 1\th\"1 gone\n");
}

static void count_bytes(void *context, const char *table, const void *field, size_t field_len,
			const void *value, size_t value_len)
{
	(void)table, (void)field, (void)value;
	*(size_t *)context += field_len + value_len;
}

/* What Redis adds per field (dictEntry, two strings) is about 100 bytes; two fields a host. */
static void few_bytes_a_gpu(void **state)
{
	struct world *w = *state;
	size_t bytes = 0;
	world_host(w, "hypervisor-00001 cpu=128 ram=1024 "
		      "P4@01/n0/s1 P4@02/n0/s1 P4@03/n0/s2 P4@04/n0/s2 P4@05/n0/s3 "
		      "T4@81/n1/s4 T4@82/n1/s4 T4@83/n1/s5 T4@84/n1/s5 T4@85/n1/s6/IN_USE_BY_HOST");
	shard_take_dirty_hosts(w->state, 10, count_bytes, &bytes);
	print_message("%zu bytes for 10 GPUs\n", bytes);
	assert_true(bytes / 10 < 100);
}

int main(void)
{
#define STORY(f) cmocka_unit_test_setup_teardown(f, world_setup, world_teardown)
	const struct CMUnitTest tests[] = {
		STORY(rows_as_documented),   STORY(only_what_changed_is_told_again),
		STORY(what_is_gone_is_told), STORY(a_host_known_by_its_assignment_only),
		STORY(few_bytes_a_gpu),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
