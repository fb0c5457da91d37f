/* Requests, reports and commands from one line of text each. */
#include <string.h>

#include "world.h"
#include "world_words.h"

const char *world_ask(struct world *w, const char *text)
{
	struct words words = words_split(w, text, " ");
	struct record event = { .type = RECORD_VM_REQUESTED };
	event.vm_requested = (struct vm_requested){
		.request_id = words.word[0],
		.vm_id = words.word[1],
		.vm_instance_id = words_value(&words, "instance"),
		.pool_id = words_value(&words, "pool") ? words_value(&words, "pool") : w->pool,
		.vm_type_id = words_value(&words, "type"),
		.host = words_value(&words, "host"),
		.policy = words_value(&words, "policy"),
		.requested_at = ABSENT,
	};
	event.vm_requested.n_gpus = words_asks(w, &words, &event.vm_requested.gpus);
	return world_decide(w, &event);
}

const char *world_release(struct world *w, const char *text)
{
	struct words words = words_split(w, text, " ");
	struct record event = { .type = RECORD_VM_RELEASED };
	event.vm_released = (struct vm_released){
		.request_id = words.word[0],
		.vm_id = words.word[1],
		.pool_id = w->pool,
		.force = words_number(&words, "force", ABSENT),
		.reason = words_value(&words, "reason"),
		.actor = words_value(&words, "actor") ? words_value(&words, "actor") : "tester",
		.requested_at = ABSENT,
	};
	return world_decide(w, &event);
}

const char *world_migrate(struct world *w, const char *text)
{
	struct words words = words_split(w, text, " ");
	struct record event = { .type = RECORD_MIGRATION_CHECK };
	event.migration_check = (struct migration_check){
		.request_id = words.word[0],
		.vm_id = words.word[1],
		.pool_id = w->pool,
		.target_host = words_value(&words, "target"),
		.reserve = words_number(&words, "reserve", ABSENT),
		.requested_at = ABSENT,
	};
	return world_decide(w, &event);
}

/* The latest that the log says of an assignment; NULL: nothing. */
static const struct gpu_assigned *find_assigned(const struct world *w, const char *assignment_id)
{
	for (size_t i = w->n_log; i-- > 0;) {
		const struct record *record = &w->log[i].record;
		if (record->type == RECORD_GPU_ASSIGNED &&
		    strcmp(record->gpu_assigned.assignment_id, assignment_id) == 0)
			return &record->gpu_assigned;
	}
	return NULL;
}

static char *with_blanks(char *text)
{
	for (char *c = text; c && *c; c++)
		*c = *c == '_' ? ' ' : *c;
	return text;
}

/* "02=DIRTY/RESET_FAILED/no_reset" */
static struct attached_gpu parse_attached(struct world *w, const char *host, const char *word)
{
	char *state = arena_strdup(&w->arena, word + 3), *rest = state;
	strsep(&rest, "/");
	struct attached_gpu gpu = {
		.gpu_id = arena_printf(&w->arena, "%s/0000:%.2s:00.0", host, word),
		.state = state,
	};
	gpu.code = strsep(&rest, "/");
	gpu.reason = with_blanks(strsep(&rest, "/"));
	return gpu;
}

static bool is_attached_gpu(const char *word)
{
	return strspn(word, "0123456789abcdef") == 2 && word[2] == '=';
}

const char *world_report(struct world *w, const char *text)
{
	struct words words = words_split(w, text, " ");
	const struct gpu_assigned *assigned = find_assigned(w, words.word[1]);
	bool clean = words_number(&words, "clean", 0) == 1;
	size_t max = words.n + (assigned ? assigned->n_gpus : 0), n = 0;
	struct attached_gpu *gpus = arena_array(&w->arena, max, sizeof(*gpus));
	const char *host = words_value(&words, "host");
	if (!host)
		host = assigned ? assigned->host : "h1";

	for (size_t i = 3; i < words.n; i++)
		if (is_attached_gpu(words.word[i]))
			gpus[n++] = parse_attached(w, host, words.word[i]);
	for (size_t i = 0; clean && assigned && i < assigned->n_gpus; i++)
		gpus[n++] = (struct attached_gpu){ .gpu_id = assigned->gpus[i].gpu_id,
						   .state = "CLEAN" };
	struct record event = { .type = RECORD_GPU_ATTACHMENT };
	event.gpu_attachment = (struct gpu_attachment){
		.vm_id = words.word[0],
		.assignment_id = words.word[1],
		.state = words.word[2],
		.pool_id = w->pool,
		.host = host,
		.code = words_value(&words, "code"),
		.reason = with_blanks(words_value(&words, "reason")),
		.gpus = gpus,
		.n_gpus = n,
		.observed_at = w->now,
	};
	return world_decide(w, &event);
}

const char *world_command(struct world *w, const char *text)
{
	struct words words = words_split(w, text, " ");
	const char *target = words.word[2], *slash = strrchr(target, '/');
	const char *actor = words_value(&words, "actor"), *reason = words_value(&words, "reason");
	if (slash && strlen(slash) == 3)
		target = arena_printf(&w->arena, "%.*s/0000:%s:00.0", (int)(slash - target), target,
				      slash + 1);
	struct record event = { .type = RECORD_OPERATOR_COMMAND };
	event.operator_command = (struct operator_command){
		.request_id = words.word[0],
		.pool_id = words_value(&words, "pool") ? words_value(&words, "pool") : w->pool,
		.command = words.word[1],
		.host = strstr(words.word[1], "HOST") ? target : NULL,
		.gpu_id = strstr(words.word[1], "GPU") ? target : NULL,
		.reason = reason ? with_blanks((char *)reason) : "test",
		.actor = actor ? actor : "tester",
		.requested_at = ABSENT,
	};
	return world_decide(w, &event);
}
