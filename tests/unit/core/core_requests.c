/* VmRequested: what is granted, and every code that a refusal can have. */
#include "world.h"

#include <stdio.h>
#include <string.h>

#include "base/limits.h"

static void a_request_gets_gpus_and_the_same_answer_again(void **state)
{
	struct world *w = *state;
	world_host(w, "h1 P4*4");
	assert_string_equal(world_ask(w, "r1 vm1 P4*2"), "vm1: h1 01 02");
	assert_string_equal(world_ask(w, "r1 vm1 P4*2"), "again vm1: h1 01 02");

	const struct gpu_assigned *assigned = &w->log[0].record.gpu_assigned;
	assert_string_equal(assigned->assignment_id, "r1/1");
	assert_string_equal(assigned->gpus[0].gpu_id, "h1/0000:01:00.0");
	assert_string_equal(assigned->gpus[0].name, "GP104GL [Tesla P4]");
	assert_string_equal(assigned->gpus[0].vendor, "NVIDIA Corporation");
	assert_string_equal(assigned->gpus[0].device, "10de:1bb3");
	assert_int_equal(assigned->gpus[0].n_functions, 2);
	assert_string_equal(assigned->gpus[0].functions[0], "0000:01:00.0");
	assert_string_equal(assigned->gpus[0].functions[1], "0000:01:00.1");
	assert_int_equal(assigned->gpus[0].iommu_group, 11);
	assert_int_equal(assigned->gpus[0].numa_node, ABSENT);
	assert_int_equal(assigned->decided_at, w->now);
}

static void what_is_no_request_is_refused_by_field(void **state)
{
	struct world *w = *state;
	world_host(w, "h1 P4*4");
	world_type(w, "small cpu=4 ram=8 P4*1");
	static const struct {
		const char *ask;
		const char *says;
	} cases[] = {
		{ "a1 vm1 P4*1 type=small", "vm_type_id and gpus are both given" },
		{ "a2 vm1", "neither vm_type_id nor gpus" },
		{ "a3 vm1 P4*0", "a count is zero or negative" },
		{ "a4 vm1 P4*-3", "a count is zero or negative" },
		{ "a5 vm1 P4*65", "a count is above 64" },
		{ "a6 vm1 P4*9223372036854775807", "a count is above 64" },
		{ "a7 vm1 P4*40 T4*40", "add up to more than 64" },
		{ "a8 vm1 *1", "a name is empty" },
		{ "a9 vm1 P4*1 policy=best", "policy is neither" },
		{ "b1 vm\x01 P4*1", "vm_id has control characters" },
		{ "b2 vm\xff P4*1", "vm_id is not valid UTF-8" },
		{ "b3 vm1 P4*1 host=", "host is empty" },
		{ "b4 vm1 type=", "vm_type_id is empty" },
		{ "b5 vm1 P4*1 instance=\x02", "vm_instance_id has control" },
		{ "b6 vm1 a*1 b*1 c*1 d*1 e*1 f*1 g*1 h*1 i*1 j*1 k*1 l*1 m*1 n*1 o*1 p*1 q*1",
		  "more than 16 models" },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		const char *line = world_ask(w, cases[i].ask);
		if (strncmp(line, "INVALID_REQUEST: ", 17) != 0 || !strstr(line, cases[i].says))
			fail_msg("%s: %s", cases[i].ask, line);
	}
	/* Remembered like any answer, and the next one is served. */
	assert_non_null(strstr(world_ask(w, "a3 vm1 P4*0"), "again INVALID_REQUEST"));
	assert_string_equal(world_ask(w, "c1 vm1 P4*1"), "vm1: h1 01");
}

