#include "attach/attach.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "attach/agent/agent.h"
#include "attach/agent_file.h"
#include "attach/change_log.h"
#include "attach/crash_points.h"
#include "attach/decision_log.h"
#include "attach/kafka_watch.h"
#include "attach/reporter.h"
#include "attach/step_command.h"
#include "attach/step_runner.h"
#include "base/log.h"
#include "base/memory.h"
#include "bus/reader.h"
#include "loop/clock.h"
#include "model/partition.h"
#include "pci/preflight.h"
#include "service/health.h"

enum {
	READ_AGAIN_MS = 5000,
	STEP_RETRY_MS = 1000,
	STEPS_GRACE_MS = 5000, /* at the end, for steps that run */
	KEY_WORDS = 2,	       /* of a line of agent_describe(): VM and assignment */
};

struct attach {
	struct loop *loop;		      /* borrowed */
	const struct attach_options *options; /* borrowed */
	int32_t partition;		      /* of decisions and attachments */
	struct arena arena;		      /* texts for life */
	const char *state_path;		      /* in the arena */
	struct health *health;		      /* owned, and so is all that follows */
	struct codec *codec;
	struct agent *agent;
	struct decision_log log;
	struct bus_reader *reader;
	struct kafka_watch *kafka;
	struct reporter *reporter;
	struct step_runner *runner;
	struct change_log told;
	struct loop_timer *wake;
	struct loop_timer *read_again;
	struct loop_timer *grace;
	bool caught_up;
	bool leaving;
	bool steps_had_their_time;
};

/* ---- turns --------------------------------------------------------------------------------- */

static void go_on(struct attach *attach)
{
	if (!attach->caught_up)
		return;
	int64_t now_us = clock_monotonic_us();
	agent_go_on(attach->agent, now_us);

	cleanup(buf_deinit) struct buf text = { 0 };
	agent_describe(attach->agent, &text);
	change_log_tell(&attach->told, &text, KEY_WORDS);

	int64_t wake_at_us = agent_wake_at(attach->agent);
	if (attach->leaving || wake_at_us == INT64_MAX)
		loop_timer_stop(attach->wake);
	else
		loop_timer_start(attach->wake,
				 wake_at_us > now_us ? (wake_at_us - now_us) / 1000 + 1 : 0, 0);
}

static void on_wake(void *context)
{
	go_on(context);
}

/* ---- decisions ----------------------------------------------------------------------------- */

static void read_on(struct attach *attach)
{
	bus_reader_start(attach->reader, TOPIC_DECISIONS, attach->partition,
			 attach->log.follow.next);
}

/* Also the position in the agent's memory stays where it was: the next agent stops here, too. */
static void stop_at_broken_log(struct attach *attach)
{
	log_error("the log of decisions is broken, and nothing is attached or detached any more "
		  "until a person has looked at it: %s",
		  attach->log.held.data);
	health_wait(attach->health, "decisions", "held: %s", attach->log.held.data);
	bus_reader_stop(attach->reader, TOPIC_DECISIONS, attach->partition);
}

static void on_message(void *context, const struct message *message)
{
	struct attach *attach = context;
	const struct follow *at = &attach->log.follow;
	struct record record;
	switch (decision_log_take(&attach->log, message, &record)) {
	case 0:
		agent_on_decision(attach->agent, &record, at->next, at->epoch);
		break;
	case DECISION_NOBODYS:
		agent_on_decision(attach->agent, NULL, at->next, at->epoch);
		break;
	case DECISION_HELD:
		stop_at_broken_log(attach);
		break;
	default:
		break;
	}
}

static void on_end(void *context, struct bus_partition place, int64_t next)
{
	struct attach *attach = context;
	(void)place;
	if (decision_log_is_held(&attach->log))
		return;
	health_ready(attach->health, "decisions");
	if (attach->caught_up)
		return;
	log_info("the decisions are read to offset %" PRId64 ": acting", next);
	attach->caught_up = true;
	agent_on_caught_up(attach->agent, clock_monotonic_us());
	go_on(attach);
}

static void on_batch_done(void *context)
{
	go_on(context);
}

static void on_read_error(void *context, struct bus_partition place, enum bus_reader_error kind,
			  const char *reason)
{
	struct attach *attach = context;
	cleanup(buf_deinit) struct buf text = { 0 };
	switch (kind) {
	case BUS_READ_OFFSET_MISSING:
	case BUS_READ_NO_PARTITION:
		buf_printf(&text, "%s %" PRId32 " has no offset %" PRId64 ": %s",
			   topic_name(place.topic), place.partition, attach->log.follow.next,
			   reason);
		decision_log_hold(&attach->log, text.data);
		stop_at_broken_log(attach);
		break;
	case BUS_READ_FORBIDDEN:
	case BUS_READ_FAILED:
		health_wait(attach->health, "decisions", "cannot be read: %s", reason);
		loop_timer_start(attach->read_again, READ_AGAIN_MS, 0);
		break;
	}
}

