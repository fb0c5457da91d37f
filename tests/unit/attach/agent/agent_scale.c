/* A host as large as they may be: 256 GPUs, 64 in each of four assignments. What is done grows with the units, not
 * with their square: steps and saves are counted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "attach/agent/agent.h"
#include "base/arena.h"
#include "base/limits.h"
#include "codec/codec.h"

enum { ASSIGNMENTS = LIMIT_GPUS_PER_HOST / LIMIT_GPUS_PER_REQUEST, STEPS_MAX = 16 };

struct large_host {
	char drivers[LIMIT_GPUS_PER_HOST][UNIT_DRIVER_BYTES];
	bool plugged[LIMIT_GPUS_PER_HOST];
	struct step steps[STEPS_MAX];
	uint64_t tokens[STEPS_MAX];
	size_t n_steps;
	size_t started, saves, attached, detached;
	size_t text_len, value_len; /* the longest */
	struct codec *codec;
};

static int on_save(void *context, const char *text, size_t len)
{
	struct large_host *host = context;
	(void)text;
	host->saves++;
	host->text_len = len > host->text_len ? len : host->text_len;
	return 0;
}

static void on_step(void *context, uint64_t token, const struct step *step)
{
	struct large_host *host = context;
	host->steps[host->n_steps] = *step;
	host->tokens[host->n_steps++] = token;
	host->started++;
}

static void on_report(void *context, const struct gpu_attachment *report)
{
	struct large_host *host = context;
	struct record record = { .type = RECORD_GPU_ATTACHMENT, .gpu_attachment = *report };
	cleanup(buf_deinit) struct buf value = { 0 };
	assert_int_equal(codec_encode(host->codec, &record, &value), 0);
	host->value_len = value.len > host->value_len ? value.len : host->value_len;
	host->attached += strcmp(report->state, "ATTACHED") == 0;
	host->detached += strcmp(report->state, "DETACHED") == 0;
}

static struct record assignment(struct arena *arena, int number, const char *state)
{
	struct assigned_gpu *gpus = arena_array(arena, LIMIT_GPUS_PER_REQUEST, sizeof(*gpus));
	for (int i = 0; i < LIMIT_GPUS_PER_REQUEST; i++) {
		int gpu = number * LIMIT_GPUS_PER_REQUEST + i;
		gpus[i].pci_address = arena_printf(arena, "0000:%02x:00.0", (unsigned)gpu);
		gpus[i].gpu_id = arena_printf(arena, "h1/%s", gpus[i].pci_address);
		gpus[i].functions = arena_array(arena, 1, sizeof(char *));
		gpus[i].functions[0] = gpus[i].pci_address;
		gpus[i].n_functions = 1;
	}
	return (struct record){ .type = RECORD_GPU_ASSIGNED,
				.gpu_assigned = {
					.assignment_id = arena_printf(arena, "r-%d/1", number),
					.vm_id = arena_printf(arena, "vm%d", number),
					.pool_id = "7",
					.host = "h1",
					.state = state,
					.gpus = gpus,
					.n_gpus = LIMIT_GPUS_PER_REQUEST,
					.after_release = "give-back",
				} };
}

static void finish_step(struct large_host *host, struct agent *agent)
{
	struct step step = host->steps[--host->n_steps];
	uint8_t gpu = step.unit.functions[0].bus;
	struct step_result result = { .outcome = STEP_DONE };
	if (step.verb == STEP_BIND)
		strcpy(host->drivers[gpu], "vfio-pci");
	if (step.verb == STEP_GIVE_BACK)
		strcpy(host->drivers[gpu], step.drivers[0]);
	if (step.verb == STEP_PLUG || step.verb == STEP_UNPLUG)
		host->plugged[gpu] = step.verb == STEP_PLUG;
	result.facts =
		(struct unit_facts){ .n = 1, .vm = VM_RUNNING, .n_plugged = host->plugged[gpu] };
	result.facts.functions[0].present = true;
	strcpy(result.facts.functions[0].driver, host->drivers[gpu]);
	agent_on_step_done(agent, host->tokens[host->n_steps], &result, 0);
}

static void run(struct large_host *host, struct agent *agent)
{
	agent_go_on(agent, 0);
	while (host->n_steps > 0) {
		finish_step(host, agent);
		agent_go_on(agent, 0);
	}
	assert_true(agent_is_settled(agent));
}

static void a_full_host_is_attached_and_released(void **state)
{
	(void)state;
	static struct large_host host;
	struct arena arena;
	arena_init(&arena);
	struct agent_options options = { .host = "h1",
					 .pool_id = "7",
					 .boot_id = "b",
					 .has_hypervisor = true,
					 .look_every_us = INT64_C(1000000000),
					 .max_steps = STEPS_MAX };
	struct agent_io io = {
		.context = &host, .save = on_save, .start_step = on_step, .report = on_report
	};
	assert_int_equal(codec_new(&host.codec), 0);
	struct agent *agent = agent_new(&options, &io);
	agent_on_caught_up(agent, 0);
	for (int i = 0; i < ASSIGNMENTS; i++) {
		struct record record = assignment(&arena, i, "ASSIGNED");
		agent_on_decision(agent, &record, i + 1, 0);
	}
	run(&host, agent);
	assert_int_equal(host.attached, ASSIGNMENTS);
	/* Look, bind, look, plug, look. */
	assert_int_equal(host.started, 5 * LIMIT_GPUS_PER_HOST);
	assert_in_range(host.saves, LIMIT_GPUS_PER_HOST, 4 * LIMIT_GPUS_PER_HOST);

	for (int i = 0; i < ASSIGNMENTS; i++) {
		struct record record = assignment(&arena, i, "RELEASING");
		agent_on_decision(agent, &record, ASSIGNMENTS + i + 1, 0);
	}
	run(&host, agent);
	assert_int_equal(host.detached, ASSIGNMENTS);
	/* Unplug, clean, give back. */
	assert_int_equal(host.started, 8 * LIMIT_GPUS_PER_HOST);
	assert_true(host.text_len < 512 * 1024);
	assert_true(host.value_len < LIMIT_VALUE_BYTES);
	agent_free(agent);
	codec_free(host.codec);
	arena_deinit(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_full_host_is_attached_and_released),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