static void what_cannot_be_answered_is_unusable(void **state)
{
	struct world *w = *state;
	char longest[258];
	memset(longest, 'x', sizeof(longest) - 1);
	longest[257] = '\0';
	struct gpu_ask ask = { "x", 1 };
	struct record event = { .type = RECORD_VM_REQUESTED };
	event.vm_requested = (struct vm_requested){
		.request_id = "", .vm_id = "v", .pool_id = "1", .gpus = &ask, .n_gpus = 1
	};
	assert_string_equal(world_decide(w, &event), "unusable: request_id is empty");
	event.vm_requested.request_id = longest;
	assert_string_equal(world_decide(w, &event),
			    "unusable: request_id is longer than 255 bytes");
	event.vm_requested.request_id = "r\t1";
	assert_string_equal(world_decide(w, &event), "unusable: request_id has control characters");
	event.vm_requested.request_id = "r1";
	event.vm_requested.pool_id = "";
	assert_string_equal(world_decide(w, &event), "unusable: pool_id is empty");
	event.type = RECORD_GPU_DISCOVERED;
	assert_int_equal(strncmp(world_decide(w, &event), "unusable", 8), 0);
	assert_int_equal(w->n_log, 0);
}

static void what_is_not_there_is_refused_with_the_names_that_are(void **state)
{
	struct world *w = *state;
	assert_string_equal(world_ask(w, "r0 vm1 P4*1"),
			    "POOL_UNKNOWN: there is no pool 1; there is no pool at all");
	world_host(w, "h1 P4*1 T4@08");
	world_host(w, "h2 P4*1");
	world_type(w, "small P4*1");
	assert_string_equal(world_ask(w, "r1 vm1 P4*1 pool=7"),
			    "POOL_UNKNOWN: there is no pool 7; pools here: 1");
	assert_string_equal(world_ask(w, "r2 vm1 type=huge"),
			    "VM_TYPE_UNKNOWN: pool 1 has no VM type huge; its VM types: small");
	assert_string_equal(world_ask(w, "r3 vm1 P4*1 host=h9"),
			    "HOST_UNKNOWN: pool 1 has no host h9; its hosts: h1, h2");
	assert_string_equal(world_ask(w, "r4 vm1 A100*1"),
			    "MODEL_UNKNOWN: pool 1 has no GPU \"A100\"; it has: GP104GL [Tesla "
			    "P4] (10de:1bb3), TU104GL [Tesla T4] (10de:1eb8)");
	assert_non_null(strstr(world_ask(w, "r5 vm1 10de:ffff*1"), "MODEL_UNKNOWN"));
	assert_non_null(strstr(world_ask(w, "r6 vm1 10de:1bb3:10de:0000*1"), "MODEL_UNKNOWN"));
}

static void names_that_are_left_out_are_counted(void **state)
{
	struct world *w = *state;
	world_host(w, "h1 P4*1");
	for (int i = 0; i < LIMIT_REJECTION_NAMES + 3; i++) {
		char text[16];
		snprintf(text, sizeof(text), "t%d P4*1", i);
		world_type(w, text);
	}
	assert_non_null(strstr(world_ask(w, "r1 vm1 type=huge"), ", t31 (and 3 more)"));
}

static void a_pool_of_nothing_says_so(void **state)
{
	struct world *w = *state;
	world_pool(w, "external", "pack");
	assert_string_equal(world_ask(w, "r1 vm1 P4*1"),
			    "MODEL_UNKNOWN: pool 1 has no GPU \"GP104GL [Tesla P4]\"; it has no "
			    "GPUs at all");
	assert_string_equal(world_ask(w, "r2 vm1 P4*1 host=h1"),
			    "HOST_UNKNOWN: pool 1 has no host h1; it has no hosts at all");
	world_heartbeat(w, "h1");
	assert_non_null(strstr(world_ask(w, "r3 vm1 P4*1"), "it has no GPUs at all"));
}