static void on_read_again(void *context)
{
	struct attach *attach = context;
	read_on(attach);
}

/* ---- what the agent asks for --------------------------------------------------------------- */

static int save(void *context, const char *text, size_t len)
{
	const struct attach *attach = context;
	int r = agent_file_save(attach->state_path, text, len);
	if (r < 0)
		health_wait(attach->health, "state", "%s: %s", attach->state_path, strerror(-r));
	else
		health_ready(attach->health, "state");
	crash_point("agent-saved");
	return r;
}

/* One that is not begun is as if the agent had died before it: the next one begins it. */
static void start_step(void *context, uint64_t token, const struct step *step)
{
	struct attach *attach = context;
	bool held = decision_log_is_held(&attach->log);
	if (attach->leaving || held)
		log_info("step=%s is not begun: %s", step_verb_name(step->verb),
			 held ? "the log is broken" : "shutting down");
	else
		step_runner_start(attach->runner, token, step);
}

static void report(void *context, const struct gpu_attachment *attachment)
{
	const struct attach *attach = context;
	reporter_report(attach->reporter, attachment);
}

/* ---- steps --------------------------------------------------------------------------------- */

static void leave_if_done(void *context)
{
	struct attach *attach = context;
	if (attach->leaving && reporter_is_idle(attach->reporter) &&
	    (attach->steps_had_their_time || step_runner_pending(attach->runner) == 0))
		loop_stop(attach->loop);
}

static void log_result(const struct step *step, const struct step_result *result)
{
	char address[PCI_ADDRESS_TEXT_BYTES];
	pci_address_format(step->unit.functions[0], address);
	switch (result->outcome) {
	case STEP_DONE:
		log_debug("step=%s unit=%s done", step_verb_name(step->verb), address);
		break;
	case STEP_WAIT:
		log_debug("step=%s unit=%s waits code=%s: %s", step_verb_name(step->verb), address,
			  attach_code_name(result->code), result->reason);
		break;
	case STEP_FAILED:
		log_warning("step=%s unit=%s failed code=%s: %s%s", step_verb_name(step->verb),
			    address, attach_code_name(result->code), result->reason,
			    result->not_put_back ? " (and it could not be put back)" : "");
		break;
	case STEP_STUCK:
		log_error("step=%s unit=%s stuck: %s", step_verb_name(step->verb), address,
			  result->reason);
		break;
	}
}

/* It was begun, and has ended: what it says of the hypervisor was seen. */
static bool has_asked(const struct step_result *result)
{
	return result->outcome != STEP_STUCK &&
	       !(result->outcome == STEP_WAIT && result->code == ATTACH_STEP_PENDING);
}

/* Only steps that have asked the hypervisor say something about it. */
static void note_hypervisor(struct attach *attach, const struct step *step,
			    const struct step_result *result)
{
	const char *silent = NULL;
	bool looked = step->verb == STEP_LOOK && step->vm_id && result->outcome == STEP_DONE;
	if (result->outcome == STEP_WAIT && result->code == ATTACH_HYPERVISOR_SILENT)
		silent = result->reason;
	else if (looked && result->facts.vm == VM_UNKNOWN)
		silent = result->facts.vm_reason;
	else if (!has_asked(result) ||
		 (!looked && step->verb != STEP_PLUG && step->verb != STEP_UNPLUG))
		return;
	if (silent)
		health_wait(attach->health, "hypervisor", "%s", silent);
	else
		health_ready(attach->health, "hypervisor");
}

static void on_step_result(void *context, uint64_t token, const struct step *step,
			   const struct step_result *result)
{
	struct attach *attach = context;
	crash_point("agent-result-untaken");
	log_result(step, result);
	note_hypervisor(attach, step, result);
	agent_on_step_done(attach->agent, token, result, clock_monotonic_us());
	crash_point("agent-result-taken");
	go_on(attach);
	leave_if_done(attach);
}

static void on_step_trouble(void *context, const char *reason)
{
	const struct attach *attach = context;
	if (reason)
		health_wait(attach->health, "steps", "%s", reason);
	else
		health_ready(attach->health, "steps");
}

/* ---- the end ------------------------------------------------------------------------------- */

static void on_grace_over(void *context)
{
	struct attach *attach = context;
	log_warning("%zu steps have not ended: they are killed, and begun again by the next agent",
		    step_runner_pending(attach->runner));
	attach->steps_had_their_time = true;
	leave_if_done(attach);
}