static void absence_is_said_only_when_it_is_known(void **state)
{
	struct world *w = *state;
	w->unknown = true;
	assert_string_equal(world_ask(w, "r1 vm1 P4*1"), "unknown"); /* POOL_UNKNOWN */
	world_host(w, "h1 P4*1");
	assert_string_equal(world_ask(w, "r1 vm1 type=x"), "unknown");
	assert_string_equal(world_ask(w, "r1 vm1 P4*1 host=x"), "unknown");
	assert_string_equal(world_ask(w, "r1 vm1 T4*1"), "unknown");
	assert_string_equal(world_ask(w, "r1 vm1 P4*2"), "unknown"); /* NO_CAPACITY */
	assert_int_equal(w->n_log, 0);
	/* What does not rest on absence is decided at once. */
	assert_non_null(strstr(world_ask(w, "r2 vm1 P4*0"), "INVALID_REQUEST"));
	assert_string_equal(world_ask(w, "r3 vm1 P4*1"), "vm1: h1 01");
	assert_non_null(strstr(world_ask(w, "r4 vm1 P4*1"), "VM_HAS_GPUS"));
	/* The same request may be decided when more is known. */
	world_host(w, "h2 P4*2");
	assert_string_equal(world_ask(w, "r1 vm2 P4*2"), "vm2: h2 01 02");
}

static void a_vm_has_one_set_of_gpus(void **state)
{
	struct world *w = *state;
	world_host(w, "h1 P4*4");
	world_ask(w, "r1 vm1 P4*2");
	assert_string_equal(world_ask(w, "r2 vm1 P4*1"),
			    "VM_HAS_GPUS: VM vm1 already holds 2 GPUs on host h1 (assignment "
			    "r1/1): release it first");
	world_release(w, "x1 vm1");
	assert_string_equal(world_ask(w, "r3 vm1 P4*1"),
			    "VM_HAS_GPUS: VM vm1 already holds 2 GPUs on host h1 (assignment "
			    "r1/1), which is being released: wait until it is");
}

static void a_refusal_says_why_host_by_host(void **state)
{
	struct world *w = *state;
	world_host(w, "h1 P4*3");
	world_host(w, "h2 iommu=0 P4*1");
	world_ask(w, "r1 vm1 P4*3");
	assert_string_equal(world_ask(w, "r2 vm2 P4*1"),
			    "NO_CAPACITY: pool 1 has 4 × GP104GL [Tesla P4]: 3 assigned, 1 on "
			    "host h2 whose IOMMU is off");
	assert_string_equal(world_reasons(w), "h1 GPUS_ASSIGNED, h2 HOST_NO_IOMMU");
}

static void every_reason_of_a_host(void **state)
{
	struct world *w = *state;
	world_host(w, "silent P4*4");
	w->now += 46 * SECOND;
	world_gpus(w, "unseen P4*4");
	world_host(w, "novfio vfio=0 P4*4");
	world_host(w, "noir ir=0 P4*4");
	world_host(w, "noiommu iommu=0 P4*4");
	world_host(w, "cpu cpu=2 ram=64 P4*4");
	world_host(w, "ram cpu=64 ram=2 P4*4");
	world_host(w, "other T4*4");
	world_host(w, "few P4*1");
	world_host(w, "bad P4@01/IN_USE_BY_HOST P4@02/BOOT_DISPLAY P4@03/GROUP_SHARED "
		      "P4@04/UNREADABLE P4@05/NO_IOMMU P4@06/HAS_VIRTUAL_FUNCTIONS P4@07/NEW");
	world_host(w, "full P4*2");
	assert_string_equal(world_ask(w, "r0 vm0 P4*2 host=full"), "vm0: full 01 02");
	world_type(w, "two cpu=4 ram=8 P4*2");
	assert_non_null(strstr(world_ask(w, "r1 vm1 type=two"), "NO_CAPACITY"));
	assert_string_equal(world_reasons(w),
			    "cpu NO_CPU, ram NO_RAM, few TOO_FEW_GPUS, silent HOST_SILENT, unseen "
			    "HOST_SILENT, novfio HOST_NO_VFIO, noir HOST_NO_INTERRUPT_REMAPPING, "
			    "noiommu HOST_NO_IOMMU, bad GPUS_UNAVAILABLE, full GPUS_ASSIGNED, "
			    "other NO_SUCH_MODEL");
	assert_string_equal(
		world_ask(w, "r2 vm1 type=two host=bad"),
		"NO_CAPACITY: host bad: has 7 × GP104GL [Tesla P4]: 1 unreadable, 1 with virtual "
		"functions switched on, 1 used as boot display, 1 in use by the host, 1 without "
		"an IOMMU group, 1 sharing an IOMMU group, 1 not available");
	assert_string_equal(world_ask(w, "r3 vm1 type=two host=silent"),
			    "NO_CAPACITY: host silent: not heard of for 46 s");
	assert_string_equal(world_ask(w, "r4 vm1 type=two host=cpu"),
			    "NO_CAPACITY: host cpu: 2 of 2 CPU cores left, 4 needed");
}