void attach_shut_down(void *context)
{
	struct attach *attach = context;
	attach->leaving = true;
	loop_timer_stop(attach->wake);
	bus_reader_stop(attach->reader, TOPIC_DECISIONS, attach->partition);
	loop_timer_start(attach->grace, STEPS_GRACE_MS, 0);
	leave_if_done(attach);
}

/* ---- life ---------------------------------------------------------------------------------- */

static int start_agent(struct attach *attach)
{
	const struct attach_options *options = attach->options;
	const struct agent_options agent_options = {
		.host = options->host,
		.pool_id = options->pool_id,
		.boot_id = options->boot_id ? options->boot_id
					    : preflight_boot_id(options->proc_dir, &attach->arena),
		.has_hypervisor = strcmp(options->hypervisor, "none") != 0,
		.look_every_us = options->look_every_ms * 1000,
		.max_steps = (size_t)options->max_steps,
	};
	const struct agent_io io = { attach, save, start_step, report };
	attach->agent = agent_new(&agent_options, &io);
	attach->state_path = arena_printf(&attach->arena, "%s/agent.json", options->state_dir);
	int r = agent_file_load(attach->state_path, attach->agent);
	if (r < 0)
		log_error("%s cannot be read: %s", attach->state_path, strerror(-r));
	return r;
}

static void start_runner(struct attach *attach)
{
	const struct step_runner_options options = {
		.argv = step_command(attach->options, &attach->arena),
		.deadline_ms = attach->options->step_deadline_ms,
		.retry_ms = STEP_RETRY_MS,
	};
	const struct step_runner_callbacks callbacks = { on_step_result, on_step_trouble };
	attach->runner = step_runner_new(attach->loop, &options, &callbacks, attach);
}

static int start_bus(struct attach *attach, int32_t n_partitions)
{
	const struct bus_config *bus = attach->options->bus;
	const struct bus_reader_callbacks reader = {
		.on_message = on_message,
		.on_end = on_end,
		.on_batch_done = on_batch_done,
		.on_error = on_read_error,
	};
	const struct reporter_options reporter = {
		.bus = bus,
		.host = attach->options->host,
		.pool_id = attach->options->pool_id,
		.n_partitions = n_partitions,
	};
	int r = reporter_new(attach->loop, &reporter, attach->codec, leave_if_done, attach,
			     &attach->reporter);
	if (r == 0)
		r = kafka_watch_new(attach->loop, bus, attach->partition, attach->health,
				    &attach->kafka);
	if (r == 0)
		r = bus_reader_new(attach->loop, bus, &reader, attach, &attach->reader);
	return r;
}

static void start_reading(struct attach *attach)
{
	int64_t next, epoch;
	agent_position(attach->agent, &next, &epoch);
	decision_log_init(&attach->log, attach->codec, next, epoch);
	log_info("reading decisions partition=%" PRId32 " from offset %" PRId64 " epoch %" PRId64,
		 attach->partition, next, epoch);
	health_wait(attach->health, "decisions", "are being read");
	read_on(attach);
}

int attach_new(struct loop *loop, const struct attach_options *options, int32_t n_partitions,
	       struct attach **ret_attach)
{
	cleanup(attach_freep) struct attach *attach = memory_zeroed(1, sizeof(*attach));
	attach->loop = loop;
	attach->options = options;
	attach->partition = partition_of_pool(options->pool_id, n_partitions);
	arena_init(&attach->arena);
	attach->health = health_new();
	attach->wake = loop_timer_new(loop, on_wake, attach);
	attach->read_again = loop_timer_new(loop, on_read_again, attach);
	attach->grace = loop_timer_new(loop, on_grace_over, attach);
	int r = codec_new(&attach->codec);
	if (r == 0)
		r = start_agent(attach);
	if (r == 0)
		r = start_bus(attach, n_partitions);
	if (r)
		return r;
	start_runner(attach);
	start_reading(attach);
	*ret_attach = steal(&attach);
	return 0;
}

void attach_free(struct attach *attach)
{
	if (!attach)
		return;
	bus_reader_free(attach->reader);
	kafka_watch_free(attach->kafka);
	step_runner_free(attach->runner);
	reporter_free(attach->reporter);
	loop_timer_free(attach->wake);
	loop_timer_free(attach->read_again);
	loop_timer_free(attach->grace);
	agent_free(attach->agent);
	decision_log_deinit(&attach->log);
	change_log_deinit(&attach->told);
	codec_free(attach->codec);
	health_free(attach->health);
	arena_deinit(&attach->arena);
	free(attach);
}