static void names_and_ids(void **state)
{
	struct world *w = *state;
	world_host(w, "h1 P4*1 P4b@02 Px@03 T4@04");
	assert_string_equal(world_ask(w, "r1 vm1 10de:1bb3:1028:beef*1"), "vm1: h1 02");
	assert_string_equal(world_ask(w, "r2 vm2 10DE:1BB9*1"), "vm2: h1 03");
	assert_string_equal(world_ask(w, "r3 vm3 tu104gl_[tesla_t4]*1"), "vm3: h1 04");
	assert_string_equal(world_ask(w, "r4 vm4 P4*1"), "vm4: h1 01");
	assert_non_null(strstr(world_ask(w, "r5 vm5 Tesla_P4*1"), "MODEL_UNKNOWN"));
	/* Another board of the name comes after the name was asked for. */
	world_gpus(w, "h1 P100@09");
	assert_string_equal(world_ask(w, "r6 vm6 10de:15f8*1"), "vm6: h1 09");
}

static void asks_that_overlap_are_met_together(void **state)
{
	struct world *w = *state;
	world_host(w, "h1 P4*1 P4b@02 Px@03");
	/* Two of the name, and one of a board that has the name, too. */
	assert_string_equal(world_ask(w, "r1 vm1 P4*2 10de:1bb3:1028:beef*1"), "vm1: h1 01 02 03");
	world_release(w, "x1 vm1 force=1 reason=test");
	assert_non_null(strstr(world_ask(w, "r2 vm1 P4*3 10de:1bb3*1"), "NO_CAPACITY"));
	/* The same name twice is added up. */
	assert_non_null(strstr(world_ask(w, "r3 vm1 P4*2 P4*2"), "NO_CAPACITY"));
	assert_string_equal(
		world_ask(w, "r3a vm1 P4*2 P4*2 host=h1"),
		"NO_CAPACITY: host h1: has 3 × GP104GL [Tesla P4], and 4 are asked for");
	assert_string_equal(world_ask(w, "r4 vm1 P4*1 P4*2"), "vm1: h1 01 02 03");
	world_release(w, "x4 vm1 force=1 reason=test");
	/* The first GPU in order must not be spent on the ask that any GPU meets. */
	assert_string_equal(world_ask(w, "r5 vm1 P4*1 10de:1bb3:10de:11d8*1"), "vm1: h1 01 02");
	world_release(w, "x5 vm1 force=1 reason=test");
	assert_non_null(
		strstr(world_ask(w, "r6 vm1 10de:1bb3*2 10de:1bb3:10de:11d8*1"), "NO_CAPACITY"));
}

static void all_or_nothing_on_one_host(void **state)
{
	struct world *w = *state;
	world_host(w, "h1 P4*2 T4@08");
	world_host(w, "h2 P4*1 T4@08 T4@09");
	assert_string_equal(world_ask(w, "r1 vm1 P4*2 T4*2"),
			    "NO_CAPACITY: pool 1 has 3 × GP104GL [Tesla P4]: 3 free (at most 2 on "
			    "one host); 3 × TU104GL [Tesla T4]: 3 free (at most 2 on one host); no "
			    "one host has all that is asked for free together");
	assert_string_equal(world_reasons(w), "h1 TOO_FEW_GPUS, h2 TOO_FEW_GPUS");
	assert_string_equal(world_ask(w, "r2 vm1 P4*1 T4*2"), "vm1: h2 01 08 09");
	assert_string_equal(world_ask(w, "r3 vm2 P4*2 T4*1 host=h1"), "vm2: h1 01 02 08");
}

static void cpu_and_ram_of_the_type_count(void **state)
{
	struct world *w = *state;
	world_host(w, "h1 cpu=8 ram=32 P4*4");
	world_type(w, "big cpu=6 ram=8 P4*1");
	world_type(w, "fat cpu=1 ram=20 P4*1");
	assert_string_equal(world_ask(w, "r1 vm1 type=big"), "vm1: h1 01");
	assert_string_equal(world_ask(w, "r2 vm2 type=big"),
			    "NO_CAPACITY: pool 1 has 4 × GP104GL [Tesla P4]: 1 assigned, 3 free; "
			    "no host that has enough of them free has 6 CPU cores and 8 GB RAM "
			    "left");
	assert_string_equal(world_reasons(w), "h1 NO_CPU");
	assert_string_equal(world_ask(w, "r3 vm2 type=fat"), "vm2: h1 02");
	assert_non_null(strstr(world_ask(w, "r4 vm3 type=fat"), "NO_CAPACITY"));
	assert_string_equal(world_reasons(w), "h1 NO_RAM");
	/* A request without a type takes none; a host that does not say what it has, has enough. */
	assert_string_equal(world_ask(w, "r5 vm3 P4*1"), "vm3: h1 03");
	world_release(w, "x1 vm1 force=1 reason=test");
	assert_string_equal(world_ask(w, "r6 vm4 type=big"), "vm4: h1 01");
	world_host(w, "h2 P4*1");
	assert_string_equal(world_ask(w, "r7 vm5 type=big"), "vm5: h2 01");
	/* More cores are there when the host says so. */
	world_heartbeat(w, "h1 cpu=64 ram=256");
	assert_string_equal(world_ask(w, "r8 vm6 type=big"), "vm6: h1 04");
}

/* 64 GPUs of a host whose texts are as long as they may be. */
static void what_does_not_fit_into_a_record_is_refused(void **state)
{
	struct world *w = *state;
	char host[201], name[251], text[64][20];
	const char *functions[64], *error;
	memset(host, 'h', 200);
	memset(name, 'n', 250);
	host[200] = name[250] = '\0';
	world_heartbeat(w, host);
	for (unsigned f = 0; f < 64; f++) {
		snprintf(text[f], sizeof(text[f]), "10000:%02x:00.0", f);
		functions[f] = text[f];
	}
	for (unsigned i = 0; i < 64; i++) {
		const struct gpu_discovered gpu = {
			.gpu_id = arena_printf(&w->arena, "%s/%s", host, text[i]),
			.host = host,
			.pool_id = "1",
			.pci_address = text[i],
			.model = name,
			.vendor = name,
			.vendor_id = "10de",
			.device_id = "1bb3",
			.class_id = "030200",
			.iommu_group = 1,
			.numa_node = 1,
			.functions = functions,
			.n_functions = 64,
			.state = "AVAILABLE",
			.boot_id = "b",
		};
		assert_int_equal(shard_fold_gpu(w->state, &gpu, &error), 0);
	}
	assert_non_null(strstr(world_ask(w, "r1 vm1 10de:1bb3*64"), "INVALID_REQUEST: the names"));
	assert_int_equal(strncmp(world_ask(w, "r2 vm1 10de:1bb3*16"), "vm1: hhh", 8), 0);
}

int main(void)
{
#define STORY(f) cmocka_unit_test_setup_teardown(f, world_setup, world_teardown)
	const struct CMUnitTest tests[] = {
		STORY(a_request_gets_gpus_and_the_same_answer_again),
		STORY(what_is_no_request_is_refused_by_field),
		STORY(what_cannot_be_answered_is_unusable),
		STORY(what_is_not_there_is_refused_with_the_names_that_are),
		STORY(names_that_are_left_out_are_counted),
		STORY(a_pool_of_nothing_says_so),
		STORY(absence_is_said_only_when_it_is_known),
		STORY(a_vm_has_one_set_of_gpus),
		STORY(a_refusal_says_why_host_by_host),
		STORY(every_reason_of_a_host),
		STORY(names_and_ids),
		STORY(asks_that_overlap_are_met_together),
		STORY(all_or_nothing_on_one_host),
		STORY(cpu_and_ram_of_the_type_count),
		STORY(what_does_not_fit_into_a_record_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
